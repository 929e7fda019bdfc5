"""Handing the far end to someone else, as one leg does it: by REFER (RFC 3515, RFC 5589).

    begin ─► REFER ─► TransferProgress … ─► told ─► wait: taken, TransferFailed or CallEnded

Law: every wait ends, since the user agent gives each REFER a last word.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Literal

from offhook.core.errors import CallEnded, NotAllowed, TransferFailed
from offhook.sip.outcomes import SipCall, TransferProgress


@dataclass(frozen=True, slots=True)
class TransferRules:
    """How callers of one trunk are handed on.

    `refer`: the trunk takes REFER. `bridge`: where it does not, we call the target ourselves and join the two. Then
    `show` says whose number the target sees, and `diversion` that ours stands in a Diversion header (RFC 5806).
    """

    refer: bool = True
    bridge: bool = True
    show: Literal["caller", "own"] = "own"
    diversion: bool = True


class Transfer:
    """The transfer of ours that is under way on a leg, if one is."""

    def __init__(self) -> None:
        self._decided: asyncio.Future[TransferProgress] | None = None
        self._taken = False

    def begin(self) -> None:
        """Begin one. NotAllowed while another is under way."""
        if self._decided is not None:
            raise NotAllowed("a transfer is under way already")
        self._taken = False
        self._decided = asyncio.get_running_loop().create_future()

    async def wait(self) -> None:
        """Wait until the target has taken the call. TransferFailed if it does not, CallEnded if the call ends first."""
        assert self._decided is not None
        try:
            last = await self._decided
        finally:
            self._decided = None
        if last.code == 0:
            raise CallEnded("the call ended before the transfer was taken")
        if last.code >= 300:
            raise TransferFailed(last.code, last.reason, refused=last.refused)

    def told(self, news: TransferProgress) -> None:
        """Take news of it."""
        self._taken = True
        if news.final:
            self._decide(news)

    def ended(self, call: SipCall, reason: str) -> bool:
        """Hear that the call is over; give whether the far end has gone where it was told to go."""
        if self._decided is None or self._decided.done():
            return False
        # A far end that took our REFER and hangs up before it has told us more has gone there.
        gone = self._taken and reason == "remote_hangup"
        self._decide(TransferProgress(call, 200 if gone else 0, "", final=True))
        return gone

    def replaced(self, call: SipCall) -> None:
        """Hear that the far end which was asked is no longer there: another has taken its place."""
        self._decide(TransferProgress(call, 487, "the far end was replaced", final=True))

    def _decide(self, last: TransferProgress) -> None:
        if self._decided is not None and not self._decided.done():
            self._decided.set_result(last)
