"""The embedded default, whole: speech recognition, voice and offline brain, loaded, timed and counted.

    locate and hash ─► start the workers ─► one turn for real ─► how many calls this machine can carry

`load` returns when everything is warm, so a port that is opened after it never greets a caller who then waits for a
model. What a turn costs is measured, not assumed, and `max_calls` follows from it (`carried`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from types import TracebackType

from pydantic_ai.models import Model

from offhook.core.errors import ModelError
from offhook.providers import Pause, Speech
from offhook.providers.flite import Flite
from offhook.providers.minilm import MiniLm
from offhook.providers.offline.model import offline_model
from offhook.providers.piper import Piper
from offhook.providers.whisper import Whisper

TURN_S = 8.0
"""How often a caller's turn ends in a call, in seconds: one speaks some three, is answered in some four, and thinks."""

HEARINGS = 1.5
"""How often a turn is transcribed: once at its end, and every second time at a pause that was not the end."""

SHARE = 0.7
"""How much of the processors the models may have: the rest is the media's, the signalling's and the queue's slack."""

TURN_SAYS = "I would like to book a table for four people at half past seven, please."
TURN_ANSWERS = "For how many people, and under what name?"


@dataclass(frozen=True, slots=True)
class Warmup:
    """What was measured at start. CPU times in ms; `load_s` is how long everything took to be ready."""

    load_s: float
    hear_ms: float
    speak_ms: float
    think_ms: float
    hear_delay_ms: float
    speak_delay_ms: float
    processors: int
    max_calls: int

    def describe(self) -> str:
        """Say it in a line."""
        return (
            f"models ready in {self.load_s:.1f} s: a turn costs {self.hear_ms:.0f} ms of CPU to hear, "
            f"{self.think_ms:.0f} to think and {self.speak_ms:.0f} to speak; "
            f"{self.processors} processors carry {self.max_calls} calls at once"
        )


@dataclass(frozen=True, slots=True)
class LocalModels:
    """The loaded models. `async with` them, or `close` at the end: they are processes."""

    stt: Whisper
    tts: Piper | Flite
    encoder: MiniLm
    model: Model
    warmup: Warmup

    @property
    def max_calls(self) -> int:
        """How many calls at once this machine carries with them."""
        return self.warmup.max_calls

    async def __aenter__(self) -> LocalModels:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the workers. Idempotent."""
        await asyncio.gather(self.stt.close(), self.tts.close(), self.encoder.close())


def carried(hear_ms: float, think_ms: float, speak_ms: float, processors: int) -> int:
    """How many calls the machine carries, at least one.

    A call asks for `1.5 × hear + think + speak` of CPU every 8 s, and the models may have 0.7 of the processors.
    Neither may be asked for more than 0.7 of what its worker can do: the recogniser has so many slots, the voice one.
    """
    turn_ms = HEARINGS * hear_ms + think_ms + speak_ms
    budget_ms = TURN_S * 1000 * SHARE
    together = budget_ms * processors / turn_ms
    hearing = budget_ms * slots_on(processors) / (HEARINGS * hear_ms)
    speaking = budget_ms / speak_ms
    return max(1, int(min(together, hearing, speaking)))


def slots_on(processors: int) -> int:
    """How many turns are transcribed at a time: one a processor, but no more than the voice could answer."""
    return max(1, min(8, processors))


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))


async def load(progress: Callable[[str], None] | None = None) -> LocalModels:
    """Find, verify, load and time the embedded models. ModelError says what is missing and how to get it."""
    began = time.perf_counter()
    tell = progress or _quiet
    stt = Whisper.from_files(slots=slots_on(processors()))
    tts = voice()
    encoder = MiniLm.from_files()
    try:
        tell(f"loading speech recognition, the voice ({tts.name}) and the offline brain")
        results = await asyncio.gather(*(model.check() for model in (stt, tts, encoder)), return_exceptions=True)
        for broken in results:
            if isinstance(broken, BaseException):
                raise broken
        tell("timing a turn")
        warmup = await _measure(stt, tts, encoder, began)
    except BaseException:
        await asyncio.gather(stt.close(), tts.close(), encoder.close())
        raise
    return LocalModels(stt, tts, encoder, offline_model(encoder), warmup)


def _quiet(line: str) -> None:
    """Say nothing."""


def voice() -> Piper | Flite:
    """Choose the voice: Piper where it and its weights are installed, else flite. ModelError if neither is."""
    try:
        return Piper.from_files()
    except ModelError as missing:
        flite = Flite()
        try:
            flite.require()
        except ModelError:
            raise missing from None
        return flite


async def _measure(stt: Whisper, tts: Piper | Flite, encoder: MiniLm, began: float) -> Warmup:
    """Take one turn for real: speak it, hear it, find its meaning and speak an answer."""
    caller, _ = await _spoken(tts, TURN_SAYS)
    audio = telephone_audio(caller)
    await stt.transcribe(audio)  # the first is slower: memory is touched for the first time
    before = time.perf_counter()
    async with contextlib.aclosing(stt.listen(_one_turn(audio))) as transcripts:
        heard = [transcript.text async for transcript in transcripts]
    hear_delay_ms = (time.perf_counter() - before) * 1000
    if not any("table" in text.lower() for text in heard):
        raise ModelError(f"speech recognition does not work here: it heard {heard} for {TURN_SAYS!r}")
    await encoder.encode([heard[-1]])
    think_ms = encoder.cpu_ms
    _, speak_delay_ms = await _spoken(tts, TURN_ANSWERS)
    cores = processors()
    return Warmup(
        load_s=time.perf_counter() - began,
        hear_ms=stt.cpu_ms,
        speak_ms=tts.cpu_ms,
        think_ms=think_ms,
        hear_delay_ms=hear_delay_ms,
        speak_delay_ms=speak_delay_ms,
        processors=cores,
        max_calls=carried(stt.cpu_ms, think_ms, tts.cpu_ms, cores),
    )


async def _spoken(tts: Piper | Flite, text: str) -> tuple[list[Speech], float]:
    """Speak one sentence; give its speech and the delay of the first piece in ms."""

    async def sentence() -> AsyncIterator[str]:
        yield text

    before, first_ms = time.perf_counter(), 0.0
    speech: list[Speech] = []
    async with contextlib.aclosing(tts.speak(sentence())) as pieces:
        async for piece in pieces:
            first_ms = first_ms or (time.perf_counter() - before) * 1000
            speech.append(piece)
    return speech, first_ms


async def _one_turn(audio: bytes) -> AsyncIterator[bytes | Pause]:
    yield audio
    yield Pause(1)


def telephone_audio(speech: list[Speech]) -> bytes:
    """Bring a voice's speech to 8 kHz by straight lines between its samples: good enough to time a recogniser with."""
    import numpy as np

    pcm = np.frombuffer(b"".join(piece.pcm for piece in speech), "<i2").astype(np.float32)
    rate_hz = next(piece.rate_hz for piece in speech)
    width = max(1, rate_hz // 8000)
    smooth = np.convolve(pcm, np.ones(width, np.float32) / width, "same")
    at = np.arange(0, len(pcm) - 1, rate_hz / 8000)
    return np.interp(at, np.arange(len(pcm)), smooth).astype("<i2").tobytes()
