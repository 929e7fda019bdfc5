"""A text leg: a far end whose service hears and speaks, so that only words pass between it and us.

        Words, Digit, Interrupted, Reworded, Uttered, Silent + Connected, HungUp
    leg ──────────────────────────────────────────────────────────────► call
        ◄────────────────────────────────────────────────────────────── say, hush, wait, press, transfer, hangup

`Call` takes one in the place of an `AudioLeg`; what an agent can't do there its `Capabilities` say. All methods belong
to the loop's thread. Every wait is bounded by the leg.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from offhook import _native as native
from offhook.agent.orders import Wait
from offhook.call.leg import CallInfo, Capabilities
from offhook.core.instants import Instant
from offhook.core.signals import (
    AnsweredBy,
    Connected,
    HungUp,
    Identified,
    Interrupted,
    Redirected,
    Reworded,
    Ringing,
    Silent,
    Texted,
)


@dataclass(frozen=True, slots=True)
class Words:
    """What the caller said, as the service understood it. Not `final`: they go on, and all comes again.

    `language` is a BCP 47 tag, "" where the service does not say.
    """

    at: Instant
    text: str
    final: bool = True
    language: str = ""


@dataclass(frozen=True, slots=True)
class Uttered:
    """The service has spoken an utterance of ours to its end. Where it never says so, a clock of letters does."""

    at: Instant
    utterance: int


TextEvent = (
    Words
    | native.Digit
    | Interrupted
    | Reworded
    | Uttered
    | Silent
    | Connected
    | AnsweredBy
    | Ringing
    | Redirected
    | Identified
    | Texted
    | HungUp
)
"""What a text leg tells."""


@runtime_checkable
class TextLeg(Protocol):
    """A leg that carries words. Numbers of utterances are the caller's own, increasing."""

    @property
    def name(self) -> str:
        """What hears and speaks, for logs and reports."""
        ...

    @property
    def info(self) -> CallInfo:
        """Who calls whom."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What this leg can do; `words` says how."""
        ...

    def events(self) -> AsyncIterator[TextEvent]:
        """Give every event once, in order; ends after `HungUp`. One reader only."""
        ...

    def ring(self) -> None:
        """Say that an inbound call rings, once."""
        ...

    async def reject(self, meaning: str) -> None:
        """Refuse an inbound call: `busy`, `declined` … ValueError for what can't be said so."""
        ...

    async def answer(self) -> None:
        """Take an inbound call; returns when words can pass. CallEnded if it went away meanwhile."""
        ...

    async def hangup(self, code: int = 200) -> None:
        """End the call, behind all that was said (before an answer: refuse it with `code`). Idempotent."""
        ...

    async def connected(self) -> None:
        """Wait until an outbound call is answered. DialFailed with the code if it is not; cancelled, it hangs up."""
        ...

    async def transfer(self, target: str) -> None:
        """Hand the far end to `target`. TransferFailed if that is not taken, CallEnded if the call is over."""
        ...

    def say(self, utterance: int, text: str, *, last: bool) -> None:
        """Have a piece of an utterance spoken, its blanks as given; with `last` (and often no text) it is complete."""
        ...

    def hush(self) -> bool | Interrupted:
        """Have what was said dropped, now; give whether the service does so (else it will be spoken yet).

        Where the leg knows what was heard until now, it gives that.
        """
        ...

    def wait(self, wanted: Wait) -> None:
        """Let the caller speak: all is said. Only where a service keeps the time (`words` is "turns")."""
        ...

    def press(self, keys: str) -> None:
        """Send keys (0-9*#A-D)."""
        ...

    def counters(self) -> Mapping[str, int]:
        """Counters by reason, for the record and the report."""
        ...
