"""A call that comes, read: through which trunk, who calls, what was called, and which route that is.

IncomingCall ─► source (network, registration, user) ─► trunk ─┬─► identity, believed as far as the trunk is
└─► numbers called ─► route ─► Arrival, or 404
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from offhook.call.leg import CallInfo
from offhook.carriers.stir import from_verstat
from offhook.carriers.trunks import ANONYMOUS, Trunk
from offhook.core.ids import CallId
from offhook.core.verdict import Verdict
from offhook.policy.admission import Kind, Source
from offhook.policy.routes import Route, Wanted
from offhook.run.rules import HostRules
from offhook.sip.identity import Believed, called, identity, plain, user_of
from offhook.sip.message import Request

_T = TypeVar("_T")

MACHINERY: Final = frozenset(
    {"Via", "Route", "Record-Route", "Contact", "Max-Forwards", "Cseq", "CSeq", "Content-Type", "Content-Disposition"}
    | {"Content-Encoding", "Content-Language", "Authorization", "Proxy-Authorization", "Allow", "Supported", "Require"}
    | {"Proxy-Require", "Session-Expires", "Min-SE", "Min-Se", "Accept", "Path", "Timestamp", "MIME-Version", "Event"}
)
"""Headers that steer the call and say nothing to who takes it; credentials among them."""

ASSERTED: Final = frozenset(
    {"P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-Id", "Diversion", "History-Info", "Identity"}
)
"""Headers that would be believed: an agent sees them only from whom they may be."""

HEADERS_LIMIT: Final = 64
"""Headers of one call that an agent sees; the longest trunk sends about thirty."""

_STRANGER: Final = ("request", "to")


@dataclass(frozen=True, slots=True)
class Arrival:
    """A call, read. `trunk` None: it came from no trunk. `numbers` are those that were called, the likeliest first."""

    info: CallInfo
    trunk: Trunk | None
    source: Source
    numbers: tuple[str, ...] = ()


def arrive(
    rules: HostRules, source: Source, invite: Request, find: Callable[[Wanted], Route[_T] | None], name: CallId
) -> tuple[Arrival, Route[_T] | None]:
    """Read a call; the route is None where nobody takes it. Nothing in the INVITE can make this raise."""
    trunk = rules.trunk(source.name) if source.kind is Kind.TRUNK else None
    believed = trunk.believed if trunk is not None else Believed()
    who = identity(invite, believed, verstat_header=trunk.verstat_header if trunk is not None else "")
    order = trunk.called_from if trunk is not None else _STRANGER
    numbers = called(invite, order, diversion=believed.diversion)
    caller = user_of(who.caller)
    if trunk is not None:
        numbers = tuple(dict.fromkeys([trunk.number(number) for number in numbers]))
        caller = trunk.number(caller)
    route = find(Wanted(numbers, trunk.name if trunk is not None else "", caller))
    info = CallInfo(
        name,
        "inbound",
        # Section 4.1.1.3 of RFC 3323: nobody behind the carrier sees the number of who asked for that.
        str(ANONYMOUS) if who.private else plain(who.caller),
        plain(invite.uri),
        _seen(invite, believed, private=who.private),
        trunk=trunk.name if trunk is not None else "",
        caller_name="" if who.private else who.name,
        diverted_from=plain(who.diverted_from),
        trusted=who.trusted,
        verdict=from_verstat(who.verstat) if who.verstat else Verdict(),
        private=who.private,
        language=route.language if route is not None else "",
    )
    return Arrival(info, trunk, source, numbers), route


def _seen(invite: Request, believed: Believed, *, private: bool) -> Mapping[str, str]:
    """Give the headers that an agent may see, without characters that move a cursor or end a line."""
    hidden = set(MACHINERY)
    if private or not believed.identity:
        hidden |= ASSERTED
    if private:
        hidden.add("From")
    seen: dict[str, str] = {}
    for name, value in invite.headers:
        if name not in hidden and name not in seen and len(seen) < HEADERS_LIMIT:
            seen[name] = plain(value)
    return seen


class Places:
    """How many calls each route has up, and each caller on it."""

    def __init__(self) -> None:
        self._taken: dict[CallId, tuple[str, str]] = {}

    def free(self, route: Route[_T], caller: str) -> bool:
        """Say whether a route takes one more call of a caller."""
        if route.calls is None and route.calls_a_caller is None:
            return True
        callers = [who for name, who in self._taken.values() if name == route.name]
        if route.calls is not None and len(callers) >= route.calls:
            return False
        return route.calls_a_caller is None or callers.count(caller) < route.calls_a_caller

    def take(self, call: CallId, route: Route[_T], caller: str) -> None:
        """Count a call."""
        if route.calls is not None or route.calls_a_caller is not None:
            self._taken[call] = route.name, caller

    def leave(self, call: CallId) -> None:
        """Stop counting it."""
        self._taken.pop(call, None)
