"""What must hold of calls as a whole: they end once and leave nothing behind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from offhook.core.instants import Instant
from offhook.testing.checkers.base import Checker


class EndsOnce(Checker):
    """Every call that came or was placed ends exactly once, and nothing is told of it afterwards."""

    law = "every call ends exactly once"

    def __init__(self) -> None:
        super().__init__()
        self._open: dict[tuple[str, str], None] = {}
        self._over: dict[tuple[str, str], None] = {}

    def told(self, now: Instant, host: str, call: str, event: str, data: Mapping[str, Any]) -> None:
        """Follow a call."""
        key = (host, call)
        if not call:
            return  # of the host itself
        if key in self._over:
            self.broken(now, f"{host}: `{event}` of call {call} after its end")
        elif event == "ended":
            if key not in self._open:
                self.broken(now, f"{host}: call {call} ended without having begun")
            self._open.pop(key, None)
            self._over[key] = None
        else:
            self._open[key] = None

    def finish(self, now: Instant, remains: Mapping[str, Iterable[str]]) -> None:
        """Name the calls without an end."""
        for host, call in self._open:
            self.broken(now, f"{host}: call {call} never ended")


class NothingLeft(Checker):
    """When a call is over and the linger has passed, nothing of it is left: no port, task, timer or transaction."""

    law = "nothing outlives its call"

    def finish(self, now: Instant, remains: Mapping[str, Iterable[str]]) -> None:
        """Name what is left."""
        for kind, names in remains.items():
            for name in names:
                self.broken(now, f"{kind}: {name} is left")


class NothingRaised(Checker):
    """No exception reached a last-resort guard or the loop's own handler."""

    law = "no exception escapes"

    def told(self, now: Instant, host: str, call: str, event: str, data: Mapping[str, Any]) -> None:
        """Take down what a guard caught."""
        if event == "raised":
            self.broken(now, f"{host}: {data.get('error')}")
