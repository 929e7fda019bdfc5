"""A caller whose service hears and speaks for them: what `testing.callers.Caller` is where there is no audio.

    caller.says, presses ─► the service's words for it      what we have it speak ─► at a letter's pace ─► caller.heard

The verbs are `Caller`'s, so that one story is told over audio and over words.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from typing import Final

from offhook.core.errors import CallEnded
from offhook.testing.callers import QUIET_S, NotHeard
from offhook.testing.fake_relay import FakeRelay
from offhook.testing.spelled import fold

LOOK_S: Final = 0.02
LETTER_S: Final = 0.06
"""How long a letter takes to say."""


class WordCaller(ABC):
    """One call of such a caller."""

    def __init__(self) -> None:
        self._taken = 0

    @property
    @abstractmethod
    def heard(self) -> str:
        """All that the caller has heard so far, folded."""

    @property
    @abstractmethod
    def over(self) -> bool:
        """Whether the call has ended."""

    @property
    @abstractmethod
    def speaking(self) -> bool:
        """Whether something is being said to the caller."""

    @abstractmethod
    async def says(self, text: str) -> None:
        """Say words; returns when they are said. CallEnded if the call is over."""

    @abstractmethod
    def presses(self, keys: str) -> None:
        """Press keys."""

    @abstractmethod
    async def hangs_up(self) -> None:
        """End the call."""

    async def hears(self, text: str, *, within_s: float = 15.0) -> str:
        """Wait until `text` was said, after what was waited for before. NotHeard if it was not in time."""
        wanted = fold(text)
        waited = 0.0
        while (at := self.heard.find(wanted, self._taken)) < 0:
            if waited > within_s or self.over:
                raise NotHeard(f"waited {waited:.1f} s for {wanted!r}, heard {self.heard[self._taken :]!r}")
            await asyncio.sleep(LOOK_S)
            waited += LOOK_S
        before, self._taken = self._taken, at + len(wanted)
        return self.heard[before : self._taken].strip()

    async def waits(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)

    async def hears_out(self, *, quiet_s: float = QUIET_S, within_s: float = 30.0) -> str:
        """Wait until something was said and nothing more is; give it."""
        before, quiet, waited = self._taken, 0.0, 0.0
        while not self.over and waited < within_s and (quiet < quiet_s or len(self.heard) <= before):
            await asyncio.sleep(LOOK_S)
            waited += LOOK_S
            quiet = 0.0 if self.speaking else quiet + LOOK_S
        self._taken = len(self.heard)
        return self.heard[before:].strip()

    async def gone(self, *, within_s: float = 90.0) -> None:
        """Wait until the call is over. TimeoutError if it goes on."""
        async with asyncio.timeout(within_s):
            while not self.over:  # noqa: ASYNC110 - what ends a call is many things, and time is virtual
                await asyncio.sleep(LOOK_S)


class RelayCaller(WordCaller):
    """A caller over ConversationRelay."""

    def __init__(self, relay: FakeRelay) -> None:
        super().__init__()
        self.relay = relay
        self.ended = False
        self._before = ""

    def goes_on(self, relay: FakeRelay) -> None:
        """Be in another session from here on."""
        self._before, self.relay = f"{self._before} {self.relay.heard_text}", relay

    @property
    def heard(self) -> str:
        """All that was spoken."""
        return fold(f"{self._before} {self.relay.heard_text}")

    @property
    def over(self) -> bool:
        """Whether the call has ended."""
        return self.ended

    @property
    def speaking(self) -> bool:
        """Whether something is being said."""
        return self.relay.speaking

    async def says(self, text: str) -> None:
        """Say words, over ours if they are being spoken."""
        if self.over:
            raise CallEnded("the call is over")
        self.relay.says(text)
        await asyncio.sleep(len(text) * LETTER_S)

    def presses(self, keys: str) -> None:
        """Press keys."""
        self.relay.presses(keys)

    async def hangs_up(self) -> None:
        """Go."""
        self.relay.hangs_up()
        await self.gone()


class TurnCaller(WordCaller):
    """A caller whose service asks us after each turn: what is spoken is spoken, what is said or pressed waits."""

    def __init__(self) -> None:
        super().__init__()
        self.spoken: list[str] = []
        self.inputs: deque[tuple[str, str]] = deque()
        """What was said or pressed and not brought to us yet: `said` or `keys`, and what."""
        self.ended = False
        self._speaking = False
        self._changed = asyncio.Event()

    @property
    def heard(self) -> str:
        """All that was spoken."""
        return fold(" ".join(self.spoken))

    @property
    def over(self) -> bool:
        """Whether the call has ended."""
        return self.ended

    @property
    def speaking(self) -> bool:
        """Whether something is being said."""
        return self._speaking

    async def says(self, text: str) -> None:
        """Say words; over what is being spoken they end it, where that may be ended."""
        if self.over:
            raise CallEnded("the call is over")
        await asyncio.sleep(len(text) * LETTER_S)
        self._put("said", text)

    def presses(self, keys: str) -> None:
        """Press keys."""
        self._put("keys", keys)

    async def hangs_up(self) -> None:
        """Go."""
        self.ended = True
        self._changed.set()

    def _put(self, kind: str, what: str) -> None:
        self.inputs.append((kind, what))
        self._changed.set()

    # For the service

    async def hear(self, text: str, *, interruptible: bool) -> None:
        """Hear a text spoken, word by word, until the end or, where it may be, until the caller says something."""
        self._speaking = True
        for word in text.split():
            if self.ended or (interruptible and self.inputs):
                break
            self.spoken.append(word)
            await asyncio.sleep(len(word) * LETTER_S)
        self._speaking = False

    async def input(self, timeout_s: float) -> tuple[str, str] | None:
        """Wait for what is said or pressed; None where it is nothing."""
        try:
            async with asyncio.timeout(timeout_s):
                while not self.inputs and not self.ended:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return None
        return self.inputs.popleft() if self.inputs else None
