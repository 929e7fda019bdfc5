"""Agents are tested as telephone calls: the fixture `phone`, on a good line and on a bad one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from pydantic_ai import ModelMessage
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel

import offhook
from offhook.testing.callers import NotHeard
from offhook.testing.plugin import SimulatedPhone
from offhook.testing.scripted import ScriptedBrain


def test_time_in_a_call_is_virtual_and_both_sides_hear(phone: SimulatedPhone) -> None:
    """The plugin is loaded as users get it."""
    assert phone.world.seconds == 0


async def test_an_agent_greets_listens_answers_and_takes_a_key(phone: SimulatedPhone) -> None:
    agent = offhook.Agent("You book tables.", greeting="Good evening, Luigi's!")
    brain = ScriptedBrain(["What time would you like?", "Press five to confirm.", "Thank you, it is booked."])
    caller = await phone.calls(agent, brain=brain)
    await caller.hears("good evening")
    await caller.says("a table for two")
    await caller.hears("what time")
    await caller.says("at seven")
    await caller.hears("press five")
    caller.presses("5")
    await caller.hears("booked")


async def test_words_that_are_not_said_are_not_heard(phone: SimulatedPhone) -> None:
    caller = await phone.calls(offhook.Agent(greeting="Hello!"), brain=ScriptedBrain(["Yes?"]))
    await caller.hears("hello")
    with pytest.raises(NotHeard, match="goodbye"):
        await caller.hears("goodbye", within_s=3)


@pytest.mark.phone(profile="hostile", seed=3)
async def test_a_bad_line_is_survived(phone: SimulatedPhone) -> None:
    caller = await phone.calls(offhook.Agent(greeting="Hello there!"), brain=ScriptedBrain(["Very well, goodbye."]))
    await caller.hears_out()
    await caller.says("good evening to you")
    assert "well" in await caller.hears_out()


async def test_an_async_function_is_an_agent_too(phone: SimulatedPhone) -> None:
    scores: list[str] = []

    async def survey(call: offhook.Call) -> None:
        scores.append(await call.gather("One to five, how were we?", digits=1, timeout_s=8))
        await call.hangup(f"{scores[0]}, thank you. Goodbye!")

    caller = await phone.calls(survey)
    await caller.hears("how were we")
    caller.presses("4")
    await caller.hears("4 thank you goodbye")
    await caller.gone()
    assert scores == ["4"]


async def test_a_pydantic_ai_model_thinks_and_calls_a_tool(phone: SimulatedPhone) -> None:
    booked: list[tuple[str, int]] = []
    agent = offhook.Agent("You book tables.", greeting="Luigi's!")

    @agent.tool
    async def book_table(name: str, people: int) -> str:
        """Book a table."""
        booked.append((name, people))
        return "booked"

    async def think(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str | DeltaToolCalls]:
        if any(part.part_kind == "tool-return" for message in messages for part in message.parts):
            yield "See you at seven, Ada."
        else:
            yield {0: DeltaToolCall("book_table", '{"name": "Ada", "people": 2}')}

    caller = await phone.calls(agent, brain=FunctionModel(stream_function=think))
    await caller.hears("luigi's")
    await caller.says("a table for two, I am Ada")
    await caller.hears("see you at seven")
    assert booked == [("Ada", 2)]


async def test_a_caller_who_interrupts_is_listened_to(phone: SimulatedPhone) -> None:
    long = "I shall now read to you the whole of our menu, beginning with the soups of the day and all of the salads."
    brain = ScriptedBrain([long, "Very well, no menu."])
    caller = await phone.calls(offhook.Agent(greeting="Hello!"), brain=brain)
    await caller.hears("hello")
    await caller.says("what do you have")
    await caller.hears("now read")
    await asyncio.sleep(0.5)
    await caller.says("stop that please")
    await caller.hears("very well")
    assert "salads" not in caller.heard
