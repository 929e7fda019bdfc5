"""A bucket of tokens a source, in front of the parser: a flood from one must not cost the others.

    a message costs one token; `a_second` tokens come back, up to `burst`          none left: not read

It costs a look-up and a subtraction a message, and nothing for a source without a rate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

SOURCES_LIMIT: Final = 4096
"""Buckets that are kept. One that is full again says nothing and goes first."""

TOLD_EVERY_S: Final = 60.0
"""How often a flood from one source is told."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How many messages a source may send: `a_second` for long, `burst` at once; `connections` it may have open."""

    a_second: float
    burst: float
    connections: int = 100


class Bucket:
    """The tokens of one source. Times in seconds of the loop."""

    __slots__ = ("rate", "tokens", "told_at", "upto")

    def __init__(self, rate: Rate, now: float) -> None:
        self.rate = rate
        self.tokens = rate.burst
        self.upto = now
        self.told_at = float("-inf")

    def take(self, now: float) -> bool:
        """Take a token, if there is one."""
        self.refill(now)
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True

    def borrow(self, now: float) -> float:
        """Take a token, there or not; give how long to wait until none is owed any more, in seconds."""
        self.refill(now)
        self.tokens -= 1.0
        return max(0.0, -self.tokens / self.rate.a_second)

    def refill(self, now: float) -> None:
        """Put in what has come since the last time."""
        self.tokens = min(self.rate.burst, self.tokens + (now - self.upto) * self.rate.a_second)
        self.upto = now

    def news(self, now: float) -> bool:
        """Say whether a flood is to be told now."""
        if now - self.told_at < TOLD_EVERY_S:
            return False
        self.told_at = now
        return True


class Buckets:
    """The buckets of all sources that have a rate, by address."""

    def __init__(self, rate: Callable[[str], Rate | None]) -> None:
        self._rate = rate
        self._known: dict[str, Bucket] = {}

    def of(self, ip: str, now: float) -> Bucket | None:
        """Give the bucket of a source, None where it may send what it likes."""
        rate = self._rate(ip)
        if rate is None:
            self._known.pop(ip, None)
            return None
        bucket = self._known.get(ip)
        if bucket is None:
            if len(self._known) >= SOURCES_LIMIT:
                self._make_room(now)
            bucket = self._known[ip] = Bucket(rate, now)
        bucket.rate = rate
        return bucket

    def _make_room(self, now: float) -> None:
        for bucket in self._known.values():
            bucket.refill(now)
        self._known = {ip: bucket for ip, bucket in self._known.items() if bucket.tokens < bucket.rate.burst}
        if len(self._known) >= SOURCES_LIMIT:
            self._known.clear()  # sources without end are forged ones: then the limit on all transactions holds
