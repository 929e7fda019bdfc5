"""Before the answer: early media both ways, forks on one port, redirections, and nobody is heard (RFC 3960, 5009)."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import Any

import pytest

from offhook import _native as native
from offhook.core.errors import CallEnded, DialFailed
from offhook.core.signals import Redirected, Ringing
from offhook.sip.outcomes import Flow
from offhook.sip.sdp import parse_sdp
from offhook.sip.uri import Uri
from offhook.testing.peers import RTP_PORT
from offhook.testing.spelled import spell
from offhook.testing.wire import read_rtp

FAR_SIDE = (native.Heard, native.SpeechBegan, native.SpeechEnded, native.Digit, native.Taped, native.Flowing)


def sounds(stage: Any, peer: Any, port: int, *, ssrc: int = 7) -> Callable[[float], Any]:
    """Make a coroutine function that lets the peer speak for so long, from its RTP port to ours."""
    voice = native.encode("PCMA", (spell("hello hello hello") * 20))
    at = [0]
    began = asyncio.get_running_loop().time()

    async def speaks(seconds: float) -> None:
        for _ in range(round(seconds / 0.02)):
            await asyncio.sleep(began + (at[0] + 1) * 0.02 - asyncio.get_running_loop().time())
            header = struct.pack("!BBHII", 0x80, 8, at[0] & 0xFFFF, 160 * at[0], ssrc)
            piece = voice[160 * at[0] % 16000 :][:160]
            stage.world.network.send((peer.address[0], RTP_PORT), ("10.1.0.1", port), header + piece)
            at[0] += 1

    return speaks


def port_of(got: Any) -> int:
    return parse_sdp(got.data.partition(b"\r\n\r\n")[2]).media[0].port


def of(desk: Any, *kinds: type) -> list[Any]:
    return [event for event in desk.events if isinstance(event, kinds)]


async def ends(leg: Any, peer: Any) -> None:
    await leg.hangup()
    peer.reply(await peer.asked("BYE"), 200, "OK")
    peer.close()


def test_early_media_is_told_and_heard_by_nobody_until_the_answer(stage: Any) -> None:
    async def story() -> None:
        peer = stage.peer()
        async with stage.desk() as desk:
            leg = await desk.dials("sip:x@10.3.0.1")
            leg.listen("all")
            invite = await peer.asked("INVITE")
            speaks = sounds(stage, peer, port_of(invite))
            peer.reply(invite, 183, "Session Progress", peer.sdp(codecs="8 101"), tag="t")
            await speaks(2.0)
            assert of(desk, Ringing)[0].early
            assert of(desk, *FAR_SIDE) == []
            peer.reply(invite, 200, "OK", peer.sdp(codecs="8 101"), tag="t")
            await peer.asked("ACK")
            await speaks(1.0)
            assert [type(event).__name__ for event in of(desk, native.Flowing, native.SpeechBegan)] == [
                "Flowing",
                "SpeechBegan",
            ]
            assert len(of(desk, native.Heard)) >= 45
            await ends(leg, peer)

    stage.play(story())


@pytest.mark.parametrize(
    ("words", "early"),
    [("inactive", False), ("recvonly", False), ("sendrecv", True), ("sendonly, gated", True), ("", False)],
)
def test_what_the_network_does_not_vouch_for_does_not_count(stage: Any, words: str, early: bool) -> None:
    async def story() -> None:
        peer = stage.peer()
        async with stage.desk() as desk:
            leg = await desk.dials("sip:x@10.3.0.1")
            invite = await peer.asked("INVITE")
            peer.reply(invite, 183, "Session Progress", peer.sdp(), tag="t", extra=f"P-Early-Media: {words}")
            await asyncio.sleep(0.1)
            (ringing,) = of(desk, Ringing)
            assert (ringing.code, ringing.early) == (183, early)
            peer.reply(invite, 200, "OK", peer.sdp(), tag="t")
            await peer.asked("ACK")
            await ends(leg, peer)

    stage.play(story())


def test_forks_share_the_port_and_the_one_who_answers_has_it(stage: Any) -> None:
    """Two early dialogs describe different places; whoever answered is sent our audio, and is heard."""

    async def story() -> None:
        peer = stage.peer()
        elsewhere = ("10.3.0.9", RTP_PORT)
        got: dict[str, int] = {}
        for address in ((peer.address[0], RTP_PORT), elsewhere):
            stage.world.network.unbind(address)
            stage.world.network.bind(address, lambda data, source, ip=address[0]: got.update({ip: got.get(ip, 0) + 1}))
        async with stage.desk() as desk:
            leg = await desk.dials("sip:x@10.3.0.1")
            invite = await peer.asked("INVITE")
            there = peer.sdp().replace("10.3.0.1", "10.3.0.9")
            peer.reply(invite, 183, "Session Progress", peer.sdp(), tag="one")
            peer.reply(invite, 183, "Session Progress", there, tag="two")
            await asyncio.sleep(0.5)
            assert got.pop("10.3.0.9", 0) > 10  # the last one that sounds
            peer.reply(invite, 199, "Early Dialog Terminated", tag="two")
            await asyncio.sleep(0.1)
            got.clear()
            await asyncio.sleep(0.5)
            assert set(got) == {"10.3.0.1"}
            peer.reply(invite, 200, "OK", there, tag="three")
            await peer.asked("ACK")
            await asyncio.sleep(0.1)
            got.clear()
            await asyncio.sleep(0.5)
            assert set(got) == {"10.3.0.9"}
            await ends(leg, peer)
        stage.world.network.unbind(elsewhere)
        assert [ringing.code for ringing in of(desk, Ringing)] == [183, 183]

    stage.play(story())


def test_we_sound_before_the_answer_and_hear_nothing(stage: Any) -> None:
    async def story() -> None:
        peer = stage.peer()
        packets: list[Any] = []
        address = (peer.address[0], RTP_PORT)
        stage.world.network.unbind(address)
        stage.world.network.bind(address, lambda data, source: packets.append(read_rtp(data)))
        async with stage.desk() as desk:
            peer.request("INVITE", peer.sdp())
            leg = await desk.rung()
            await leg.early()
            await leg.early()  # once more is no more
            progress = await peer.response("INVITE", 183)
            assert await peer.response("INVITE", 183, within_s=0.5) is None
            assert leg.play(1, spell("please hold the line"), 8000) > 0
            await sounds(stage, peer, port_of(progress))(1.0)
            assert len(packets) > 40
            assert of(desk, *FAR_SIDE) == []
            answering = asyncio.create_task(leg.answer())
            ok = await peer.response("INVITE", 200)
            assert port_of(ok) == port_of(progress)
            peer.confirm(ok)
            peer.request("ACK")
            await answering
            await asyncio.sleep(1.0)  # for all of it to be heard
            await ends(leg, peer)

    stage.play(story())


@pytest.mark.parametrize(("meaning", "code", "cause"), [("busy", 486, 17), ("declined", 603, 21), ("gone", 410, 22)])
def test_a_refusal_says_why(stage: Any, meaning: str, code: int, cause: int) -> None:
    async def story() -> None:
        peer = stage.peer()
        async with stage.desk() as desk:
            peer.request("INVITE", peer.sdp())
            leg = await desk.rung()
            with pytest.raises(ValueError, match="none of"):
                await leg.reject("bussy")
            await leg.reject(meaning)
            await leg.reject(meaning)
            refusal = await peer.response("INVITE")
            peer.request("ACK", same=True)
            assert refusal.sip.code == code
            assert f"Reason: Q.850;cause={cause}\r\n".encode() in refusal.data
            with pytest.raises(CallEnded):
                await leg.answer()
            peer.close()
        assert (desk.end().code, desk.end().meaning) == (code, meaning)

    stage.play(story())


@pytest.mark.parametrize(
    ("code", "reason", "meaning"),
    [(486, "", "busy"), (503, "Q.850;cause=17", "busy"), (480, "", "unavailable"), (408, "", "no_answer")],
)
def test_a_call_that_fails_says_what_it_means(stage: Any, code: int, reason: str, meaning: str) -> None:
    async def story() -> None:
        peer = stage.peer()
        async with stage.desk() as desk:
            leg = await desk.dials("sip:x@10.3.0.1")
            waiting = asyncio.create_task(leg.connected())
            got = await peer.asked("INVITE")
            peer.reply(got, code, "No", tag="t", extra=reason and f"Reason: {reason}")
            with pytest.raises(DialFailed) as failed:
                await waiting
            assert failed.value.code == code
            peer.close()
        assert failed.value.meaning == desk.end().meaning == meaning

    stage.play(story())


def test_a_redirection_is_followed_where_it_may_be(stage: Any) -> None:
    async def story() -> None:
        peer, asked = stage.peer(), []

        async def follow(target: Uri) -> tuple[Uri, tuple[Flow, ...]] | None:
            asked.append(str(target))
            return (target, (leg.flow,)) if target.user == "home" else None

        async with stage.desk() as desk:
            leg = await desk.dials("sip:x@10.3.0.1")
            waiting = asyncio.create_task(leg.connected(follow))
            invite = await peer.asked("INVITE")
            there = "<sip:+900123456@10.3.0.1>;q=0.9, <sip:home@10.3.0.1>;q=0.8"
            peer.reply(invite, 302, "Moved", tag="m", extra=f"Contact: {there}")
            invite = await peer.asked("INVITE")
            assert invite.data.startswith(b"INVITE sip:home@10.3.0.1 ")
            peer.reply(invite, 200, "OK", peer.sdp(), tag="h")
            await peer.asked("ACK")
            await waiting
            assert asked == ["sip:+900123456@10.3.0.1", "sip:home@10.3.0.1"]
            assert [(one.code, one.to) for one in of(desk, Redirected)] == [(302, "sip:home@10.3.0.1")]
            await ends(leg, peer)

    stage.play(story())


def test_a_redirection_that_nobody_follows_is_a_refusal(stage: Any) -> None:
    async def story() -> None:
        peer = stage.peer()
        async with stage.desk() as desk:
            leg = await desk.dials("sip:x@10.3.0.1")
            waiting = asyncio.create_task(leg.connected())
            invite = await peer.asked("INVITE")
            peer.reply(invite, 302, "Moved", tag="m", extra="Contact: <sip:a@10.3.0.1>")
            with pytest.raises(DialFailed) as failed:
                await waiting
            assert (failed.value.code, failed.value.meaning) == (302, "moved")
            peer.close()

    stage.play(story())
