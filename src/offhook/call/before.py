"""Before the answer: a call that rings, plays something to its caller, and is then taken or refused.

    incoming ─► ring ─► early(sound) ─┬─► answer ─► the conversation
                                      └─► reject("busy")

Law: before the answer the caller hears what is played, and nobody hears the caller.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from offhook.core.errors import CallEnded, NotAllowed

if TYPE_CHECKING:
    from offhook.call.session import Session

_log = logging.getLogger("offhook.call")

LATE_S: Final = 2.0
"""So much later than its length a sound may have been heard: buffers, and a loop that is busy."""


class BeforeAnswer:
    """What an agent does with a call that it has not answered."""

    def __init__(self, session: Session) -> None:
        self.answered = False
        """Whether the call is up, or was."""
        self._session = session
        self._sounding: dict[int, asyncio.Future[None]] = {}

    async def open(self, ring_s: float) -> None:
        """Let it ring for a while, then take the call."""
        leg = self._session.leg
        try:
            leg.ring()
            await asyncio.sleep(ring_s)
            await leg.answer()
        except CallEnded:
            _log.info("the caller of %s went away before the answer", leg.info.id)

    def alive(self) -> None:
        """Raise CallEnded if the call is over, NotAllowed if it was answered, or is none that came in."""
        if self._session.ended is not None:
            raise CallEnded("the call is over")
        if self.answered or self._session.leg.info.direction != "inbound":
            raise NotAllowed("this is only for an inbound call before its answer: mark the script with offhook.answers")

    def ring(self) -> None:
        """Say that it rings."""
        self.alive()
        self._session.leg.ring()

    async def early(self, pcm: bytes, rate_hz: int) -> None:
        """Play to the caller; returns when it was heard, or can't be. CallEnded if the caller hangs up meanwhile."""
        self.alive()
        session = self._session
        if session.leg.capabilities.words:
            return
        await session.leg.early()
        utterance = await session.mouthpiece.begin()
        heard = self._sounding[utterance] = asyncio.get_running_loop().create_future()
        try:
            # A caller who has described nothing yet, or holds us, hears nothing: then it is skipped.
            async with asyncio.timeout(len(pcm) / (2 * rate_hz) + LATE_S):
                try:
                    await session.mouthpiece.play(utterance, pcm, rate_hz)
                finally:
                    session.mouthpiece.finish(utterance)
                if pcm:
                    await heard
        except TimeoutError:
            session.leg.hush()
        finally:
            self._sounding.pop(utterance, None)

    def played(self, utterance: int) -> None:
        """Take note that something was heard."""
        heard = self._sounding.pop(utterance, None)
        if heard is not None and not heard.done():
            heard.set_result(None)

    def over(self) -> None:
        """The call is over: whoever waits for what it plays is told so."""
        for heard in self._sounding.values():
            if not heard.done():
                heard.set_exception(CallEnded("the call is over"))
                heard.exception()  # nobody may wait for it any more: not an error of ours

    async def answer(self) -> None:
        """Take the call; returns when it is up. CallEnded if the caller went away."""
        self.alive()
        await self._session.leg.answer()
        await self._session.up.wait()
        if not self.answered:
            raise CallEnded("the call is over")

    async def reject(self, meaning: str) -> None:
        """Refuse the call; returns when it is over. ValueError for a meaning that there is not."""
        self.alive()
        await self._session.leg.reject(meaning)
        await self._session.over.wait()
