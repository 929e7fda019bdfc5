"""What waits between a leg and its one reader, bounded.

    leg ── put ─►  [ Heard │ Digit │ Heard │ … ]  ─► async for event in inbox

Laws: order is kept; nothing follows `HungUp`; what must not be lost (edges, digits, cuts, the end) never is: only
pieces of audio are dropped when the reader sleeps on, and they are counted.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from offhook import _native as native
from offhook.call.leg import LegEvent
from offhook.core.signals import HungUp

AUDIO_LIMIT: Final = 1500
"""Events that may wait before audio is dropped: 30 s of 20 ms pieces. A reader that far behind has been forgotten."""


class Inbox:
    """An async iterator over a leg's events with one reader."""

    __slots__ = ("_events", "_over", "_waiter", "dropped")

    def __init__(self) -> None:
        self._events: deque[LegEvent] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._over = False
        self.dropped = 0
        """Pieces of audio that nobody read in time."""

    def put(self, event: LegEvent) -> None:
        """Add an event and wake the reader. What comes after HungUp is not told."""
        if self._over:
            return
        if len(self._events) >= AUDIO_LIMIT and isinstance(event, (native.Heard, native.Taped)):
            self.dropped += 1
            return
        if isinstance(event, HungUp):
            self._over = True
        self._events.append(event)
        if self._waiter is not None:
            if not self._waiter.done():
                self._waiter.set_result(None)
            self._waiter = None

    def __aiter__(self) -> Inbox:
        """Read on."""
        return self

    async def __anext__(self) -> LegEvent:
        """Give the next event, waiting for it; the end comes after HungUp."""
        while not self._events:
            if self._over:
                raise StopAsyncIteration
            assert self._waiter is None, "a leg has one reader"
            waiter = self._waiter = asyncio.get_running_loop().create_future()
            try:
                await waiter
            finally:
                if self._waiter is waiter:
                    self._waiter = None
        return self._events.popleft()
