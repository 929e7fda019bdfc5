"""The two clocks of silence: ours, while we owe an answer, and the caller's, while they do.

owing ── filler_after ─► a filler ── filler_after ─► … ── give_up ─► it failed
idle ─── prompt_after ─► a prompt ── prompt_after ─► … ─► farewell
"""

from __future__ import annotations

from offhook.agent.manners import Manners
from offhook.agent.waits import after
from offhook.core.instants import MILLISECOND, Instant


class Patience:
    """How long there has been silence, and what it brings next."""

    __slots__ = ("_fillers", "_prompts", "idle_at", "owed_at", "owed_since")

    def __init__(self) -> None:
        self.idle_at: Instant | None = None
        self.owed_at: Instant | None = None
        self.owed_since: Instant | None = None
        self._prompts = 0
        self._fillers = 0

    def watch(self, now: Instant, manners: Manners, *, busy: bool, owing: bool, idle: bool) -> None:
        """Start the clock that runs in this state, stop the other. `busy`: something is being answered or said."""
        if not busy:
            self.owed_since = None
        elif self.owed_since is None:
            self.owed_since = now
        if not owing:
            self.owed_at = None
        elif self.owed_at is None:
            self.owed_at = after(now, manners.filler_after_ms)
        if not idle:
            self.idle_at = None
        elif self.idle_at is None:
            self.idle_at = after(now, manners.prompt_after_ms)

    def stirred(self) -> None:
        """The caller did something: they are there."""
        self.idle_at = None
        self._prompts = 0

    def exhausted(self, now: Instant, manners: Manners) -> bool:
        """Say whether an answer has been owed for too long."""
        return self.owed_since is not None and now - self.owed_since >= manners.give_up_ms * MILLISECOND

    def filler(self, manners: Manners) -> str:
        """Give the next filler, "" if there is none."""
        self.owed_at = None
        self._fillers += 1
        return manners.fillers[(self._fillers - 1) % len(manners.fillers)] if manners.fillers else ""

    def prompt(self, manners: Manners) -> str | None:
        """Give the next prompt, None when all were said."""
        self.idle_at = None
        if self._prompts >= len(manners.prompts):
            return None
        self._prompts += 1
        return manners.prompts[self._prompts - 1]
