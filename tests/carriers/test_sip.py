"""The leg over SIP: answers, offers that come late or again, transfers, ends."""

from __future__ import annotations

import asyncio
import gc
import struct
from typing import Any
from weakref import ref

import pytest

from offhook.carriers.negotiation import AudioRules
from offhook.core.codecs import PCMA, PCMU
from offhook.core.errors import CallEnded, DialFailed, NotAllowed, TransferFailed
from offhook.core.signals import Held
from offhook.sip.sdp import parse_sdp
from offhook.testing.peers import RTP_PORT
from offhook.testing.wire import read_rtp


def description(got: Any) -> Any:
    """Read the SDP of a message that a peer got."""
    return parse_sdp(got.data.partition(b"\r\n\r\n")[2])


async def answered(peer: Any, desk: Any, body: str | None = None) -> tuple[Any, Any]:
    """Let the peer call and the desk answer; give the leg and the 200."""
    peer.request("INVITE", peer.sdp() if body is None else body)
    leg = await desk.rung()
    answering = asyncio.create_task(leg.answer())
    ok = await peer.response("INVITE")
    peer.confirm(ok)
    if body != "":
        peer.request("ACK")
        await answering
    return leg, ok


async def bye(peer: Any) -> None:
    """Let the peer hang up."""
    peer.request("BYE")
    await peer.response("BYE")
    peer.close()


def test_it_rings_until_it_is_answered_and_tells_the_end_last(stage: Any) -> None:
    async def story() -> None:
        peer = stage.peer()
        async with stage.desk() as desk:
            peer.request("INVITE", peer.sdp())
            leg = await desk.rung()
            assert await peer.response("INVITE", 180) is not None
            assert await peer.response("INVITE", within_s=5.0) is None
            answering = asyncio.create_task(leg.answer())
            ok = await peer.response("INVITE", 200)
            await asyncio.sleep(0.2)
            assert not answering.done()  # not before the ACK
            peer.confirm(ok)
            peer.request("ACK")
            await answering
            await leg.answer()  # once more is no more
            await bye(peer)
        assert desk.kinds() == ["Connected", "HungUp"]
        assert (desk.end().code, desk.end().reason) == (200, "remote_hangup")
        assert leg.counters()["unread"] == 0

    stage.play(story())


def test_a_call_that_is_over_leaves_nothing_for_the_collector_whose_pauses_the_others_would_hear(stage: Any) -> None:
    async def story() -> None:
        peer = stage.peer()
        async with stage.desk() as desk:
            leg, _ = await answered(peer, desk)
            await bye(peer)
        gone = ref(leg)
        del leg
        desk.forget()
        assert gone() is None

    gc.disable()
    try:
        stage.play(story())
    finally:
        gc.enable()


def test_who_hangs_up_while_it_rings_is_not_answered(stage: Any) -> None:
    async def story() -> None:
        peer = stage.peer()
        async with stage.desk() as desk:
            peer.request("INVITE", peer.sdp())
            leg = await desk.rung()
            peer.request("CANCEL", same=True)
            await peer.response("INVITE", 487)
            peer.request("ACK", same=True)
            with pytest.raises(CallEnded):
                await leg.answer()
            peer.close()
        assert (desk.end().code, desk.end().reason) == (487, "cancelled")

    stage.play(story())


@pytest.mark.parametrize(("code", "said"), [(486, 486), (603, 603), (200, 480)])
def test_a_call_may_be_refused(stage: Any, code: int, said: int) -> None:
    async def story() -> None:
        peer = stage.peer()
        async with stage.desk() as desk:
            peer.request("INVITE", peer.sdp())
            leg = await desk.rung()
            await leg.hangup(code)
            await leg.hangup(code)
            answer = await peer.response("INVITE")
            assert answer.sip.code == said
            peer.request("ACK", same=True)
            peer.close()

    stage.play(story())


def test_an_answer_that_is_never_acknowledged_ends_the_call(stage: Any) -> None:
    async def story() -> None:
        peer = stage.peer()
        async with stage.desk() as desk:
            peer.request("INVITE", peer.sdp())
            leg = await desk.rung()
            answering = asyncio.create_task(leg.answer())
            ok = await peer.response("INVITE")
            peer.confirm(ok)
            peer.reply(await peer.asked("BYE", within_s=60.0), 200, "OK")
            with pytest.raises(CallEnded):
                await answering
            peer.close()
        assert desk.end().reason == "no_ack"

    stage.play(story())


def test_an_offer_may_come_with_the_ack(stage: Any) -> None:
    async def story() -> None:
        peer = stage.peer()
        async with stage.desk() as desk:
            leg, ok = await answered(peer, desk, body="")
            offer = description(ok)
            assert offer.media[0].formats[:2] == ("0", "8")
            peer.request("ACK", peer.sdp(codecs="8 101"))
            await leg.answer()
            leg.play(1, bytes(16_000), 8000)
            await asyncio.sleep(1.0)
            assert leg.counters()["sent"] >= 45
            await bye(peer)

    stage.play(story())


def test_what_is_said_before_the_ack_brings_their_answer_is_kept(stage: Any) -> None:
    async def story() -> None:
        peer = stage.peer()
        ip = peer.address[0]
        async with stage.desk() as desk:
            leg, ok = await answered(peer, desk, body="")
            ours = description(ok).media[0]
            for number in range(10):
                packet = struct.pack("!BBHII", 0x80, 8, number, 160 * number, 7) + bytes(160)
                stage.world.network.send((ip, RTP_PORT), ("10.1.0.1", ours.port), packet)
                await asyncio.sleep(0.02)
            counts = leg.counters()
            assert counts["received_audio"] >= 8
            assert counts["sent"] == counts["dropped_unconfigured"] == 0
            peer.request("ACK", peer.sdp(codecs="8 101"))
            await leg.answer()
            packets = sent_to(stage)
            leg.play(1, bytes(16_000), 8000)
            await asyncio.sleep(1.0)
            assert {packet.payload for packet in packets} == {8}
            assert len(packets) >= 45
            await bye(peer)

    stage.play(story())


def test_the_answer_may_take_one_codec_and_send_another(stage: Any) -> None:
    async def story() -> None:
        rules = AudioRules(codecs=(PCMU,), send=PCMA)
        async with stage.desk(rules) as desk:
            peer = stage.peer()
            leg, ok = await answered(peer, desk)
            assert description(ok).media[0].formats == ("0", "101")
            packets = sent_to(stage)
            leg.play(1, bytes(16_000), 8000)
            await asyncio.sleep(1.0)
            assert {packet.payload for packet in packets} == {8}
            await bye(peer)

    stage.play(story())


def test_a_held_call_is_not_called_stalled_and_comes_back(stage: Any) -> None:
    async def story() -> None:
        peer = stage.peer()
        async with stage.desk() as desk:
            await answered(peer, desk)
            peer.request("INVITE", peer.sdp(direction="inactive"))
            held = await peer.response("INVITE")
            assert description(held).media[0].attribute("inactive") == ""
            peer.request("ACK")
            await asyncio.sleep(300.0)
            assert desk.kinds() == ["Connected", "Held"]
            peer.request("INVITE", peer.sdp())
            back = await peer.response("INVITE")
            assert description(back).origin.split()[2] == "3"  # each description has its number
            peer.request("ACK")
            peer.reply(await peer.asked("BYE", within_s=60.0), 200, "OK")
            peer.close()
        assert [event.on for event in desk.events if isinstance(event, Held)] == [True, False]
        assert desk.end().reason == "stalled"

    stage.play(story())


def test_a_refused_offer_changes_nothing(stage: Any) -> None:
    async def story() -> None:
        peer = stage.peer()
        async with stage.desk() as desk:
            leg, _ = await answered(peer, desk)
            peer.request("INVITE", peer.sdp(codecs="111"))
            assert (await peer.response("INVITE")).sip.code == 488
            peer.request("ACK", same=True)
            leg.play(1, bytes(8_000), 8000)
            await asyncio.sleep(1.0)
            assert leg.counters()["sent"] >= 20
            await bye(peer)

    stage.play(story())


@pytest.mark.parametrize("address", ["IP4 01.2.3.4", "IP4 0000.1.1.1", "IP6 1::2::3", "IP6 fe80::1%lo", "IP4 a.b.c.d"])
def test_an_address_that_can_not_be_read_is_left_to_symmetric_rtp(stage: Any, address: str) -> None:
    async def story() -> None:
        peer = stage.peer()
        body = peer.sdp().replace("c=IN IP4 10.3.0.1", f"c=IN {address}")
        assert address in body
        async with stage.desk() as desk:
            await answered(peer, desk, body)
            peer.request("INVITE", body)
            assert (await peer.response("INVITE")).sip.code == 200
            peer.request("ACK")
            await bye(peer)
        assert desk.line.guarded == 0

    stage.play(story())


def test_a_reinvite_without_an_offer_gets_ours(stage: Any) -> None:
    async def story() -> None:
        peer = stage.peer()
        async with stage.desk() as desk:
            leg, _ = await answered(peer, desk)
            peer.request("INVITE")
            ours = await peer.response("INVITE")
            assert description(ours).media[0].formats[:2] == ("0", "8")
            peer.request("ACK", peer.sdp(codecs="8 101"))
            packets = sent_to(stage)
            leg.play(1, bytes(8_000), 8000)
            await asyncio.sleep(1.0)
            assert {packet.payload for packet in packets} == {8}
            await bye(peer)

    stage.play(story())


async def refer(peer: Any, leg: Any, target: str = "sip:front@10.9.9.9") -> tuple[Any, Any]:
    """Begin a transfer; give its task and the REFER."""
    moving = asyncio.create_task(leg.transfer(target))
    return moving, await peer.asked("REFER")


def notify(peer: Any, fragment: str, state: str = "terminated;reason=noresource") -> None:
    """Let the peer tell what became of the transfer."""
    kept: list[bytes] = []
    send, peer.send = peer.send, kept.append
    peer.request("NOTIFY", fragment, extra=f"Event: refer\r\nSubscription-State: {state}")
    peer.send = send
    peer.send(kept[0].replace(b"application/sdp", b"message/sipfrag;version=2.0"))


def sent_to(stage: Any, ip: str = "10.3.0.1") -> list[Any]:
    """Give the list that the RTP packets are put into which come to a peer."""
    packets: list[Any] = []
    stage.world.network.unbind((ip, RTP_PORT))
    stage.world.network.bind((ip, RTP_PORT), lambda data, source: packets.append(read_rtp(data)))
    return packets


def test_a_transfer_that_is_taken_ends_our_part(stage: Any) -> None:
    async def story() -> None:
        peer = stage.peer()
        async with stage.desk() as desk:
            leg, _ = await answered(peer, desk)
            moving, asked = await refer(peer, leg)
            assert b"Refer-To: <sip:front@10.9.9.9>\r\n" in asked.data
            peer.reply(asked, 202, "Accepted")
            await asyncio.sleep(1.0)
            assert not moving.done()
            notify(peer, "SIP/2.0 200 OK")
            await moving
            peer.reply(await peer.asked("BYE"), 200, "OK")
            peer.close()
        assert desk.end().reason == "transferred"

    stage.play(story())


@pytest.mark.parametrize(("told", "code"), [("486 Busy Here", 486), ("100 Trying", 408)])
def test_a_transfer_that_is_not_taken_leaves_the_caller_with_us(stage: Any, told: str, code: int) -> None:
    async def story() -> None:
        peer = stage.peer()
        async with stage.desk() as desk:
            leg, _ = await answered(peer, desk)
            moving, asked = await refer(peer, leg)
            peer.reply(asked, 202, "Accepted")
            notify(peer, "SIP/2.0 100 Trying", "active;expires=60")
            await asyncio.sleep(0.5)
            assert not moving.done()
            notify(peer, f"SIP/2.0 {told}")
            with pytest.raises(TransferFailed) as failed:
                await moving
            assert failed.value.code == code
            assert not leg.over
            await bye(peer)

    stage.play(story())


def test_a_transfer_to_a_number_stays_at_the_callers_host(stage: Any) -> None:
    async def story() -> None:
        peer = stage.peer()
        async with stage.desk() as desk:
            leg, _ = await answered(peer, desk)
            moving, asked = await refer(peer, leg, "+1 555 123 4567")
            assert b"Refer-To: <sip:+15551234567@10.3.0.1>\r\n" in asked.data
            peer.reply(asked, 603, "Decline")
            with pytest.raises(TransferFailed) as failed:
                await moving
            assert failed.value.code == 603
            await bye(peer)

    stage.play(story())


@pytest.mark.parametrize(
    "target", ["sip:x@10.3.0.1", "+49301234567", "sip:x@10.9.9.9;maddr=10.3.0.1", "sips:x@10.3.0.1"]
)
def test_a_transfer_outside_the_rules_is_never_asked_for(stage: Any, target: str) -> None:
    async def story() -> None:
        peer = stage.peer()
        async with stage.desk() as desk:
            leg, _ = await answered(peer, desk)
            with pytest.raises(NotAllowed):
                await leg.transfer(target)
            assert await peer.asked("REFER", within_s=1.0) is None
            await bye(peer)

    stage.play(story())


def test_a_caller_who_goes_away_during_a_transfer_has_gone_there(stage: Any) -> None:
    async def story() -> None:
        peer = stage.peer()
        async with stage.desk() as desk:
            leg, _ = await answered(peer, desk)
            told: list[str] = []

            async def moves() -> None:
                await leg.transfer("sip:front@10.9.9.9")
                told.extend(desk.kinds())

            moving = asyncio.create_task(moves())
            peer.reply(await peer.asked("REFER"), 202, "Accepted")
            await bye(peer)
            await moving
            assert told == ["Connected"], "that the transfer was taken is told before the end"
            with pytest.raises(CallEnded):
                await leg.transfer("sip:front@10.9.9.9")

    stage.play(story())


def test_a_transfer_that_no_one_tells_of_has_failed(stage: Any) -> None:
    async def story() -> None:
        peer = stage.peer()
        rules = AudioRules(first_packet_s=1000.0)
        async with stage.desk(rules) as desk:
            leg, _ = await answered(peer, desk)
            moving, asked = await refer(peer, leg)
            peer.reply(asked, 202, "Accepted")
            with pytest.raises(TransferFailed) as failed:
                await moving
            assert failed.value.code == 408
            await bye(peer)

    stage.play(story())


def test_keys_and_words_pass_both_ways(stage: Any) -> None:
    async def story() -> None:
        async with stage.phone() as phone, stage.desk() as desk:
            calling = asyncio.create_task(phone.calls("sip:desk@10.1.0.1"))
            leg = await desk.rung()
            await leg.answer()
            caller = await calling
            assert leg.capabilities.press
            leg.press("19*#")
            caller.presses("5")
            await caller.waits(3.0)
            assert caller.keys == "19*#"
            await caller.hangs_up()
        assert [event.key for event in desk.events if type(event).__name__ == "Digit"] == ["5"]

    stage.play(story())


def test_a_call_of_ours_is_told_when_it_is_up(stage: Any) -> None:
    async def story() -> None:
        peer = stage.peer()
        async with stage.desk() as desk:
            leg = await desk.dials("sip:x@10.3.0.1")
            waiting = asyncio.create_task(leg.connected())
            invite = await peer.asked("INVITE")
            peer.reply(invite, 180, "Ringing", tag="t")
            await asyncio.sleep(0.5)
            assert not waiting.done()
            peer.reply(invite, 200, "OK", peer.sdp(codecs="8 101"), tag="t")
            await peer.asked("ACK")
            await waiting
            await leg.hangup()
            peer.reply(await peer.asked("BYE"), 200, "OK")
            peer.close()
        assert desk.kinds() == ["Ringing", "Connected", "HungUp"]

    stage.play(story())


@pytest.mark.parametrize("body", ["", "v=0\r\nm=audio 9 RTP/AVP 111\r\n"])
def test_an_answer_that_can_not_be_is_hung_up_on(stage: Any, body: str) -> None:
    async def story() -> None:
        peer = stage.peer()
        async with stage.desk() as desk:
            leg = await desk.dials("sip:x@10.3.0.1")
            waiting = asyncio.create_task(leg.connected())
            invite = await peer.asked("INVITE")
            peer.reply(invite, 200, "OK", body, tag="t")
            await peer.asked("ACK")
            peer.reply(await peer.asked("BYE"), 200, "OK")
            with pytest.raises(DialFailed) as failed:
                await waiting
            assert failed.value.code == 488
            peer.close()

    stage.play(story())
