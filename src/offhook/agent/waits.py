"""The author's verbs that wait for the caller: a question for words, a question for keys."""

from __future__ import annotations

from dataclasses import dataclass

from offhook.core.instants import MILLISECOND, Duration, Instant


@dataclass(slots=True)
class Asking:
    """A question for words. `run` says it; `until` runs once it was heard."""

    ticket: int
    run: int
    timeout: Duration
    until: Instant | None = None


@dataclass(slots=True)
class Gathering:
    """A question for keys. `until` begins when it was heard, and again with each key."""

    ticket: int
    run: int
    digits: int
    timeout: Duration
    finish: str
    keys: str = ""
    until: Instant | None = None

    def press(self, now: Instant, key: str) -> bool:
        """Take a key; say whether that is all."""
        if key == self.finish:
            return True
        self.keys += key
        self.until = now + self.timeout
        return len(self.keys) >= self.digits


def after(now: Instant, wait_ms: int) -> Instant:
    """Give the instant so many milliseconds after now."""
    return now + wait_ms * MILLISECOND
