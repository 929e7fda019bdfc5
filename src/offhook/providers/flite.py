"""Text to speech by the system's `flite` (Debian: `apt install flite`), the voice where Piper is not installed.

One process a sentence: flite takes 50 ms for it, so there is nothing to keep warm. Its licence is BSD-like and its
voices' are free of doubt. It tells no word times.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import struct
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncGenerator, AsyncIterator

from offhook.core.errors import ModelError, ProviderError
from offhook.providers import Speech
from offhook.providers.piper import pieces

VOICES = ("slt", "awb", "rms", "kal16")
"""The voices of Debian's flite that have 16 kHz audio; `slt` is the default."""

LONGEST_S = 15
"""How long one sentence may take to synthesise, in seconds; flite needs some 2 % of the speech's own length."""


class Flite:
    """A `Tts` that runs flite."""

    def __init__(self, voice: str = "slt") -> None:
        self._voice = voice
        self.cpu_ms = 0.0
        """Time of the last sentence that was synthesised, in ms; flite uses one processor throughout."""

    @property
    def name(self) -> str:
        """`flite`, or `flite:VOICE`."""
        return "flite" if self._voice == VOICES[0] else f"flite:{self._voice}"

    async def check(self) -> None:
        """Say that flite is not installed, or has no such voice (ModelError)."""
        self.require()

    def require(self) -> None:
        """Do what `check` does, without waiting for anything."""
        _program()
        _known(self._voice)

    async def close(self) -> None:
        """Do nothing: nothing is kept running."""

    async def speak(self, sentences: AsyncIterator[str], *, voice: str | None = None) -> AsyncGenerator[Speech]:
        """Speak each sentence as it comes, with one of `VOICES`."""
        chosen = _known(voice or self._voice)
        number = -1
        async for sentence in sentences:
            number += 1
            rate_hz = 16000
            if any(letter.isalnum() for letter in sentence):
                before = time.perf_counter()
                pcm, rate_hz = await _synthesise(sentence, chosen)
                self.cpu_ms = (time.perf_counter() - before) * 1000
                for piece in pieces(number, pcm, rate_hz, ()):
                    yield piece
            yield Speech(number, b"", rate_hz, last=True)


def _known(voice: str) -> str:
    if voice not in VOICES:
        raise ModelError(f"flite has no voice {voice!r}; it has {', '.join(VOICES)}")
    return voice


def _program() -> str:
    if (program := shutil.which("flite")) is None:
        raise ModelError("flite is not installed: apt install flite")
    return program


async def _synthesise(sentence: str, voice: str) -> tuple[bytes, int]:
    command = (_program(), "-voice", voice, "-t", sentence.strip(), "-o", "/dev/stdout")
    process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL)
    try:
        async with asyncio.timeout(LONGEST_S):
            wave, _ = await process.communicate()
    except TimeoutError:
        raise ProviderError(f"flite took more than {LONGEST_S} s for a sentence") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode != 0 or len(wave) <= 44 or wave[:4] != b"RIFF":
        raise ProviderError(f"flite failed ({process.returncode}) on {sentence!r}")
    rate_hz: int = struct.unpack_from("<I", wave, 24)[0]
    return wave[44:], rate_hz
