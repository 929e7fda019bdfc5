"""Another far end underneath a leg: REFER from the far end, and INVITE with Replaces."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from offhook.core.errors import TransferFailed
from offhook.testing.peers import Peer
from offhook.testing.world import SIP_PORT
from tests.carriers.conftest import US
from tests.carriers.test_sip import answered, bye, description, notify, refer

DESK = "10.9.9.9"


def target(stage: Any, ip: str = DESK) -> Any:
    """Make whom the far end refers us to."""
    return Peer(stage.world, ip, (US, SIP_PORT), stage.world.rng(ip))


def sends_us(peer: Any, to: str = f"<sip:desk@{DESK}>", extra: str = "") -> None:
    """Let the far end refer us."""
    more = f"\r\n{extra}" if extra else ""
    peer.request("REFER", extra=f"Refer-To: {to}\r\nReferred-By: <sip:peer@10.3.0.1>{more}")


async def tells(peer: Any, line: str) -> str:
    """Wait for the NOTIFY that says `line`, answer it, and give the state of the subscription."""
    got = await peer.asked("NOTIFY")
    assert got.data.partition(b"\r\n\r\n")[2] == line.encode() + b"\r\n"
    peer.reply(got, 200, "OK")
    return next(row for row in got.data.decode().split("\r\n") if row.startswith("Subscription-State: ")).split()[1]


def test_a_far_end_that_refers_us_is_replaced_by_whom_it_named(stage: Any) -> None:
    async def story() -> None:
        peer, desk_phone = stage.peer(), target(stage)
        async with stage.desk() as desk:
            leg, ok = await answered(peer, desk)
            sends_us(peer)
            assert (await peer.response("REFER")).sip.code == 202
            await tells(peer, "SIP/2.0 100 Trying")
            invite = await desk_phone.asked("INVITE")
            assert b"Referred-By: <sip:peer@10.3.0.1>\r\n" in invite.data
            assert description(invite).media[0].port == description(ok).media[0].port, "the port stays"
            desk_phone.reply(invite, 180, "Ringing", tag="t")
            await tells(peer, "SIP/2.0 180 Ringing")
            desk_phone.reply(
                invite, 200, "OK", desk_phone.sdp(), tag="t", extra=f"Contact: <sip:desk@{DESK}:{SIP_PORT}>"
            )
            assert await desk_phone.asked("ACK") is not None
            assert await tells(peer, "SIP/2.0 200 OK") == "terminated;reason=noresource"
            await bye(peer)
            assert leg.up, "the call goes on with the other"
            leg.play(1, bytes(1600), 8000)
            await asyncio.sleep(0.5)
            await leg.hangup()
            over = await desk_phone.asked("BYE")
            desk_phone.reply(over, 200, "OK")
            desk_phone.close()
        assert desk.end().reason == "hangup"
        assert [leg.call for leg in desk.legs] != [leg.first[0] for leg in desk.legs]
        assert desk.line.legs == {}
        assert desk.line.called.calls == {}

    stage.play(story())


def test_a_target_that_is_busy_leaves_the_call_as_it_was(stage: Any) -> None:
    """What must survive 10: NOTIFY 100, then the final; and who referred us is still there."""

    async def story() -> None:
        peer, desk_phone = stage.peer(), target(stage)
        async with stage.desk() as desk:
            leg, _ = await answered(peer, desk)
            sends_us(peer)
            assert (await peer.response("REFER")).sip.code == 202
            await tells(peer, "SIP/2.0 100 Trying")
            invite = await desk_phone.asked("INVITE")
            desk_phone.reply(invite, 486, "Busy Here", tag="t")
            await tells(peer, "SIP/2.0 486 Busy Here")
            desk_phone.close()
            await asyncio.sleep(6.0)
            assert leg.up
            await bye(peer)
        assert desk.end().reason == "remote_hangup"
        assert desk.line.called.calls == {}

    stage.play(story())


def test_who_refers_us_and_hangs_up_at_once_is_followed_all_the_same(stage: Any) -> None:
    async def story() -> None:
        peer, desk_phone = stage.peer(), target(stage)
        async with stage.desk() as desk:
            leg, _ = await answered(peer, desk)
            sends_us(peer)
            invite = await desk_phone.asked("INVITE")
            await bye(peer)
            await asyncio.sleep(3.0)
            assert not leg.over
            desk_phone.reply(
                invite, 200, "OK", desk_phone.sdp(), tag="t", extra=f"Contact: <sip:desk@{DESK}:{SIP_PORT}>"
            )
            await desk_phone.asked("ACK")
            await asyncio.sleep(1.0)
            assert leg.up
            await leg.hangup()
            desk_phone.reply(await desk_phone.asked("BYE"), 200, "OK")
            desk_phone.close()
        assert desk.end().reason == "hangup"
        assert desk.kinds().count("HungUp") == 1

    stage.play(story())


def test_who_refers_us_hangs_up_and_the_target_does_not_come(stage: Any) -> None:
    async def story() -> None:
        peer, desk_phone = stage.peer(), target(stage)
        async with stage.desk() as desk:
            await answered(peer, desk)
            sends_us(peer)
            invite = await desk_phone.asked("INVITE")
            await bye(peer)
            desk_phone.reply(invite, 603, "Decline", tag="t")
            await desk_phone.asked("ACK")
            desk_phone.close()
        assert (desk.end().code, desk.end().reason) == (603, "remote_hangup")
        assert desk.line.legs == {}

    stage.play(story())


def test_we_hang_up_while_the_target_rings(stage: Any) -> None:
    async def story() -> None:
        peer, desk_phone = stage.peer(), target(stage)
        async with stage.desk() as desk:
            leg, _ = await answered(peer, desk)
            sends_us(peer)
            invite = await desk_phone.asked("INVITE")
            desk_phone.reply(invite, 180, "Ringing", tag="t")
            await asyncio.sleep(0.5)
            await leg.hangup()
            cancel = await desk_phone.asked("CANCEL")
            desk_phone.reply(cancel, 200, "OK")
            desk_phone.reply(invite, 487, "Request Terminated", tag="t")
            peer.reply(await peer.asked("BYE"), 200, "OK")
            await desk_phone.asked("ACK")
            desk_phone.close()
            peer.close()
        assert desk.end().reason == "hangup"

    stage.play(story())


@pytest.mark.survives(34)
@pytest.mark.parametrize(
    "to", ["<sip:x@10.3.0.1>", "<sip:+900123@10.3.0.1>", "<tel:+900123>", "<sip:desk@10.9.9.9;maddr=127.0.0.1>"]
)
def test_a_referral_outside_the_rules_is_declined(stage: Any, to: str) -> None:
    async def story() -> None:
        peer = stage.peer()
        async with stage.desk() as desk:
            leg, _ = await answered(peer, desk)
            sends_us(peer, to)
            assert (await peer.response("REFER")).sip.code == 603
            await asyncio.sleep(1.0)
            assert leg.up
            await bye(peer)

    stage.play(story())


def test_a_place_in_another_call_is_asked_for_as_it_was_named(stage: Any) -> None:
    async def story() -> None:
        peer, desk_phone = stage.peer(), target(stage)
        async with stage.desk() as desk:
            await answered(peer, desk)
            sends_us(peer, f"<sip:desk@{DESK}?Replaces=a%40b%3Bto-tag%3D1%3Bfrom-tag%3D2>")
            invite = await desk_phone.asked("INVITE")
            assert b"Replaces: a@b;to-tag=1;from-tag=2\r\n" in invite.data
            assert b"Require: replaces\r\n" in invite.data
            desk_phone.reply(invite, 481, "Gone", tag="t")
            await desk_phone.asked("ACK")
            desk_phone.close()
            await bye(peer)

    stage.play(story())


def place(peer: Any, ok: Any) -> str:
    """Name the dialog of a peer's call as we see it."""
    call = peer._call
    return f"Replaces: {call.name};to-tag={ok.sip.to_tag};from-tag={call.tag}"


def test_a_call_that_takes_anothers_place_goes_on_with_the_same_agent(stage: Any) -> None:
    async def story() -> None:
        peer, other = stage.peer(), target(stage, "10.3.0.2")
        async with stage.desk() as desk:
            leg, ok = await answered(peer, desk)
            other.request("INVITE", other.sdp(), extra=place(peer, ok))
            taken = await other.response("INVITE")
            assert taken.sip.code == 200
            other.confirm(taken)
            other.request("ACK")
            peer.reply(await peer.asked("BYE"), 200, "OK")
            peer.close()
            assert len(desk.legs) == 1
            assert leg.up
            await asyncio.sleep(1.0)
            other.request("BYE")
            await other.response("BYE")
            other.close()
        assert desk.end().reason == "remote_hangup"
        assert desk.line.legs == {}
        assert desk.line.called.calls == {}

    stage.play(story())


def test_a_stranger_takes_nobodys_place(stage: Any) -> None:
    async def story() -> None:
        peer, stranger = stage.peer(), target(stage, "10.3.0.2")
        async with stage.desk() as desk:
            desk.line.beside = lambda one, other: one.remote[0] == other.remote[0]
            leg, ok = await answered(peer, desk)
            stranger.request("INVITE", stranger.sdp(), extra=place(peer, ok))
            assert (await stranger.response("INVITE")).sip.code == 403
            stranger.request("ACK", same=True)
            assert leg.up
            stranger.close()
            await bye(peer)

    stage.play(story())


def test_a_call_without_an_offer_can_take_a_place_too(stage: Any) -> None:
    async def story() -> None:
        peer, other = stage.peer(), target(stage, "10.3.0.2")
        async with stage.desk() as desk:
            leg, ok = await answered(peer, desk)
            other.request("INVITE", "", extra=place(peer, ok))
            taken = await other.response("INVITE")
            other.confirm(taken)
            other.request("ACK", other.sdp())
            peer.reply(await peer.asked("BYE"), 200, "OK")
            peer.close()
            await asyncio.sleep(1.0)
            assert leg.up
            assert leg.negotiation.plan.remote == ("10.3.0.2", 30000)
            await leg.hangup()
            other.reply(await other.asked("BYE"), 200, "OK")
            other.close()

    stage.play(story())


def test_a_transfer_of_ours_does_not_outlive_the_far_end_that_was_asked(stage: Any) -> None:
    async def story() -> None:
        peer, other = stage.peer(), target(stage, "10.3.0.2")
        async with stage.desk() as desk:
            leg, ok = await answered(peer, desk)
            moving, asked = await refer(peer, leg)
            peer.reply(asked, 202, "Accepted")
            notify(peer, "SIP/2.0 100 Trying", "active")
            other.request("INVITE", other.sdp(), extra=place(peer, ok))
            taken = await other.response("INVITE")
            other.confirm(taken)
            other.request("ACK")
            with pytest.raises(TransferFailed) as failed:
                await moving
            assert failed.value.code == 487
            peer.reply(await peer.asked("BYE"), 200, "OK")
            peer.close()
            await leg.hangup()
            other.reply(await other.asked("BYE"), 200, "OK")
            other.close()

    stage.play(story())
