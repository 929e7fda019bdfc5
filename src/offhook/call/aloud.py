"""How much of our words was heard, where a service speaks them: on a clock of letters, set right by what it tells.

    say ─► ▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇ 65 ms a letter ─► heard, when the clock or the service says so
                  ▲ "… as far as here": the letters that are found again say how much of each utterance was heard

A service spells what was heard in its own way (blanks, capitals, signs): only letters and digits are compared.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from offhook.agent.mouth import LETTER_MS
from offhook.core.instants import MILLISECOND, Instant
from offhook.core.signals import Interrupted

START_MS: Final = 300
"""What a service needs to begin to speak."""
TRUST_MS: Final = 8000
"""A service that tells when words were heard is believed for so long behind the clock."""
BEFORE: Final = 4000
"""Letters that were heard before and are kept, since a service may count from the last turn on."""


@dataclass(slots=True)
class _Said:
    """An utterance: its pieces, when the clock expects its end, and whether it is complete."""

    number: int
    until: Instant
    pieces: list[str] = field(default_factory=list[str])
    ended: bool = False


class Aloud:
    """The utterances that a service is speaking, oldest first."""

    def __init__(self) -> None:
        self._said: deque[_Said] = deque()
        self._until: Instant = 0
        self._before = ""
        self._told = False

    def say(self, now: Instant, utterance: int, text: str) -> None:
        """A piece of an utterance goes to the service."""
        if now >= self._until:
            self._until = now + START_MS * MILLISECOND
        self._until += len(text) * LETTER_MS * MILLISECOND
        if not self._said or self._said[-1].number != utterance:
            self._said.append(_Said(utterance, self._until))
        self._said[-1].pieces.append(text)
        self._said[-1].until = self._until

    def end(self, utterance: int) -> None:
        """An utterance is complete."""
        for one in self._said:
            one.ended = one.ended or one.number == utterance

    def reworded(self, utterance: int, asked: str, said: str) -> None:
        """A stretch of an utterance was spoken in other words."""
        for one in self._said:
            text = "".join(one.pieces)
            if one.number == utterance and asked in text:
                one.pieces = [text.replace(asked, said, 1)]

    @property
    def due(self) -> Instant | None:
        """When the oldest utterance counts as heard; None while it is not complete."""
        if not self._said or not self._said[0].ended:
            return None
        return self._said[0].until + (TRUST_MS * MILLISECOND if self._told else 0)

    def heard(self, now: Instant) -> list[int]:
        """Give, and forget, what was heard by now."""
        heard: list[int] = []
        while (due := self.due) is not None and due <= now:
            heard.append(self._pop())
        return heard

    def uttered(self, now: Instant, utterance: int) -> list[int]:
        """The service has spoken this one to its end: give it and all before it that are complete."""
        self._told = True
        heard: list[int] = []
        while self._said and self._said[0].ended and self._said[0].number <= utterance:
            heard.append(self._pop())
        if not self._said:
            self._until = min(self._until, now)
        return heard

    def cut(self, now: Instant, told: Interrupted | None, *, dropped: bool) -> list[tuple[int, int]]:
        """Nothing more of it is spoken: give (utterance, heard_ms) of each.

        `told` is what the service says of it. Without, what was not `dropped` will be heard in full.
        """
        left = sum(len(piece) for one in self._said for piece in one.pieces)
        if told is not None and told.heard is not None:
            left = self._find(told.heard, told.heard_ms, left)
        elif told is not None and told.heard_ms is not None:
            left = min(left, told.heard_ms // LETTER_MS)
        elif told is not None or dropped:
            left -= max(0, self._until - now) // (LETTER_MS * MILLISECOND)
        left = max(0, left)
        cut: list[tuple[int, int]] = []
        while self._said:
            length = sum(map(len, self._said[0].pieces))
            cut.append((self._said[0].number, min(left, length) * LETTER_MS))
            left = max(0, left - length)
            self._pop()
        self._until = min(self._until, now) if told is not None or dropped else self._until
        return cut

    def _find(self, heard: str, heard_ms: int | None, length: int) -> int:
        """Give how many characters of what is being spoken were heard, by the words that were."""
        text = "".join(piece for one in self._said for piece in one.pieces)
        ours, wanted = _plain(text), _plain(heard)
        if not wanted:
            return 0 if not heard_ms else min(length, heard_ms // LETTER_MS)
        at = (self._before + ours).find(wanted, max(0, len(self._before) - len(wanted) + 1))
        if at < 0:  # all that was heard was heard before, or it is spelled in another way
            if self._before.rfind(wanted) >= 0:
                return 0
            return min(length, len(heard) if heard_ms is None else heard_ms // LETTER_MS)
        count = at + len(wanted) - len(self._before)
        return _end_of(text, count)

    def _pop(self) -> int:
        one = self._said.popleft()
        self._before = (self._before + _plain("".join(one.pieces)))[-BEFORE:]
        return one.number


def _plain(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))


def _end_of(text: str, count: int) -> int:
    """Give where so many plain letters of a text end, with the signs that end their word."""
    for at, character in enumerate(text):
        if count <= 0 and (character.isalnum() or character.isspace()):
            return at
        count -= len(_plain(character))
    return len(text)
