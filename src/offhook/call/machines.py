"""What is no caller: progress tones, fax machines, answering machines. What is listened for, and what comes of it.

    outbound, before the answer ─► dial, ringback, busy, special information …   ─► events.Tone
    inbound ─► a calling fax; outbound ─► an answering one                       ─► hung up on, or handed over
    call.beep() ─► a machine's beep                                              ─► whoever waits

Law: before the answer nobody is listened to but for tones; after it only for those that somebody asks for.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from offhook import _native as native
from offhook.agent import inputs
from offhook.call import events, tones
from offhook.call.agents import Agent
from offhook.core.errors import CallEnded, OffhookError

if TYPE_CHECKING:
    from offhook.call.call import Call
    from offhook.call.session import Session

_log = logging.getLogger("offhook.call")


class Machines:
    """What one call does about machines."""

    def __init__(self, session: Session) -> None:
        self._waiting: list[asyncio.Future[None]] = []
        self._session = session
        outbound = session.leg.info.direction == "outbound"
        self._fax = tones.ANSWERING_FAX if outbound else tones.CALLING_FAX
        if outbound:
            session.leg.watch(tones.PROGRESS | {self._fax})

    def answered(self) -> None:
        """Listen for a fax, and for a beep where somebody waits for it."""
        self._session.leg.watch({self._fax, tones.BEEP} if self._waiting else {self._fax})

    async def beep(self, timeout_s: float) -> bool:
        """Wait for a machine's beep; give whether it came."""
        self._session.alive()
        session, loop = self._session, asyncio.get_running_loop()
        heard, over = loop.create_future(), loop.create_task(session.over.wait())
        self._waiting.append(heard)
        self.answered()
        try:
            await asyncio.wait({heard, over}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.cancel()
            self._waiting.remove(heard)
        if session.ended is not None:
            raise CallEnded("the call is over")
        self.answered()
        return heard.done()

    def heard(self, tone: native.Tone, call: Call) -> None:
        """Take a tone."""
        session = self._session
        session.reports.tell(events.Tone(session.time, session.leg.info.id, tone.kind))
        if tone.kind == tones.BEEP:
            for one in self._waiting:
                if not one.done():
                    one.set_result(None)
        elif tone.kind == self._fax and session.before.answered and isinstance(session.agent, Agent):
            self._is_fax(call, session.agent.fax)

    def _is_fax(self, call: Call, to: str) -> None:
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
