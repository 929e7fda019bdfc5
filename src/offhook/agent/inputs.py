"""What a Conversation is told: one closed union. The media's events and the signals of a leg go in as they are.

    native: SpeechBegan SpeechEnded Digit Played Cut Flowing Stalled Ducked Echo
    signals: Connected Interrupted Reworded Silent Held HungUp
    ear:    Transcribed            mind: Phrased Replied ToolBegan ToolDone       voice: Voiced        all: Failed
    the author's verbs: Speak Ask Gather Await Leave Hold HandOver, each with a `ticket` that `Settled` answers

A `run` is one task that speaks: a reply of the brain, or words that somebody wants said. It is numbered from 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from offhook import _native as native
from offhook.agent.manners import Manners
from offhook.core.ids import Turn
from offhook.core.signals import Connected, Held, HungUp, Interrupted, Reworded, Silent


@dataclass(frozen=True, slots=True)
class Transcribed:
    """Words of the whole turn so far. `pause` is the pause they cover; None: interim, may change."""

    turn: Turn
    pause: int | None
    text: str


@dataclass(frozen=True, slots=True)
class Phrased:
    """A run has made a sentence, which the voice will speak. Sentences of a run count from 0.

    One that is spoken as it comes is told again as it grows, until it is complete (`last`).
    """

    turn: Turn
    run: int
    sentence: int
    text: str
    last: bool = True


@dataclass(frozen=True, slots=True)
class Voiced:
    """Audio of a sentence is about to be queued as part of `utterance`; told again as more of it comes.

    `duration_ms` is what is known of it so far, `last` says that it is all. `words`: (word, start_ms in the sentence).
    """

    turn: Turn
    run: int
    sentence: int
    utterance: int
    duration_ms: int
    words: tuple[tuple[str, int], ...] = ()
    last: bool = False


@dataclass(frozen=True, slots=True)
class Replied:
    """A run has made all its sentences and all their audio is queued."""

    turn: Turn
    run: int


@dataclass(frozen=True, slots=True)
class ToolBegan:
    """A committed run starts a tool."""

    turn: Turn
    run: int
    call_id: str
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class ToolDone:
    """A tool is done; told more than once at will, the first counts."""

    turn: Turn
    call_id: str
    result: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """The ear, the brain or the voice failed for good. `run` is 0 for the ear."""

    turn: Turn
    run: int
    stage: Literal["ear", "brain", "voice"]


@dataclass(frozen=True, slots=True)
class Speak:
    """Say something. `sound`: it is audio that the author plays, not text. Settled when heard or cut."""

    ticket: int
    text: str
    sound: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """Say something and take the caller's next turn as its answer. Settled with "" after `timeout_ms` of silence."""

    ticket: int
    text: str
    timeout_ms: int


@dataclass(frozen=True, slots=True)
class Gather:
    """Say something and take keys: so many, or up to the `finish` key, or until `timeout_ms` pass without one."""

    ticket: int
    text: str
    digits: int
    timeout_ms: int
    finish: str = "#"


@dataclass(frozen=True, slots=True)
class Await:
    """Settled once all that was to be said is heard (or cut)."""

    ticket: int


@dataclass(frozen=True, slots=True)
class Leave:
    """Say `text`, let it and all before it be heard, then end the call."""

    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Put the conversation on hold or take it back: on hold nobody listens and nobody asks whether anyone is there."""

    on: bool


@dataclass(frozen=True, slots=True)
class HandOver:
    """Another agent goes on with the same history: its manners, greeting, and whether it replies by itself."""

    manners: Manners
    greeting: str
    replies: bool
    language: str = "en"


Input = (
    native.SpeechBegan
    | native.SpeechEnded
    | native.Digit
    | native.Played
    | native.Cut
    | native.Flowing
    | native.Stalled
    | native.Ducked
    | native.Echo
    | Connected
    | Interrupted
    | Reworded
    | Silent
    | Held
    | HungUp
    | Transcribed
    | Phrased
    | Voiced
    | Replied
    | ToolBegan
    | ToolDone
    | Failed
    | Speak
    | Ask
    | Gather
    | Await
    | Leave
    | Hold
    | HandOver
)
