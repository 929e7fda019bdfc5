"""Which presses of a key are told, where a far end sends them by more than one way.

    RFC 4733 events ──┐
    INFO ─────────────┼─► one source a leg ─► Digit
    tones in the audio┘

Law: a key that was pressed once is told once. Events are believed before INFO, and INFO before tones, which the port
listens for only where events were not agreed: once there was a better source, the others say nothing any more. A far
end that uses two says its first key twice: the same key within 150 ms, or while its tones still sounded, is the same
press.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from offhook.core.instants import MILLISECOND, Instant

SAME_PRESS: Final = 150 * MILLISECOND


class Source(IntEnum):
    """Where a key came from, the most believable last."""

    TONES = 0
    INFO = 1
    EVENTS = 2


class Keys:
    """The presses of one leg."""

    __slots__ = ("_at", "_key", "_source")

    def __init__(self) -> None:
        self._source = Source.TONES
        self._key = ""
        self._at: Instant = 0

    def tells(self, now: Instant, key: str, source: Source, duration_ms: int = 0) -> bool:
        """Say whether a key is told that came at `now`, and has lasted for `duration_ms` by then."""
        before, self._source = self._source, max(self._source, source)
        if source < before:
            return False
        began = now - duration_ms * MILLISECOND
        same = source > before and key == self._key and began - self._at <= SAME_PRESS
        self._key, self._at = key, now
        return not same
