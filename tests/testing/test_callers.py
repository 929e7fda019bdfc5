"""Two whole phones over the simulated network: the caller hears what came through, and only that."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from offhook.core.errors import CallEnded, DialFailed
from offhook.core.instants import MILLISECOND, Instant
from offhook.core.media import Address
from offhook.testing.callers import Caller, CallerPhone, NotHeard
from offhook.testing.network import PROFILES, Profile
from offhook.testing.wire import is_rtp, read_sip
from offhook.testing.world import World

A, B = "10.2.0.1", "10.2.0.2"


def talk(
    script: Callable[[Caller, Caller], Awaitable[None]],
    profile: Profile = PROFILES["perfect"],
    prepare: Callable[[World], None] = lambda world: None,
    seed: str = "1",
) -> World:
    """Let A call B and both follow a script; the world they lived in."""
    world = World(seed, profile)
    prepare(world)

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
    return world


def test_both_hear_each_other_and_the_keys_and_leave_nothing_behind() -> None:
    async def script(caller: Caller, callee: Caller) -> None:
        await caller.says("A table for two at seven, please.")
        assert await callee.hears_out() == "a table for two at seven please"
        saying = asyncio.ensure_future(callee.says("What time was it again?"))
        assert await caller.hears("what time") == "what time"
        await saying
        caller.presses("5#")
        await caller.waits(2)
        assert callee.keys == "5#"

    world = talk(script)
    assert world.violations == []


@pytest.mark.parametrize("profile", ["wifi", "lte", "hostile"])
def test_they_understand_each_other_over_a_bad_line(profile: str) -> None:
    async def script(caller: Caller, callee: Caller) -> None:
        await caller.says("the quick brown fox jumps over the lazy dog")
        await callee.waits(1)
        heard = callee.heard.split()
        assert len(set(heard) & {"the", "quick", "brown", "fox", "jumps", "over", "lazy", "dog"}) >= 5

    assert talk(script, PROFILES[profile]).violations == []


def test_what_is_lost_is_not_heard() -> None:
    def deafen(world: World) -> None:
        def mangle(now: Instant, source: Address, destination: Address, data: bytes) -> bytes | None:
            return None if is_rtp(data) and source[0] == A else data

        world.network.mangle = mangle

    async def script(caller: Caller, callee: Caller) -> None:
        await caller.says("hello")
        await callee.waits(1)
        assert callee.heard == ""
        with pytest.raises(NotHeard, match="hello"):
            await callee.hears("hello", within_s=2)

    talk(script, prepare=deafen)


def test_a_call_whose_media_came_before_its_ack_lasts() -> None:
    def delay_ack(world: World) -> None:
        def mangle(now: Instant, source: Address, destination: Address, data: bytes) -> bytes | None:
            sip = None if is_rtp(data) else read_sip(data)
            if sip is not None and sip.method == "ACK" and now < world.loop.now + 1 and data not in held:
                held.append(data)
                world.loop.at(now + 300 * MILLISECOND, world.network.send, source, destination, data)
                return None
            return data

        held: list[bytes] = []
        world.network.mangle = mangle

    async def script(caller: Caller, callee: Caller) -> None:
        await caller.waits(45)
        assert not caller.over
        assert not callee.over

    assert talk(script, prepare=delay_ack).violations == []


def test_a_call_whose_media_stops_is_ended_and_says_why() -> None:
    async def script(caller: Caller, callee: Caller) -> None:
        def mangle(now: Instant, source: Address, destination: Address, data: bytes) -> bytes | None:
            return None if is_rtp(data) and source[0] == A else data

        assert isinstance(caller.phone, CallerPhone)
        caller.phone.world.network.mangle = mangle
        ended = await callee.gone(within_s=30)
        assert ended.reason == "stalled"

    talk(script)


def test_verbs_of_a_call_that_is_over_say_so_and_nobody_at_home_is_told() -> None:
    async def script(caller: Caller, callee: Caller) -> None:
        assert isinstance(caller.phone, CallerPhone)
        await caller.hangs_up()
        assert (await callee.gone()).reason == "remote_hangup"
        with pytest.raises(CallEnded):
            await caller.says("hello?")
        with pytest.raises(DialFailed, match="408"):
            await caller.phone.calls("sip:nobody@10.2.0.77")

    assert talk(script).violations == []


def test_the_same_seed_is_the_same_world() -> None:
    async def script(caller: Caller, callee: Caller) -> None:
        await caller.says("hello there")
        await callee.says("hello")

    digests = [talk(script, PROFILES["hostile"], seed=seed).journal.digest() for seed in ("1", "1", "2")]
    assert digests[0] == digests[1] != digests[2]
