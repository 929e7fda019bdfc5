"""Calls through the fakes of Vonage and jambonz: refused, handed on, placed, and ended from either side."""

from __future__ import annotations

import asyncio

import pytest

import offhook
from carriers.clerk import Clerk, busy, live
from offhook.core.errors import DialFailed
from offhook.testing.carriers import FakeJambonz, FakeVonage

FAKES = [FakeVonage, FakeJambonz]
ANSWERED = {FakeVonage: "answered", FakeJambonz: "in-progress"}
BUSY = {FakeVonage: 480, FakeJambonz: 486}
"""What a caller is told who is refused: Vonage can't say why."""


@pytest.mark.parametrize("fake", FAKES)
def test_a_busy_agent_takes_no_call(fake):
    async def main() -> None:
        async with fake(busy) as phone:
            with pytest.raises(DialFailed) as failed:
                await phone.call()
            assert failed.value.code == BUSY[fake]

    live(main)


@pytest.mark.parametrize("fake", FAKES)
@pytest.mark.parametrize("outcome", ["answered", "busy"])
def test_a_transfer_is_the_services_and_a_failed_one_brings_the_caller_back(fake, outcome):
    clerk = Clerk()

    async def main() -> None:
        async with fake(clerk) as phone:
            phone.lines["+15559990000"] = ANSWERED[fake] if outcome == "answered" else outcome
            caller = await phone.call()
            await caller.hears("one moment")
            if outcome == "busy":
                await caller.hears("nobody is there goodbye")
            await caller.gone()

    live(main)
    assert clerk.outcomes == (["done"] if outcome == "answered" else [486])


@pytest.mark.parametrize("fake", FAKES)
@pytest.mark.parametrize("line", ["answers", "busy", "invalid"])
def test_a_call_is_placed(fake, line):
    said: list[str] = []

    async def agent(call: offhook.Call) -> None:
        await call.say("this is the clinic")
        said.append("said")
        await call.hangup("goodbye")

    async def main() -> None:
        async with fake(agent) as phone:
            phone.lines["+15559990000"] = ANSWERED[fake] if line == "answers" else line
            name = phone.service().name
            if line == "answers":
                await phone.board.dial(name, "+15559990000", agent, caller="+15550001111")
                end = next(iter(phone.ends.values()))
                caller = phone.caller(end)
                await caller.hears("this is the clinic")
                await caller.gone()
            else:
                with pytest.raises(DialFailed) as failed:
                    await phone.board.dial(name, "+15559990000", agent, caller="+15550001111")
                assert failed.value.code == {"busy": 486, "invalid": 404}[line]

    live(main)
    assert said == (["said"] if line == "answers" else [])


@pytest.mark.parametrize("fake", FAKES)
def test_a_caller_who_hangs_up_is_gone(fake):
    ended: list[str] = []

    async def agent(call: offhook.Call) -> None:
        try:
            await call.say("good evening")
            await call.ask("how many people", timeout_s=60)
        finally:
            ended.append("ended")

    async def main() -> None:
        async with fake(agent) as phone:
            caller = await phone.call()
            await caller.hears("how many people")
            await caller.hangs_up()
            await asyncio.sleep(5)
            assert ended == ["ended"]

    live(main)
