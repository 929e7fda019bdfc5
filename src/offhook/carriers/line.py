"""What a leg over SIP needs of the host that it lives in; `run.line.SipLine` is one."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from offhook.carriers.negotiation import AudioRules
from offhook.carriers.plane import MediaPlane
from offhook.core.instants import Instant
from offhook.sip.outcomes import (
    Answered,
    Confirmed,
    EarlyAnswered,
    Ended,
    Flow,
    Keyed,
    Progress,
    Reanswered,
    Redirected,
    Reoffered,
    Texted,
    TransferProgress,
)
from offhook.sip.uri import Uri
from offhook.sip.useragent import UserAgent

Outcome = (
    Progress
    | Redirected
    | EarlyAnswered
    | Answered
    | Confirmed
    | Reoffered
    | Reanswered
    | Keyed
    | Texted
    | TransferProgress
    | Ended
)
"""What a user agent tells of a call that is there."""

Follow = Callable[[Uri], Awaitable[tuple[Uri, Sequence[Flow]] | None]]
"""Gives where the target of a redirection is called and the ways there, None where a call may not go there."""


class Line(Protocol):
    """What a leg needs of the host: its clock, its user agent, its media plane and its rules."""

    @property
    def agent(self) -> UserAgent:
        """The user agent that the leg's call belongs to."""
        ...

    @property
    def media(self) -> MediaPlane:
        """Where the leg's port is."""
        ...

    @property
    def rng(self) -> random.Random:
        """Where session ids come from."""
        ...

    @property
    def audio(self) -> AudioRules:
        """What the leg offers, takes and bears."""
        ...

    def now(self) -> Instant:
        """The loop's time in nanoseconds."""
        ...

    def settle(self) -> None:
        """Send and deal out what the user agent's orders gave."""
        ...

    def screen(self, target: str, peer: Uri) -> Uri:
        """Give where a transfer to `target` goes; `peer` is the far end. NotAllowed outside the rules."""
        ...
