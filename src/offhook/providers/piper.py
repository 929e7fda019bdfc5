"""Text to speech on this machine: the separate program `offhook-piper`, over pipes.

    sentence ─► said lately? ─yes─► its speech, at once
                     └no─► offhook-piper ─► stretches of PCM with the words' times ─► Speech

Piper is GPL-3: the program lives in `workers/piper/` under that licence, and nothing here imports it. It is looked for
at $OFFHOOK_PIPER, then beside this interpreter, then in the source tree.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

from offhook.core.errors import ModelError, ProviderError
from offhook.providers import Speech
from offhook.providers.models import locate
from offhook.providers.workers import Worker

KEPT_BYTES = 8 * 1024 * 1024
"""How much speech is kept for phrases that come again, in bytes: three minutes at 22050 Hz."""

KEPT_LETTERS = 120
"""A longer sentence is not kept: it is an answer to one caller, not a phrase."""

PIECE_MS = 200
"""Speech is handed on in pieces of this length: small enough to stop soon, large enough to cost nothing."""

Stretch = tuple[bytes, int, tuple[tuple[str, int], ...]]
"""What the voice synthesised at once: PCM, its rate and the words that begin in it."""


class Piper:
    """The embedded `Tts`: one voice, American English."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._kept: OrderedDict[str, tuple[Stretch, ...]] = OrderedDict()
        self._kept_bytes = 0
        self.cpu_ms = 0.0
        """CPU time of the last sentence that was synthesised, in ms."""

    @classmethod
    def from_files(cls) -> Piper:
        """Find the program and the voice (ModelError); `check` starts it."""
        found = locate("joe")
        voice = next(path for name, path in found.paths.items() if name.endswith(".onnx"))
        return cls(Worker("piper voice", (*program(), str(voice))))

    @property
    def name(self) -> str:
        """`local`, as in the configuration."""
        return "local"

    async def check(self) -> None:
        """Load the voice, if it is not. ModelError if it does not load."""
        await self._worker.start()

    async def close(self) -> None:
        """End the worker."""
        await self._worker.close()

    async def speak(self, sentences: AsyncIterator[str], *, voice: str | None = None) -> AsyncGenerator[Speech]:
        """Speak each sentence as it comes. ModelError for a voice other than `joe`."""
        if voice not in (None, "joe"):
            raise ModelError(f"the embedded voice is joe, there is no {voice!r}: configure another tts")
        number = -1
        async for sentence in sentences:
            number += 1
            async with contextlib.aclosing(self._stretches(sentence)) as stretches:
                async for pcm, rate_hz, words in stretches:
                    for piece in pieces(number, pcm, rate_hz, words):
                        yield piece
            yield Speech(number, b"", int(self._worker.ready.get("rate_hz", 22050)), last=True)

    async def _stretches(self, sentence: str) -> AsyncGenerator[Stretch]:
        key = sentence.strip()
        if not any(letter.isalnum() for letter in key):
            return
        if key in self._kept:
            self._kept.move_to_end(key)
            for stretch in self._kept[key]:
                yield stretch
            return
        fresh: list[Stretch] = []
        async with contextlib.aclosing(self._worker.ask({"text": key})) as frames:
            async for frame in frames:
                self.cpu_ms = float(frame.head.get("cpu_ms", self.cpu_ms))
                if frame.body:
                    words = tuple((str(word), int(start_ms)) for word, start_ms in frame.head["words"])
                    fresh.append((frame.body, int(frame.head["rate_hz"]), words))
                    yield fresh[-1]
        if not fresh:
            raise ProviderError(f"the voice made no sound of {key!r}")
        self._keep(key, tuple(fresh))

    def _keep(self, key: str, stretches: tuple[Stretch, ...]) -> None:
        size = sum(len(pcm) for pcm, _, _ in stretches)
        if key in self._kept or len(key) > KEPT_LETTERS or size > KEPT_BYTES // 8:
            return
        self._kept[key] = stretches
        self._kept_bytes += size
        while self._kept_bytes > KEPT_BYTES:
            _, dropped = self._kept.popitem(last=False)
            self._kept_bytes -= sum(len(pcm) for pcm, _, _ in dropped)


def pieces(sentence: int, pcm: bytes, rate_hz: int, words: tuple[tuple[str, int], ...]) -> list[Speech]:
    """Cut a stretch into pieces; its words ride on the first."""
    size = rate_hz * PIECE_MS // 1000 * 2
    cut = [pcm[start : start + size] for start in range(0, len(pcm), size)]
    return [Speech(sentence, piece, rate_hz, words if index == 0 else ()) for index, piece in enumerate(cut)]


def program() -> tuple[str, ...]:
    """The command that runs offhook-piper. ModelError, with the fix, if it is nowhere."""
    if named := os.environ.get("OFFHOOK_PIPER"):
        return (sys.executable, named) if named.endswith(".py") else (named,)
    installed = Path(sys.executable).with_name("offhook-piper")
    if installed.is_file():
        return (str(installed),)
    source = Path(__file__).resolve().parents[3] / "workers" / "piper" / "offhook_piper.py"
    if source.is_file():
        return (sys.executable, str(source))
    raise ModelError(
        "the program offhook-piper is not installed (pip install ./workers/piper); or configure another tts"
    )
