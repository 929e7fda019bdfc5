"""A stage on which conversations are played as timed scripts: milliseconds, a caller, a voice of 50 ms a letter."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from offhook import _native as native
from offhook.agent import inputs, orders
from offhook.agent.conversation import Conversation
from offhook.agent.manners import Manners
from offhook.agent.sentences import split
from offhook.core.instants import MILLISECOND, SECOND
from offhook.core.signals import Connected, HungUp

START = 1_000 * SECOND
LETTER_MS = 50
LAG_MS = 60
ONSET_MS = 60
HANGOVER_MS = 200
STT_MS = 100
LLM_MS = 200


class Stage:
    """Plays the rest of the world to one Conversation. Times are milliseconds from the answer of the call."""

    def __init__(self, manners: Manners | None = None, **settings: Any) -> None:
        self.conversation = Conversation(manners or Manners(), **settings)
        self.ms = 0
        self.log: list[tuple[int, orders.Order]] = []
        self.lines: dict[str, str] = {}
        """What the brain answers to which words of the caller; "…" answers to all others."""
        self.words = ""
        self.stt_ms = STT_MS
        self.mute = False
        """The voice is asked and never sounds."""
        self.deaf = False
        """Nobody says what was heard of a hushed utterance."""
        self._todo: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = itertools.count()
        self._utterance = 0
        self._free_at = 0
        self._sounding: dict[int, tuple[int, int]] = {}
        self._replies: dict[int, list[str]] = {}
        self._stopped: set[int] = set()

    # The script

    def answered(self, *, flowing: bool = True) -> Stage:
        self.tell(Connected(self.now))
        if flowing:
            self.tell(native.Flowing(0, 0, self.now))
        return self

    def caller_speaks(self, begin_ms: int, end_ms: int, words: str = "", *, interim: str = "") -> Stage:
        """From `begin_ms` to `end_ms`; `words` are those of the whole turn up to here."""
        self.at(begin_ms + ONSET_MS, self._began, begin_ms)
        if interim:
            self.at((begin_ms + end_ms) // 2, self._interim, interim)
        self.at(end_ms + HANGOVER_MS, self._ended, end_ms, words)
        return self

    def hears_late(self, ms: int) -> Stage:
        """The ear takes so long."""
        self.stt_ms = ms
        return self

    def caller_presses(self, ms: int, keys: str) -> Stage:
        for key in keys:
            self.at(ms, lambda key: self.tell(native.Digit(0, 0, self.now, key)), key)
        return self

    def at(self, ms: int, do: Callable[..., None], *facts: Any) -> Stage:
        heapq.heappush(self._todo, (ms, next(self._order), do, facts))
        return self

    def tells(self, ms: int, given: Callable[[int], Any]) -> Stage:
        """At `ms` the conversation is told what `given` makes of now."""
        return self.at(ms, lambda: self.tell(given(self.now)))

    def hangs_up(self, ms: int) -> Stage:
        return self.tells(ms, lambda now: HungUp(now, 200, "remote_hangup"))

    def until(self, ms: int) -> Stage:
        """Let time pass: whatever is told comes before a deadline of the same instant."""
        while True:
            due = self.conversation.deadline()
            due_ms = None if due is None else max(self.ms, -((START - due) // MILLISECOND))
            told_ms = self._todo[0][0] if self._todo else None
            upcoming = min((one for one in (due_ms, told_ms) if one is not None), default=None)
            if upcoming is None or upcoming > ms:
                self.ms = ms
                return self
            self.ms = max(self.ms, upcoming)
            if told_ms is not None and told_ms <= upcoming:
                _, _, do, facts = heapq.heappop(self._todo)
                do(*facts)
            else:
                self._obey(self.conversation.expire(self.now))
                again = self.conversation.deadline()
                assert again is None or again > self.now, "a deadline that was served is still there"

    # What came of it

    @property
    def now(self) -> int:
        return START + self.ms * MILLISECOND

    def of(self, *kinds: type) -> list[Any]:
        """All orders of these kinds."""
        return [order for _, order in self.log if isinstance(order, kinds)]

    def when(self, kind: type, number: int = 0) -> int:
        """When an order of this kind was given."""
        return [ms for ms, order in self.log if isinstance(order, kind)][number]

    @property
    def said(self) -> list[str]:
        return [order.text for order in self.of(orders.Say)]

    @property
    def transcript(self) -> list[str]:
        return self.conversation.history.transcript().splitlines()

    # The world

    def tell(self, given: Any) -> None:
        self._obey(self.conversation.feed(self.now, given))

    def _obey(self, given: list[orders.Order]) -> None:
        for order in given:
            self.log.append((self.ms, order))
            match order:
                case orders.Transcribe(turn=turn, pause=pause):
                    self.at(self.ms + self.stt_ms, self.tell, inputs.Transcribed(turn, pause, self.words))
                case orders.Reply(turn=turn, run=run, history=history):
                    answer = self.lines.get(history.last_heard(), "…" if self.lines else "")
                    self.at(self.ms + LLM_MS, self._phrase, turn, run, split(answer) if answer != "…" else ["Well."])
                case orders.Commit(turn=turn, run=run):
                    if run in self._replies:
                        self._voice(turn, run, self._replies.pop(run))
                    else:
                        self._replies[-run] = []
                case orders.Say(turn=turn, run=run, text=text):
                    if text:
                        sentences = split(text)
                        for number, sentence in enumerate(sentences):
                            self.tell(inputs.Phrased(turn, run, number, sentence))
                        self._voice(turn, run, sentences)
                case orders.Stop(run=run):
                    self._stopped.add(run)
                case orders.Hush():
                    self._hush()
                case _:
                    pass

    def _phrase(self, turn: Any, run: int, sentences: list[str]) -> None:
        if run in self._stopped or not sentences:
            return
        for number, sentence in enumerate(sentences):
            self.tell(inputs.Phrased(turn, run, number, sentence))
        if -run in self._replies:
            self._voice(turn, run, sentences)
        else:
            self._replies[run] = sentences

    def _voice(self, turn: Any, run: int, sentences: list[str]) -> None:
        if self.mute or run in self._stopped:
            return
        self._utterance += 1
        begin = max(self.ms, self._free_at)
        length = 0
        for number, sentence in enumerate(sentences):
            duration = len(sentence) * LETTER_MS
            voiced = inputs.Voiced(turn, run, number, self._utterance, duration, last=True)
            self.tell(voiced)
            length += duration
        self._sounding[self._utterance] = (begin, length)
        self._free_at = begin + length
        self.tell(inputs.Replied(turn, run))
        self.at(begin + length + LAG_MS, self._played, self._utterance)

    def _played(self, utterance: int) -> None:
        if self._sounding.pop(utterance, None) is not None:
            self.tell(native.Played(0, 0, self.now, utterance, 0))

    def _hush(self) -> None:
        self._free_at = self.ms
        for utterance, (begin, length) in list(self._sounding.items()):
            del self._sounding[utterance]
            heard = min(length, max(0, self.ms - begin - LAG_MS))
            if not self.deaf:
                self.at(self.ms + 10, self.tell, native.Cut(0, 0, self.now, utterance, 1, heard + LAG_MS, heard))

    def _began(self, at_ms: int) -> None:
        self.tell(native.SpeechBegan(0, 0, START + at_ms * MILLISECOND))

    def _ended(self, at_ms: int, words: str) -> None:
        self.words = words
        self.tell(native.SpeechEnded(0, 0, START + at_ms * MILLISECOND, HANGOVER_MS))

    def _interim(self, words: str) -> None:
        self.tell(inputs.Transcribed(self.conversation.turn, None, words))


@pytest.fixture
def stage() -> Callable[..., Stage]:
    return Stage
