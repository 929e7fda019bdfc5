"""The user agent: bytes and orders in, outcomes out (RFC 3261). Pure: `now` is given, randomness injected.

    receive ─► message ─► transactions ─┬─► Server ─┐
    orders ────────────────────────────►│           ├─► outcomes (take)      deadline ─► expire
                                        ├─► Client ─┤
                                        └─► Renegotiation

Laws: nothing that a peer sends raises; every datagram received ends in exactly one counter among those whose names
begin as `FATES` say, so that they sum to `received`; one final response to a request; one `Ended` to a call; no timer
outlives its owner.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final
from zlib import crc32

from offhook.core.instants import Instant
from offhook.sip import tables
from offhook.sip.calls import Call, Calls, Settings
from offhook.sip.challenges import Challenges
from offhook.sip.client import Client
from offhook.sip.dialog import DialogKey
from offhook.sip.grammar import Fields, Malformed, split_list
from offhook.sip.header import NameAddr, Via, parse_cseq, parse_max_forwards, parse_name_addr, parse_via
from offhook.sip.info import Asides
from offhook.sip.keepalive import binding_response, is_stun
from offhook.sip.manners import Manners
from offhook.sip.message import Request, Response, block, parse_message, status_line, write
from offhook.sip.outcomes import Flow, Outcome, SipCall
from offhook.sip.registrar import Binding, Registrar
from offhook.sip.registration import Registration, Registrations
from offhook.sip.renegotiation import Renegotiation
from offhook.sip.requests import Account
from offhook.sip.sdp import Session
from offhook.sip.server import KNOWN, Server
from offhook.sip.tables import Row
from offhook.sip.transaction import ClientTransaction, ServerTransaction, echo, echoed_vias, response_flow, server_key
from offhook.sip.transfer import Transfers, abandon
from offhook.sip.uri import Uri, parse_uri

if TYPE_CHECKING:
    import random

__all__ = ["FATES", "Settings", "UserAgent"]

FATES: Final = ("request_", "response_", "malformed_", "stray_", "repeated_", "keepalive", "overload")
"""How the names of the counters begin of which every datagram received ends in exactly one."""

_FATE: Final = {method: f"request_{method.lower()}" for method in KNOWN}
_ECHOED: Final = frozenset({"Via", "From", "To", "Call-ID", "CSeq"})
_SINGLE: Final = ("From", "To", "Call-ID", "CSeq", "Max-Forwards", "Content-Type")
_BLANK: Final = (b"", b"\r", b"\n", b"\0", b" ")

_STATELESS_LIMIT: Final = 8192
"""Bytes of headers that are given back without a transaction; more is nothing that a call needs."""


class UserAgent:
    """A SIP phone without a clock or a socket. See `calls.Settings` for what it is told at its making.

    `way` is asked for the flow to the next hop of a dialog where that is another than the dialog was made on; None,
    where it is not known, leaves the request on the dialog's own.
    """

    def __init__(
        self, *, rng: random.Random, settings: Settings, way: Callable[[Uri], Flow | None] = lambda uri: None
    ) -> None:
        self._calls = Calls(rng=rng, settings=settings, way=way)
        self._server = Server(self._calls)
        self._client = Client(self._calls)
        self._renegotiation = Renegotiation(self._calls, self._server)
        self._asides = Asides(self._calls, self._server)
        self.registrations = Registrations(self._calls)
        """The accounts of ours at their registrars."""
        self.registrar = self._registrar(rng) if settings.users else None
        """Where the users of ours are, if there are any."""
        self.transfers = Transfers(self._calls, self._server)
        """Orders for transfers, ours and theirs."""
        self._seed = rng.getrandbits(32)
        self._counts: dict[str, int] = {"received": 0}

    def _registrar(self, rng: random.Random) -> Registrar:
        settings = self._calls.settings
        secret = rng.getrandbits(256).to_bytes(32, "big")
        challenges = Challenges(settings.users, realm=settings.realm, secret=secret, algorithms=settings.digests)
        registrar = Registrar(self._calls, challenges)

        def serve(now: Instant, transaction: ServerTransaction) -> None:
            fields = registrar.register(now, transaction.request, transaction.flow)
            self._server.respond(now, transaction, 200, fields)

        self._server.outside["REGISTER"] = serve
        return registrar

    # --- inputs

    def receive(self, now: Instant, data: bytes, flow: Flow) -> str:
        """Take one UDP datagram, or one whole message cut from a stream; give which fate it had (`FATES`)."""
        counts = self._counts
        counts["received"] += 1
        try:
            fate = self._receive(now, data, flow)
        except Malformed as fault:
            fate = f"malformed_{fault.kind}"
            self._answer_malformed(data, fault, flow)
        counts[fate] = counts.get(fate, 0) + 1
        return fate

    def flow_closed(self, now: Instant, flow: Flow) -> None:
        """Hear that a connection is gone or can't be opened."""
        self._calls.transactions.failed(now, flow)
        for call in self._calls.alive.values():
            if call.flow.connection and call.flow == flow:
                call.flow = Flow(flow.transport, flow.local, flow.remote)
        self.registrations.flow_closed(now, flow)
        if self.registrar is not None:
            self.registrar.flow_closed(flow)

    def expire(self, now: Instant) -> None:
        """Fire every timer that is due."""
        timers = self._calls.timers
        while (due := timers.pop(now)) is not None:
            owner, name = due
            if isinstance(owner, Call):
                self._calls.alarms[name](now, owner)
            elif isinstance(owner, Registration):
                owner.fire(now, name)
            elif isinstance(owner, Binding) and self.registrar is not None:
                self.registrar.expired(owner)
            elif name == "deserted" and isinstance(owner, ServerTransaction):
                self._server.deserted(now, owner)
            elif isinstance(owner, ServerTransaction | ClientTransaction):
                self._calls.transactions.fire(now, owner, name)
        timers.sweep()

    # --- orders. A call that is over takes none: orders and ends cross, and that is nobody's fault.

    def ring(
        self, now: Instant, call: SipCall, code: int = 180, body: Session | None = None, headers: Fields = ()
    ) -> None:
        """Say that a call rings: 180, or 183 with our description for early media. ValueError for no such code."""
        if not 101 <= code <= 199:
            raise ValueError(f"{code} is no provisional response")
        if (found := self._calls.alive.get(call)) is not None:
            self._server.ringing.ring(now, found, code, body, headers)

    def waits(self, call: SipCall) -> bool:
        """Say whether a call of theirs still waits to be answered."""
        found = self._calls.alive.get(call)
        return found is not None and found.phase == "ringing"

    def answer(self, now: Instant, call: SipCall, body: Session) -> None:
        """Answer a call with 200 and our description (an offer where theirs is delayed)."""
        if (found := self._calls.alive.get(call)) is not None:
            self._server.answer(now, found, body)

    def reject(self, now: Instant, call: SipCall, code: int, reason: str = "", headers: Fields = ()) -> None:
        """Refuse a call. ValueError for a code below 300 or above 699, or a line break in a header."""
        if (found := self._calls.alive.get(call)) is not None:
            self._server.reject(now, found, code, reason, headers)

    def accept_reoffer(self, now: Instant, call: SipCall, body: Session) -> None:
        """Answer what `Reoffered` told of with our description."""
        if (found := self._calls.alive.get(call)) is not None:
            self._renegotiation.accept(now, found, body)

    def refuse_reoffer(self, now: Instant, call: SipCall, code: int = 488) -> None:
        """Refuse what `Reoffered` told of; the call goes on as it was (or ends, where their 2xx brought it)."""
        if (found := self._calls.alive.get(call)) is not None:
            self._renegotiation.refuse(now, found, code)

    def reoffer(self, now: Instant, call: SipCall, body: Session | None) -> None:
        """Offer to change the session; `body` None leaves the offer to them. `Reanswered` follows, once."""
        if (found := self._calls.alive.get(call)) is not None:
            self._renegotiation.reoffer(now, found, body)

    def invite(
        self,
        now: Instant,
        target: Uri,
        ways: Sequence[Flow],
        body: Session | None,
        *,
        sender: NameAddr | Uri | None = None,
        headers: Fields = (),
        account: Account | None = None,
        manners: Manners | None = None,
    ) -> SipCall:
        """Call `target` over the first of `ways`, or the next where one fails; `body` None leaves the offer to them.

        `account` answers challenges; `manners` None: it is dealt with as all are. ValueError for a line break in a
        header.
        """
        return self._client.invite(now, target, ways, body, sender, headers, account, manners)

    def options(self, now: Instant, target: Uri, ways: Sequence[Flow], *, account: Account | None = None) -> SipCall:
        """Ask `target` for its OPTIONS; `Asked` follows. ValueError for a line break in the target."""
        return self._client.options(now, target, ways, account)

    def probe(self, now: Instant, call: SipCall) -> None:
        """Ask the far end of a call that is up, inside its dialog, whether it is still there; `Probed` follows."""
        if (found := self._calls.alive.get(call)) is not None:
            self._client.probe(now, found)

    def acknowledge(self, now: Instant, call: SipCall, body: Session) -> None:
        """Answer the offer that came in `Answered` to an INVITE without a body: the ACK carries it."""
        if (found := self._calls.alive.get(call)) is not None:
            self._client.acknowledge(now, found, body)

    def answer_early(self, now: Instant, call: SipCall, tag: str, body: Session) -> None:
        """Answer the offer that a `Progress` brought: its PRACK carries it."""
        if (found := self._calls.alive.get(call)) is not None:
            self._client.invitations.answer_early(now, found, tag, body)

    def follow(self, now: Instant, call: SipCall, target: Uri, ways: Sequence[Flow]) -> None:
        """Invite the target that `Redirected` named, as it is called by us."""
        if (found := self._calls.alive.get(call)) is not None:
            self._client.invitations.follow(now, found, target, tuple(ways))

    def skip(self, now: Instant, call: SipCall) -> None:
        """Leave the target that `Redirected` named alone: the next one follows, or the end of the call."""
        if (found := self._calls.alive.get(call)) is not None:
            self._client.invitations.skip(now, found)

    def takes(self, call: SipCall, method: str) -> bool:
        """Say whether the far end has said that it takes a method (Allow, RFC 3261 section 20.5)."""
        found = self._calls.alive.get(call)
        return found is not None and method in [one.strip() for one in found.allow.split(",")]

    def press(self, now: Instant, call: SipCall, keys: str, duration_ms: int = 100) -> None:
        """Send keys (0-9*#A-D) by INFO, for a far end that takes none as RTP. ValueError for what is no key."""
        if (found := self._calls.alive.get(call)) is not None:
            self._asides.press(now, found, keys, duration_ms)

    def hangup(self, now: Instant, call: SipCall, headers: Fields = ()) -> None:
        """End a call, by whatever its state asks for: 480, CANCEL or BYE (after the ACK, where that is still out)."""
        found = self._calls.alive.get(call)
        if found is None:
            return
        if found.phase == "ringing":
            self._server.reject(now, found, 480, "", headers, why="hangup")
        else:
            abandon(self._calls, now, found, 487)
            self._client.hangup(now, found, headers)

    def refuse_new(self, on: bool, retry_after: tuple[int, int] = (1, 10)) -> None:
        """Answer new INVITEs and OPTIONS with 503 and a random Retry-After (drain, overload), or take them again."""
        self._server.refusing = on
        self._server.retry_after = retry_after

    # --- outputs

    def deadline(self) -> Instant | None:
        """Give when `expire` must be called next; None while nothing waits."""
        return self._calls.timers.deadline()

    def take(self) -> list[Outcome]:
        """Take all that came out since the last time, in order.

        To be called until nothing comes: what the outcomes lead to comes out too, and in the end a 100 for each INVITE
        that nothing was said to.
        """
        out = self._calls.out
        if not out:
            self._server.trying()
        if not out:
            return []
        taken = out.copy()
        out.clear()
        return taken

    def counters(self) -> dict[str, int]:
        """Give the counters: `received` and its fates, `sent`, `repeated` (ours), `calls` and `transactions` alive."""
        transactions = self._calls.transactions
        return {
            **self._counts,
            "sent": transactions.sent,
            "resent": transactions.repeated,
            "calls": len(self._calls.alive),
            "transactions": len(transactions.servers) + len(transactions.clients),
        }

    @property
    def taken(self) -> frozenset[Row]:
        """The rows of the transaction tables that were taken so far."""
        return frozenset(self._calls.transactions.taken)

    # --- keepalives

    def _stun(self, now: Instant, data: bytes, flow: Flow) -> None:
        """Answer a Binding request, as who is registered at us may ask (RFC 5626 section 5.4), or take an answer."""
        response = binding_response(data, flow.remote)
        if response is not None:
            self._calls.transactions.send(flow, response)
        else:
            self.registrations.pong(now, flow, data)

    # --- requests

    def _receive(self, now: Instant, data: bytes, flow: Flow) -> str:
        if data[:1] in _BLANK and not data.strip(b"\r\n\0 "):
            self.registrations.pong(now, flow, data)
            return "keepalive"
        if is_stun(data):
            self._stun(now, data, flow)
            return "keepalive"
        message = parse_message(data)
        if isinstance(message, Response):
            return self._response(now, message)
        try:
            return self._request(now, message, flow)
        except Malformed as fault:
            raise Malformed(fault.kind, str(fault), fault.code, message.headers) from None

    def _request(self, now: Instant, request: Request, flow: Flow) -> str:
        seq, sender, to_tag = _mandatory(request)
        method = request.method
        index = request.index
        from_tag = sender.tag
        via = parse_via(_top(request))
        transactions = self._calls.transactions
        key = server_key(request, via, from_tag, "INVITE" if method == "ACK" else method)
        known = transactions.servers.get(key)
        if method == "ACK":
            return self._ack(now, request, known, (index["Call-ID"], to_tag, from_tag), seq)
        if known is not None:
            self._again(now, known, response_flow(via, flow), (index["Call-ID"], known.tag, from_tag))
            return "repeated_request"
        if len(transactions.servers) >= self._calls.settings.max_transactions:
            self._stateless(request, via, flow, 503, (("Retry-After", "10"),))
            return "overload"
        tag = to_tag or self._calls.tag()
        answered_to = index["To"] if to_tag else f"{index['To']};tag={tag}"
        transaction = ServerTransaction(
            key,
            request,
            response_flow(via, flow),
            (flow.remote[0], via.port or 5060),
            tables.INVITE_SERVER if method == "INVITE" else tables.SERVER,
            echo(request, via, flow.remote, answered_to),
            answered_to,
            tag,
            None if to_tag else (index["Call-ID"], from_tag, seq, method),
        )
        transactions.serve(now, transaction)
        if method == "CANCEL":
            target = transactions.servers.get(server_key(request, via, from_tag, "INVITE"))
            self._server.cancel(now, transaction, target)
            return "request_cancel"
        fault = self._server.request(now, transaction, sender, seq, to_tag)
        return _FATE.get(method, "request_other") if fault is None else f"malformed_{fault.kind}"

    def _again(self, now: Instant, known: ServerTransaction, back: Flow, dialog: DialogKey) -> None:
        """Answer a repeat by the way that it came: who connects anew, or got another address, repeats from there."""
        moved = back != known.flow
        known.flow = back
        self._calls.transactions.server_event(now, known, "request")
        call = self._calls.dialogs.get(dialog)
        if moved and known.state == "accepted" and call is not None and call.waiting is not None:
            call.waiting.flow = back
            self._calls.transactions.send(back, call.waiting.data)

    def _ack(self, now: Instant, request: Request, known: ServerTransaction | None, dialog: DialogKey, seq: int) -> str:
        if known is not None:
            state = known.state
            self._calls.transactions.server_event(now, known, "ack")
            # The ACK of a 2xx has a branch of its own, but some send it with the INVITE's: then it is the dialog's.
            if state != "accepted":
                return "request_ack" if state == "completed" else "repeated_ack"
        call = self._calls.dialogs.get(dialog)
        if call is None:
            return "stray_ack"
        return "request_ack" if self._server.ack(now, call, request, seq) else "repeated_ack"

    # --- responses

    def _response(self, now: Instant, message: Response) -> str:
        index = message.index
        if "Via" not in index or "To" not in index:
            raise Malformed("missing", "a response without Via or To")
        via = parse_via(_top(message))
        _, method = parse_cseq(index.get("CSeq", ""))
        parse_name_addr(index["To"], "to")
        transaction = self._calls.transactions.clients.get((via.branch, method))
        # Section 18.1.2: with a second Via it was on its way to somebody else.
        if transaction is None or len(message.values("Via")) > 1:
            return "stray_response"
        if self._calls.transactions.client_event(now, transaction, tables.kind(message.code), message):
            return f"response_{message.code // 100}xx"
        return "repeated_response"

    # --- what can't be kept

    def _answer_malformed(self, data: bytes, fault: Malformed, flow: Flow) -> None:
        """Answer a request that can't be read, where its headers allow (section 8.2: 400, 505, 513)."""
        request = Request(fault.fields, b"", "", "")
        start = data[:64].lstrip(b"\r\n")[:4].upper()
        if start.startswith((b"SIP/", b"ACK ")) or "Via" not in request.index:
            return
        try:
            via = parse_via(_top(request))
        except Malformed:
            return  # nowhere to send it
        self._stateless(request, via, flow, fault.code, ())

    def _stateless(self, request: Request, via: Via, flow: Flow, code: int, extra: Fields) -> None:
        """Answer without keeping anything (section 8.2.7): the tag must come out the same for every repeat."""
        fields = [(name, request.index[name]) for name in ("From", "Call-ID", "CSeq") if name in request.index]
        to = request.index.get("To")
        if to is not None:
            tagged = ";tag=" in to.replace(" ", "").lower()
            seed = crc32(repr(fields).encode("utf-8", "surrogateescape"), self._seed)
            fields.append(("To", to if tagged else f"{to};tag={seed:08x}"))
        try:
            text = echoed_vias(request, via, flow.remote) + block((*fields, *extra))
        except Malformed:
            return  # a Via list that can't be taken apart can't be given back
        if len(text) <= _STATELESS_LIMIT:
            self._calls.transactions.send(response_flow(via, flow), write(status_line(code), text, b""))


def _top(message: Request | Response) -> str:
    value = message.index["Via"]
    return split_list(value)[0] if "," in value else value


def _mandatory(request: Request) -> tuple[int, NameAddr, str]:
    """Read what every request must have, once (section 8.1.1): its CSeq number, its From, its To tag."""
    index = request.index
    if not index.keys() >= _ECHOED:
        raise Malformed("missing", "a request without Via, From, To, Call-ID or CSeq")
    if len(index) != len(request.headers):
        names = [name for name, _ in request.headers]
        for name in _SINGLE:
            if names.count(name) > 1:
                raise Malformed("twice", f"more than one {name}")
    digits, _, method = index["CSeq"].partition(" ")
    if method == request.method and digits.isdigit() and digits.isascii() and len(digits) < 10:
        seq = int(digits)
    else:
        seq, method = parse_cseq(index["CSeq"])
        if method != request.method:
            raise Malformed("cseq", "a CSeq of another method")
    if not index["Call-ID"]:
        raise Malformed("missing", "an empty Call-ID")
    if index.get("Max-Forwards", "70") != "70":
        parse_max_forwards(index["Max-Forwards"])
    if request.uri.count(":") > 2:
        parse_uri(request.uri)  # an IPv6 address without its brackets, most likely (RFC 5118 section 4.2)
    return seq, parse_name_addr(index["From"], "from"), parse_name_addr(index["To"], "to").tag
