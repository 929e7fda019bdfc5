"""Whole calls under SRTP: two ends of ours agree on keys by SDES, and a bare peer tries what it likes."""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode
from typing import Any

import pytest

from offhook.carriers.negotiation import AudioRules
from offhook.core.errors import CallEnded, DialFailed
from offhook.sip.sdp import parse_sdp
from offhook.testing.callers import CallerPhone
from offhook.testing.peers import RTP_PORT

US, PHONE = "10.1.0.1", "10.2.0.1"
KEY = "inline:" + "A" * 40
OTHER = "inline:" + "B" * 40
THIRD = "inline:" + "C" * 40
OTHER_BYTES = b64decode(OTHER[7:])


def counted(desk: Any, leg: Any) -> dict[str, int]:
    """Give the counters of a leg's port."""
    return desk.media.engine.counters(leg.negotiation._door.number)


def secured(sdp: str, key: str = KEY, profile: str = "RTP/SAVP") -> str:
    """Turn a peer's description into one with keys."""
    return sdp.replace("RTP/AVP", profile) + f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 {key}\r\n"


def description(got: Any) -> Any:
    return parse_sdp(got.data.partition(b"\r\n\r\n")[2]).media[0]


@pytest.mark.parametrize(("theirs", "ours"), [("required", "optional"), ("required", "required")])
def test_a_caller_with_srtp_is_understood(stage: Any, theirs: Any, ours: Any) -> None:
    async def story() -> None:
        async with (
            CallerPhone(stage.world, PHONE, audio=AudioRules(srtp=theirs)) as phone,
            stage.desk(AudioRules(srtp=ours)) as desk,
        ):
            calling = asyncio.create_task(phone.calls(f"sip:desk@{US}"))
            leg = await desk.rung()
            await leg.answer()
            caller = await calling
            leg.play(1, bytes(16_000), 8000)
            await asyncio.sleep(3.0)
            counters = counted(desk, leg)
            assert counters["received_audio"] > 100
            assert counters["dropped_forged"] == counters["dropped_unkeyed"] == 0
            assert leg.negotiation.plan.protection is not None
            await caller.hangs_up()

    stage.play(story())


def test_who_wants_dtls_offers_it_and_nothing_else(stage: Any) -> None:
    async def story() -> None:
        async with CallerPhone(stage.world, PHONE, audio=AudioRules(srtp="dtls")) as phone, stage.desk() as desk:
            calling = asyncio.create_task(phone.calls(f"sip:desk@{US}"))
            leg = await desk.rung()
            await leg.answer()
            caller = await calling
            leg.play(1, bytes(16_000), 8000)
            await asyncio.sleep(3.0)
            assert leg.negotiation.plan.tunnel is not None
            assert leg.negotiation.plan.protection is None
            assert counted(desk, leg)["received_audio"] > 100
            await caller.hangs_up()

    stage.play(story())


@pytest.mark.parametrize(("theirs", "ours"), [("required", "off"), ("off", "required"), ("required", "auto")])
def test_where_one_must_and_the_other_will_not_there_is_no_call(stage: Any, theirs: Any, ours: Any) -> None:
    async def story() -> None:
        async with (
            CallerPhone(stage.world, PHONE, audio=AudioRules(srtp=theirs)) as phone,
            CallerPhone(stage.world, US, audio=AudioRules(srtp=ours)) as desk,
        ):
            answering = asyncio.create_task(desk.answers())
            with pytest.raises(DialFailed) as failed:
                await phone.calls(f"sip:desk@{US}")
            assert failed.value.code == 488
            with pytest.raises(CallEnded, match="can't be taken"):
                await answering
            await stage.world.settle()

    stage.play(story())


@pytest.mark.survives(27)
def test_a_call_that_is_protected_stays_so_and_takes_new_keys(stage: Any) -> None:
    async def story() -> None:
        peer = stage.peer()
        packets: list[bytes] = []
        stage.world.network.unbind(("10.3.0.1", RTP_PORT))
        stage.world.network.bind(("10.3.0.1", RTP_PORT), lambda data, source: packets.append(data))
        async with stage.desk(AudioRules(srtp="optional")) as desk:
            peer.request("INVITE", secured(peer.sdp()))
            leg = await desk.rung()
            answering = asyncio.create_task(leg.answer())
            first = await peer.response("INVITE")
            peer.confirm(first)
            peer.request("ACK")
            await answering
            ours = description(first).attribute("crypto")
            assert ours.startswith("1 AES_CM_128_HMAC_SHA1_80 inline:")
            peer.request("INVITE", peer.sdp())  # and now plainly?
            refused = await peer.response("INVITE")
            peer.request("ACK", same=True)
            assert refused.sip.code == 488
            assert leg.negotiation.plan.protection.receive == bytes(30)
            peer.request("INVITE", secured(peer.sdp(), OTHER))
            again = await peer.response("INVITE")
            peer.request("ACK")
            assert description(again).attribute("crypto") == ours, "ours goes on, and its counters with it"
            assert leg.negotiation.plan.protection.receive == b"\x04\x10\x41" * 10
            # What we offer from here on is secure, too, with the key that holds.
            holding = asyncio.create_task(leg.hold(True))
            asked = await peer.asked("INVITE")
            assert description(asked).protocol == "RTP/SAVP"
            assert description(asked).attribute("crypto") == ours
            peer.reply(asked, 200, "OK", secured(peer.sdp(direction="recvonly"), OTHER))
            assert await holding
            leg.play(1, bytes(16_000), 8000)
            await asyncio.sleep(0.5)
            peer.request("BYE")
            await peer.response("BYE")
            peer.close()
        assert {len(data) for data in packets if data[1] < 192} <= {182, 22}  # each with its tag

    stage.play(story())


@pytest.mark.survives(27)
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_new_key_holds_from_the_answer_on_and_the_same_again_changes_nothing(stage: Any, method: str) -> None:
    """RFC 4568 section 6.9: a key changes by an offer; one that is said again, as a refresh does, goes on."""

    async def story() -> None:
        peer = stage.peer()
        async with stage.desk(AudioRules(srtp="optional")) as desk:
            peer.request("INVITE", secured(peer.sdp()))
            leg = await desk.rung()
            answering = asyncio.create_task(leg.answer())
            first = await peer.response("INVITE")
            peer.confirm(first)
            peer.request("ACK")
            await answering
            ours, was = description(first).attribute("crypto"), leg.negotiation.plan
            for key, receive in ((KEY, was.protection.receive), (OTHER, OTHER_BYTES), (OTHER, OTHER_BYTES)):
                before = leg.negotiation._generation
                changes = leg.negotiation.plan.protection.receive != receive
                peer.request(method, secured(peer.sdp(), key))
                answer = await peer.response(method)
                if method == "INVITE":
                    peer.request("ACK")
                assert (answer.sip.code, description(answer).attribute("crypto")) == (200, ours)
                assert leg.negotiation.plan.protection.receive == receive
                assert leg.negotiation._generation - before == changes
            peer.request("BYE")
            await peer.response("BYE")
            peer.close()

    stage.play(story())


@pytest.mark.survives(27)
def test_forks_have_keys_of_their_own_and_the_one_who_answers_is_understood(stage: Any) -> None:
    """RFC 4568 section 7.3: each answer to one offer brings a key; ours is the same for all of them."""

    async def story() -> None:
        peer = stage.peer()
        async with stage.desk(AudioRules(srtp="required")) as desk:
            leg = await desk.dials("sip:x@10.3.0.1")
            invite = await peer.asked("INVITE")
            mine = description(invite).attribute("crypto").partition("inline:")[2]
            plans: list[Any] = []
            for tag, key in (("one", KEY), ("two", OTHER)):
                peer.reply(invite, 183, "Session Progress", secured(peer.sdp(), key), tag=tag)
                await asyncio.sleep(0.2)
                plans.append(leg.negotiation.plan.protection)
            peer.reply(invite, 200, "OK", secured(peer.sdp(), THIRD), tag="three")
            await peer.asked("ACK")
            await asyncio.sleep(0.2)
            plans.append(leg.negotiation.plan.protection)
            assert [plan.receive for plan in plans] == [b64decode(key[7:]) for key in (KEY, OTHER, THIRD)]
            assert {b64encode(plan.send).decode() for plan in plans} == {mine}
            await leg.hangup()
            peer.reply(await peer.asked("BYE"), 200, "OK")
            peer.close()

    stage.play(story())
