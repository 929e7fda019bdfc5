"""What a leg over SIP needs of the host that it lives in; `run.line.SipLine` is one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from offhook.call.leg import AudioLeg, CallInfo
from offhook.carriers.door import Door
from offhook.carriers.plane import MediaPlane
from offhook.carriers.port import PortVerbs
from offhook.carriers.terms import LegTerms
from offhook.carriers.transfers import TransferRules
from offhook.core.errors import ProtocolError
from offhook.core.instants import Instant
from offhook.policy.reach import Reach
from offhook.sip.outcomes import (
    Answered,
    Confirmed,
    EarlyAnswered,
    Ended,
    Flow,
    Keyed,
    Probed,
    Progress,
    Reanswered,
    Redirected,
    Referred,
    Reoffered,
    Replacing,
    SipCall,
    Texted,
    TransferProgress,
)
from offhook.sip.requests import Account
from offhook.sip.uri import Uri, parse_uri
from offhook.sip.useragent import UserAgent

if TYPE_CHECKING:
    from offhook.carriers.sip import SipLeg

Outcome = (
    Progress
    | Redirected
    | EarlyAnswered
    | Answered
    | Confirmed
    | Reoffered
    | Reanswered
    | Replacing
    | Keyed
    | Texted
    | TransferProgress
    | Referred
    | Probed
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

    def terms(self, info: CallInfo) -> LegTerms:
        """Give what the leg of a call goes by, as its trunk wants it."""
        ...

    def now(self) -> Instant:
        """The loop's time in nanoseconds."""
        ...

    def settle(self) -> None:
        """Send and deal out what the user agent's orders gave."""
        ...

    @property
    def reach(self) -> Reach:
        """By which address others reach us."""
        ...

    def screen(self, target: str, peer: Uri) -> Uri:
        """Give where a transfer to `target` goes; `peer` is the far end. NotAllowed outside the rules."""
        ...

    def follows(self, target: Uri, peer: Uri, flow: Flow) -> Uri:
        """Give where a referral to `target` goes that came by `flow`. NotAllowed where who sent it may not refer us."""
        ...

    def lands(self, target: Uri, ways: Sequence[Flow]) -> None:
        """Raise NotAllowed where a target that was allowed by its name has led to an address that is not."""
        ...

    def beside(self, one: Flow, other: Flow) -> bool:
        """Say whether who is at the end of one flow may take the place of who is at the end of the other."""
        ...

    def rules(self, info: CallInfo) -> TransferRules:
        """Give how the far end of a call is handed on."""
        ...

    async def ways_to(self, uri: Uri) -> tuple[Flow, ...]:
        """Find where a request to `uri` goes, best first. NotAllowed, ConfigError or Unreachable where nowhere."""
        ...

    def account(self, info: CallInfo) -> Account | None:
        """Give who answers challenges on the trunk of a call."""
        ...

    async def place(self, target: str, first: AudioLeg) -> SipLeg:
        """Call `target` for the far end of `first`. NotAllowed outside the rules, Unreachable, OSError (no port)."""
        ...

    def inside(self, target: str) -> bool:
        """Say whether a target is a user of ours, whom only we can call."""
        ...

    def affords(self, info: CallInfo) -> None:
        """Raise NotAllowed where a cap stands against one more call for the far end of this one."""
        ...

    def serve(self, leg: SipLeg, call: SipCall, ways: Sequence[Flow], *, placed: bool = False) -> None:
        """Tell the outcomes of another call to a leg, too, and hear its far end; `placed`: it is ours."""
        ...

    def release(self, call: SipCall) -> None:
        """Tell the outcomes of a call to nobody any more."""
        ...

    def forget(self, leg: SipLeg) -> None:
        """Hear that a leg is over."""
        ...


def far_end(info: CallInfo, flow: Flow) -> Uri:
    """Give the URI of the far end; where it is a bare number or broken, the host that it came from."""
    try:
        return parse_uri(info.caller if info.direction == "inbound" else info.called)
    except ProtocolError:
        return Uri("sip", None, flow.remote[0])


def open_door(line: Line, flow: Flow, beside: PortVerbs | None = None) -> Door:
    """Open a port for a call over a flow, where that of another leg is. OSError where none is free."""
    server = line.reach.server(flow.remote[0])
    return Door(line.media, flow.local[0], server, line.rng, beside=beside.port if beside is not None else None)


async def reached_door(line: Line, flow: Flow, beside: PortVerbs | None = None) -> Door:
    """Open a port for a call over a flow, and wait until its address is known. OSError where none is free."""
    door = open_door(line, flow, beside)
    try:
        await door.known()
    except asyncio.CancelledError:
        door.close()
        raise
    return door
