"""One receptionist, unchanged, behind every service: she books a table as she does over SIP.

Each caller interrupts her once, presses a key, and is heard out; what was said, and what is on the tape, is the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pytest
from pydantic_ai.messages import ModelMessage
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel

import offhook
from offhook import _native as native
from offhook.call import Agent, Models
from offhook.call.events import CallEvent, as_json
from offhook.call.rates import SteadyRate
from offhook.carriers.services.table import SERVICES
from offhook.providers.brain import Minds
from offhook.run.host import Host, HostRules
from offhook.testing.callers import Caller, CallerPhone
from offhook.testing.carriers import FAKES, FakeOpenAi
from offhook.testing.carriers.twilio import FakeTwilio, Way
from offhook.testing.carriers.words import WordCaller
from offhook.testing.loop import VirtualLoop
from offhook.testing.scripted import ScriptedStt, ScriptedTts
from offhook.testing.spelled import Reader, fold
from offhook.testing.world import SIP_PORT, World

LONG = "We have a table by the window and one in the garden and one in the hall and one upstairs. Which would you like?"


def receptionist(booked: list[Any]) -> Agent:
    agent = Agent("You answer the phone.", greeting="Good evening.")

    @agent.tool(saying="One moment.")
    async def book_table(people: int) -> str:
        """Book a table."""
        booked.append(people)
        return f"{people} people."

    @agent.tool
    async def leave(call: offhook.Call) -> None:
        """The caller is done."""
        await call.hangup("Thank you, goodbye.")

    _ = book_table, leave
    return agent


def last_words(messages: list[ModelMessage]) -> tuple[str, str]:
    """Give the kind and the text of what came last."""
    part = messages[-1].parts[-1]
    return part.part_kind, str(getattr(part, "content", ""))


async def think(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
    kind, text = last_words(messages)
    words = fold(text)
    if kind == "tool-return":
        yield "Booked. Press any key to confirm."
    elif "table" in words:
        yield LONG
    elif "window" in words:
        yield {0: DeltaToolCall("book_table", '{"people": 4}', tool_call_id="one")}
    elif "5" in words:
        yield "Thank you. Anything else?"
    elif "no" in words.split():
        yield {0: DeltaToolCall("leave", "{}", tool_call_id="two")}
    else:
        yield "Pardon?"


def models() -> Models:
    return Models(brain=Minds(FunctionModel(stream_function=think)), stt=ScriptedStt(), tts=ScriptedTts())


async def talk(caller: Caller | WordCaller) -> None:
    await caller.hears("good evening")
    await caller.waits(0.5)
    await caller.says("A table please.")
    await caller.hears("we have a table by the window", within_s=20)
    await caller.says("By the window.")
    await caller.hears("press any key to confirm", within_s=20)
    await caller.waits(0.5)
    caller.presses("5")
    await caller.hears("anything else", within_s=20)
    await caller.waits(0.5)
    await caller.says("No.")
    await caller.hears("thank you goodbye", within_s=20)
    await caller.gone()


@dataclass
class Visit:
    """What one call came to."""

    booked: list[Any] = field(default_factory=list)
    events: list[CallEvent] = field(default_factory=list)
    taped: list[native.Taped] = field(default_factory=list)

    @property
    def told(self) -> list[tuple[str, str]]:
        """What happened, without the instants; of a sentence that was cut only that it was."""
        out: list[tuple[str, str]] = []
        for row in map(as_json, self.events):
            match row["event"]:
                case "heard" | "digit" | "ended" | "tool":
                    text = row.get("text") or row.get("digit") or row.get("reason") or ""
                    out.append((row["event"], fold(str(text))))
                case "said":
                    text = fold(row["text"])
                    out.append(("said", "of the tables" if text in fold(LONG) else text))
                case "cut":
                    out.append(("cut", ""))
                case _:
                    pass
        return out

    def track(self, side: int) -> str:
        """Read one side of the tape: 0 is the caller's."""
        reader, rate = Reader(), SteadyRate(8000)
        for piece in self.taped:
            mono = np.frombuffer(piece.pcm, np.int16)[side::2].tobytes()
            reader.push(rate.push(mono, piece.rate_hz))
        return reader.text


@cache
def over_sip() -> Visit:
    visit, world = Visit(), World("receptionist")

    async def main() -> None:
        async with (
            host_with_tape(world.engine("10.1.0.1"), visit, ("udp", ("10.1.0.1", SIP_PORT)), rng=world.rng("host")),
            CallerPhone(world, "10.2.0.1") as phone,
        ):
            caller = await phone.calls("sip:desk@10.1.0.1")
            await talk(caller)
            await asyncio.sleep(1)

    world.run(main())
    return visit


@asynccontextmanager
async def host_with_tape(engine: Any, visit: Visit, *listen: Any, rng: Any) -> AsyncGenerator[Host]:
    agent = receptionist(visit.booked)
    rules = HostRules(listen=listen, allow=("10.0.0.0/8",))
    taped: Any = Taping(engine, visit.taped)
    host = Host(
        engine=taped, rng=rng, rules=rules, route=lambda wanted: agent, models=models(), events=visit.events.append
    )
    async with host:
        yield host


class Taping:
    """An engine whose ports are all on tape."""

    def __init__(self, engine: Any, taped: list[native.Taped]) -> None:
        self._engine = engine
        self._taped = taped

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def open(self, **given: Any) -> tuple[int, int]:
        number, port = self._engine.open(**given)
        self._engine.tape(number, True)
        return number, port

    def carry(self, **given: Any) -> int:
        number = self._engine.carry(**given)
        self._engine.tape(number, True)
        return number

    def drain(self) -> Sequence[native.Event]:
        events = self._engine.drain()
        self._taped += [event for event in events if isinstance(event, native.Taped)]
        return [event for event in events if not isinstance(event, native.Taped)]


def over(fake: Callable[..., Any]) -> Visit:
    visit = Visit()

    async def main() -> None:
        agent = receptionist(visit.booked)
        async with fake(agent, models=models(), wrap=lambda engine: Taping(engine, visit.taped)) as phone:
            caller = await phone.call()
            await talk(caller)
            await asyncio.sleep(1)
            visit.events += phone.events

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(limit_s=600)) as runner:
        runner.run(main())
    return visit


def test_over_sip_she_is_interrupted_and_books() -> None:
    assert over_sip().booked == [4]
    assert [name for name, _ in over_sip().told].count("cut") == 1
    assert ("digit", "5") in over_sip().told


@pytest.mark.parametrize("name", sorted(FAKES))
def test_she_books_a_table(name: str) -> None:
    visit = over(FAKES[name])
    assert visit.booked == [4]
    assert visit.told == over_sip().told
    assert visit.track(0) == over_sip().track(0)
    for track in (visit.track(1), over_sip().track(1)):
        # Where exactly she was cut, and how much of the goodbye is on it, is the line's doing.
        before, _, after = track.partition(" by the window ")
        assert before == "good evening we have a table"
        assert " one moment booked press any key to confirm thank you anything else " in f" {after}"


async def in_words_of_twilio(visit: Visit, way: Way) -> None:
    async with FakeTwilio(receptionist(visit.booked), models=models(), way=way) as phone:
        await talk(await phone.call_in_words())
        visit.events += phone.events


async def in_words_of_openai(visit: Visit) -> None:
    async with FakeOpenAi(receptionist(visit.booked), models=models()) as phone:
        await talk(await phone.call())
        visit.events += phone.events


WORDS: dict[str, Callable[[Visit], Coroutine[Any, Any, None]]] = {
    "relay": lambda visit: in_words_of_twilio(visit, "relay"),
    "turns": lambda visit: in_words_of_twilio(visit, "turns"),
    "openai": in_words_of_openai,
}


@pytest.mark.parametrize("way", WORDS)
def test_she_books_a_table_in_words(way: str) -> None:
    visit = Visit()

    async def main() -> None:
        await WORDS[way](visit)

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(limit_s=600)) as runner:
        runner.run(main())
    assert visit.booked == [4]
    theirs = ("heard", "digit", "tool", "ended")
    assert [one for one in visit.told if one[0] in theirs] == [one for one in over_sip().told if one[0] in theirs]


def test_every_service_has_a_fake() -> None:
    assert {*FAKES, "openai"} >= set(SERVICES)
