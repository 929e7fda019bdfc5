"""What calling out may cost: calls at a time, calls a second and minutes a day, for each trunk and for all together.

    open(now) ─► None, or the words that say which cap is reached          close(now)

A day is the last 24 hours, kept in hours, so that a bill can't double at midnight; a call that is up counts as it goes.
Pure: `now` is given.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from offhook.core.instants import SECOND, Instant

HOUR: Final = 3600 * SECOND
DAY: Final = 24 * HOUR


@dataclass(frozen=True, slots=True)
class Caps:
    """What is allowed at most; None: no bound."""

    calls: int | None = None
    calls_a_second: float | None = None
    minutes_a_day: float | None = None


class Meter:
    """Counts the calls that go out one way."""

    def __init__(self, name: str, caps: Caps) -> None:
        self.name = name
        self.caps = caps
        self._live: dict[int | str, Instant | None] = {}  # when ours began; None: it came in and costs nothing
        self._hours: deque[tuple[int, int]] = deque()  # (hour, nanoseconds talked in it), at most 25 of them
        self._bucket = _first(caps)
        self._filled: Instant | None = None

    @property
    def live(self) -> int:
        """How many calls are up or being set up."""
        return len(self._live)

    @property
    def full(self) -> bool:
        """Whether no more calls fit, whichever way they go."""
        return self.caps.calls is not None and len(self._live) >= self.caps.calls

    def why_not(self, now: Instant) -> str | None:
        """Say which cap stands against one more call; None where none does."""
        caps = self.caps
        if self.full:
            return f"{self.name} carries {caps.calls} calls at a time"
        if self.left_s(now) <= 0:
            return f"{self.name} has used up its {caps.minutes_a_day:g} minutes a day"
        if self._fill(now) < 1.0:
            return f"{self.name} takes {caps.calls_a_second:g} calls a second"
        return None

    def begin(self, now: Instant, call: int | str) -> None:
        """Count a call of ours from now on; `call` is any name that no other live call has."""
        self._fill(now)
        self._bucket -= 1.0
        self._live[call] = now

    def came(self, call: int | str) -> None:
        """Count a call that came in: it takes a place and costs nothing."""
        self._live[call] = None

    def end(self, now: Instant, call: int | str, *, answered: bool = True) -> None:
        """Stop counting a call; what was never answered has cost nothing."""
        begun = self._live.pop(call, None)
        if begun is None or not answered:  # never known, or it came in
            return
        hour = now // HOUR
        if self._hours and self._hours[-1][0] == hour:
            self._hours[-1] = (hour, self._hours[-1][1] + now - begun)
        else:
            self._hours.append((hour, now - begun))
        self._forget(now)

    def left_s(self, now: Instant) -> float:
        """Give the seconds that all live calls together may still take today."""
        if self.caps.minutes_a_day is None:
            return float("inf")
        self._forget(now)
        used = sum(talked for _, talked in self._hours) + sum(
            now - begun for begun in self._live.values() if begun is not None
        )
        return self.caps.minutes_a_day * 60 - used / SECOND

    def _forget(self, now: Instant) -> None:
        while self._hours and (self._hours[0][0] + 1) * HOUR <= now - DAY:
            self._hours.popleft()

    def _fill(self, now: Instant) -> float:
        """Fill the bucket of calls a second: it holds what may be begun at once."""
        rate = self.caps.calls_a_second
        if rate is None:
            return 1.0
        if self._filled is not None:
            self._bucket = min(_first(self.caps), self._bucket + (now - self._filled) * rate / SECOND)
        self._filled = now
        return self._bucket


def _first(caps: Caps) -> float:
    return max(1.0, caps.calls_a_second or 1.0)
