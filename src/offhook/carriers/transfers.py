"""Handing the far end to someone else, as one leg does it: blind, by REFER (RFC 3515).

begin ─► REFER ─► TransferProgress … ─► told ─► wait: taken, TransferFailed or CallEnded
"""

from __future__ import annotations

import asyncio
from typing import Final

from offhook.core.errors import CallEnded, NotAllowed, TransferFailed
from offhook.sip.outcomes import TransferProgress

TRANSFER_S: Final = 60.0
"""How long the target of a transfer may ring before it counts as not taken."""


class Transfer:
    """The transfer that is under way on a leg, if one is."""

    def __init__(self) -> None:
        self._decided: asyncio.Future[tuple[int, str]] | None = None

    def begin(self) -> None:
        """Begin one. NotAllowed while another is under way."""
        if self._decided is not None:
            raise NotAllowed("a transfer is under way already")
        self._decided = asyncio.get_running_loop().create_future()

    async def wait(self) -> None:
        """Wait until the target has taken the call. TransferFailed if it does not, CallEnded if the call ends first."""
        assert self._decided is not None
        try:
            async with asyncio.timeout(TRANSFER_S):
                code, reason = await self._decided
        except TimeoutError:
            code, reason = 408, "no news of the transfer"
        finally:
            self._decided = None
        if code == 0:
            raise CallEnded("the call ended before the transfer was taken")
        if not 200 <= code < 300:
            # A subscription that ends on a provisional status never tells what became of it.
            raise TransferFailed(code if code >= 300 else 408, reason)

    def told(self, outcome: TransferProgress) -> None:
        """Take news of it."""
        if outcome.final:
            self._decide(outcome.code, outcome.reason)

    def ended(self, reason: str) -> None:
        """Hear that the call is over."""
        # A far end that was told to call someone else and hangs up has gone there; its end comes after that.
        self._decide(*((200, "") if reason == "remote_hangup" else (0, "")))

    def _decide(self, code: int, reason: str) -> None:
        if self._decided is not None and not self._decided.done():
            self._decided.set_result((code, reason))
