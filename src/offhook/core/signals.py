"""What signalling tells a call, whatever carries it: the events that a leg adds to those of the media plane."""

from __future__ import annotations

from dataclasses import dataclass

from offhook.core.instants import Instant


@dataclass(frozen=True, slots=True)
class Connected:
    """The call is up: we answered (or were answered) and media may flow both ways."""

    at: Instant


@dataclass(frozen=True, slots=True)
class Held:
    """The far end put us on hold, or took us back (`on` False): on hold nothing that we play leaves."""

    at: Instant
    on: bool


@dataclass(frozen=True, slots=True)
class HungUp:
    """The call is over. Told exactly once, and nothing follows it.

    `code` is a SIP status (200 after an ordinary end); `reason` is one of those of `offhook.sip.outcomes.Ended`, or
    `stalled` where the media stopped coming.
    """

    at: Instant
    code: int
    reason: str
