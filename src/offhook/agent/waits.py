"""The author's verbs that wait: for the caller's words, for keys, for all to be heard.

Ask, Gather ─► said ─► heard ─► `until` runs ─► answered, or "" when it has run out
"""

from __future__ import annotations

from dataclasses import dataclass

from offhook.agent import inputs
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


class Waits:
    """What the author waits for."""

    __slots__ = ("asking", "awaited", "gathering", "wishes")

    def __init__(self) -> None:
        self.asking: Asking | None = None
        self.gathering: Gathering | None = None
        self.awaited: list[int] = []
        """Tickets of those who wait until all is heard."""
        self.wishes: list[inputs.Speak | inputs.Ask | inputs.Gather] = []
        """What is to be said once media can flow."""

    @property
    def pending(self) -> bool:
        """Whether a verb waits for the caller."""
        return self.asking is not None or self.gathering is not None

    def ask(self, now: Instant, wish: inputs.Ask, run: int) -> None:
        """Wait for words, said by `run` (0: nothing is said)."""
        timeout = wish.timeout_ms * MILLISECOND
        self.asking = Asking(wish.ticket, run, timeout, None if run else now + timeout)

    def gather(self, now: Instant, wish: inputs.Gather, run: int) -> None:
        """Wait for keys, asked for by `run` (0: nothing is said)."""
        timeout = wish.timeout_ms * MILLISECOND
        until = None if run else now + timeout
        self.gathering = Gathering(wish.ticket, run, wish.digits, timeout, wish.finish, until=until)

    def heard_out(self, now: Instant, run: int) -> None:
        """A run is over: if it asked, the time for the answer begins."""
        if self.asking is not None and self.asking.run == run:
            self.asking.until = now + self.asking.timeout
        if self.gathering is not None and self.gathering.run == run and self.gathering.until is None:
            self.gathering.until = now + self.gathering.timeout

    def again(self, now: Instant) -> None:
        """What the caller said was no answer: the time for it begins anew."""
        if self.asking is not None and self.asking.until is not None:
            self.asking.until = now + self.asking.timeout


def after(now: Instant, wait_ms: int) -> Instant:
    """Give the instant so many milliseconds after now."""
    return now + wait_ms * MILLISECOND
