"""The gate of the user agent: whether a request that comes from nowhere is let in (`sip.gate.Gate`).

    request ─► too much from there? 503, or what the trunk wants ─► nobody we know? prove who you are ─► in

Laws: the answer to whom we do not know is the same whoever and whatever was asked for, so that nobody learns which
names and numbers there are; what a source does too much of costs one small answer, and soon none.
"""

from __future__ import annotations

import random
import re
from typing import Final, Protocol

from offhook.core.instants import Instant
from offhook.policy.admission import Admission, Kind
from offhook.run.rules import HostRules
from offhook.run.security import SecurityLog
from offhook.sip.gate import Gate, Refusal
from offhook.sip.message import Request
from offhook.sip.outcomes import Flow

_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Characters that have no business in a header: who sends them means a terminal or a log to read them."""


class Sentry(Protocol):
    """Who asks those whom we do not know for a password."""

    def admit(self, now: Instant, request: Request, flow: Flow) -> None:
        """Let in whoever proves who it is; else raise the `Refusal` that challenges it."""
        ...


class HostGate(Gate):
    """Decides by class of source. `sentry` None: nobody proves anything, and strangers are not let in."""

    def __init__(
        self,
        rules: HostRules,
        admission: Admission,
        security: SecurityLog,
        rng: random.Random,
        sentry: Sentry | None = None,
    ) -> None:
        self._rules = rules
        self._admission = admission
        self._security = security
        self._rng = rng
        self.sentry = sentry
        self.refusing = False
        """Whether new calls are refused (drain, overload): trunks that ask for another code than 503 get theirs."""

    def admit(self, now: Instant, request: Request, flow: Flow) -> None:
        """Let a request in, or raise the `Refusal` that answers it."""
        ip = flow.remote[0]
        self._look(now, request, ip)
        verdict = self._admission.admits(now, ip, call=request.method == "INVITE")
        source = self._admission.source(ip)
        trunk = self._rules.trunk(source.name) if source.kind is Kind.TRUNK else None
        if verdict != "take":
            self._security.note(now, ip, "flood", request.method)
            raise Refusal(trunk.refuse if trunk is not None else 503, self.later())
        if self.refusing and trunk is not None and request.method == "INVITE":
            raise Refusal(trunk.refuse, self.later())
        if source.kind in (Kind.UNKNOWN, Kind.USER):
            if self.sentry is None:
                raise Refusal(403)
            self.sentry.admit(now, request, flow)

    def later(self) -> tuple[tuple[str, str], ...]:
        """Give the header that spreads those who were turned away."""
        return (("Retry-After", str(self._rng.randint(1, 10))),)

    def _look(self, now: Instant, request: Request, ip: str) -> None:
        for name, value in request.headers:
            if _CONTROL.search(value):
                self._security.note(now, ip, "injection", f"{name}: {value}")
                return
        if _CONTROL.search(request.uri):
            self._security.note(now, ip, "injection", request.uri)
