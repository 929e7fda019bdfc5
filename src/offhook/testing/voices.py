"""An ear and a voice of simulated agents: providers over spelled speech, with a seeded slowness and seeded failures.

      caller's audio as it came ─► SpelledStt ─► letters that can still be read
      sentences ─────────────────► SpelledTts ─► PCM at 8 kHz with true word times

A real service is late, stalls and fails; so do these, by `Slowness`, and never by a real clock: they sleep on the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from random import Random
from typing import Final

from offhook.core.errors import ProviderError
from offhook.providers import Pause, Speech, Transcript
from offhook.testing.spelled import RATE_HZ, Reader, spell, word_times

PIECE_MS: Final = 200
"""A voice comes in pieces of this length."""


@dataclass(frozen=True, slots=True)
class Slowness:
    """How slow a provider is: uniform in seconds, with chances of a long stall and of an error."""

    least_s: float = 0.0
    most_s: float = 0.0
    stall: float = 0.0
    stall_s: float = 5.0
    fail: float = 0.0

    async def wait(self, rng: Random) -> None:
        """Take as long as this provider takes. ProviderError where it fails."""
        delay_s = rng.uniform(self.least_s, self.most_s)
        stalled, failed = rng.random() < self.stall, rng.random() < self.fail
        if stalled:
            delay_s += self.stall_s
        if delay_s > 0:
            await asyncio.sleep(delay_s)
        if failed:
            raise ProviderError("the simulated service failed")


PROMPT: Final = Slowness()
"""Answers at once, always."""


class SpelledStt:
    """Hears what is spelled in the audio. Audio at 16 kHz is taken every second sample."""

    def __init__(self, rng: Random | None = None, slowness: Slowness = PROMPT) -> None:
        self._rng = rng or Random(0)
        self._slowness = slowness

    @property
    def name(self) -> str:
        """Give the name."""
        return "spelled"

    async def check(self) -> None:
        """Be always well."""

    async def listen(
        self, audio: AsyncIterator[bytes | Pause], *, rate_hz: int = RATE_HZ, language: str = "en"
    ) -> AsyncIterator[Transcript]:
        """Hear one turn; a transcript at each pause."""
        reader = Reader()
        async for item in audio:
            if isinstance(item, Pause):
                await self._slowness.wait(self._rng)
                yield Transcript(reader.text, item.number)
            else:
                reader.push(item if rate_hz == RATE_HZ else _halved(item))


class SpelledTts:
    """Speaks by spelling."""

    def __init__(self, rng: Random | None = None, slowness: Slowness = PROMPT) -> None:
        self._rng = rng or Random(0)
        self._slowness = slowness

    @property
    def name(self) -> str:
        """Give the name."""
        return "spelled"

    async def check(self) -> None:
        """Be always well."""

    async def speak(self, sentences: AsyncIterator[str], *, voice: str | None = None) -> AsyncIterator[Speech]:
        """Speak sentences in order, each as soon as it comes."""
        number = 0
        async for sentence in sentences:
            await self._slowness.wait(self._rng)
            pcm = spell(sentence)
            times = word_times(sentence)
            step = PIECE_MS * RATE_HZ // 1000 * 2
            pieces = [pcm[start : start + step] for start in range(0, len(pcm), step)] or [b""]
            for index, piece in enumerate(pieces):
                begin, end = index * PIECE_MS, (index + 1) * PIECE_MS
                words = tuple((word, at) for word, at in times if begin <= at < end)
                yield Speech(number, piece, RATE_HZ, words, last=index == len(pieces) - 1)
            number += 1


def _halved(pcm: bytes) -> bytes:
    return b"".join(pcm[at : at + 2] for at in range(0, len(pcm) - 1, 4))
