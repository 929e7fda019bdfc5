"""Speech to text on this machine: Whisper's tiny.en in a worker process.

    audio ──► turn so far ──Pause(1)──► worker ──► Transcript(…, pause=1)
                          ──Pause(2)──► worker ──► Transcript(…, pause=2)     what a newer pause overtakes is dropped

Whisper hears whole stretches, so each pause transcribes all of the turn. A long turn is not heard over and over: what
came before a pause 20 s back is settled, and only what follows it is transcribed again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field

from offhook.core.errors import ModelError
from offhook.providers import Pause, Transcript
from offhook.providers.models import locate
from offhook.providers.workers import Worker, python

SETTLED_S = 20
"""When this much audio (seconds) was transcribed at a pause, its words are final and are not heard again."""

LONGEST_TURN_S = 600
"""Audio of a turn beyond this is not kept: nobody speaks ten minutes without a pause, a stuck line does."""


class Whisper:
    """The embedded `Stt`. English only; audio at 8 or 16 kHz."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self.cpu_ms = 0.0
        """CPU time of the last transcription, in ms, exact while one ran at a time."""

    @classmethod
    def from_files(cls, *, slots: int = 1) -> Whisper:
        """Find and verify the weights (ModelError) and make the worker; `check` starts it."""
        found = locate("whisper-tiny-en")
        module = "offhook.providers.whisper_worker"
        return cls(Worker("speech recognition", python(module, str(found.folder), "--slots", str(slots)), slots=slots))

    @property
    def name(self) -> str:
        """`local`, as in the configuration."""
        return "local"

    async def check(self) -> None:
        """Load the model, if it is not. ModelError if it does not load."""
        await self._worker.start()

    async def close(self) -> None:
        """End the worker."""
        await self._worker.close()

    async def transcribe(self, pcm: bytes, rate_hz: int = 8000) -> str:
        """Transcribe one stretch of audio. ProviderError if the worker fails."""
        text = ""
        answers = self._worker.ask({"rate_hz": rate_hz}, pcm)
        async with contextlib.aclosing(answers):
            async for frame in answers:
                text = frame.head.get("text", text)
                self.cpu_ms = frame.head.get("cpu_ms", self.cpu_ms)
        return text

    async def listen(
        self, audio: AsyncIterator[bytes | Pause], *, rate_hz: int = 8000, language: str = "en"
    ) -> AsyncGenerator[Transcript]:
        """Hear one turn: a transcript of all of it for each pause, but for those that a newer one has overtaken.

        Audio that no pause followed is transcribed when the turn ends, and comes with `pause=None`.
        """
        if language.split("-")[0].lower() != "en":
            raise ModelError(f"the embedded recogniser hears English only, not {language!r}: configure another stt")
        turn = _Turn(rate_hz)
        pump = asyncio.create_task(turn.fill(audio), name="turn audio")
        try:
            while (pause := await turn.next_pause()) is not None:
                covered, number = pause
                if covered > turn.settled:
                    heard = await self.transcribe(bytes(turn.pcm[turn.settled : covered]), rate_hz)
                else:
                    heard = ""
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
