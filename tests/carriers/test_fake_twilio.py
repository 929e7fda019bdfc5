"""Calls that come through a fake Twilio, in virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import offhook
from carriers.clerk import Clerk, busy, live
from offhook.core.errors import DialFailed
from offhook.testing.carriers.twilio import FakeTwilio
from offhook.testing.loop import VirtualLoop
from offhook.testing.spelled import spell


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


def test_one_caller_is_the_phones_own() -> None:
    async def main() -> None:
        async with FakeTwilio(greeter) as phone:
            await phone.call()
            await phone.hear("how many people")
            await phone.say("four")
            await phone.hear("press a key")
            phone.press("7")
            await phone.hear("you pressed 7")
            await phone.hang_up()

    live(main)


def test_a_busy_agent_is_busy() -> None:
    async def main() -> None:
        async with FakeTwilio(busy) as phone:
            with pytest.raises(DialFailed) as failed:
                await phone.call()
            assert failed.value.code == 486

    live(main)


@pytest.mark.parametrize("line", ["answers", "busy"])
def test_a_transfer_is_twilios_and_a_failed_one_brings_the_caller_back(line: str) -> None:
    clerk = Clerk()

    async def main() -> None:
        async with FakeTwilio(clerk) as phone:
            phone.lines["+15559990000"] = line
            caller = await phone.call()
            await caller.hears("one moment")
            if line == "busy":
                await caller.hears("nobody is there goodbye")
            await caller.gone()

    live(main)
    assert clerk.outcomes == (["done"] if line == "answers" else [486])


class Stalling:
    """An engine whose reader is asleep for 200 ms of every 1200, as an interpreter may be."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.slept = 0
        self._woken = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def drain(self) -> list[Any]:
        loop = asyncio.get_running_loop()
        into = loop.time() % 1.2
        if into >= 0.2:
            return self._engine.drain()
        if not self._woken:
            self._woken = True
            self.slept += 1
            loop.call_later(0.2 - into + 0.0001, self._wakes)
        return []

    def _wakes(self) -> None:
        self._woken = False
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.wake(self._engine.fileno())


def test_speech_has_no_hole_at_150_ms_and_with_an_interpreter_that_sleeps() -> None:
    engines: list[Stalling] = []

    def stalling(engine: Any) -> Stalling:
        engines.append(Stalling(engine))
        return engines[-1]

    async def talker(call: offhook.Call) -> None:
        await call.play(spell("one two three four five six seven eight nine ten " * 8), rate_hz=8000)
        await call.heard()
        await call.hangup()

    async def main() -> None:
        async with FakeTwilio(talker, rtt_s=0.15, wrap=stalling) as phone:
            caller = await phone.call()
            await caller.gone()
            (end,) = phone.ends.values()
            assert end.buffer.played_ms >= 20_000
            assert end.buffer.gaps == []
            assert end.buffer.longest_ms <= 420
            assert caller.heard.count("ten") == 8

    live(main)
    assert engines[0].slept >= 15
