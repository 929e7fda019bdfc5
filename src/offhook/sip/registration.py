"""Being registered: one machine an account keeps a binding at its registrar alive (RFC 3261 section 10.2, RFC 5626).

    register ─► seeking ─ found(ways) ─► asking ─┬─ 2xx ──────────────► registered ─ nine tenths later ─► asking …
                   ▲                             ├─ 423: longer, 401: `auth` ─► asking
                   │                             ├─ no answer, 5xx: the next way
                   └──────── waiting ◄───────────┴─ no way left, or refused
    unregister ─► leaving (Expires: 0) ─► over

Laws: one request of an account is under way at a time; its Call-ID stays and its CSeq grows; who is told of a change is
told once; nothing here gives up for ever.

**How long to wait.** RFC 5626 section 4.5 waits 30 s at least after the first failure and up to half an hour, so that a
registrar that comes back is not drowned by all that it serves. A voice agent that can't be called for half an hour
after an outage of one minute is no good either. So the wait depends on how long the outage has lasted: in the first
`BRIEF` of it at most `BRIEF_WAIT`, which is as often as timer E repeats a request to a registrar that is silent (so an
account that is refused sends no more than one that is not heard: some 20 requests a minute), later a sixteenth of the
outage up to `LONG_WAIT`, so that what was away for long is found again within a sixteenth of that. Every wait is drawn
between half and all of it, so that many accounts spread. What a registrar asks for in Retry-After is kept to in full.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from offhook.core.instants import MILLISECOND, SECOND, Duration, Instant
from offhook.sip.auth import Account
from offhook.sip.calls import Calls, refuse_breaks
from offhook.sip.grammar import Fields, write_host_port
from offhook.sip.granted import EXPIRES_LIMIT, Granted, read_granted, seconds
from offhook.sip.keepalive import CRLFS, Pings
from offhook.sip.message import Request, Response
from offhook.sip.outcomes import Flow, Registered, Seeking, Unregistered
from offhook.sip.requests import Purpose
from offhook.sip.timers import Alarms
from offhook.sip.transaction import RELIABLE, ClientTransaction
from offhook.sip.uri import Uri

BRIEF: Final[Duration] = 180 * SECOND
"""An outage is brief while it has lasted no longer: a restart, a fail-over, a link that flaps."""

BRIEF_WAIT: Final[Duration] = 4 * SECOND
LONG_WAIT: Final[Duration] = 120 * SECOND

REFUSED_WAIT: Final[Duration] = 600 * SECOND
"""After a no that only a person can turn into a yes. Seldom enough that nobody bans us for it."""

NEXT_WAY: Final[Duration] = 10 * SECOND
"""How long the first of several registrars has before the next is tried; the last one has all of timer F."""

RETURN: Final[Duration] = 300 * SECOND
"""How often the first registrar is tried again while another one serves."""

SEEK_LIMIT: Final[Duration] = 15 * SECOND
"""How long the way to the registrar may be sought: a name server that is silent must not stop the machine."""

SOON: Final = (100 * MILLISECOND, 1500 * MILLISECOND)
"""When to register anew after the connection broke: spread, since it broke for all at once."""

TOO_BRIEF_LIMIT: Final = 3
"""How often a registrar may ask for a longer time before that is a fault of its own."""

RETRY_AFTER_LIMIT: Final = 3600

_HOPELESS: Final = frozenset({400, 401, 402, 403, 405, 406, 407, 410, 413, 414, 415, 416, 420, 421, 484, 485, 488, 493})
"""What trying again soon does not change. 404 is not among them: registrars that are starting say it, too."""


@dataclass(frozen=True, slots=True)
class Registering:
    """What to register, and how. `name` is the account's, as the configuration has it.

    `aor` is whom we register (`sip:user@domain`); its host is the domain that REGISTER names. `expires_s` is what we
    ask for. `instance` ("urn:uuid:…", the same after every start) turns RFC 5626 and GRUU on, "" off. `keepalive` keeps
    a NAT open where RFC 5626 is not spoken. `rewrite_contact` puts the address that the registrar saw us at into
    Contact.
    """

    name: str
    aor: Uri
    expires_s: int = 600
    instance: str = ""
    keepalive: bool = False
    rewrite_contact: bool = False


NOTHING: Final = Granted(0)
NO_ANSWER: Final = "no answer"


@dataclass(frozen=True, slots=True)
class Standing:
    """How an account stands: `state` as in the drawing, the last answer, and what the last 2xx granted.

    `contact` is the URI that was registered, over `flow`, until `until`.
    """

    name: str
    state: str = "seeking"
    code: int = 0
    reason: str = ""
    contact: str = ""
    until: Instant = 0
    flow: Flow | None = None
    granted: Granted = NOTHING


class Registration(Purpose):
    """One account at its registrar."""

    def __init__(self, calls: Calls, rules: Registering, account: Account | None) -> None:
        self.rules = rules
        self.standing = Standing(rules.name)
        self.alarms: Alarms = {}
        self._calls = calls
        self.account = account
        self._call_id = f"{calls.rng.getrandbits(128):032x}"
        self._tag = calls.tag()
        self._seq = 0
        self._ways: tuple[Flow, ...] = ()
        self._at = 0
        self._fresh = False
        self._sent: ClientTransaction | None = None
        self._expires_s = rules.expires_s
        self._too_brief = 0
        self._outbound = bool(rules.instance)
        self._failing: Instant | None = None
        self._failures = 0
        self._seen: tuple[str, int] | None = None
        self._pings = Pings(calls.rng)

    # --- orders

    def begin(self, now: Instant) -> None:
        """Ask for the way to the registrar; `found` goes on."""
        self._sent = None
        self._stop("refresh", "retry", "next")
        self._state("seeking")
        self._calls.timers.start(self, "seek", now + SEEK_LIMIT)
        self._calls.out.append(Seeking(self.rules.name))

    def found(self, now: Instant, ways: Sequence[Flow]) -> None:
        """Take the ways to the registrars, the best first; none is a failure."""
        if self.standing.state != "seeking":
            return
        self._stop("seek")
        self._ways, self._at, self._fresh = tuple(ways), 0, True
        if ways:
            self._ask(now)
        else:
            self._failed(now, 503, "the registrar's name leads nowhere")

    def leave(self, now: Instant) -> None:
        """Take the binding back; `Unregistered` follows when that is done or can't be."""
        registered = bool(self.standing.contact) and self.standing.until > now
        self._calls.timers.clear(self)
        self._state("leaving")
        self._sent = None
        if registered and self._ways:
            self._ask(now)
        else:
            self._over(now)

    def closed(self, now: Instant, flow: Flow) -> None:
        """Hear that a connection is gone: a binding made over it leads nowhere (RFC 5626 section 4.4)."""
        ours = self.standing.flow
        if self.standing.state == "registered" and ours is not None and _same_path(ours, flow):
            self._lost(now)

    def pong(self, now: Instant, flow: Flow, data: bytes) -> None:
        """Take what may be the answer to a keepalive: CRLF, or STUN."""
        ours = self.standing.flow
        if ours is None or not _same_path(ours, flow) or not self._pings.answered(data):
            return
        self._stop("pong")
        if self._pings.moved(data):
            self._lost(now)  # section 4.4.2: the NAT has another binding for us, so the registrar's is old

    def fire(self, now: Instant, alarm: str) -> None:
        """Take a timer that ran out."""
        if alarm == "seek":
            self.found(now, ())
        elif alarm == "retry":
            self.begin(now)
        elif alarm == "refresh":
            if self._at == 0:
                self._fresh = False
                self._ask(now)
            else:
                self.begin(now)  # the first registrar may be back
        elif alarm == "next":
            self._onward(now, 408, NO_ANSWER)
        elif alarm == "lapse":
            self._lapsed(now)
        elif alarm == "keepalive":
            self._ping(now)
        elif alarm == "pong":
            self._lost(now)

    # --- asking

    def _ask(self, now: Instant) -> None:
        flow = self._ways[self._at]
        leaving = self.standing.state == "leaving"
        if not leaving:
            self._state("asking")
            if self._at + 1 < len(self._ways):
                self._calls.timers.start(self, "next", now + NEXT_WAY)
        self._seq += 1
        rules, calls = self.rules, self._calls
        aor = Uri("sip", rules.aor.user, rules.aor.host, rules.aor.port)
        expires_s = 0 if leaving else self._expires_s
        fields: Fields = (
            ("Max-Forwards", "70"),
            ("From", f"<{aor}>;tag={self._tag}"),
            ("To", f"<{aor}>"),
            ("Call-ID", self._call_id),
            ("CSeq", f"{self._seq} REGISTER"),
            *[("Contact", value) for value in self._contacts(flow, expires_s)],
            ("Expires", str(expires_s)),
            calls.hello[0],
            ("Supported", "path, gruu, outbound" if self._outbound else "path"),
            *calls.software("User-Agent"),
        )
        request = Request(fields, b"", "REGISTER", str(Uri("sip", None, rules.aor.host, rules.aor.port)))
        # One way at a time: which comes next, and after how long, is for us to say.
        self._sent = calls.requests.send(now, request, (flow,), self, account=self.account)

    def _uri(self, flow: Flow) -> str:
        """Give our Contact URI as it is reached over a flow."""
        host, port = self._seen or (self._calls.settings.host or flow.local[0], flow.local[1])
        transport = "" if flow.transport == "udp" else f";transport={flow.transport}"
        ob = ";ob" if self._outbound else ""
        return f"sip:{self.rules.aor.user}@{write_host_port(host, port)}{transport}{ob}"

    def _contacts(self, flow: Flow, expires_s: int) -> list[str]:
        uri = self._uri(flow)
        # RFC 5626 section 4.2: the instance and the number of the flow are what identifies the binding.
        identity = f';+sip.instance="<{self.rules.instance}>";reg-id=1' if self._outbound else ""
        contacts = [f"<{uri}>{identity};expires={expires_s}"]
        old = self.standing.contact
        if old and old != uri and not self._outbound and expires_s:
            contacts.append(f"<{old}>;expires=0")  # or calls would be forked to where we no longer are
        return contacts

    # --- what `requests` tells (its Owner)

    def moved(self, now: Instant, sent: ClientTransaction) -> None:
        """Follow a request that went out anew with credentials."""
        self._sent = sent
        self._seq = int(sent.request.index["CSeq"].split()[0])

    def came(self, now: Instant, sent: ClientTransaction, response: Response) -> bool:
        """Take what the registrar says."""
        if sent is not self._sent or response.code < 200:
            return True
        code = response.code
        self._stop("next")
        self._sent = None
        if self.standing.state == "leaving":
            self._over(now)
        elif code < 300:
            self._registered(now, sent.flow, response)
        elif code == 423 and self._too_brief < TOO_BRIEF_LIMIT:
            self._too_brief += 1
            least_s = seconds(response.first("Min-Expires"), EXPIRES_LIMIT, 2 * self._expires_s)
            self._expires_s = max(least_s, self._expires_s)
            self._ask(now)
        elif code in (420, 439) and self._outbound:
            self._outbound = False  # RFC 5626 section 11.6: what is between us and the registrar does not speak it
            self._ask(now)
        elif code in (401, 407) and self.account is not None and not self.account.trouble:
            self._onward(now, code, "its nonces are stale as soon as they are used")
        elif code in _HOPELESS or 300 <= code < 400 or code >= 600:
            trouble = self.account.trouble if self.account is not None and code in (401, 407) else ""
            self._wait(now, code, trouble or _phrase(response), self._drawn(REFUSED_WAIT))
        else:
            self._onward(now, code, _phrase(response), seconds(response.first("Retry-After"), RETRY_AFTER_LIMIT, 0))
        return True

    def failed(self, now: Instant, sent: ClientTransaction, why: str) -> None:
        """Take that nobody answered."""
        if sent is not self._sent:
            return
        self._stop("next")
        self._sent = None
        if self.standing.state == "leaving":
            self._over(now)
        else:
            code, reason = (408, NO_ANSWER) if why == "timeout" else (503, "no connection")
            self._onward(now, code, reason)

    # --- failing

    def _onward(self, now: Instant, code: int, reason: str, retry_after_s: int = 0) -> None:
        """Try the next way, or wait where there is none."""
        self._sent = None
        if self._at + 1 < len(self._ways):
            self._at += 1
            self._ask(now)
        elif not self._fresh and not retry_after_s:
            self.begin(now)  # the name may lead elsewhere by now
        else:
            self._failed(now, code, reason, retry_after_s)

    def _failed(self, now: Instant, code: int, reason: str, retry_after_s: int = 0) -> None:
        if self._failing is None:
            self._failing = now
        self._failures += 1
        if now - self._failing < BRIEF:
            wait = min(SECOND << min(self._failures - 1, 8), BRIEF_WAIT)
        else:
            wait = min((now - self._failing) // 16, LONG_WAIT)
        self._wait(now, code, reason, max(self._drawn(wait), retry_after_s * SECOND + self._drawn(SECOND)))

    def _drawn(self, wait: Duration) -> Duration:
        return round(wait * self._calls.rng.uniform(0.5, 1.0))

    def _wait(self, now: Instant, code: int, reason: str, wait: Duration) -> None:
        news = (self.standing.code, self.standing.reason) != (code, reason)
        self._stop("keepalive", "pong", "refresh")
        self.standing = replace(self.standing, state="waiting", code=code, reason=reason)
        self._calls.timers.start(self, "retry", now + wait)
        if news:
            self._calls.out.append(Unregistered(self.rules.name, code, reason, now + wait))

    def _lapsed(self, now: Instant) -> None:
        """Tell that the binding has run out while the registrar is still being asked: nobody can call us any more."""
        if self.standing.code == 200:
            self.standing = replace(self.standing, code=408, reason=NO_ANSWER)
            self._calls.out.append(Unregistered(self.rules.name, 408, NO_ANSWER, now))

    def _lost(self, now: Instant) -> None:
        """Register anew: the path to us has changed."""
        self._stop("keepalive", "pong", "refresh")
        self._calls.timers.start(self, "retry", now + self._calls.rng.randint(*SOON))

    def _over(self, now: Instant) -> None:
        self._calls.timers.clear(self)
        self.standing = Standing(self.rules.name, "over")
        self._published()
        self._calls.out.append(Unregistered(self.rules.name, 200, "unregistered", None))

    # --- registered

    def _registered(self, now: Instant, flow: Flow, response: Response) -> None:
        uri = self._uri(flow)
        granted = read_granted(response, uri, self.rules.instance if self._outbound else "", self._expires_s)
        if granted.expires_s == 0:
            self._onward(now, response.code, "the registrar keeps no binding for us")
            return
        if self._hidden(flow, granted):
            # Once: a NAT that gives every request another port can't be helped by a Contact.
            self.standing = replace(self.standing, contact=uri)
            self._seen = granted.seen
            self._ask(now)
            return
        news = self.standing.contact != uri or self.standing.code != 200
        self._failing, self._failures, self._too_brief = None, 0, 0
        until = now + granted.expires_s * SECOND
        self.standing = Standing(self.rules.name, "registered", 200, "", uri, until, flow, granted)
        self._published()
        timers = self._calls.timers
        timers.start(self, "refresh", now + self._refresh(granted.expires_s))
        timers.start(self, "lapse", until)
        if self.rules.keepalive or granted.outbound:
            self._pings.reset(granted.flow_timer_s)
            timers.start(self, "keepalive", now + self._pings.interval())
        if news:
            self._calls.out.append(Registered(self.rules.name, uri, granted.expires_s))

    def _hidden(self, flow: Flow, granted: Granted) -> bool:
        """Say whether a NAT stands between us and the registrar and the Contact is to tell what it showed."""
        if not self.rules.rewrite_contact or self._seen is not None or granted.seen is None:
            return False
        return granted.seen != (self._calls.settings.host or flow.local[0], flow.local[1])

    def _refresh(self, granted_s: int) -> Duration:
        """Give when to ask again: at nine tenths, and earlier where that leaves no time to try again; at random."""
        left_s = max(granted_s / 10, min(granted_s / 2, 16.0))
        refresh = round((granted_s - left_s) * self._calls.rng.uniform(0.95, 1.0) * SECOND)
        return refresh if self._at == 0 else min(refresh, RETURN)

    def _published(self) -> None:
        """Tell the account what its calls go by: the registrar's route, and the Contact that it knows us by."""
        if self.account is not None:
            granted = self.standing.granted
            self.account.routes = granted.routes
            self.account.contact = granted.gruu or self.standing.contact

    # --- keeping the path open

    def _ping(self, now: Instant) -> None:
        flow = self.standing.flow
        if self.standing.state not in ("registered", "asking") or flow is None:
            return
        calls = self._calls
        # Only who speaks RFC 5626 owes an answer (section 4.4); that of a stream is awaited by its connection.
        asked = self.standing.granted.outbound and flow.transport not in RELIABLE
        calls.transactions.send(flow, self._pings.request() if asked else CRLFS)
        if asked:
            calls.timers.start(self, "pong", now + self._pings.patience)
        calls.timers.start(self, "keepalive", now + self._pings.interval())

    # --- small

    def _state(self, state: str) -> None:
        self.standing = replace(self.standing, state=state)

    def _stop(self, *alarms: str) -> None:
        for alarm in alarms:
            self._calls.timers.stop(self, alarm)


def _same_path(one: Flow, other: Flow) -> bool:
    return one.transport == other.transport and one.remote == other.remote


def _phrase(response: Response) -> str:
    """Give a reason phrase so that it may stand in a log line."""
    return ascii(response.reason[:60])[1:-1]


class Registrations:
    """All accounts of a user agent that are registered, by name."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._all: dict[str, Registration] = {}

    def register(self, now: Instant, rules: Registering, account: Account | None) -> None:
        """Register an account and keep it registered; `Seeking` asks for the way. ValueError for a line break."""
        refuse_breaks("To", f"{rules.aor}{rules.instance}")
        assert rules.name not in self._all, rules.name
        registration = self._all[rules.name] = Registration(self._calls, rules, account)
        if account is not None:
            self._calls.accounts.append(account)
        registration.begin(now)

    def found(self, now: Instant, name: str, ways: Sequence[Flow]) -> None:
        """Give the ways to an account's registrars, the best first; none: they can't be found."""
        if name in self._all:
            self._all[name].found(now, ways)

    def unregister(self, now: Instant, name: str) -> None:
        """Take an account's binding back and forget it; `Unregistered` with code 200 tells when."""
        if name in self._all:
            registration = self._all.pop(name)
            if registration.account is not None:
                self._calls.accounts.remove(registration.account)
            registration.leave(now)

    def standings(self) -> list[Standing]:
        """Give how each account stands."""
        return [registration.standing for registration in self._all.values()]

    def flow_closed(self, now: Instant, flow: Flow) -> None:
        """Hear that a connection is gone."""
        for registration in self._all.values():
            registration.closed(now, flow)

    def pong(self, now: Instant, flow: Flow, data: bytes) -> None:
        """Hear the answer to a keepalive (`Registration.pong`)."""
        for registration in self._all.values():
            registration.pong(now, flow, data)
