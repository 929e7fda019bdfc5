"""When garbage in cycles is collected: in a quiet second, and not in a busy one."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from collections.abc import Iterator

import pytest

from offhook.run import memory
from offhook.testing.loop import VirtualLoop


class Knot:
    """Something that only the collector frees."""

    def __init__(self) -> None:
        self.self = self


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.set_threshold(*threshold)
    gc.unfreeze()


def work(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


async def leave(many: int, busy_s: float) -> bool:
    """Leave so many knots in a second in which we work so long; tell whether they are freed."""
    memory.settle_memory()
    knots = [weakref.ref(Knot()) for _ in range(many)]
    work(busy_s)
    await asyncio.sleep(memory.LOOK_S + 0.01)
    return knots[0]() is None


def run(many: int, busy_s: float) -> bool:
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(leave(many, busy_s))
    finally:
        loop.close()


def test_a_quiet_second_frees_what_is_left_in_cycles() -> None:
    assert run(memory.ENOUGH, 0.0)


def test_nobody_waits_for_the_collector_in_a_busy_one() -> None:
    assert not run(memory.ENOUGH, 1.5 * memory.QUIET)


def test_little_is_left_alone() -> None:
    assert not run(10, 0.0)
