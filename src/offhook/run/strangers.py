"""Audio from strangers: packets that come to calls from addresses which are not part of them, told while they come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from offhook.core.instants import Instant
from offhook.run.security import SecurityLog

LOOK_S: Final = 5.0
"""How often we look, while there are calls."""

MANY: Final = 50
"""Packets in that time that are no accident: a far end whose address changes sends as many until it is followed."""


class Strangers:
    """Looks at the media plane's count of packets that it dropped for their source; whose they are, it does not say."""

    def __init__(self, dropped: Callable[[], int], security: SecurityLog, now: Callable[[], Instant]) -> None:
        self._dropped = dropped
        self._security = security
        self._now = now
        self._before = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, calls: Callable[[], int]) -> None:
        """Look from now on, as long as there are calls."""
        if self._timer is None:
            self._before = self._dropped()
            self._timer = asyncio.get_running_loop().call_later(LOOK_S, self._look, calls)

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self, calls: Callable[[], int]) -> None:
        before, self._before = self._before, self._dropped()
        if self._before - before >= MANY:
            self._security.note(self._now(), "-", "rtp_stranger", f"{self._before - before} packets were dropped")
        self._timer = asyncio.get_running_loop().call_later(LOOK_S, self._look, calls) if calls() else None
