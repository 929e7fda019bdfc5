"""One timer of the loop that follows the deadline of a machine which keeps no time.

follow ─► deadline() ─► call_at ─► expire(now) ─► follow …
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from offhook.core.instants import MILLISECOND, SECOND, Instant

LATE = 50 * MILLISECOND
"""A timer that is later than this woke from a stalled process: what came meanwhile is let in before it decides."""
CATCH_UP_S = 0.002


class Alarm:
    """Calls `expire` when `deadline` is due. `follow` looks where the deadline is now."""

    def __init__(self, deadline: Callable[[], Instant | None], expire: Callable[[Instant], None]) -> None:
        self._deadline = deadline
        self._expire = expire
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._due: Instant | None = None
        self._looks_at: Instant = 0
        self._served: Instant = 0
        self._caught_up = False

    def stop(self) -> None:
        """Wake nobody any more."""
        if self._timer is not None:
            self._timer.cancel()

    def follow(self) -> None:
        """Look where the deadline is."""
        due = self._deadline()
        if due == self._due:
            return
        self._due = due
        if self._timer is not None:
            if due is None or due >= self._looks_at:
                return  # it will look again when it fires
            self._timer.cancel()
            self._timer = None
        if due is not None:
            # A deadline that stays where it is after it was served is a fault of ours: it must not stop the loop.
            self._looks_at = due if due > self._served else self._now() + MILLISECOND
            self._timer = self._loop.call_at(self._looks_at / SECOND, self._fire)

    def _fire(self) -> None:
        due, self._timer = self._due, None
        if due is None:
            return
        if due > self._looks_at:  # what was waited for has moved on since
            self._due, self._caught_up = None, False
            self.follow()
            return
        now = max(self._now(), due)
        if now - due > LATE and not self._caught_up:
            self._caught_up = True
            self._timer = self._loop.call_later(CATCH_UP_S, self._fire)
            return
        self._caught_up = False
        self._due = None
        self._served = due
        self._expire(now)
        self.follow()

    def _now(self) -> Instant:
        return round(self._loop.time() * SECOND)
