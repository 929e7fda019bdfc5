"""Which presses of a key are told, where a far end sends them by more than one way.

    RFC 4733 events ─┐
                     ├─► one source a leg ─► Digit
    INFO ────────────┘

Law: a key that was pressed once is told once. The events are believed before INFO: once there was one, INFO says
nothing any more. A far end that sends both says the first key by INFO and then as an event, or the other way round:
the same key within 150 ms is the same press.
"""

from __future__ import annotations

from typing import Final

from offhook.core.instants import MILLISECOND, Instant

SAME_PRESS: Final = 150 * MILLISECOND


class Keys:
    """The presses of one leg."""

    __slots__ = ("_at", "_events", "_key")

    def __init__(self) -> None:
        self._events = False
        self._key = ""
        self._at: Instant = 0

    def event(self, now: Instant, key: str) -> bool:
        """Say whether a key that came as an event is told."""
        first, self._events = not self._events, True
        return not (first and key == self._key and now - self._at <= SAME_PRESS)

    def info(self, now: Instant, key: str) -> bool:
        """Say whether a key that came by INFO is told."""
        if self._events:
            return False
        self._key, self._at = key, now
        return True
