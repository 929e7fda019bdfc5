"""What a caller wants: the nearest of the agent's own answers, its tools and a few things that anybody says.

    instructions ─► sentences that tell a caller something ─┐
    tools ─► name and description                           ─┼► candidates ─► ranked for what was said
    small talk ─► example phrases                           ─┘

How near two texts are is the scalar product of their vectors (`minilm`), raised where they share a word. Questions
that callers ask everywhere ("where are you?") are linked to the agent's own sentence about it through `TOPICS`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from offhook.providers.offline.language import bag, plain, stem

Vectors = Mapping[str, npt.NDArray[np.float32]]
Small = Literal["greeting", "thanks", "goodbye", "again", "stop", "who"]

SMALL_TALK: dict[Small, tuple[str, ...]] = {
    "greeting": ("hello", "hi there", "good evening", "hello, can you hear me?", "hey, how are you?"),
    "thanks": ("thank you", "thanks a lot", "that is great, thank you", "lovely, thanks", "no, thank you", "cheers"),
    "goodbye": ("goodbye", "bye bye", "bye", "that is all, goodbye", "see you", "have a nice day", "no, that is all"),
    "again": (
        "can you repeat that?",
        "sorry, what did you say?",
        "pardon?",
        "say that again please",
        "I did not hear you",
    ),
    "stop": ("never mind", "forget it", "cancel that", "stop, I do not want it any more", "leave it"),
    "who": ("who are you?", "am I talking to a robot?", "are you a machine?", "are you a real person?"),
}

TOPICS: dict[str, tuple[str, ...]] = {
    "hours": ("when are you open?", "what are your opening hours?", "when do you close?", "are you open today?"),
    "place": ("where are you?", "what is your address?", "how do I get there?", "which street are you on?"),
    "price": ("how much does it cost?", "what are your prices?", "is it expensive?"),
    "parking": ("do you have parking?", "where can I park?"),
    "person": ("can I talk to a person?", "I want to speak to a human", "put me through to someone", "operator please",
               "can I speak to the manager?", "let me talk to a real person"),
    "book": ("I would like to make a reservation", "I want to book", "can I reserve a table?", "I need an appointment"),
}  # fmt: skip

PERSON = TOPICS["person"][0]
"""How somebody asks for a person."""

ENOUGH = 0.42
"""From this score on a candidate is what was meant; measured on the receptionist's phrases in the tests."""

_STOP_WORDS = bag(
    """
    the a an i you we it is are am be to of and or in on at for do does can could would will my your our
    me us like want please have what when where how who that this there caller wants say so with from
    i'd
    """
)
_INSTRUCTION = re.compile(
    r"^(you|be|always|never|do|don't|speak|answer|ask|keep|if|when|use|say|tell|greet|help|please|only|make|act|respond|"
    r"reply|offer|remember|start|end|call|transfer|confirm|avoid|try|let|book|take|your)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something that may be meant: a tool, an answer of the agent, or small talk. `phrases` are what is compared."""

    kind: Literal["tool", "answer", "small"]
    name: str
    phrases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Meant:
    """A candidate and how near it is (1: the same words)."""

    candidate: Candidate
    score: float


def answers_in(instructions: str) -> tuple[str, ...]:
    """Give the sentences of the instructions that tell a caller something, not the model what to do."""
    sentences = [sentence.strip() for sentence in re.split(r"(?<=[.!])\s+|\n+", instructions)]
    return tuple(sentence for sentence in sentences if len(sentence.split()) >= 3 and not _INSTRUCTION.match(sentence))


def candidates(instructions: str, tools: Sequence[tuple[str, str]]) -> tuple[Candidate, ...]:
    """Make the candidates of an agent. `tools` are (name, description); a line each of a description is a phrase."""
    found = [Candidate("answer", sentence, (sentence,)) for sentence in answers_in(instructions)]
    for name, description in tools:
        lines = tuple(line.strip() for line in description.splitlines() if line.strip())
        found.append(Candidate("tool", name, (name.replace("_", " "), *lines)))
    return (*found, *(Candidate("small", name, phrases) for name, phrases in SMALL_TALK.items()))


def texts_of(known: Sequence[Candidate]) -> list[str]:
    """Give every text whose vector `rank` needs, beside the caller's own."""
    phrases = [phrase for candidate in known for phrase in candidate.phrases]
    return [*phrases, *(phrase for topic in TOPICS.values() for phrase in topic)]


def rank(said: str, known: Sequence[Candidate], vectors: Vectors) -> list[Meant]:
    """Order the candidates by how near they are to what was said, nearest first."""
    topics = {topic: max(_near(said, phrase, vectors) for phrase in phrases) for topic, phrases in TOPICS.items()}
    linked = {topic: _linked(phrases, known, vectors) for topic, phrases in TOPICS.items()}
    scores: dict[int, float] = {}
    for index, candidate in enumerate(known):
        score = max(_near(said, phrase, vectors) for phrase in candidate.phrases)
        through = [near for topic, near in topics.items() if linked[topic] == index]
        scores[index] = max(score + _shared(said, candidate), *through) if through else score + _shared(said, candidate)
    order = sorted(scores, key=lambda index: -scores[index])
    return [Meant(known[index], scores[index]) for index in order]


def _linked(phrases: Sequence[str], known: Sequence[Candidate], vectors: Vectors) -> int | None:
    """Find the tool or answer that a topic is about, if any is near enough to it."""
    best, nearest = None, 0.3
    for index, candidate in enumerate(known):
        if candidate.kind == "small":
            continue
        near = max(_near(phrase, own, vectors) for phrase in phrases for own in candidate.phrases)
        if near > nearest:
            best, nearest = index, near
    return best


def _near(one: str, other: str, vectors: Vectors) -> float:
    if one in vectors and other in vectors:
        return float(vectors[one] @ vectors[other])
    mine, yours = _content(one), _content(other)
    return len(mine & yours) / max(1, min(len(mine), len(yours)))


def _shared(said: str, candidate: Candidate) -> float:
    """Raise a tool or answer for each word that was said and that it is made of."""
    if candidate.kind == "small":
        return 0.0
    own = {word for phrase in candidate.phrases for word in _content(phrase)}
    return min(0.2, 0.1 * len(_content(said) & own))


def _content(text: str) -> set[str]:
    return {stem(word) for word in plain(text) if word not in _STOP_WORDS}
