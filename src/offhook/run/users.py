"""Our own softphones: who of them is registered, where to call them, and who only pretends to be one.

    Registrar ─► Bound, Unbound ─► their address is a user's, no stranger's ─► one line in the log
             └─► Suspicion ─► the security log, and a ban
    to ─► "alice", sip:alice@offhook ─► the places where alice is, the preferred first

Laws: a user of ours is called over the path that it registered by; a name that is no user's is not dialled here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import structlog

from offhook.core.errors import DialFailed, ProtocolError
from offhook.policy.admission import Kind, Source
from offhook.run.dialling import Way
from offhook.run.security import SecurityLog, escaped
from offhook.sip.grammar import Fields
from offhook.sip.outcomes import Bound, Suspicion, UserOutcome
from offhook.sip.uri import parse_uri, unescape

if TYPE_CHECKING:
    from offhook.run.line import SipLine

log = structlog.get_logger("offhook.users")

HERE: Final = frozenset({"offhook", "localhost"})
"""Hosts that stand for this one in an address that an agent writes, beside our own."""


class Users:
    """The users of one line. `names` are all that there are, `hosts` the addresses that are ours."""

    def __init__(self, line: SipLine, security: SecurityLog, names: Iterable[str], hosts: Iterable[str]) -> None:
        self._line = line
        self._security = security
        self._names = frozenset(names)
        self._hosts = HERE | {host.lower() for host in hosts}
        line.on_user = self._told
        line.on_inside = lambda target: self.named(target) is not None

    def named(self, to: str) -> str | None:
        """Give the user that `to` names (`alice`, `sip:alice@offhook`), None where it is none of ours."""
        if to in self._names:
            return to
        try:
            uri = parse_uri(to)
        except ProtocolError:
            return None
        user = unescape(uri.user or "")
        return user if user in self._names and uri.host.lower() in self._hosts and not uri.headers else None

    @property
    def targets(self) -> tuple[str, ...]:
        """The addresses of all users, as rules of what may be transferred to."""
        return tuple([f"sip:{name}@{host}" for name in self._names for host in self._hosts if host])

    def ways(self, user: str, headers: Fields = ()) -> list[Way]:
        """Give where a user is, the preferred place first. DialFailed (480) where it is nowhere."""
        registrar = self._line.agent.registrar
        bound = registrar.bindings(self._line.now(), user) if registrar is not None else []
        if not bound:
            raise DialFailed(480, f"{user} is not registered")
        return [
            Way(one.target(), one.target(), headers=(*_route(one.path), *headers), flows=(one.flow,)) for one in bound
        ]

    def _told(self, outcome: UserOutcome) -> None:
        line = self._line
        if isinstance(outcome, Suspicion):
            self._security.note(line.now(), outcome.source, outcome.kind, outcome.user)
        elif isinstance(outcome, Bound):
            line.admission.learn(outcome.source, Source(Kind.USER, outcome.user))
            log.info("a user is registered", user=outcome.user, contact=escaped(outcome.contact), source=outcome.source)
        else:
            registrar = line.agent.registrar
            if registrar is None or outcome.source not in registrar.sources():
                line.admission.forget(outcome.source)
            log.info("a user is gone", user=outcome.user, contact=escaped(outcome.contact), source=outcome.source)


def _route(path: tuple[str, ...]) -> Fields:
    # RFC 3327 section 5.3: the way back is the Path, as it was recorded.
    return tuple([("Route", one) for one in path])
