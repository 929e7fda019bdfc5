"""Whom we call: their addresses are heard for as long as we do, and for as long after as an answer may still come.

line.dialled ─► count ─► hears ─► is a datagram of theirs read at all?

RFC 3261 section 17.1.2.2: an answer to our BYE may take 64 T1, and so long may theirs be sent again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from offhook.core.instants import SECOND, Instant
from offhook.sip.outcomes import Flow

AFTER: Final = 32 * SECOND
"""64 times T1 of 500 ms."""

LATELY_LIMIT: Final = 10_000
"""Addresses that are heard after their calls at most; of more, the oldest is forgotten."""


class Called:
    """The addresses of those whom we call, and of those whom we have just called."""

    def __init__(self) -> None:
        self.calls: dict[str, int] = {}
        """How many calls of ours go to each."""
        self._lately: OrderedDict[str, Instant] = OrderedDict()

    def count(self, now: Instant, ways: Sequence[Flow], by: int) -> None:
        """Take note that a call to some addresses begins (`by` +1) or is over (-1)."""
        for flow in ways:
            ip = flow.remote[0]
            calls = self.calls.get(ip, 0) + by
            if calls > 0:
                self.calls[ip] = calls
            elif self.calls.pop(ip, 0):
                self._lately[ip] = now + AFTER
                self._lately.move_to_end(ip)
        while self._lately and (len(self._lately) > LATELY_LIMIT or next(iter(self._lately.values())) <= now):
            self._lately.popitem(last=False)

    def hears(self, now: Instant, ip: str) -> bool:
        """Say whether an address may speak to us since we call it, or did a moment ago."""
        return ip in self.calls or now < self._lately.get(ip, now)
