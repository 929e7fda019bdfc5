"""Providers with moods: any ear, voice or mind, made slow, stalling and failing by a seed.

A real service is late, stalls and breaks. So do these, as `Mood` says, and on the loop's clock, so that in virtual time
an hour of outages costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from offhook.call.protocols import Brain, Pause, Speech, Stt, Thought, Transcript, Tts
from offhook.core.errors import ProviderError

if TYPE_CHECKING:
    from offhook.agent.history import History
    from offhook.call.call import Call


@dataclass(frozen=True, slots=True)
class Mood:
    """How slow a provider is: uniform in seconds, with the chances of a long stall and of an error."""

    least_s: float = 0.0
    most_s: float = 0.0
    stall: float = 0.0
    stall_s: float = 5.0
    fail: float = 0.0

    async def wait(self, rng: Random) -> None:
        """Take as long as this provider takes. ProviderError where it fails."""
        delay_s, stalls, fails = rng.uniform(self.least_s, self.most_s), rng.random(), rng.random()
        await asyncio.sleep(delay_s + (self.stall_s if stalls < self.stall else 0.0))
        if fails < self.fail:
            raise ProviderError("the simulated service failed")


class MoodyStt:
    """An ear in a mood: each transcript is late."""

    def __init__(self, inner: Stt, mood: Mood, rng: Random) -> None:
        self._inner = inner
        self._mood = mood
        self._rng = rng

    @property
    def name(self) -> str:
        """The name of the ear within."""
        return self._inner.name

    async def check(self) -> None:
        """Check the ear within."""
        await self._inner.check()

    async def listen(
        self, audio: AsyncIterator[bytes | Pause], *, rate_hz: int = 8000, language: str = "en"
    ) -> AsyncIterator[Transcript]:
        """Hear one turn, later."""
        async for transcript in self._inner.listen(audio, rate_hz=rate_hz, language=language):
            await self._mood.wait(self._rng)
            yield transcript


class MoodyTts:
    """A voice in a mood: each sentence is late."""

    def __init__(self, inner: Tts, mood: Mood, rng: Random) -> None:
        self._inner = inner
        self._mood = mood
        self._rng = rng

    @property
    def name(self) -> str:
        """The name of the voice within."""
        return self._inner.name

    async def check(self) -> None:
        """Check the voice within."""
        await self._inner.check()

    async def speak(self, sentences: AsyncIterator[str], *, voice: str | None = None) -> AsyncIterator[Speech]:
        """Speak, later."""
        begun = -1
        async for piece in self._inner.speak(sentences, voice=voice):
            if piece.sentence != begun:
                begun = piece.sentence
                await self._mood.wait(self._rng)
            yield piece


class MoodyBrain:
    """A mind in a mood: its first thought is late."""

    def __init__(self, inner: Brain, mood: Mood, rng: Random) -> None:
        self._inner = inner
        self._mood = mood
        self._rng = rng

    @property
    def name(self) -> str:
        """The name of the mind within."""
        return self._inner.name

    async def check(self) -> None:
        """Check the mind within."""
        await self._inner.check()

    async def reply(self, history: History, call: Call) -> AsyncIterator[Thought]:
        """Answer, later."""
        await self._mood.wait(self._rng)
        async for thought in self._inner.reply(history, call):
            yield thought
