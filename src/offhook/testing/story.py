"""What happens in a simulated call: a clerk who books tables, and a caller with a will of their own.

      clerk    greeting        long answer ~~cut~~      read-back   "press 5"      goodbye, BYE
      caller         a table        wait, make it for 3      yes            [5]  goodbye

Callers differ by seed: most follow the talk, some lose patience at a random instant, some say nothing at all, some ask
for a person. Whatever comes, a caller leaves in the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING, Final

from offhook.agent.history import History, Keys, Said
from offhook.call.protocols import Thought, ToolBegan, ToolDone
from offhook.core.errors import CallEnded, OffhookError
from offhook.testing.callers import Caller, NotHeard
from offhook.testing.spelled import fold

if TYPE_CHECKING:
    from offhook.call.call import Call

GREETING: Final = "Good evening, the booking desk. How can I help?"

HOURS: Final = ("six", "seven", "eight", "nine")
NUMBERS: Final = ("two", "three", "four", "five", "six")


class Clerk:
    """The mind of the simulated agent. `seen` is told of every history that it is given, with the call."""

    def __init__(self, rng: Random, seen: Callable[[History, Call], None]) -> None:
        self._rng = rng
        self._seen = seen
        self._tools = 0

    @property
    def name(self) -> str:
        """Its name."""
        return "clerk"

    async def check(self) -> None:
        """Be always well."""

    async def reply(self, history: History, call: Call) -> AsyncIterator[Thought]:
        """Answer by the last thing heard or pressed."""
        self._seen(history, call)
        last = history.entries[-1] if history.entries else None
        words = fold(history.last_heard()).split()
        if isinstance(last, Keys):
            async for thought in self._tool(call, "book", self._books):
                yield thought
            yield "Thank you. Your table is booked. Is there anything else?"
        elif "goodbye" in words:
            async for thought in self._tool(call, "leave", lambda: self._leaves(call)):
                yield thought
        elif "person" in words:
            async for thought in self._tool(call, "human", lambda: self._transfers(call)):
                yield thought
        elif "yes" in words:
            yield "Very well. "
            yield "Please press any key to confirm."
        else:
            number = next((word for word in reversed(words) if word in NUMBERS), "some")
            yield f"We have a table for {number} by the window. "
            yield "It is quiet there and the view is fine. "
            yield "Shall I book it?"

    async def _tool(self, call: Call, name: str, work: Callable[[], object]) -> AsyncIterator[Thought]:
        self._tools += 1
        number = f"{name}-{self._tools}"

        async def working() -> object:
            result = work()
            return await result if asyncio.iscoroutine(result) else result

        yield ToolBegan(name, {}, number, "One moment." if name == "book" else "")
        try:
            result = await call.work(name, number, {}, working)
        except OffhookError as error:
            yield ToolDone(name, number, str(error), failed=True)
            yield error.spoken
        else:
            yield ToolDone(name, number, str(result))

    async def _books(self) -> str:
        await asyncio.sleep(self._rng.uniform(0.05, 1.5))
        return "booked"

    async def _leaves(self, call: Call) -> str:
        await call.hangup("Thank you for calling. Goodbye.")
        return "left"

    async def _transfers(self, call: Call) -> str:
        await call.transfer("sip:desk@10.3.0.9")
        return "transferred"


def said(history: History) -> list[tuple[str, bool]]:
    """Give the agent's words in a history, and whether each stretch is whole."""
    return [(entry.text, entry.whole) for entry in history if isinstance(entry, Said)]


async def visits(caller: Caller, rng: Random) -> None:
    """Live one caller's call from its answer to its end."""
    manner = rng.random()
    talk = asyncio.get_running_loop().create_task(_talks(caller, rng, manner), name="talk")
    patience_s = rng.uniform(1.0, 30.0) if manner > 0.9 else 150.0
    await asyncio.wait([talk], timeout=patience_s)
    if not talk.done():
        talk.cancel()
        await asyncio.wait([talk])
    elif (error := talk.exception()) is not None and not isinstance(error, (CallEnded, NotHeard)):
        raise error
    if not caller.over:
        await caller.hangs_up()


async def _talks(caller: Caller, rng: Random, manner: float) -> None:
    if manner < 0.04:
        await caller.gone(within_s=120)  # says nothing: the agent asks, asks again and hangs up
        return
    early = rng.random() < 0.1
    if early:
        await caller.hears_more(within_s=10)  # speaks into the greeting
    else:
        await caller.hears_out(within_s=12)
    await caller.waits(rng.uniform(0.0, 0.8))
    await caller.says(f"I would like a table for {rng.choice(NUMBERS)} at {rng.choice(HOURS)}, please.")
    await caller.hears_more(within_s=20)
    await caller.waits(rng.uniform(0.3, 3.0))
    await caller.says(f"No wait, make it for {rng.choice(NUMBERS)}.")
    await caller.hears_out(within_s=25)
    if manner > 0.85:
        await caller.says("Could I speak to a person?")
        await caller.hears_out(within_s=20)
    await caller.waits(rng.uniform(0.0, 1.0))
    if rng.random() < 0.15:
        await caller.holds()
        await caller.waits(rng.uniform(0.0, 6.0))
        await caller.resumes()
    await caller.says("Yes please, book it.")
    await caller.hears_more(within_s=25)
    if rng.random() < 0.7:
        await caller.hears_out(within_s=25)
    caller.presses("".join(rng.choices("0123456789*#", k=rng.choice((1, 1, 2)))))  # any key will do; some press two
    await caller.hears_out(within_s=25, quiet_s=2.5)
    await caller.says("That is all, goodbye.")
    with suppress(TimeoutError):  # the goodbye was not understood: then the caller hangs up
        await caller.gone(within_s=40)
