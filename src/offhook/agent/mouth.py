"""What we are saying and how much of it was heard.

    run ─┬─ sentence ─ sentence ─┬─ tool ─┬─ sentence ─ …          pieces, in the order in which the brain made them
         └───── utterance 1 ─────┘        └─ utterance 2 …         stretches of sound on the leg

A piece enters the history when it and all before it in its run are settled: a sentence when its utterance was played
or cut, a tool when it was started. On a cut, the words that were heard are those whose end passed the play-out clock:
by the voice's word times where they are known, else in proportion to the sentence's audio, at a word's end.

Where only our own clock can say what was heard, because the call is over: an utterance begins where the one before it
was heard out, a sentence where its audio is queued behind the sentence before it, and nothing is heard while the voice
stalls. While the far end holds us nothing leaves, so there the mouth's clock stands still.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from offhook.agent.history import Entry, Said, ToolUse
from offhook.agent.inputs import ToolBegan, Voiced
from offhook.core.ids import Turn
from offhook.core.instants import MILLISECOND, Duration, Instant

LETTER_MS = 65
"""How long a letter takes to say, about, where a sentence's audio is not complete."""
LAG_MS = 60
"""What the far end's buffer holds, where only the clock tells what was heard."""


@dataclass(slots=True)
class Sentence:
    """A sentence: `utterance` is 0 until its audio begins; `heard` is None until that is settled.

    `whole`: the brain has made all of it.
    """

    text: str
    utterance: int = 0
    began_at: Instant = 0
    duration_ms: int = 0
    complete: bool = False
    words: tuple[tuple[str, int], ...] = ()
    heard: str | None = None
    whole: bool = True

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

    __slots__ = ("_asked", "_free_at", "_held_at", "_queued_until", "_stood", "runs", "unheard")

    def __init__(self) -> None:
        self.runs: dict[int, Run] = {}
        self.unheard: list[Sentence] = []
        """Sentences that a cut kept from the caller, to be said again if it was no interruption."""
        self._asked = False
        self._free_at: Instant = 0
        """When the last utterance was heard to its end, or cut."""
        self._queued_until: Instant = 0
        """When the clock expects the end of all audio that was queued."""
        self._held_at: Instant | None = None
        self._stood: Duration = 0
        """How long the far end has held us in all."""

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

    def ours(self) -> str:
        """Give the words that sound now or are about to."""
        return " ".join(one.text for run in self.busy for one in run.sentences.values() if one.utterance)

    def phrased(self, number: int, sentence: int, text: str, *, last: bool = True) -> None:
        """A run made a sentence, or more of one."""
        run = self.runs.get(number)
        if run is None or run.stopped:
            return
        one = run.sentences.get(sentence)
        if one is None:
            run.sentences[sentence] = one = Sentence(text)
            run.pieces.append(one)
        if one.heard is None:
            one.text, one.whole = text, last

    def voiced(self, now: Instant, given: Voiced) -> None:
        """Audio of a sentence is queued."""
        now = self._clock(now)
        run = self.runs.get(given.run)
        one = run.sentences.get(given.sentence) if run else None
        if one is None or one.heard is not None:
            return
        if not one.utterance:
            one.began_at = max(now, self._queued_until)
        elif now > self._queued_until:
            one.began_at += now - self._queued_until
        self._queued_until = max(now, self._queued_until) + (given.duration_ms - one.duration_ms) * MILLISECOND
        one.utterance = given.utterance
        one.duration_ms = given.duration_ms
        one.complete = given.last
        one.words = given.words or one.words

    def reworded(self, utterance: int, asked: str, said: str) -> None:
        """Of an utterance, the sentences that `asked` is made of were spoken in other words."""
        left = asked.strip()
        for run in self.runs.values():
            for one in run.sentences.values():
                text = one.text.strip()
                if one.utterance == utterance and one.heard is None and text and left.startswith(text):
                    left = left[len(text) :].lstrip()
                    one.text, one.duration_ms, one.words, said = said, len(said) * LETTER_MS, (), ""

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

    def hold(self, now: Instant, *, on: bool) -> None:
        """The far end holds us, or takes us back."""
        if on and self._held_at is None:
            self._held_at = now
        elif not on and self._held_at is not None:
            self._stood += now - self._held_at
            self._held_at = None

    def _clock(self, now: Instant) -> Instant:
        return (now if self._held_at is None else self._held_at) - self._stood

    def played(self, at: Instant, utterance: int) -> None:
        """An utterance was heard in full."""
        self._free_at = self._clock(at)
        for run in self.runs.values():
            for one in run.sentences.values():
                if one.utterance == utterance and one.heard is None:
                    one.heard = one.text
                    self._asked = one.text.rstrip().endswith("?")

    def cut(self, at: Instant, utterance: int, heard_ms: int) -> None:
        """Of an utterance, so much audio was heard and no more will be."""
        self._free_at = self._clock(at)
        for run in self.runs.values():
            left = heard_ms
            for one in run.sentences.values():
                if one.utterance == utterance and one.heard is None:
                    self._keep(run, one, left)
                    left -= one.length_ms()
        if not self.sounding:
            self._queued_until = self._free_at

    def _keep(self, run: Run, one: Sentence, heard_ms: int) -> None:
        """Settle a sentence of which so much audio was heard."""
        one.heard = one.text if heard_ms >= one.length_ms() else heard_words(one, max(0, heard_ms))
        if one.heard != one.text or not one.whole:
            run.whole = False
            self.unheard.append(one)
        self._asked = False

    def stop(self, run: Run) -> None:
        """A run is cancelled: what has no audio yet never will."""
        run.stopped = True
        for one in run.sentences.values():
            if not one.utterance and one.heard is None:
                one.heard = ""
                run.whole = False
                if one.text:
                    self.unheard.append(one)
        if not run.replied:
            run.whole = False

    def estimate(self, now: Instant) -> None:
        """Nobody said what was heard until now, and no more will be: let the clock say."""
        now = self._clock(now)
        voiced = [(run, one) for run in self.runs.values() for one in run.sentences.values() if one.utterance]
        waiting = [(run, one) for run, one in voiced if one.heard is None]
        sounding = min((one.utterance for _, one in waiting), default=0)
        first_at = min((one.began_at for _, one in waiting if one.utterance == sounding), default=now)
        lag = max(LAG_MS * MILLISECOND, self._free_at - first_at)
        for run, one in waiting:
            heard_ms = (now - lag - one.began_at) // MILLISECOND if one.utterance == sounding else 0
            self._keep(run, one, heard_ms if one.complete else min(heard_ms, one.duration_ms))
        self._queued_until = now

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
            cut = cut or piece.heard != piece.text or not piece.whole
            if piece.heard:
                heard.append(piece.heard)
        run.noted += 1
    say()
    return entries


def heard_words(sentence: Sentence, heard_ms: int) -> str:
    """Give the whole words of a sentence that end within its first `heard_ms`."""
    spoken = sentence.text.split()
    if not spoken:
        return ""  # sound without words, that an author plays
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
