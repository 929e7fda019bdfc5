"""A call on a scripted leg, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from offhook.call import Agent, Call, Models
from offhook.call.events import CallEvent, Ended
from offhook.testing.loop import VirtualLoop
from offhook.testing.scripted import ScriptedBrain, ScriptedStt, ScriptedTts
from offhook.testing.scripted_leg import ScriptedLeg

ALL = object()


class Stand:
    """One call under test: its leg, its listeners, its end."""

    def __init__(self, leg: ScriptedLeg, call: Call, told: list[CallEvent]) -> None:
        self.leg = leg
        self.call = call
        self.told = told
        self.begun = asyncio.get_running_loop().time()
        self.task = asyncio.create_task(call.run())

    async def until(self, seconds: float) -> None:
        """Let the call go on until so many seconds after its beginning."""
        await asyncio.sleep(self.begun + seconds - asyncio.get_running_loop().time())

    async def over(self) -> Ended:
        """Wait for the end."""
        return await self.task

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.told if isinstance(event, kind)]

    @property
    def transcript(self) -> list[str]:
        return self.call.history.transcript().splitlines()


def stand(
    agent: Any,
    brain: Any = None,
    *,
    stt: ScriptedStt | None = None,
    tts: Any = ALL,
    leg: ScriptedLeg | None = None,
    models: Models | None = None,
    **settings: Any,
) -> Stand:
    """Begin a call with an agent (or a script), the scripted ear and voice, and `brain` (lines, or a function)."""
    told: list[CallEvent] = []
    leg = leg or ScriptedLeg()
    mind = brain if brain is None or not isinstance(brain, list | tuple) else ScriptedBrain(brain)
    models = models or Models(
        brain=None if mind is None else (mind if isinstance(mind, Callable) else lambda _: mind),
        stt=stt or ScriptedStt(),
        tts=ScriptedTts() if tts is ALL else tts,
    )
    return Stand(leg, Call(leg, agent, models=models, events=told.append, **settings), told)


@pytest.fixture
def begin() -> Callable[..., Stand]:
    return stand


@pytest.fixture
def play() -> Callable[[Awaitable[None]], None]:
    """Run a test's coroutine in virtual time; nothing may be left running at its end."""

    def run(main: Any) -> None:
        async def whole() -> None:
            await main
            left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            assert left == [], "no task outlives its call"

        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(whole())

    return run


__all__ = ["Agent", "Stand"]
