"""What the simulated caller wants, and what it says to what it hears: a seed makes the wish, words make the answer.

    heard                                  said
    (the greeting)                         Hello, I would like to book a table for four people, please.
    … what time …                          At 7 o'clock, please.
    … name …                               The name is Anna, please.
    … is that right?                       Yes, that is right.
    Booked: … (over it)                    Sorry, one question. Is there free parking?
    … anything else?                       (a key) No, thank you. Goodbye.

The caller knows its wish and what comes over the line, nothing else. What it does not understand it answers with what
it has not said yet, as people do.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from typing import Literal

from offhook.run.report.words import spelled, words

NAMES = (
    *("Anna", "Sarah", "Julia", "Peter", "Thomas", "Daniel", "Robert", "Emma", "Victoria", "Michael", "Rebecca"),
    *("Samuel", "Alice", "George"),
)
"""Names that a telephone line does not turn into others; which names a recogniser knows is its own story."""

QUESTIONS = (
    "Sorry, one question. Is there free parking?",
    "Sorry, one question. When are you open?",
    "Sorry, one question. Do you have vegan dishes?",
)

Where = Literal["greeting", "readback", "booked"]
"""Which of the agent's utterances is interrupted."""

_PATIENCE = re.compile(r"(?:(?:one moment|just a moment longer|just a moment|still on it|please)\s*)+")
"""What the agent says while it thinks."""

_AFTER_MS: dict[Where, tuple[int, int]] = {"greeting": (600, 1400), "readback": (1200, 3000), "booked": (1800, 2800)}
"""How much of an utterance the caller listens to before it speaks over it, in ms."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the caller wants. `at` is the time as a tool gets it (HH:MM), `hour` as it is said; `key` will be pressed.

    `interrupt` names the utterance that the caller speaks over, `after_ms` how much of it the caller listens to.
    """

    seed: int
    name: str
    people: int
    hour: str
    at: str
    key: str
    question: str
    interrupt: Where
    after_ms: int

    def arguments(self) -> dict[str, str | int]:
        """Give the booking as the tool should get it."""
        return {"name": self.name, "people": self.people, "at": self.at}


def wish(seed: int) -> Wish:
    """Make the wish of a seed; the same everywhere."""
    rng = random.Random(f"demo {seed}")  # a string seed does not depend on PYTHONHASHSEED
    hour, half = rng.randint(5, 9), rng.random() < 0.5
    return Wish(
        seed=seed,
        name=rng.choice(NAMES),
        people=rng.randint(2, 8),
        hour=f"half past {spelled(hour)[0]}" if half else f"{hour} o'clock",
        at=f"{hour + 12}:{30 if half else 0:02d}",
        key=rng.choice("0123456789"),
        question=rng.choice(QUESTIONS),
        interrupt=(where := rng.choice(tuple(_AFTER_MS))),
        after_ms=rng.randrange(*_AFTER_MS[where], 50),
    )


Topic = Literal["opening", "people", "time", "name", "yes", "question", "goodbye"]


@dataclass(slots=True)
class Caller:
    """The caller's side of the talk."""

    wish: Wish
    told: set[Topic] = field(default_factory=set["Topic"])
    last: Topic | None = None
    corrected: set[Topic] = field(default_factory=set["Topic"])
    interrupted: bool = False

    def lines(self) -> dict[Topic, str]:
        """Give all that this caller may ever say."""
        wish = self.wish
        people = spelled(wish.people)[0]
        return {
            "opening": f"Hello, I would like to book a table for {people} people, please.",
            "people": f"A table for {people} people, please.",
            "time": f"At {wish.hour}, please.",
            "name": f"The name is {wish.name}, please.",
            "yes": "Yes, that is right.",
            "question": wish.question,
            "goodbye": "No, thank you. Goodbye.",
        }

    def interrupts(self) -> int | None:
        """Say after how many ms of the agent's next utterance the caller speaks over it; None: it listens."""
        if self.interrupted:
            return None
        next_up: dict[Topic | None, Where] = {None: "greeting", "name": "readback", "yes": "booked"}
        return self.wish.after_ms if next_up.get(self.last) == self.wish.interrupt else None

    def speak_over(self) -> Topic:
        """Give what to say instead of listening on."""
        self.interrupted = True
        after: dict[Topic | None, Topic] = {None: "opening", "name": "yes"}
        return self._say(after.get(self.last, "question"))

    def waits(self, heard: str) -> bool:
        """Say whether the agent only asked for patience, or made no words at all."""
        return not words(heard) or (bool(_PATIENCE.fullmatch(" ".join(words(heard)))) and bool(self.told))

    def answer(self, heard: str) -> Topic | None:
        """Give what to say to what the agent said; None after the goodbye, which has no answer."""
        if "goodbye" in self.told:
            return None
        if not self.told:
            return self._say("opening")
        text = " ".join(words(heard))
        if re.search(r"\bstill there\b", text) and self.last is not None:
            return self._say(self.last)
        if re.search(r"\b(anything|something) else\b|\bbooked\b", text) and "yes" in self.told:
            return self._say("goodbye")
        if re.search(r"\b(right|correct)\b", text):
            return self._say(self._misread(text) or "yes")
        if re.search(r"\bhow many\b", text):
            return self._say("people")
        if re.search(r"\b(what|which) time\b|\bwhen\b", text):
            return self._say("time")
        if re.search(r"\bname\b", text):
            return self._say("name")
        if re.search(r"\b(sorry|understand|repeat|again|pardon)\b", text) and self.last is not None:
            return self._say(self.last)
        order: tuple[Topic, ...] = ("time", "name", "yes", "goodbye")
        return self._say(next(topic for topic in order if topic not in self.told))

    def _misread(self, text: str) -> Topic | None:
        """Find what was read back wrong, once each: the caller may have misheard as well as the agent."""
        people, hour = spelled(self.wish.people)[0], spelled(int(self.wish.at[:2]) - 12)[0]
        wrong: list[Topic] = []
        read = re.search(r"\b(\w+) people\b", text)
        if read and read[1] != people and read[1] in {spelled(number)[0] for number in range(1, 20)}:
            wrong.append("people")
        if re.search(r"\bat\b", text) and hour not in text.split():
            wrong.append("time")
        for topic in wrong:
            if topic not in self.corrected:
                self.corrected.add(topic)
                return topic
        return None

    def _say(self, topic: Topic) -> Topic:
        self.told.add(topic)
        self.last = topic
        return topic
