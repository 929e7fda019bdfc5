"""Speech to text on this machine: Whisper's tiny.en in a worker process."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

from offhook.core.errors import ModelError
from offhook.providers import Pause, Transcript
from offhook.providers.models import locate
from offhook.providers.turns import transcripts
from offhook.providers.workers import Worker, python


class Whisper:
    """The embedded `Stt`. English only; audio at 8 or 16 kHz."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        """The process, to be asked how it is."""
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
        await self.worker.start()

    async def close(self) -> None:
        """End the worker."""
        await self.worker.close()

    async def transcribe(self, pcm: bytes, rate_hz: int = 8000) -> str:
        """Transcribe one stretch of audio. ProviderError if the worker fails."""
        text = ""
        answers = self.worker.ask({"rate_hz": rate_hz}, pcm)
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
        async with contextlib.aclosing(transcripts(audio, rate_hz, self.transcribe)) as heard:
            async for transcript in heard:
                yield transcript
