"""What is no caller: progress tones, fax machines, answering machines. What is listened for, and what comes of it.

    outbound, before the answer ─► dial, ringback, busy, special information …   ─► events.Tone
    inbound ─► a calling fax; outbound ─► an answering one                       ─► hung up on, or handed over
    call.beep() ─► a machine's beep                                              ─► whoever waits
    a service that listens for us ─► human, machine, its beep, fax, unknown      ─► events.AnsweredBy, whoever waits

Law: before the answer nobody is listened to but for tones; after it only for those that somebody asks for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Literal

from offhook import _native as native
from offhook.agent import inputs
from offhook.call import events, tones
from offhook.call.agents import Agent
from offhook.core.errors import CallEnded, OffhookError
from offhook.core.signals import Answerer

if TYPE_CHECKING:
    from offhook.call.call import Call
    from offhook.call.session import Session

_log = logging.getLogger("offhook.call")


class Machines:
    """What one call does about machines."""

    def __init__(self, session: Session) -> None:
        self.answerer: Literal["", "human", "machine", "fax", "unknown"] = ""
        """What has answered, as a service found; "" until it says so."""
        self._found: Answerer | None = None
        self._known = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []
        self._session = session
        outbound = session.leg.info.direction == "outbound"
        self._fax = tones.ANSWERING_FAX if outbound else tones.CALLING_FAX
        if outbound:
            session.leg.watch(tones.PROGRESS | {self._fax})

    def answered(self, call: Call) -> None:
        """Listen for a fax, and deal with one that a service has heard before the answer."""
        self._listen()
        if self._found == "fax":
            self._is_fax(call)

    def _listen(self) -> None:
        self._session.leg.watch({self._fax, tones.BEEP} if self._waiting else {self._fax})

    def found(self, what: Answerer, call: Call) -> None:
        """Take what a service says has answered: before the answer, or at any time. Said again, it changes nothing."""
        session = self._session
        if what == self._found:
            return
        self._found = what
        self.answerer = "machine" if what == "machine_beep" else what
        self._known.set()
        session.reports.tell(events.AnsweredBy(session.time, session.leg.info.id, what))
        if what == "machine_beep":
            self._beeped()
        elif what == "fax" and session.before.answered:
            self._is_fax(call)

    async def who(self, timeout_s: float) -> Literal["", "human", "machine", "fax", "unknown"]:
        """Wait until a service has said what has answered; "" where it does not in time, or the call ends."""
        await self._either(self._known.wait(), timeout_s)
        return self.answerer

    async def beep(self, timeout_s: float) -> bool:
        """Wait for a machine's beep; give whether it came."""
        session = self._session
        session.alive()
        if self._found == "machine_beep":
            return True  # it may be spoken to already
        heard: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(heard)
        self._listen()
        try:
            await self._either(heard, timeout_s)
        finally:
            self._waiting.remove(heard)
        if session.ended is not None:
            raise CallEnded("the call is over")
        self._listen()
        return heard.done() and not heard.cancelled()

    async def _either(self, work: Awaitable[object], timeout_s: float) -> None:
        """Wait for something, at most until the call is over."""
        waits = [asyncio.ensure_future(one) for one in (work, self._session.over.wait())]
        try:
            await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()

    def _beeped(self) -> None:
        for one in self._waiting:
            if not one.done():
                one.set_result(None)

    def heard(self, tone: native.Tone, call: Call) -> None:
        """Take a tone."""
        session = self._session
        session.reports.tell(events.Tone(session.time, session.leg.info.id, tone.kind))
        if tone.kind == tones.BEEP:
            self._beeped()
        elif tone.kind == self._fax and session.before.answered:
            self._is_fax(call)

    def _is_fax(self, call: Call) -> None:
        """Do as the agent wants it with a fax; a script does as it likes."""
        to = self._session.agent.fax if isinstance(self._session.agent, Agent) else ""
        if to == "hangup":
            self._session.tell(inputs.Leave("", "fax"))
        elif to:
            self._session.watch(self._hand_over(call, to))

    async def _hand_over(self, call: Call, to: str) -> None:
        try:
            await call.transfer(to)
        except OffhookError as error:
            _log.warning("the fax that called %s could not be handed to %s: %s", call.id, to, error)
            self._session.tell(inputs.Leave("", "fax"))
