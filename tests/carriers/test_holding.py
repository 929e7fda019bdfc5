"""Hold and resume, by either end and by both at once (RFC 3264 section 8.4, RFC 6337 section 5.3)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from offhook.core.errors import CallEnded
from offhook.core.signals import Held
from offhook.sip.sdp import DIRECTIONS, parse_sdp
from offhook.testing.callers import Caller, CallerPhone
from offhook.testing.network import PROFILES, Profile
from offhook.testing.peers import RTP_PORT
from offhook.testing.wire import is_rtp, read_rtp, read_sip
from offhook.testing.world import World

A, B = "10.2.0.1", "10.2.0.2"


def direction(got: Any) -> str:
    """Give which way media is to go, by a message that a peer got."""
    media = parse_sdp(got.data.partition(b"\r\n\r\n")[2]).media[0]
    return next(way for way in DIRECTIONS if media.attribute(way) is not None)


def version(got: Any) -> int:
    """Give the number of the description in a message."""
    return int((parse_sdp(got.data.partition(b"\r\n\r\n")[2]).origin or "").split()[2])


async def up(peer: Any, desk: Any) -> Any:
    """Let the peer call and the desk answer; give the leg."""
    peer.request("INVITE", peer.sdp())
    leg = await desk.rung()
    answering = asyncio.create_task(leg.answer())
    peer.confirm(await peer.response("INVITE"))
    peer.request("ACK")
    await answering
    return leg


async def bye(peer: Any) -> None:
    """Let the peer hang up."""
    peer.request("BYE")
    await peer.response("BYE")
    peer.close()


async def offers(peer: Any, body: str) -> Any:
    """Let the peer offer something else, or ask for our offer (no body); give the answer."""
    peer.request("INVITE", body)
    got = await peer.response("INVITE")
    peer.request("ACK", "" if body else peer.sdp(), same=got.sip.code >= 300)
    return got


async def asks(peer: Any, leg: Any, on: bool, reply: Callable[[Any], None]) -> tuple[bool, Any]:
    """Let the leg hold or resume; give what came of it, and the offer that the peer got."""
    turning = asyncio.create_task(leg.hold(on))
    offer = await peer.asked("INVITE")
    reply(offer)
    assert await peer.asked("ACK") is not None
    return await turning, offer


def sent(stage: Any, ip: str = "10.3.0.1") -> list[Any]:
    """Give the list that the RTP packets are put into which come to a peer."""
    packets: list[Any] = []
    stage.world.network.unbind((ip, RTP_PORT))
    stage.world.network.bind((ip, RTP_PORT), lambda data, source: packets.append(read_rtp(data)))
    return packets


# --- they hold us


HOLDS = {
    "sendonly": lambda sdp: sdp.replace("sendrecv", "sendonly"),
    "inactive": lambda sdp: sdp.replace("sendrecv", "inactive"),
    "0.0.0.0": lambda sdp: sdp.replace("c=IN IP4 10.3.0.1", "c=IN IP4 0.0.0.0"),
    "::": lambda sdp: sdp.replace("c=IN IP4 10.3.0.1", "c=IN IP6 ::"),
    "0.0.0.0 and inactive": lambda sdp: sdp.replace("sendrecv", "inactive").replace(
        "c=IN IP4 10.3.0.1", "c=IN IP4 0.0.0.0"
    ),
}


@pytest.mark.survives(8)
@pytest.mark.parametrize("spelling", HOLDS)
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_they_hold_twice_and_resume(stage: Any, spelling: str, method: str) -> None:
    async def story() -> None:
        peer = stage.peer()
        async with stage.desk() as desk:
            leg = await up(peer, desk)
            packets = sent(stage)
            leg.play(1, bytes(160_000), 8000)
            await asyncio.sleep(0.5)
            for _ in range(2):
                peer.request(method, HOLDS[spelling](peer.sdp()))
                answer = await peer.response(method)
                assert answer.sip.code == 200
                assert direction(answer) in ("recvonly", "inactive")
                if method == "INVITE":
                    peer.request("ACK")
                await asyncio.sleep(0.1)
                packets.clear()
                await asyncio.sleep(5.0)
                assert packets == []
            peer.request(method, peer.sdp())
            answer = await peer.response(method)
            assert (answer.sip.code, direction(answer)) == (200, "sendrecv")
            if method == "INVITE":
                peer.request("ACK")
            await asyncio.sleep(0.2)
            assert packets  # within 200 ms it sounds again
            await bye(peer)
        assert [event.on for event in desk.events if isinstance(event, Held)] == [True, False]

    stage.play(story())


@pytest.mark.survives(8)
def test_the_same_offer_again_is_answered_with_the_same_and_disturbs_nothing(stage: Any) -> None:
    async def story() -> None:
        peer = stage.peer()
        async with stage.desk() as desk:
            leg = await up(peer, desk)
            packets = sent(stage)
            first = await offers(peer, peer.sdp())
            leg.play(1, bytes(160_000), 8000)
            for _ in range(4):
                await asyncio.sleep(0.5)
                again = await offers(peer, peer.sdp())
                assert again.data.partition(b"\r\n\r\n")[2] == first.data.partition(b"\r\n\r\n")[2]
            assert len({packet.ssrc for packet in packets}) == 1
            assert [packet.sequence for packet in packets] == sorted([packet.sequence for packet in packets])
            await bye(peer)

    stage.play(story())


# --- we hold them


@pytest.mark.survives(8)
@pytest.mark.parametrize("answer", ["recvonly", "sendrecv", "inactive"])
def test_we_hold_and_resume(stage: Any, answer: str) -> None:
    """Not every phone answers sendonly with recvonly; held it is all the same."""

    async def story() -> None:
        peer = stage.peer()
        async with stage.desk() as desk:
            leg = await up(peer, desk)
            packets = sent(stage)
            held, offer = await asks(
                peer, leg, True, lambda got: peer.reply(got, 200, "OK", peer.sdp(direction=answer))
            )
            assert (held, direction(offer), version(offer)) == (True, "sendonly", 2)
            assert await leg.hold(True)  # it is held already: nobody is asked
            await asyncio.sleep(60.0)  # and it may be silent
            packets.clear()
            leg.play(1, bytes(16_000), 8000)
            await asyncio.sleep(1.2)
            assert bool(packets) is (answer != "inactive")  # music sounds there
            held, offer = await asks(peer, leg, False, lambda got: peer.reply(got, 200, "OK", peer.sdp()))
            assert (held, direction(offer), version(offer)) == (True, "sendrecv", 3)
            await bye(peer)

    stage.play(story())


@pytest.mark.parametrize("code", [403, 488, 500, 606])
def test_who_will_not_be_held_stays_as_it_was(stage: Any, code: int) -> None:
    async def story() -> None:
        peer = stage.peer()
        async with stage.desk() as desk:
            leg = await up(peer, desk)
            held, _ = await asks(peer, leg, True, lambda got: peer.reply(got, code, "No"))
            assert not held
            # Nothing of the wish is left: their offer is answered in full.
            assert direction(await offers(peer, peer.sdp())) == "sendrecv"
            held, _ = await asks(
                peer, leg, True, lambda got: peer.reply(got, 200, "OK", peer.sdp(direction="recvonly"))
            )
            assert held
            await bye(peer)

    stage.play(story())


def test_an_answer_that_makes_no_sense_holds_nobody(stage: Any) -> None:
    async def story() -> None:
        peer = stage.peer()
        async with stage.desk() as desk:
            leg = await up(peer, desk)
            held, _ = await asks(peer, leg, True, lambda got: peer.reply(got, 200, "OK", peer.sdp(codecs="111")))
            assert not held
            leg.play(1, bytes(16_000), 8000)
            await bye(peer)

    stage.play(story())


@pytest.mark.survives(8)
def test_while_we_hold_nobody_else_can_resume(stage: Any) -> None:
    """RFC 6337 section 5.3: each end says its own wish; what both want is what is."""

    async def story() -> None:
        peer = stage.peer()
        async with stage.desk() as desk:
            leg = await up(peer, desk)
            assert direction(await offers(peer, peer.sdp(direction="sendonly"))) == "recvonly"
            held, offer = await asks(
                peer, leg, True, lambda got: peer.reply(got, 200, "OK", peer.sdp(direction="inactive"))
            )
            assert (held, direction(offer)) == (True, "sendonly")
            assert direction(await offers(peer, peer.sdp(direction="sendonly"))) == "inactive"
            assert direction(await offers(peer, peer.sdp())) == "sendonly"  # they resume; we still hold
            asked = await offers(peer, "")
            assert direction(asked) == "sendonly"
            await asyncio.sleep(0.1)
            held, offer = await asks(peer, leg, False, lambda got: peer.reply(got, 200, "OK", peer.sdp()))
            assert (held, direction(offer)) == (True, "sendrecv")
            await bye(peer)

    stage.play(story())


def test_two_who_turn_at_once_take_turns(stage: Any) -> None:
    async def story() -> None:
        peer = stage.peer()
        async with stage.desk() as desk:
            leg = await up(peer, desk)
            holding, resuming = asyncio.create_task(leg.hold(True)), asyncio.create_task(leg.hold(False))
            offer = await peer.asked("INVITE")
            peer.reply(offer, 200, "OK", peer.sdp(direction="recvonly"))
            assert direction(offer) == "sendonly"
            offer = await peer.asked("INVITE")
            peer.reply(offer, 200, "OK", peer.sdp())
            assert direction(offer) == "sendrecv"
            assert await holding
            assert await resuming
            await bye(peer)

    stage.play(story())


def test_a_call_that_ends_meanwhile_is_not_held(stage: Any) -> None:
    async def story() -> None:
        peer = stage.peer()
        async with stage.desk() as desk:
            leg = await up(peer, desk)
            holding = asyncio.create_task(leg.hold(True))
            assert await peer.asked("INVITE") is not None
            await bye(peer)
            with pytest.raises(CallEnded):
                await holding
            with pytest.raises(CallEnded):
                await leg.hold(True)

    stage.play(story())


# --- two of us


def talk(script: Callable[[Caller, Caller], Awaitable[None]], profile: Profile, seed: str = "1") -> World:
    """Let A call B and both follow a script."""
    world = World(seed, profile)

    async def main() -> None:
        async with CallerPhone(world, A) as one, CallerPhone(world, B) as two:
            answering = asyncio.ensure_future(two.answers())
            caller = await one.calls(f"sip:x@{B}")
            callee = await answering
            await script(caller, callee)
            for side in (caller, callee):
                if not side.over:
                    await side.hangs_up()
            await world.settle()

    world.run(main())
    assert world.violations == []
    return world


@pytest.mark.survives(8)
@pytest.mark.parametrize("profile", ["perfect", "wan", "hostile"])
@pytest.mark.parametrize("seed", ["1", "2", "3"])
def test_both_hold_at_once_and_resume_one_after_the_other(profile: str, seed: str) -> None:
    """Glare: one of them, or both, are told 491 and try again, and in the end both are heard again."""

    async def script(caller: Caller, callee: Caller) -> None:
        assert await asyncio.gather(caller.holds(), callee.holds()) == [True, True]
        before = len(callee.heard)
        await caller.waits(40)  # silence ends no call that is held
        assert await caller.resumes()
        await caller.waits(1)
        assert len(callee.heard) == before
        assert await callee.resumes()
        await caller.waits(1)
        await caller.says("is anybody there")
        await callee.says("yes here I am")
        await caller.waits(1)
        assert set(callee.heard.split()) & {"anybody", "there"}
        assert set(caller.heard.split()) & {"yes", "here", "am"}

    talk(script, PROFILES[profile], seed)


@pytest.mark.survives(8)
@pytest.mark.parametrize("holder", ["caller", "callee"])
def test_audio_is_there_again_within_200_ms(holder: str) -> None:
    flowing: list[float] = []
    resumed: list[float] = []

    async def script(caller: Caller, callee: Caller) -> None:
        one, other = (caller, callee) if holder == "caller" else (callee, caller)
        assert isinstance(one.phone, CallerPhone)
        assert isinstance(other.phone, CallerPhone)
        world, away = one.phone.world, other.phone.ip

        def mangle(now: int, source: Any, destination: Any, data: bytes) -> bytes:
            message = None if is_rtp(data) else read_sip(data)
            if message is not None and message.method == "INVITE" and message.code == 0:
                resumed.append(world.seconds)
            if is_rtp(data) and source[0] == away and resumed:
                flowing.append(world.seconds)
            return data

        assert await one.holds()
        await one.waits(3)
        world.network.mangle = mangle
        assert await one.resumes()
        await one.waits(1)

    talk(script, PROFILES["lan"])
    assert flowing[0] - resumed[0] <= 0.2
