"""Hearing turns with a recogniser that takes whole stretches of audio.

    audio ──► turn so far ──Pause(1)──► recogniser ──► Transcript(…, pause=1)
                          ──Pause(2)──► recogniser ──► Transcript(…, pause=2)    what a newer pause overtakes is dropped

Each pause transcribes all of the turn. A long turn is not heard over and over: what came before a pause 20 s back is
settled, and only what follows it is transcribed again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from offhook.providers import Pause, Transcript

SETTLED_S = 20
"""When this much audio (seconds) was transcribed at a pause, its words are final and are not heard again."""

LONGEST_TURN_S = 600
"""Audio of a turn beyond this is not kept: nobody speaks ten minutes without a pause, a stuck line does."""


async def transcripts(
    audio: AsyncIterator[bytes | Pause], rate_hz: int, transcribe: Callable[[bytes, int], Awaitable[str]]
) -> AsyncGenerator[Transcript]:
    """Hear one turn: a transcript of all of it for each pause, but for those that a newer one has overtaken.

    Audio that no pause followed is transcribed when the turn ends, and comes with `pause=None`.
    """
    turn = _Turn(rate_hz)
    pump = asyncio.create_task(turn.fill(audio), name="turn audio")
    try:
        while (pause := await turn.next_pause()) is not None:
            covered, number = pause
            heard = ""
            if covered > turn.settled:
                heard = await transcribe(bytes(turn.pcm[turn.settled : covered]), rate_hz)
            text = " ".join(part for part in (turn.text, heard) if part)
            if number is None or not turn.overtaken(number):
                yield Transcript(text, number)
            if covered - turn.settled > SETTLED_S * rate_hz * 2:
                turn.settled, turn.text = covered, text
        await pump  # an error of the audio's source is the caller's
    finally:
        pump.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await pump


@dataclass(slots=True)
class _Turn:
    """The audio of one turn, filled by one task and transcribed by another."""

    rate_hz: int
    pcm: bytearray = field(default_factory=bytearray)
    settled: int = 0  # bytes whose words are in `text`
    text: str = ""
    _newest: tuple[int, int] | None = None  # (bytes covered, number) of the newest pause
    _ended: bool = False
    _rest_done: bool = False
    _covered: int = 0  # bytes that the newest pause handed out covers
    _change: asyncio.Event = field(default_factory=asyncio.Event)

    async def fill(self, audio: AsyncIterator[bytes | Pause]) -> None:
        longest = LONGEST_TURN_S * self.rate_hz * 2
        try:
            async for piece in audio:
                if isinstance(piece, Pause):
                    self._newest = (len(self.pcm), piece.number)
                    self._change.set()
                elif len(self.pcm) < longest:
                    self.pcm += piece
        finally:
            self._ended = True
            self._change.set()

    async def next_pause(self) -> tuple[int, int | None] | None:
        """Wait for the newest pause not yet handed out; after the end the rest (None as number), then None."""
        while True:
            if self._newest is not None:
                self._covered, number = self._newest
                self._newest = None
                return self._covered, number
            if self._ended:
                if self._rest_done or len(self.pcm) == self._covered:
                    return None
                self._rest_done, self._covered = True, len(self.pcm)
                return self._covered, None
            self._change.clear()
            await self._change.wait()

    def overtaken(self, number: int) -> bool:
        return self._newest is not None and self._newest[1] > number
