"""What signalling tells a call, whatever carries it: the events that a leg adds to those of the media plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from offhook.core.instants import Instant
from offhook.core.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Connected:
    """The call is up: we answered (or were answered) and media may flow both ways."""

    at: Instant


@dataclass(frozen=True, slots=True)
class Ringing:
    """The far end of a call that we place is being looked for: `code` is a SIP provisional status.

    180 it rings, 181 it is forwarded, 182 it is queued, 183 something else goes on. `early` says that it sends media
    already: ringback, an announcement.
    """

    at: Instant
    code: int
    early: bool = False


@dataclass(frozen=True, slots=True)
class Redirected:
    """A call that we place goes on to `to`, since `code` (3xx) sent it there."""

    at: Instant
    code: int
    to: str


Answerer = Literal["human", "machine", "machine_beep", "fax", "unknown"]
"""What may have answered a call of ours; `machine_beep`: a machine that may be spoken to now."""


@dataclass(frozen=True, slots=True)
class AnsweredBy:
    """What has answered a call of ours, as the service found. It may come before the answer, and more than once."""

    at: Instant
    what: Answerer


@dataclass(frozen=True, slots=True)
class Identified:
    """What was found of a caller's signature."""

    at: Instant
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Texted:
    """The far end sent text beside the call. It is a stranger's: printable, and nothing more is known of it."""

    at: Instant
    text: str


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A service that speaks for us has stopped, since the caller began.

    `heard` is what it says that the caller had heard of our words, as it spells them, and `heard_ms` how long that
    took; None where it does not say.
    """

    at: Instant
    heard: str | None = None
    heard_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Reworded:
    """A service that speaks for us has said other words: `said` in the place of `asked`, a stretch of an utterance."""

    at: Instant
    utterance: int
    asked: str
    said: str


@dataclass(frozen=True, slots=True)
class Silent:
    """The caller has had their turn and said nothing (more): told by a service that keeps the time for us."""

    at: Instant


@dataclass(frozen=True, slots=True)
class Held:
    """The far end put us on hold, or took us back (`on` False): on hold nothing that we play leaves."""

    at: Instant
    on: bool


Fault = Literal["nothing_comes", "unheard", "silent"]
"""What is wrong with audio that goes one way: nothing comes from the far end; its reports say that it hears nothing of
us; what it sends is digital silence."""


@dataclass(frozen=True, slots=True)
class OneWay:
    """Audio goes one way only (`on`), or that fault is over. `hint` says what the cause may be and what to do."""

    at: Instant
    fault: Fault
    on: bool
    hint: str = ""


@dataclass(frozen=True, slots=True)
class HungUp:
    """The call is over. Told exactly once, and nothing follows it.

    `code` is a SIP status (200 after an ordinary end); `reason` is one of those of `offhook.sip.outcomes.Ended`, or
    `stalled` where the media stopped coming, or one of those of `offhook._native.Severed`. `meaning` is what that means
    to a caller, one of `offhook.sip.meanings.MEANINGS`: busy, no_answer, declined, not_found …; `ended` after an
    ordinary end.
    """

    at: Instant
    code: int
    reason: str
    meaning: str = ""
