"""The virtual loop: time jumps, order is fixed, waiting for nothing is an error."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from offhook.core.instants import MILLISECOND, SECOND
from offhook.testing.loop import START, Deadlock, Standstill, VirtualLoop

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T], loop: VirtualLoop | None = None) -> T:
    with asyncio.Runner(loop_factory=lambda: loop or VirtualLoop()) as runner:
        return runner.run(main)


def test_an_hour_passes_at_once_and_exactly() -> None:
    async def main() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await asyncio.sleep(3600)
        return begun, loop.time()

    before = time.monotonic()
    assert run(main()) == (1000.0, 4600.0)
    assert time.monotonic() - before < 60


def test_timers_fire_in_the_order_of_their_instants() -> None:
    heard: list[str] = []

    async def main() -> None:
        async def tell(after: float, word: str) -> None:
            await asyncio.sleep(after)
            heard.append(word)

        async with asyncio.TaskGroup() as group:
            for after, word in ((0.3, "c"), (0.1, "a"), (0.2, "b"), (0.1, "a again")):
                group.create_task(tell(after, word))

    run(main())
    assert heard == ["a", "a again", "b", "c"]


def test_an_event_of_the_world_comes_before_a_deadline_of_the_same_instant() -> None:
    async def main() -> str:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        packet: asyncio.Future[str] = loop.create_future()
        loop.at(loop.now + SECOND, packet.set_result, "packet")
        async with asyncio.timeout(1.0):
            return await packet

    assert run(main()) == "packet"


def test_a_timeout_is_virtual_too() -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(32):
                await asyncio.Event().wait()
        return loop.now

    assert run(main()) == START + 32 * SECOND


def test_every_instant_of_a_timer_survives_the_way_through_floats() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        for step in (1, 999, 20 * MILLISECOND + 1, 7 * SECOND + 3):
            due = loop.now + step
            fired: asyncio.Future[int] = loop.create_future()
            loop.call_at(due / SECOND, lambda fired=fired: fired.set_result(round(loop.time() * SECOND)))
            assert await fired == due == loop.now

    run(main())


def test_waiting_for_what_never_comes_is_told_at_once() -> None:
    async def waits_for_godot() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Deadlock, match="waits_for_godot"):
        run(waits_for_godot())


def test_an_instant_that_never_passes_is_told() -> None:
    async def spins() -> None:
        while True:  # noqa: ASYNC110 (spinning is the point)
            await asyncio.sleep(0)

    with pytest.raises(Standstill, match="spins"):
        run(spins())


def test_a_limit_ends_what_should_long_be_over() -> None:
    async def forever() -> None:
        while True:  # noqa: ASYNC110
            await asyncio.sleep(1)

    with pytest.raises(Standstill, match="limit"):
        run(forever(), VirtualLoop(limit_s=60))


def test_work_for_a_thread_runs_inline_and_takes_no_time() -> None:
    async def main() -> tuple[int, int]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        result = await asyncio.to_thread(sum, [1, 2, 3])
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 // 0)
        return result, loop.now

    assert run(main()) == (6, START)


def test_a_pseudo_descriptor_wakes_its_reader_and_a_real_one_is_refused() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        woken = asyncio.Event()
        descriptor = loop.descriptor()
        loop.add_reader(descriptor, woken.set)
        loop.at(loop.now + MILLISECOND, loop.wake, descriptor)
        await woken.wait()
        assert loop.now == START + MILLISECOND
        assert loop.remove_reader(descriptor)
        loop.wake(descriptor)
        with pytest.raises(ValueError, match="pseudo"):
            loop.add_reader(0, woken.set)

    run(main())
