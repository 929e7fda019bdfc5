"""Scripted fakes of the three models, for tests and simulations: what they hear and say is really in the audio.

    ScriptedStt    reads spelled speech (`testing.spelled`) from the PCM that it is given
    ScriptedTts    spells the sentences that it is given, with true word times
    ScriptedBrain  answers from a script: replies in turn, or a function of the history

They pass the same conformance suite as real providers. Delays are seconds of the loop's clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from offhook.agent.history import Heard, History, Keys
from offhook.call.feed import Feed
from offhook.call.protocols import Pause, Speech, Thought, Transcript
from offhook.call.rates import SteadyRate
from offhook.core.errors import ProviderError
from offhook.testing import spelled

if TYPE_CHECKING:
    from offhook.call.call import Call

Script = Sequence[Iterable[Thought] | str] | Callable[[History], Iterable[Thought] | str]
"""What a scripted brain says: one item a turn of the caller (the last is repeated), or a function of the history."""

TRANSCRIPTS = 1000
"""Transcripts that wait to be read; no turn has as many."""


class ScriptedStt:
    """An ear that reads spelled speech. `fails`: how many turns raise ProviderError before one is heard."""

    def __init__(self, *, delay_s: float = 0.1, interim: bool = False, fails: int = 0) -> None:
        self.delay_s = delay_s
        self.interim = interim
        self.fails = fails
        self.turns = 0

    @property
    def name(self) -> str:
        """The fake's name."""
        return "scripted"

    async def check(self) -> None:
        """Nothing can be wrong with it."""

    async def listen(
        self, audio: AsyncIterator[bytes | Pause], *, rate_hz: int = 8000, language: str = "en"
    ) -> AsyncIterator[Transcript]:
        """Read the letters of a turn; at each pause give all words so far."""
        self.turns += 1
        if self.fails:
            self.fails -= 1
            raise ProviderError("the scripted ear was told to fail")
        found: Feed[Transcript] = Feed(TRANSCRIPTS)
        reading = asyncio.create_task(self._read(audio, rate_hz, found))
        try:
            async for transcript in found:
                yield transcript
            await reading
        finally:
            reading.cancel()
            await asyncio.wait((reading,))

    async def _read(self, audio: AsyncIterator[bytes | Pause], rate_hz: int, found: Feed[Transcript]) -> None:
        reader, rate = spelled.Reader(), SteadyRate(spelled.RATE_HZ)
        since_pause = False
        try:
            async for piece in audio:
                if isinstance(piece, Pause):
                    since_pause = False
                    await asyncio.sleep(self.delay_s)
                    found.put(Transcript(reader.text, piece.number))
                    continue
                since_pause = True
                if " " in reader.push(rate.push(piece, rate_hz)) and self.interim:
                    found.put(Transcript(reader.text, None))
            if since_pause:
                found.put(Transcript(reader.text, None))
        finally:
            found.close()


class ScriptedTts:
    """A voice that spells. `fails_after`: raise ProviderError at that sentence (0: at once; None: never)."""

    def __init__(self, *, delay_s: float = 0.1, times: bool = True, fails_after: int | None = None) -> None:
        self.delay_s = delay_s
        self.times = times
        self.fails_after = fails_after
        self.spoken: list[str] = []

    @property
    def name(self) -> str:
        """The fake's name."""
        return "scripted"

    async def check(self) -> None:
        """Nothing can be wrong with it."""

    async def speak(self, sentences: AsyncIterator[str], *, voice: str | None = None) -> AsyncIterator[Speech]:
        """Spell each sentence, in two pieces."""
        number = 0
        async for sentence in sentences:
            if self.fails_after is not None and len(self.spoken) >= self.fails_after:
                raise ProviderError("the scripted voice was told to fail")
            await asyncio.sleep(self.delay_s)
            self.spoken.append(sentence)
            pcm = spelled.spell(sentence)
            words = tuple(spelled.word_times(sentence)) if self.times else ()
            half = len(pcm) // 4 * 2
            if half:
                yield Speech(number, pcm[:half], spelled.RATE_HZ, words)
            yield Speech(number, pcm[half:], spelled.RATE_HZ, last=True)
            number += 1


class ScriptedBrain:
    """A mind that knows its lines.

    `delay_s` passes before the first piece of a reply and `pace_s` between pieces; `fails`: how many replies raise
    ProviderError before one succeeds. `asked` keeps every history that it was given.
    """

    def __init__(self, script: Script, *, delay_s: float = 0.1, pace_s: float = 0.0, fails: int = 0) -> None:
        self.script = script
        self.delay_s = delay_s
        self.pace_s = pace_s
        self.fails = fails
        self.asked: list[History] = []

    @property
    def name(self) -> str:
        """The fake's name."""
        return "scripted"

    async def check(self) -> None:
        """Nothing can be wrong with it."""

    async def reply(self, history: History, call: Call) -> AsyncIterator[Thought]:
        """Say the lines of this turn of the caller."""
        self.asked.append(history)
        await asyncio.sleep(self.delay_s)
        if self.fails:
            self.fails -= 1
            raise ProviderError("the scripted brain was told to fail")
        if callable(self.script):
            lines = self.script(history)
        else:
            turns = sum(isinstance(entry, Heard | Keys) for entry in history)
            lines = self.script[min(max(turns, 1), len(self.script)) - 1] if self.script else ()
        for thought in [lines] if isinstance(lines, str) else lines:
            yield thought
            await asyncio.sleep(self.pace_s)
