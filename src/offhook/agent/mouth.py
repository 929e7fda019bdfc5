"""What we are saying and how much of it was heard.

    run ─┬─ sentence ─ sentence ─┬─ tool ─┬─ sentence ─ …          pieces, in the order in which the brain made them
         └───── utterance 1 ─────┘        └─ utterance 2 …         stretches of sound on the leg

A piece enters the history when it and all before it in its run are settled: a sentence when its utterance was played
or cut, a tool when it was started. On a cut, the words that were heard are those whose end passed the play-out clock:
by the voice's word times where they are known, else in proportion to the sentence's audio, at a word's end.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from offhook.agent.history import Entry, Said, ToolUse
from offhook.agent.inputs import ToolBegan, Voiced
from offhook.core.ids import Turn
from offhook.core.instants import MILLISECOND, Instant

LETTER_MS = 65
"""How long a letter takes to say, about, where a sentence's audio is not complete."""
LAG_MS = 60
"""What the far end's buffer holds, where only the clock tells what was heard."""


@dataclass(slots=True)
class Sentence:
    """A sentence: `utterance` is 0 until its audio begins; `heard` is None until that is settled."""

    text: str
    utterance: int = 0
    began_at: Instant = 0
    duration_ms: int = 0
    complete: bool = False
    words: tuple[tuple[str, int], ...] = ()
    heard: str | None = None

    def length_ms(self) -> int:
        """Give its length, by the letters where its audio is not complete."""
        return self.duration_ms if self.complete else max(self.duration_ms, len(self.text) * LETTER_MS)


@dataclass(slots=True)
class Run:
    """One task that speaks."""

    turn: Turn
    number: int
    ticket: int = 0
    committed: bool = False
    replied: bool = False
    stopped: bool = False
    quiet: bool = False
    """A run of sound that the author plays: it leaves no words."""
    pieces: list[Sentence | ToolUse] = field(default_factory=list["Sentence | ToolUse"])
    sentences: dict[int, Sentence] = field(default_factory=dict[int, Sentence])
    noted: int = 0
    said: list[str] = field(default_factory=list[str])
    whole: bool = True
    tools: set[str] = field(default_factory=set[str])

    @property
    def sounding(self) -> bool:
        """Whether audio of it is on its way to the caller."""
        return any(sentence.utterance and sentence.heard is None for sentence in self.sentences.values())

    @property
    def over(self) -> bool:
        """Whether nothing will come of it any more."""
        return (self.replied or self.stopped) and all(one.heard is not None for one in self.sentences.values())


class Mouth:
    """All runs that are not over, and what of them was heard."""

    __slots__ = ("_asked", "runs", "unheard")

    def __init__(self) -> None:
        self.runs: dict[int, Run] = {}
        self.unheard: list[str] = []
        """Sentences that a cut kept from the caller, to be said again if it was no interruption."""
        self._asked = False

    def open(self, turn: Turn, number: int, *, committed: bool = False, ticket: int = 0) -> Run:
        """Begin a run."""
        run = self.runs[number] = Run(turn, number, ticket, committed)
        return run

    def drop(self, number: int) -> None:
        """Forget a run that never sounded."""
        self.runs.pop(number, None)

    @property
    def busy(self) -> list[Run]:
        """The committed runs, oldest first."""
        return [run for run in self.runs.values() if run.committed]

    @property
    def sounding(self) -> bool:
        """Whether the caller hears us, or soon will."""
        return any(run.sounding for run in self.runs.values())

    @property
    def speaking(self) -> bool:
        """Whether there is anything to say that was not settled: audio on its way, or words that wait for a voice."""
        return any(
            any(one.heard is None for one in run.sentences.values()) or (not run.replied and not run.tools)
            for run in self.busy
            if not run.stopped
        )

    @property
    def asked(self) -> bool:
        """Whether what the caller heard last, or hears now, is a question."""
        voiced = [one.text for run in self.busy for one in run.sentences.values() if one.utterance]
        return any(text.rstrip().endswith("?") for text in voiced) if voiced else self._asked

    def phrased(self, number: int, sentence: int, text: str) -> None:
        """A run made a sentence."""
        run = self.runs.get(number)
        if run is not None and not run.stopped and sentence not in run.sentences:
            run.sentences[sentence] = one = Sentence(text)
            run.pieces.append(one)

    def voiced(self, now: Instant, given: Voiced) -> None:
        """Audio of a sentence is queued."""
        run = self.runs.get(given.run)
        one = run.sentences.get(given.sentence) if run else None
        if one is None or one.heard is not None:
            return
        if not one.utterance:
            one.began_at = now
        one.utterance = given.utterance
        one.duration_ms = given.duration_ms
        one.complete = given.last
        one.words = given.words or one.words

    def began(self, given: ToolBegan) -> ToolUse | None:
        """A run started a tool; None if it was known."""
        run = self.runs.get(given.run)
        if run is None or any(isinstance(one, ToolUse) and one.call_id == given.call_id for one in run.pieces):
            return None
        use = ToolUse(given.turn, given.call_id, given.name, given.arguments)
        run.pieces.append(use)
        run.tools.add(given.call_id)
        return use

    def tool(self, call_id: str) -> tuple[Run | None, ToolUse | None]:
        """Give the use of a tool by its id, and the run that began it, if that is not over."""
        for run in self.runs.values():
            for one in run.pieces:
                if isinstance(one, ToolUse) and one.call_id == call_id:
                    return run, one
        return None, None

    def done(self, given: ToolUse) -> None:
        """A tool is done: its piece, if it is not in the history yet, gets the result."""
        for run in self.runs.values():
            run.tools.discard(given.call_id)
            run.pieces = [
                given if isinstance(one, ToolUse) and one.call_id == given.call_id else one for one in run.pieces
            ]

    def played(self, utterance: int) -> None:
        """An utterance was heard in full."""
        for run in self.runs.values():
            for one in run.sentences.values():
                if one.utterance == utterance and one.heard is None:
                    one.heard = one.text
                    self._asked = one.text.rstrip().endswith("?")

    def cut(self, utterance: int, heard_ms: int) -> None:
        """Of an utterance, so much audio was heard and no more will be."""
        for run in self.runs.values():
            left = heard_ms
            for one in run.sentences.values():
                if one.utterance != utterance or one.heard is not None:
                    continue
                length = one.length_ms()
                one.heard = one.text if left >= length else heard_words(one, max(0, left))
                if one.heard != one.text:
                    run.whole = False
                    self.unheard.append(one.text)
                left -= length
                self._asked = False

    def stop(self, run: Run) -> None:
        """A run is cancelled: what has no audio yet never will."""
        run.stopped = True
        for one in run.sentences.values():
            if not one.utterance and one.heard is None:
                one.heard = ""
                run.whole = False
                if one.text:
                    self.unheard.append(one.text)
        if not run.replied:
            run.whole = False

    def estimate(self, now: Instant) -> None:
        """Nobody said what was heard: let the clock say."""
        for run in self.runs.values():
            by_utterance: dict[int, Instant] = {}
            for one in run.sentences.values():
                if one.utterance and one.heard is None:
                    by_utterance.setdefault(one.utterance, one.began_at)
            for utterance, began_at in by_utterance.items():
                self.cut(utterance, max(0, (now - began_at) // MILLISECOND - LAG_MS))

    def settle(self) -> Iterable[tuple[Run, list[Entry], bool]]:
        """Give what each run adds to the history now, and whether the run is over."""
        for run in list(self.runs.values()):
            if not run.committed:
                continue
            entries = _ready(run)
            over = run.over
            if over:
                del self.runs[run.number]
            if entries or over:
                yield run, entries, over


def _ready(run: Run) -> list[Entry]:
    entries: list[Entry] = []
    heard: list[str] = []
    cut = False

    def say() -> None:
        if heard:
            text = " ".join(heard)
            run.said.append(text)
            entries.append(Said(run.turn, text, whole=not cut))
            heard.clear()

    while run.noted < len(run.pieces):
        piece = run.pieces[run.noted]
        if isinstance(piece, ToolUse):
            say()
            entries.append(piece)
        elif piece.heard is None:
            break
        else:
            cut = cut or piece.heard != piece.text
            if piece.heard:
                heard.append(piece.heard)
        run.noted += 1
    say()
    return entries


def heard_words(sentence: Sentence, heard_ms: int) -> str:
    """Give the whole words of a sentence that end within its first `heard_ms`."""
    spoken = sentence.text.split()
    length = sentence.length_ms()
    if len(sentence.words) == len(spoken):
        starts = [start for _, start in sentence.words]
        ends = [*starts[1:], length]
        return " ".join(word for word, end in zip(spoken, ends, strict=True) if end <= heard_ms)
    share = len(sentence.text) * heard_ms / length if length else 0
    at = 0
    kept: list[str] = []
    for word in spoken:
        at += len(word)
        if at > share:
            break
        kept.append(word)
        at += 1
    return " ".join(kept)
