"""What must hold of SIP on the wire."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from offhook.core.instants import MILLISECOND, SECOND, Instant
from offhook.core.media import Address
from offhook.testing.checkers.base import NONSENSE, Checker, is_phone
from offhook.testing.wire import Sip


class OneFinalResponse(Checker):
    """A transaction gets one final response, repeated byte for byte if at all (RFC 3261 section 17.2)."""

    law = "one final response per request"

    def __init__(self) -> None:
        super().__init__()
        self._final: dict[tuple[Address, str, str, int, str], tuple[int, bytes]] = {}

    def sip_left(self, now: Instant, source: Address, destination: Address, message: Sip, data: bytes) -> None:
        """Compare a final response with the first of its transaction."""
        if message.code < 200 or not is_phone(source[0]) or destination[0].startswith(NONSENSE):
            return
        key = (source, message.branch, message.call, message.number, message.method)
        first = self._final.setdefault(key, (message.code, data))
        if first[1] != data:
            what = f"{message.method} {message.number} of {message.call}"
            self.broken(now, f"{source[0]} answered {what} with {first[0]} and then with {message.code}")


class CountsUp(Checker):
    """Inside a dialog each new request of ours has a higher number than the one before it (RFC 3261 12.2.1.1)."""

    law = "the requests of a dialog count up"

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[tuple[Address, str, str, str], int] = {}
        self._seen: dict[tuple[Address, str], None] = {}

    def sip_left(self, now: Instant, source: Address, destination: Address, message: Sip, data: bytes) -> None:
        """Compare a request with the last of its dialog; one with a branch that was seen is that one again."""
        if message.code or not message.to_tag or message.method in ("ACK", "CANCEL") or not is_phone(source[0]):
            return
        if (source, message.branch) in self._seen or destination[0].startswith(NONSENSE):
            return
        self._seen[source, message.branch] = None
        key = (source, message.call, message.from_tag, message.to_tag)
        before = self._last.get(key, 0)
        if message.number <= before:
            self.broken(now, f"{source[0]}: {message.method} {message.number} after {before} in {message.call}")
        self._last[key] = max(before, message.number)


class TryingAtOnce(Checker):
    """A new INVITE is answered within 5 ms, with 100 or better (DESIGN: the caller's timer A never fires for us)."""

    law = "an INVITE is answered at once"
    BOUND: Final = 5 * MILLISECOND

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[Address, str], None] = {}
        self._owed: dict[tuple[Address, str], Instant] = {}

    def sip_arrived(self, now: Instant, source: Address, destination: Address, message: Sip, data: bytes) -> None:
        """Note an INVITE that begins a call."""
        self._overdue(now)
        if message.code or message.method != "INVITE" or message.to_tag:
            return
        key = (destination, message.branch)
        if is_phone(destination[0]) and not source[0].startswith(NONSENSE) and key not in self._seen:
            self._seen[key] = None
            self._owed[key] = now

    def sip_left(self, now: Instant, source: Address, destination: Address, message: Sip, data: bytes) -> None:
        """Note its answer."""
        if message.code and message.method == "INVITE":
            came = self._owed.get((source, message.branch))
            if came is not None and now - came <= self.BOUND:
                del self._owed[source, message.branch]
        self._overdue(now)

    def finish(self, now: Instant, remains: Mapping[str, Iterable[str]]) -> None:
        """Name those never answered."""
        self._overdue(now + SECOND)

    def _overdue(self, now: Instant) -> None:
        late = [key for key, came in self._owed.items() if now - came > self.BOUND]
        for key in late:
            came = self._owed.pop(key)
            self.broken(came, f"{key[0][0]} left the INVITE {key[1]} without an answer for 5 ms")
