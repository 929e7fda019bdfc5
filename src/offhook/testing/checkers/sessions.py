"""What must hold of a session between two of ours, however often it was changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from offhook.core.instants import SECOND, Instant
from offhook.core.media import Address
from offhook.testing.checkers.base import Checker, is_phone
from offhook.testing.wire import Sip

if TYPE_CHECKING:
    from offhook.testing.engine import VirtualEngine


@dataclass(slots=True)
class _End:
    """One port as it was opened and configured last."""

    local: Address
    remote: Address | None = None
    sending: bool = False
    receiving: bool = False


class OneView(Checker):
    """When a call ends and nothing was under way, both ends mean the same: what one sends the other takes, no more."""

    law = "both ends agree which way media goes"
    QUIET: Final = 5 * SECOND
    """What is under way is repeated at least every 4 s (RFC 3261, T2), so this long without a word it is settled."""

    def __init__(self) -> None:
        super().__init__()
        self._ends: dict[tuple[str, int], _End] = {}
        self._spoken: dict[str, Instant] = {}

    def sip_left(self, now: Instant, source: Address, destination: Address, message: Sip, data: bytes) -> None:
        """Note when a machine last spoke of a session, by what may change one."""
        if is_phone(source[0]) and message.method in ("INVITE", "UPDATE", "ACK", "PRACK"):
            self._spoken[source[0]] = now

    def verb(self, now: Instant, engine: VirtualEngine, port: int, name: str, arguments: tuple[Any, ...]) -> None:
        """Follow each port, and compare it with the other end's when it is closed."""
        key = (engine.ip, port)
        if name == "open":
            self._ends[key] = _End(engine.local(port))
        elif name == "configure":
            plan, end = arguments[1], self._ends[key]
            end.remote, end.sending, end.receiving = plan["remote"], plan["sending"], plan["receiving"]
        elif name == "close" and (end := self._ends.pop(key, None)) is not None:
            self._compare(now, end)

    def _compare(self, now: Instant, end: _End) -> None:
        other = next((one for one in self._ends.values() if one.local == end.remote and one.remote == end.local), None)
        if other is None:
            return
        for ip in (end.local[0], other.local[0]):
            if now - self._spoken.get(ip, now) < self.QUIET:
                return
        if (end.sending, end.receiving) != (other.receiving, other.sending):
            self.broken(now, f"{_ways(end)}, and {_ways(other)}")


def _ways(end: _End) -> str:
    ways = [name for name, on in (("sends", end.sending), ("takes", end.receiving)) if on]
    return f"{end.local[0]}:{end.local[1]} {' and '.join(ways) or 'does nothing'}"
