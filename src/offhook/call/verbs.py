"""What the author's verbs wait for: each has a number, the conversation settles it, and the end of the call ends it.

    say, ask, gather … ─► ticket ─► conversation ─► Settled ─► wait returns
    play               ─► ticket ─► conversation ─► Say ─────► sound returns the run to play in
                                                    the end ─► CallEnded

Law: nobody waits for a verb of a call that is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from offhook.agent import inputs
from offhook.call.speaking import Speaking
from offhook.core.errors import CallEnded


class Verbs:
    """The verbs of one call that are under way; `tell` gives the conversation an input."""

    def __init__(self, tell: Callable[[inputs.Input], None]) -> None:
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, asyncio.Future[tuple[str, bool]]] = {}
        self._sounds: dict[int, asyncio.Future[Speaking]] = {}
        self._ticket = 0

    def ticket(self) -> int:
        """Give the number of a new verb."""
        self._ticket += 1
        return self._ticket

    async def wait(self, ticket: int, given: inputs.Input) -> tuple[str, bool]:
        """Tell the conversation a wish and wait until it is settled. CallEnded if the call ends first."""
        verb = self._waiting[ticket] = self._loop.create_future()
        self._tell(given)
        return await verb

    async def sound(self) -> Speaking:
        """Open a run for audio that the author plays; returns when it may sound. CallEnded if the call ends first."""
        ticket = self.ticket()
        waiting = self._sounds[ticket] = self._loop.create_future()
        self._tell(inputs.Speak(ticket, "", sound=True))
        return await waiting

    def begins(self, run: Speaking) -> bool:
        """Let a run sound; give whether it is for audio that the author plays."""
        waiting = self._sounds.pop(run.ticket, None)
        if waiting is None:
            return False
        run.committed.set()
        if not waiting.done():
            waiting.set_result(run)
        return True

    def settle(self, ticket: int, text: str, *, whole: bool) -> None:
        """Let a verb return."""
        verb = self._waiting.pop(ticket, None)
        if verb is not None and not verb.done():
            verb.set_result((text, whole))

    def fail(self, ticket: int, error: BaseException) -> None:
        """Let a verb raise, if there is one of this number."""
        verb = self._waiting.pop(ticket, None)
        if verb is not None and not verb.done():
            verb.set_exception(error)

    def over(self) -> None:
        """The call is over: whoever waits is told so."""
        for waiter in (*self._waiting.values(), *self._sounds.values()):
            if not waiter.done():
                waiter.set_exception(CallEnded("the call is over"))
                waiter.exception()  # nobody may wait for it any more: not an error of ours
