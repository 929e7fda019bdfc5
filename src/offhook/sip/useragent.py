"""The user agent: bytes and orders in, outcomes out (RFC 3261). Pure: `now` is given, randomness injected.

    receive ─► message ─► transactions ─┬─► Server ─┐
    orders ────────────────────────────►│           ├─► outcomes (take)      deadline ─► expire
                                        └─► Client ─┘

Laws: nothing that a peer sends raises; every datagram received ends in exactly one counter among those whose names begin
as `FATES` say, so that they sum to `received`; one final response to a request; one `Ended` to a call; no timer outlives
its owner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from zlib import crc32

from offhook.core.instants import Instant
from offhook.sip import tables
from offhook.sip.calls import Call, Calls, Settings
from offhook.sip.client import Client
from offhook.sip.grammar import Fields, Malformed
from offhook.sip.header import NameAddr, Via, parse_cseq, parse_max_forwards, parse_name_addr, parse_via
from offhook.sip.message import Request, Response, parse_message, response
from offhook.sip.outcomes import Flow, Outcome, SipCall
from offhook.sip.sdp import Session
from offhook.sip.server import Server
from offhook.sip.tables import Row
from offhook.sip.transaction import (
    ClientTransaction,
    ServerTransaction,
    echoed,
    response_flow,
    server_key,
)
from offhook.sip.uri import Uri

if TYPE_CHECKING:
    import random

__all__ = ["FATES", "Settings", "UserAgent"]

FATES: Final = ("request_", "response_", "malformed_", "stray_", "repeated_", "keepalive", "overload")
"""How the names of the counters begin of which every datagram received ends in exactly one."""

_COUNTED: Final = frozenset({"INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "NOTIFY", "REGISTER", "REFER", "INFO"})


class UserAgent:
    """A SIP phone without a clock or a socket. See `calls.Settings` for what it is told at its making."""

    def __init__(self, *, rng: random.Random, settings: Settings) -> None:
        self._calls = Calls(rng=rng, settings=settings, user=self)
        self._server = Server(self._calls)
        self._client = Client(self._calls)
        self._seed = rng.getrandbits(32)
        self._counts: dict[str, int] = {"received": 0}

    # --- inputs

    def receive(self, now: Instant, data: bytes, flow: Flow) -> None:
        """Take one UDP datagram, or one whole message cut from a stream."""
        counts = self._counts
        counts["received"] += 1
        try:
            fate = self._receive(now, data, flow)
        except Malformed as fault:
            fate = f"malformed_{fault.kind}"
            self._answer_malformed(data, fault, flow)
        counts[fate] = counts.get(fate, 0) + 1

    def flow_closed(self, now: Instant, flow: Flow) -> None:
        """Hear that a connection is gone or can't be opened."""
        self._calls.transactions.failed(now, flow)
        for call in self._calls.alive.values():
            if call.flow.connection and call.flow == flow:
                call.flow = Flow(flow.transport, flow.local, flow.remote)

    def expire(self, now: Instant) -> None:
        """Fire every timer that is due."""
        timers = self._calls.timers
        while (due := timers.pop(now)) is not None:
            owner, name = due
            if isinstance(owner, Call):
                if name == "cancelled":
                    self._client.expired(owner)
                else:
                    self._server.expired(now, owner, name)
            elif isinstance(owner, ServerTransaction | ClientTransaction):
                self._calls.transactions.fire(now, owner, name)
        timers.sweep()

    # --- orders. A call that is over takes none: orders and ends cross, and that is nobody's fault.

    def answer(self, now: Instant, call: SipCall, body: Session) -> None:
        """Answer a call with 200 and our description (an offer where theirs is delayed)."""
        if (found := self._calls.alive.get(call)) is not None:
            self._server.answer(now, found, body)

    def reject(self, now: Instant, call: SipCall, code: int, reason: str = "", headers: Fields = ()) -> None:
        """Refuse a call. ValueError for a code below 300 or above 699, or a line break in a header."""
        if (found := self._calls.alive.get(call)) is not None:
            self._server.reject(now, found, code, reason, headers)

    def accept_reoffer(self, now: Instant, call: SipCall, body: Session) -> None:
        """Answer a re-INVITE with our description."""
        if (found := self._calls.alive.get(call)) is not None:
            self._server.accept_reoffer(now, found, body)

    def refuse_reoffer(self, now: Instant, call: SipCall, code: int = 488) -> None:
        """Refuse a re-INVITE; the call goes on as it was."""
        if (found := self._calls.alive.get(call)) is not None:
            self._server.refuse_reoffer(now, found, code)

    def invite(
        self,
        now: Instant,
        target: Uri,
        flow: Flow,
        body: Session | None,
        *,
        sender: Uri | None = None,
        headers: Fields = (),
    ) -> SipCall:
        """Call `target` over `flow`; `body` None leaves the offer to them. ValueError for a line break in a header."""
        return self._client.invite(now, target, flow, body, sender, headers)

    def acknowledge(self, now: Instant, call: SipCall, body: Session) -> None:
        """Answer the offer that came in `Answered` to an INVITE without a body: the ACK carries it."""
        if (found := self._calls.alive.get(call)) is not None:
            self._client.acknowledge(now, found, body)

    def hangup(self, now: Instant, call: SipCall, headers: Fields = ()) -> None:
        """End a call, by whatever its state asks for: 480, CANCEL or BYE (after the ACK, where that is still out)."""
        found = self._calls.alive.get(call)
        if found is None:
            return
        if found.phase == "ringing":
            self._server.reject(now, found, 480, "", headers)
        else:
            self._client.hangup(now, found, headers)

    def refer(self, now: Instant, call: SipCall, target: Uri) -> None:
        """Ask the far end to call `target` instead of us; `TransferProgress` follows."""
        if (found := self._calls.alive.get(call)) is not None:
            self._client.refer(now, found, target)

    def refuse_new(self, on: bool, retry_after: tuple[int, int] = (1, 10)) -> None:
        """Answer new INVITEs and OPTIONS with 503 and a random Retry-After (drain, overload), or take them again."""
        self._server.refusing = on
        self._server.retry_after = retry_after

    # --- outputs

    def deadline(self) -> Instant | None:
        """Give when `expire` must be called next; None while nothing waits."""
        return self._calls.timers.deadline()

    def take(self) -> list[Outcome]:
        """Take all that came out since the last time, in order."""
        out = self._calls.out
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

    # --- requests

    def _receive(self, now: Instant, data: bytes, flow: Flow) -> str:
        if not data.strip(b"\r\n\0 "):
            return "keepalive"
        message = parse_message(data)
        if isinstance(message, Response):
            return self._response(now, message)
        vias = message.first("Via")
        if vias is None:
            raise Malformed("missing", "a request without a Via", fields=message.headers)
        try:
            return self._request(now, message, parse_via(_top(message, vias)), flow)
        except Malformed as fault:
            raise Malformed(fault.kind, str(fault), fault.code, message.headers) from None

    def _request(self, now: Instant, request: Request, via: Via, flow: Flow) -> str:
        seq, sender, to = _mandatory(request)
        method = request.method
        transactions = self._calls.transactions
        keyed = "INVITE" if method == "ACK" else method
        key = server_key(request, via, sender.tag, keyed)
        known = transactions.servers.get(key)
        if method == "ACK":
            return self._ack(now, request, known, sender.tag, to.tag, seq)
        if known is not None:
            transactions.repeated_request(now, known)
            return "repeated_request"
        if len(transactions.servers) >= self._calls.settings.max_transactions:
            self._stateless(request.headers, via, flow, 503, (("Retry-After", "10"),))
            return "overload"
        tag = self._calls.tag()
        merge = None if to.tag else (request.first("Call-ID") or "", sender.tag, str(seq), method)
        if merge is not None and merge in transactions.merges:
            tag = transactions.merges[merge].tag
        transaction = ServerTransaction(
            key,
            request,
            response_flow(via, flow),
            echoed(request, via, flow, tag, tagged=bool(to.tag)),
            tag,
            tables.INVITE_SERVER if method == "INVITE" else tables.SERVER,
        )
        if merge is not None and merge not in transactions.merges:
            transaction.merge = merge
        elif merge is not None:
            transaction.merge = None
            transactions.serve(now, transaction)
            transactions.respond(now, transaction, response(482, transaction.echo))
            return _named(method)
        transactions.serve(now, transaction)
        if method == "CANCEL":
            target = transactions.servers.get(server_key(request, via, sender.tag, "INVITE"))
            self._server.cancel(now, transaction, target)
            return "request_cancel"
        fault = self._server.request(now, transaction, sender, seq, to.tag)
        return _named(method) if fault is None else f"malformed_{fault.kind}"

    def _ack(
        self, now: Instant, request: Request, known: ServerTransaction | None, from_tag: str, to_tag: str, seq: int
    ) -> str:
        if known is not None and known.state != "accepted":
            repeated = known.state == "confirmed"
            self._calls.transactions.acknowledged(now, known, request)
            return "repeated_ack" if repeated else "request_ack"
        if known is not None:
            self._calls.transactions.acknowledged(now, known, request)
        call = self._calls.dialogs.get((request.first("Call-ID") or "", to_tag, from_tag))
        if call is None:
            return "stray_ack"
        return "request_ack" if self._server.ack(now, call, request, seq) else "repeated_ack"

    # --- responses

    def _response(self, now: Instant, message: Response) -> str:
        vias = message.values("Via")
        if not vias:
            raise Malformed("missing", "a response without a Via")
        via = parse_via(vias[0])
        if len(vias) > 1:
            return "stray_response"  # section 18.1.2: not ours alone
        _, method = parse_cseq(message.first("CSeq") or "")
        transaction = self._calls.transactions.clients.get((via.branch, method))
        if transaction is None:
            return "stray_response"
        parse_name_addr(message.first("To") or "", "to")
        if self._calls.transactions.responded(now, transaction, message):
            return f"response_{message.code // 100}xx"
        return "repeated_response"

    # --- what transactions tell (transaction.TransactionUser)

    def response_came(self, now: Instant, transaction: ClientTransaction, message: Response) -> None:
        """Take a response from its transaction."""
        self._client.response(now, transaction, message)

    def ack_came(self, now: Instant, transaction: ServerTransaction, message: Request) -> None:
        """Take an ACK to a 2xx that came with the branch of its INVITE; `receive` looks its dialog up."""

    def request_failed(self, now: Instant, transaction: ClientTransaction, why: str) -> None:
        """Take the end of a request that nobody answered."""
        self._client.failed(now, transaction, why)

    def response_failed(self, now: Instant, transaction: ServerTransaction, why: str) -> None:
        """Take a response that did not arrive. Calls end by their own timers, so there is nothing to do at once."""

    # --- what can't be kept

    def _answer_malformed(self, data: bytes, fault: Malformed, flow: Flow) -> None:
        """Answer a request that can't be read, where its headers allow (section 16.3 and 8.2: 400, 505, 513)."""
        fields = fault.fields
        start = data.lstrip(b"\r\n")[:4].upper()
        names = {name for name, _ in fields}
        if start.startswith((b"SIP/", b"ACK ")) or not names >= {"Via", "From", "To", "Call-ID", "CSeq"}:
            return
        try:
            request = Request(fields, b"", "", "")
            via = parse_via(_top(request, request.first("Via") or ""))
        except Malformed:
            return
        self._stateless(fields, via, flow, fault.code, ())

    def _stateless(self, fields: Fields, via: Via, flow: Flow, code: int, extra: Fields) -> None:
        """Answer without keeping anything (section 8.2.7): the tag must come out the same for every repeat."""
        request = Request(fields, b"", "", "")
        seed = f"{request.first('Call-ID')}|{request.first('From')}|{via.branch}"
        tag = f"{crc32(seed.encode('utf-8', 'surrogateescape'), self._seed):08x}"
        tagged = ";tag=" in (request.first("To") or "").replace(" ", "").lower()
        echo = echoed(request, via, flow, tag, tagged=tagged)
        self._calls.transactions.send(response_flow(via, flow), bytes(response(code, (*echo, *extra))))


def _top(request: Request, value: str) -> str:
    return request.values("Via")[0] if "," in value else value


def _named(method: str) -> str:
    return f"request_{method.lower()}" if method in _COUNTED else "request_other"


def _mandatory(request: Request) -> tuple[int, NameAddr, NameAddr]:
    """Read what every request must have once (section 8.1.1)."""
    found: dict[str, str] = {}
    for name, value in request.headers:
        if name in ("From", "To", "Call-ID", "CSeq", "Max-Forwards", "Content-Type"):
            if name in found:
                raise Malformed("repeated_header", f"more than one {name}")
            found[name] = value
    for name in ("From", "To", "Call-ID", "CSeq"):
        if not found.get(name):
            raise Malformed("missing", f"no {name}")
    seq, method = parse_cseq(found["CSeq"])
    if method != request.method:
        raise Malformed("cseq", "a CSeq of another method")
    if "Max-Forwards" in found:
        parse_max_forwards(found["Max-Forwards"])
    return seq, parse_name_addr(found["From"], "from"), parse_name_addr(found["To"], "to")
