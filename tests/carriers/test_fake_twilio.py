"""Calls that come through a fake Twilio, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import offhook
from offhook.core.errors import DialFailed, TransferFailed
from offhook.testing.carriers.twilio import FakeTwilio
from offhook.testing.loop import VirtualLoop


def live(main: Callable[[], Coroutine[Any, Any, None]], limit_s: float = 600.0) -> None:
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(limit_s=limit_s)) as runner:
        runner.run(main())


async def greeter(call: offhook.Call) -> None:
    await call.say("good evening what can I do for you")
    heard = await call.ask("how many people", timeout_s=10)
    await call.say(f"a table for {heard}")
    digit = await call.gather("press a key", digits=1, timeout_s=8)
    await call.hangup(f"you pressed {digit} goodbye")


def test_a_caller_talks_and_presses_and_hears_the_goodbye() -> None:
    async def main() -> None:
        async with FakeTwilio(greeter) as phone:
            caller = await phone.call()
            await caller.hears("good evening")
            await caller.hears("how many people")
            await caller.says("four")
            await caller.hears("a table for four")
            await caller.hears("press a key")
            caller.presses("7")
            await caller.hears("you pressed 7 goodbye")
            await caller.gone()
            end = next(iter(phone.ends.values()))
            assert end.buffer.dropped_ms == 0
            assert end.buffer.longest_ms <= 420

    live(main)


def test_a_busy_agent_is_busy() -> None:
    @offhook.answers
    async def busy(call: offhook.Call) -> None:
        await call.reject("busy")

    async def main() -> None:
        async with FakeTwilio(busy) as phone:
            with pytest.raises(DialFailed) as failed:
                await phone.call()
            assert failed.value.code == 486

    live(main)


@pytest.mark.parametrize("line", ["answers", "busy"])
def test_a_transfer_is_twilios_and_a_failed_one_brings_the_caller_back(line: str) -> None:
    outcomes: list[object] = []

    async def clerk(call: offhook.Call) -> None:
        await call.say("one moment")
        try:
            await call.transfer("+15559990000")
            outcomes.append("done")
        except TransferFailed as failed:
            outcomes.append(failed.code)
            await call.hangup("nobody is there goodbye")

    async def main() -> None:
        async with FakeTwilio(clerk) as phone:
            phone.lines["+15559990000"] = line
            caller = await phone.call()
            await caller.hears("one moment")
            if line == "busy":
                await caller.hears("nobody is there goodbye")
            await caller.gone()

    live(main)
    assert outcomes == (["done"] if line == "answers" else [486])
