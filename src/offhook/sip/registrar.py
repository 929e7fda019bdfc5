"""Offhook as a registrar: its own softphones say where they are (RFC 3261 section 10.3, RFC 5626, RFC 3327).

    REGISTER ─► who is it? ─► 401 ─► in order? ─► long enough? 423 ─► bindings ─► 200 with all of them
    anything else from a stranger ─► admit ─► 401, or in
    bindings(user) ─► where to call

Laws: nothing changes unless the whole request is in order; an unknown user gets what a wrong password gets, and each
wrong one is a `Suspicion`; nobody changes or shows another's bindings; a binding leads back over the path that its
REGISTER came by and nowhere else, so that no Contact can make us call somebody; users and bindings are bounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from offhook.core.instants import SECOND, Instant
from offhook.sip.calls import Calls
from offhook.sip.challenges import Challenges, Proved, Stale, Wrong
from offhook.sip.gate import Refusal
from offhook.sip.grammar import Fields, Malformed, param, unquote
from offhook.sip.granted import seconds
from offhook.sip.header import NameAddr, parse_cseq, parse_name_addr
from offhook.sip.message import Request
from offhook.sip.outcomes import Bound, Flow, Suspicion, Unbound
from offhook.sip.timers import Alarms
from offhook.sip.transaction import RELIABLE
from offhook.sip.uri import Uri, parse_uri, unescape

LEAST_S: Final = 60
MOST_S: Final = 3600
"""What we grant. RFC 3261 section 10.3 lets a registrar refuse only what is below an hour, and we do below a minute."""

BINDINGS_LIMIT: Final = 8
"""Places that one user may be at; the one that would expire first makes room. A phone that was restarted without a word
leaves one behind."""

PATH_LIMIT: Final = 8

FLOW_TIMER_S: Final = 120
"""How often we want to hear from who speaks RFC 5626; a connection that is silent is closed much later."""

ASKED: Final = frozenset({"INVITE", "MESSAGE", "OPTIONS"})
"""What a stranger may do once it has said who it is. All else outside a dialog is for nobody: a REFER never dials."""


def _no_alarms() -> Alarms:
    return {}


@dataclass(slots=True, eq=False)
class Binding:
    """Where a user is: `contact` is the URI to ask for, `flow` the path to it, `path` the proxies on it (RFC 3327).

    `identity` is what tells it from the user's others: the instance and flow of RFC 5626, or the URI. `q` orders them.
    """

    user: str
    contact: str
    identity: tuple[object, ...]
    flow: Flow
    path: tuple[str, ...]
    call_id: str
    seq: int
    q: float = 1.0
    until: Instant = 0
    alarms: Alarms = field(default_factory=_no_alarms)

    def target(self) -> Uri:
        """Give the URI that a request to it is for."""
        return parse_uri(self.contact)


@dataclass(frozen=True, slots=True)
class _Wish:
    """One Contact of a REGISTER, read: `granted_s` 0 takes the binding back."""

    contact: str
    identity: tuple[object, ...]
    granted_s: int
    q: float


class Registrar:
    """Where our users are."""

    def __init__(self, calls: Calls, challenges: Challenges) -> None:
        self._calls = calls
        self._challenges = challenges
        self._bound: dict[str, list[Binding]] = {}

    # --- who asks

    def admit(self, now: Instant, request: Request, flow: Flow) -> None:
        """Let a request from a stranger in if it proves to be a user's, else raise the `Refusal` that answers it."""
        if request.method == "REGISTER":
            return  # `register` asks for itself
        if request.method not in ASKED:
            raise Refusal(403)
        user = self._prove(now, request, flow)
        if _user(request.index["From"]) != user:
            raise Refusal(403)  # or any user could call as any other

    def _prove(self, now: Instant, request: Request, flow: Flow) -> str:
        source = flow.remote[0]
        verdict = self._challenges.check(now, request, source)
        if isinstance(verdict, Proved):
            return verdict.user
        if isinstance(verdict, Wrong):
            self._calls.out.append(Suspicion(source, "brute_force", verdict.user))
        stale = isinstance(verdict, Stale) and verdict.nonce_known
        raise Refusal(401, self._challenges.ask(now, source, stale=stale))

    # --- REGISTER

    def register(self, now: Instant, request: Request, flow: Flow) -> Fields:
        """Serve a REGISTER; give the fields of its 200. Refusal or Malformed where it is refused."""
        user = self._prove(now, request, flow)
        if _user(request.index["To"]) != user:
            raise Refusal(403)
        call_id, (seq, _) = request.index["Call-ID"], parse_cseq(request.index["CSeq"])
        values = request.values("Contact")
        old = self._bound.get(user, [])
        if "*" in values:
            if values != ["*"] or seconds(request.first("Expires"), MOST_S, -1) != 0:
                raise Malformed("contact", "a Contact of * with others, or without Expires: 0")
            _in_order(old, call_id, seq)
            for binding in list(old):
                self._unbind(binding)
            return ()
        wishes = [_read(value, request) for value in values]
        named = {wish.identity for wish in wishes}
        _in_order([binding for binding in old if binding.identity in named], call_id, seq)
        path = tuple([str(parse_name_addr(value, "path")) for value in request.values("Path")])
        if len(path) > PATH_LIMIT or len(wishes) > BINDINGS_LIMIT:
            raise Refusal(403)
        for wish in wishes:
            self._take(now, user, wish, flow, path, call_id, seq)
        return self._answer(now, user, request, path, wishes)

    def _take(
        self, now: Instant, user: str, wish: _Wish, flow: Flow, path: tuple[str, ...], call_id: str, seq: int
    ) -> None:
        bound = self._bound.setdefault(user, [])
        known = next((binding for binding in bound if binding.identity == wish.identity), None)
        if wish.granted_s == 0:
            if known is not None:
                self._unbind(known)
            elif not bound:
                del self._bound[user]
            return
        binding = known
        if binding is None:
            if len(bound) >= BINDINGS_LIMIT:
                self._unbind(min(bound, key=lambda one: one.until))
            binding = Binding(user, wish.contact, wish.identity, flow, path, call_id, seq)
            bound.append(binding)
        news = known is None or known.flow != flow
        binding.contact, binding.flow, binding.path, binding.q = wish.contact, flow, path, wish.q
        binding.call_id, binding.seq = call_id, seq
        binding.until = now + wish.granted_s * SECOND
        self._calls.timers.start(binding, "expired", binding.until)
        if news:
            self._calls.out.append(Bound(user, binding.contact, flow.remote[0], wish.granted_s))

    def _answer(
        self, now: Instant, user: str, request: Request, path: tuple[str, ...], wishes: Sequence[_Wish]
    ) -> Fields:
        fields: list[tuple[str, str]] = []
        for binding in self._bound.get(user, []):
            left_s = max(1, round((binding.until - now) / SECOND))
            instance, number = binding.identity if binding.identity[0] else ("", 0)
            flow_of = f';+sip.instance="{instance}";reg-id={number}' if instance else ""
            fields.append(("Contact", f"<{binding.contact}>{flow_of};expires={left_s}"))
        fields += [("Path", value) for value in path]
        supported = {word.strip().lower() for value in request.all("Supported") for word in value.split(",")}
        if "outbound" in supported and any(wish.identity[0] for wish in wishes):
            fields += [("Require", "outbound"), ("Flow-Timer", str(FLOW_TIMER_S))]  # RFC 5626 section 6
        return tuple(fields)

    # --- where they are

    def bindings(self, now: Instant, user: str) -> list[Binding]:
        """Give where a user is, the preferred place first, then the one that was heard of last; [] for nobody."""
        alive = [binding for binding in self._bound.get(user, []) if binding.until > now]
        return sorted(alive, key=lambda binding: (-binding.q, -binding.until))

    def holds(self, connection: int) -> bool:
        """Say whether a user is bound by a connection, which is then kept however quiet it is."""
        return any(one.flow.connection == connection for bound in self._bound.values() for one in bound)

    def sources(self) -> set[str]:
        """Give the addresses that users are reached at."""
        return {one.flow.remote[0] for bound in self._bound.values() for one in bound}

    def flow_closed(self, flow: Flow) -> None:
        """Forget who was bound by a connection that is gone: it must register anew (RFC 5626 section 5.3)."""
        if flow.transport in RELIABLE and flow.connection:
            for binding in [one for bound in self._bound.values() for one in bound if one.flow == flow]:
                self._unbind(binding)

    def expired(self, binding: Binding) -> None:
        """Forget a binding that was not refreshed."""
        self._unbind(binding)

    def _unbind(self, binding: Binding) -> None:
        self._calls.timers.clear(binding)
        bound = self._bound[binding.user]
        bound.remove(binding)
        if not bound:
            del self._bound[binding.user]
        self._calls.out.append(Unbound(binding.user, binding.contact, binding.flow.remote[0]))


def _user(value: str) -> str:
    """Give the user of a From or To, unescaped; "" where there is none."""
    return unescape(parse_name_addr(value).parsed().user or "")


def _in_order(bindings: Sequence[Binding], call_id: str, seq: int) -> None:
    """Refuse what was sent before the last that we took (section 10.3, steps 6 and 7)."""
    if any(binding.call_id == call_id and seq <= binding.seq for binding in bindings):
        raise Refusal(500)


def _read(value: str, request: Request) -> _Wish:
    """Read one Contact. Malformed where it is no SIP address, Refusal where its time is too brief."""
    contact = parse_name_addr(value, "contact")
    uri = contact.parsed()
    if not uri.is_sip or uri.headers:
        raise Malformed("contact", "a Contact that is no plain SIP address")
    otherwise_s = seconds(request.first("Expires"), MOST_S, MOST_S)
    # Section 10.2.1.1: what can't be read is an hour.
    asked = param(contact.params, "expires")
    asked_s = otherwise_s if asked is None else seconds(asked, MOST_S, MOST_S)
    if 0 < asked_s < LEAST_S:
        raise Refusal(423, (("Min-Expires", str(LEAST_S)),))
    return _Wish(contact.uri, _identity(contact, uri), asked_s, _quality(param(contact.params, "q")))


def _identity(contact: NameAddr, uri: Uri) -> tuple[object, ...]:
    instance = unquote(param(contact.params, "+sip.instance") or "")
    number = param(contact.params, "reg-id") or ""
    if instance and number.isdigit() and len(number) < 6 and instance.isprintable() and not {'"', "\\"} & set(instance):
        return instance, int(number)  # RFC 5626 section 6
    # Section 19.1.4, as far as it tells one phone from another.
    return "", uri.user, uri.host.lower(), uri.port, (uri.param("transport") or "udp").lower()


def _quality(text: str | None) -> float:
    try:
        return min(1.0, max(0.0, float(text))) if text and text.isascii() and text[:1] in "01" else 1.0
    except ValueError:
        return 1.0
