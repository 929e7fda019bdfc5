"""The ear of a call: the caller's audio to the Stt, one stream a turn, and the words back to the conversation.

    Heard (packets in order) ─► the last half second ─┐ Listen
                              └────────────────────────┴─► turn's feed ─ Pause … ─► Stt ─► Transcribed

Audio that comes while no turn is open is kept for the next, and soon forgotten. A turn has one rate, that of the
audio before it; if the call changes to another codec in the middle of it, the rest is converted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from offhook import _native as native
from offhook.agent.inputs import Transcribed
from offhook.call.feed import Feed, closing
from offhook.call.pipeline import Stage
from offhook.call.protocols import Pause, Stt
from offhook.call.rates import SteadyRate
from offhook.core.ids import Turn
from offhook.core.instants import MILLISECOND, Instant

PRE_ROLL_PIECES = 30
"""What is kept for a turn that is about to begin: 600 ms of 20 ms packets, the gate's own half second and its delay."""
PRE_ROLL = 600 * MILLISECOND
TURN_PIECES = 6000
"""A turn holds at most two minutes of audio that the Stt has not taken; what comes after is dropped and counted."""


class Listening:
    """Hears one turn at a time."""

    def __init__(self, stt: Stt | None, language: str, tell: Callable[[Transcribed], None]) -> None:
        self._stt = stt
        self.language = language
        self._tell = tell
        self._before: deque[native.Heard] = deque(maxlen=PRE_ROLL_PIECES)
        self._feed: Feed[bytes | Pause] | None = None
        self._turn = Turn(0)
        self._last_hz = 8000
        self._rate = SteadyRate(self._last_hz)

    def stage(self, down: Stage) -> Stage:
        """Say who turns sound into words, and where they go; without one, that nobody does."""
        return down if self._stt is None else Stage(self._stt.name, down)

    def hear(self, piece: native.Heard) -> None:
        """Take a piece of the caller's audio."""
        self._last_hz = piece.rate_hz
        if self._feed is None:
            self._before.append(piece)
        else:
            self._feed.put(self._rate.push(piece.pcm, piece.rate_hz))

    def begin(self, turn: Turn, at: Instant) -> None:
        """Open a turn whose speech began at `at`, with the audio just before."""
        self._turn = turn
        self._feed = Feed(TURN_PIECES)
        self._rate = SteadyRate(self._last_hz)
        for piece in self._before:
            if piece.at >= at - PRE_ROLL:
                self._feed.put(self._rate.push(piece.pcm, piece.rate_hz))
        self._before.clear()

    def pause(self, turn: Turn, number: int) -> None:
        """Ask for the words so far."""
        if self._feed is not None and turn == self._turn:
            self._feed.put(Pause(number))

    def end(self, turn: Turn) -> None:
        """Close a turn."""
        if self._feed is not None and turn == self._turn:
            self._feed.close()
            self._feed = None

    async def run(self, turn: Turn) -> None:
        """Transcribe the turn that was opened; ends with it. ProviderError or ModelError from the Stt."""
        feed = self._feed
        if feed is None or self._stt is None:
            return
        rate_hz = self._rate.rate_hz
        async with closing(self._stt.listen(feed, rate_hz=rate_hz, language=self.language)) as transcripts:
            async for transcript in transcripts:
                self._tell(Transcribed(turn, transcript.pause, transcript.text))
