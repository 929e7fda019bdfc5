"""Audio that the author plays: one open utterance, to which pieces are added until something else is to be said."""

from __future__ import annotations

import asyncio

from offhook.agent import inputs
from offhook.call.session import Session
from offhook.call.speaking import Speaking


class Sounding:
    """The author's own sound on the leg."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._run: Speaking | None = None
        self._utterance = 0
        self._length_ms = 0.0

    async def play(self, pcm: bytes, rate_hz: int) -> None:
        """Add audio; returns when the leg took it. CallEnded if the call is over."""
        session = self._session
        session.alive()
        run = self._run
        if run is None or run.stopped or not session.mouthpiece.sounds(self._utterance):
            self.close()
            run = await session.sound()
            self._utterance = await session.mouthpiece.begin()
            self._run = run
            self._length_ms = 0.0
            session.tell(inputs.Phrased(run.turn, run.number, 0, ""))
            session.tell(inputs.Voiced(run.turn, run.number, 0, self._utterance, 0))
        await session.mouthpiece.play(self._utterance, pcm, rate_hz)
        await asyncio.sleep(0)  # a leg that drops takes all at once, and says so by an event: let it come

    def close(self) -> None:
        """End the utterance, if one is open: what follows may sound."""
        run, self._run = self._run, None
        if run is not None:
            self._session.mouthpiece.finish(self._utterance)
            self._session.tell(inputs.Replied(run.turn, run.number))
