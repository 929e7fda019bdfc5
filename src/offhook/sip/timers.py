"""One heap of timers for a whole user agent.

Stopping a timer only forgets it at its owner; what the heap still holds of it is skipped when it comes up. So starting
costs one push and stopping costs nothing, which is what matters where nearly every timer is stopped before it fires.
The heap knows an owner by its table of alarms alone, so that a call which is over leaves no more of it than that: its
memory is the next one's at once.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Final, Protocol

from offhook.core.instants import Instant

_REBUILD: Final = 512
"""Dead entries are swept once they are this many and more than half of the heap."""


class Alarmed(Protocol):
    """Who owns timers."""

    alarms: Alarms


Alarms = dict[str, tuple[Instant, Alarmed]]
"""The timers of one owner that run, by name: when each is due, and whose it is."""


class Timers:
    """Names of timers with their owners, in order of time."""

    __slots__ = ("_dead", "_heap", "_order")

    def __init__(self) -> None:
        self._heap: list[tuple[Instant, int, Alarms, str]] = []
        self._order = 0
        self._dead = 0

    def __len__(self) -> int:
        """Give how many entries are held, dead ones too."""
        return len(self._heap)

    def start(self, owner: Alarmed, name: str, at: Instant) -> None:
        """Start a timer, or start it anew."""
        alarms = owner.alarms
        if name in alarms:
            self._dead += 1
        alarms[name] = at, owner
        # The order of starting breaks ties, so equal instants fire in the order in which they were asked for.
        self._order += 1
        heappush(self._heap, (at, self._order, alarms, name))

    def stop(self, owner: Alarmed, name: str) -> None:
        """Stop a timer if it runs."""
        if owner.alarms.pop(name, None) is not None:
            self._dead += 1

    def clear(self, owner: Alarmed) -> None:
        """Stop all timers of an owner."""
        self._dead += len(owner.alarms)
        owner.alarms.clear()

    def deadline(self) -> Instant | None:
        """Give when the first timer is due, None while none runs."""
        heap = self._heap
        while heap:
            at, _, alarms, name = heap[0]
            if _stands(at, alarms, name):
                return at
            heappop(heap)
            self._dead -= 1
        return None

    def pop(self, now: Instant) -> tuple[Alarmed, str] | None:
        """Take the first timer that is due, None where none is."""
        at = self.deadline()
        if at is None or at > now:
            return None
        _, _, alarms, name = heappop(self._heap)
        _, owner = alarms.pop(name)
        return owner, name

    def sweep(self) -> None:
        """Drop dead entries where they are the greater part, so that a flood leaves no memory behind."""
        if self._dead < _REBUILD or self._dead * 2 < len(self._heap):
            return
        self._heap = [entry for entry in self._heap if _stands(entry[0], entry[2], entry[3])]
        heapify(self._heap)
        self._dead = 0


def _stands(at: Instant, alarms: Alarms, name: str) -> bool:
    """Say whether an entry of the heap is a timer that still runs, and has not been started anew."""
    alarm = alarms.get(name)
    return alarm is not None and alarm[0] == at
