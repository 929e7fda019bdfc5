"""One run: from the brain's pieces of text to sound on the leg.

    Brain ─► think ─► sentences ─► [stretch | stretch] ─► speak ─► Tts ─► mouthpiece ─► leg
               │ tools wait for Commit                       │ sound waits for Commit

Where the far end's service speaks, a sentence goes on piece by piece, as the brain makes it.

A stretch is speech without a break: it ends where a tool begins, so that what was said before the tool is heard while
it works. Each stretch is one utterance of the leg. Thinking and speaking are two tasks, so that neither waits for the
other but by the bound of the feed between them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from typing import assert_never

from offhook.agent import inputs
from offhook.agent.sentences import Phrase, Sentences
from offhook.call.feed import Feed, closing
from offhook.call.mouthpiece import Mouthpiece
from offhook.call.protocols import Speech, Thought, ToolBegan, ToolDone, Tts
from offhook.call.reports import Reports
from offhook.core.errors import ConfigError
from offhook.core.ids import Turn

PHRASES = 8000
"""Sentences, or pieces of them, of one run that wait for the voice; no reply is as long."""


class _Break:
    """Between two stretches."""


_BREAK = _Break()

RUN: ContextVar[Speaking | None] = ContextVar("offhook_run", default=None)
"""The run whose thinking brought us here, for what its brain calls."""


class Speaking:
    """A run of the conversation, carried out."""

    def __init__(
        self, turn: Turn, number: int, tell: Callable[[inputs.Input], None], reports: Reports, *, eager: bool
    ) -> None:
        self.turn = turn
        self.number = number
        self.ticket = 0
        self.committed = asyncio.Event()
        self.stopped = False
        self.tasks: list[asyncio.Task[None]] = []
        self._tell = tell
        self._reports = reports
        self._feed: Feed[tuple[int, str] | _Break] = Feed(PHRASES)
        self._cutter = Sentences(eager=eager)
        self._sentence = 0
        self._text = ""
        self._fresh = True
        self._spoke = False

    # Thinking

    async def think(self, thoughts: AsyncIterator[Thought]) -> None:
        """Carry a brain's thoughts to the voice and to the conversation."""
        RUN.set(self)
        cutter = self._cutter
        async with closing(thoughts) as stream:
            async for thought in stream:
                match thought:
                    case str():
                        if self._fresh:
                            self._fresh = False
                            self._reports.first_token(self.turn)
                        self._phrase(cutter.push(thought))
                    case ToolBegan():
                        self._phrase(cutter.flush())
                        await self.committed.wait()
                        if thought.saying and not self._spoke:
                            self._phrase([*cutter.push(thought.saying), *cutter.flush()])
                        self._feed.put(_BREAK)
                        self._spoke = False
                        self._tell(
                            inputs.ToolBegan(
                                self.turn, self.number, thought.call_id, thought.name, dict(thought.arguments)
                            )
                        )
                    case ToolDone():
                        self._tell(inputs.ToolDone(self.turn, thought.call_id, thought.result, thought.failed))
                    case _:
                        assert_never(thought)
        self._phrase(cutter.flush())
        self._feed.close()

    def say(self, text: str, *, rendered: bool = False) -> None:
        """Take a whole text, at once and for good. One that is `rendered` is not cut into sentences."""
        self.committed.set()
        self._phrase([Phrase(text)] if rendered else [*self._cutter.push(text), *self._cutter.flush()])
        self._feed.close()

    def _phrase(self, phrases: list[Phrase]) -> None:
        for phrase in phrases:
            self._spoke = True
            self._text += phrase.text
            self._tell(inputs.Phrased(self.turn, self.number, self._sentence, self._text.strip(), phrase.last))
            if phrase.text:
                self._feed.put((self._sentence, phrase.text))
            if phrase.last:
                self._sentence += 1
                self._text = ""

    # Speaking

    async def speak(
        self,
        tts: Tts | None,
        voice: str | None,
        mouthpiece: Mouthpiece,
        rendered: Callable[[str], tuple[Speech, ...] | None],
    ) -> None:
        """Speak the sentences as they come, stretch by stretch. ProviderError or ModelError from the Tts."""
        async for first in self._feed:
            if isinstance(first, _Break):
                continue
            numbers: list[int] = []
            known = rendered(first[1])
            if known is not None:
                numbers.append(first[0])
                await self._sound(_given(known), numbers, mouthpiece)
            elif tts is None:
                raise ConfigError("there is no voice: configure one ([models] tts), or play audio yourself")
            else:
                await self._sound(tts.speak(self._stretch(first, numbers), voice=voice), numbers, mouthpiece)
        self._tell(inputs.Replied(self.turn, self.number))

    async def _stretch(self, first: tuple[int, str], numbers: list[int]) -> AsyncIterator[str]:
        numbers.append(first[0])
        yield first[1]
        async for item in self._feed:
            if isinstance(item, _Break):
                return
            numbers.append(item[0])
            yield item[1]

    async def _sound(self, pieces: AsyncIterator[Speech], numbers: list[int], mouthpiece: Mouthpiece) -> None:
        utterance = 0
        sentence, length = -1, 0.0
        words: tuple[tuple[str, int], ...] = ()
        try:
            async with closing(pieces) as stream:
                async for piece in stream:
                    begins = utterance == 0
                    if begins:
                        await self.committed.wait()
                        utterance = await mouthpiece.begin()
                    number = numbers[min(piece.sentence, len(numbers) - 1)]
                    if number != sentence:
                        sentence, length, words = number, 0.0, ()
                    length += piece.duration_ms
                    words = piece.words or words
                    self._tell(
                        inputs.Voiced(self.turn, self.number, number, utterance, round(length), words, piece.last)
                    )
                    if begins:
                        self._reports.first_audio(self.turn, utterance)
                    await mouthpiece.speak(utterance, piece, marked=begins)
        finally:
            if utterance:
                mouthpiece.finish(utterance)


async def _given(pieces: tuple[Speech, ...]) -> AsyncIterator[Speech]:
    for piece in pieces:
        yield piece
