"""Calls that Twilio brings as words: relayed over a socket, or turn by turn."""

from __future__ import annotations

import asyncio

import pytest

import offhook
from carriers.clerk import Clerk, busy, live
from offhook.core.errors import DialFailed
from offhook.testing.carriers.twilio import FakeTwilio, Way

WAYS: tuple[Way, ...] = ("relay", "turns")


async def greeter(call: offhook.Call) -> None:
    await call.say("Good evening.")
    heard = await call.ask("How many people?", timeout_s=10)
    digit = await call.gather(f"A table for {heard}. Press a key.", digits=1, timeout_s=8)
    await call.hangup(f"You pressed {digit}. Goodbye.")


@pytest.mark.parametrize("way", WAYS)
def test_a_caller_talks_and_presses_and_hears_the_goodbye(way: Way) -> None:
    async def main() -> None:
        async with FakeTwilio(greeter, way=way) as phone:
            caller = await phone.call_in_words()
            await caller.hears("how many people")
            await caller.says("four")
            await caller.hears("press a key")
            caller.presses("7")
            await caller.hears("you pressed 7 goodbye")
            await caller.gone()
            assert [event.event for event in phone.events if event.event == "ended"] == ["ended"]

    live(main)


@pytest.mark.parametrize("way", WAYS)
def test_a_busy_agent_is_busy(way: Way) -> None:
    async def main() -> None:
        async with FakeTwilio(busy, way=way) as phone:
            with pytest.raises(DialFailed) as failed:
                await phone.call_in_words()
            assert failed.value.code == 486

    live(main)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("line", ["answers", "busy"])
def test_a_transfer_that_fails_brings_the_caller_back(way: Way, line: str) -> None:
    clerk = Clerk()

    async def main() -> None:
        async with FakeTwilio(clerk, way=way) as phone:
            phone.lines["+15559990000"] = line
            caller = await phone.call_in_words()
            await caller.hears("one moment")
            if line == "busy":
                await caller.hears("nobody is there goodbye")
            await caller.gone()

    live(main)
    assert clerk.outcomes == (["done"] if line == "answers" else [486])


@pytest.mark.parametrize("way", WAYS)
def test_who_hangs_up_is_gone(way: Way) -> None:
    async def main() -> None:
        async with FakeTwilio(greeter, way=way) as phone:
            caller = await phone.call_in_words()
            await caller.hears("how many people")
            await caller.hangs_up()
            await asyncio.sleep(3)
            assert [event.event for event in phone.events if event.event == "ended"] == ["ended"]

    live(main)
