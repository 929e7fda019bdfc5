"""Transactions: the layer that runs the rows of `tables` (RFC 3261 section 17).

    datagram ─► request(…)  ─┬─► a repeat: answered here          response(…) ─┬─► no transaction: stray
                             └─► new: ServerTransaction ─► user               └─► ClientTransaction ─► user

Matching is by branch, sent-by and method (section 17.2.3), or by the whole of RFC 2543's fields where the branch is not
one of RFC 3261's. Responses go where section 18.2.2 and RFC 3581 say.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol

from offhook.core.instants import Instant
from offhook.core.media import Address
from offhook.sip import tables
from offhook.sip.grammar import Fields, param, split_list
from offhook.sip.header import COOKIE, Via
from offhook.sip.message import Request, Response
from offhook.sip.outcomes import Flow, Outcome, Send
from offhook.sip.tables import Row, Times
from offhook.sip.timers import Timers

RELIABLE: Final = frozenset({"tcp", "tls", "ws", "wss"})
"""Transports on which nothing is repeated."""

ServerKey = tuple[str, ...]
ClientKey = tuple[str, str]


@dataclass(slots=True, eq=False)
class ServerTransaction:
    """A request that came and what was answered to it. `last` is the response to repeat."""

    key: ServerKey
    request: Request
    flow: Flow
    echo: Fields
    tag: str
    machine: tables.Machine
    state: str = "new"
    last: bytes = b""
    code: int = 0
    interval: int = 0
    merge: tuple[str, ...] | None = None
    owner: object = None
    alarms: dict[str, Instant] = field(default_factory=dict[str, int])


@dataclass(slots=True, eq=False)
class ClientTransaction:
    """A request of ours on its way. `owner` is what the user agent sent it for."""

    key: ClientKey
    request: Request
    flow: Flow
    data: bytes
    machine: tables.Machine
    owner: object
    state: str = "new"
    interval: int = 0
    cancelled: bool = False
    alarms: dict[str, Instant] = field(default_factory=dict[str, int])


class TransactionUser(Protocol):
    """Who uses the transactions: what section 17 calls the TU."""

    def response_came(self, now: Instant, transaction: ClientTransaction, message: Response) -> None:
        """Take a response to a request of ours."""
        ...

    def ack_came(self, now: Instant, transaction: ServerTransaction, message: Request) -> None:
        """Take an ACK that matched an INVITE which was answered with 2xx (a client that reused the branch)."""
        ...

    def request_failed(self, now: Instant, transaction: ClientTransaction, why: str) -> None:
        """Hear that a request of ours got no final response: "timeout" or "fault"."""
        ...

    def response_failed(self, now: Instant, transaction: ServerTransaction, why: str) -> None:
        """Hear that a response of ours could not be sent or was never acknowledged: "fault" or "timeout"."""
        ...


def server_key(request: Request, via: Via, from_tag: str, method: str) -> ServerKey:
    """Give what identifies a server transaction (section 17.2.3). ACK and CANCEL give `method` as INVITE."""
    branch = via.branch
    if len(branch) > len(COOKIE) and branch.startswith(COOKIE):
        return branch, via.host, str(via.port or 0), method
    # RFC 2543: a branch without the cookie (or nothing behind it) is not unique, so all that must not change is the key.
    number = (request.first("CSeq") or "").split(None, 1)[0]
    return request.uri, from_tag, request.first("Call-ID") or "", number, str(via), method


def answered_via(via: Via, source: Address) -> Via:
    """Add `received` and fill in `rport` (section 18.2.1, RFC 3581 section 4)."""
    asked = param(via.params, "rport") is not None
    if not asked and via.host == source[0]:
        return via
    params = [(name, value) for name, value in via.params if name not in ("received", "rport")]
    params.append(("received", source[0]))
    if asked:
        params.append(("rport", str(source[1])))
    return Via(via.transport, via.host, via.port, tuple(params))


def response_flow(via: Via, flow: Flow) -> Flow:
    """Give where a response goes (section 18.2.2, RFC 3581 section 4).

    Streams answer on their connection. A datagram is answered to its source: to its port where `rport` was asked for,
    else to the port in the Via. `maddr` is not followed: it would let anyone aim our responses at a third party, and
    multicast, its purpose, is not spoken here.
    """
    if flow.transport in RELIABLE or param(via.params, "rport") is not None:
        return flow
    port = via.port or 5060
    if port == flow.remote[1]:
        return flow
    return Flow(flow.transport, flow.local, (flow.remote[0], port), flow.connection)


def echoed(request: Request, via: Via, flow: Flow, tag: str, *, tagged: bool) -> Fields:
    """Give the headers that every response repeats (section 8.2.6.2); `tag` goes to a To that has none."""
    vias = request.all("Via")
    # Only the top element is ours to mark; all others go back as they came.
    fields = [("Via", str(answered_via(via, flow.remote)))]
    if "," in vias[0]:
        fields += [("Via", element) for element in split_list(vias[0])[1:]]
    fields += [("Via", value) for value in vias[1:]]
    to = request.first("To") or ""
    fields.append(("From", request.first("From") or ""))
    fields.append(("To", to if tagged else f"{to};tag={tag}"))
    fields.append(("Call-ID", request.first("Call-ID") or ""))
    fields.append(("CSeq", request.first("CSeq") or ""))
    return tuple(fields)


class Transactions:
    """All transactions of a user agent. `send` collects what goes out; `taken` is every row that was taken."""

    def __init__(self, *, user: TransactionUser, times: Times, timers: Timers, out: list[Outcome]) -> None:
        self.user = user
        self.times = times
        self.timers = timers
        self.out = out
        self.taken: set[Row] = set()
        self.servers: dict[ServerKey, ServerTransaction] = {}
        self.clients: dict[ClientKey, ClientTransaction] = {}
        self.merges: dict[tuple[str, ...], ServerTransaction] = {}
        self.sent = 0
        self.repeated = 0

    # --- servers

    def serve(self, now: Instant, transaction: ServerTransaction) -> None:
        """Begin a server transaction for a new request."""
        self.servers[transaction.key] = transaction
        if transaction.merge is not None:
            self.merges[transaction.merge] = transaction
        self._server(now, transaction, "request", None)

    def repeated_request(self, now: Instant, transaction: ServerTransaction) -> None:
        """Take the request of a transaction once more."""
        self._server(now, transaction, "request", None)

    def acknowledged(self, now: Instant, transaction: ServerTransaction, ack: Request) -> None:
        """Take an ACK with the branch of an INVITE."""
        self._server(now, transaction, "ack", ack)

    def respond(self, now: Instant, transaction: ServerTransaction, message: Response) -> None:
        """Answer a request. What the table has no row for (a second final response) is our own bug."""
        data = bytes(message)
        event = tables.RESPOND[message.code // 100]
        row = transaction.machine.get((transaction.state, event))
        assert row is not None, (transaction.state, event)
        transaction.code = message.code
        transaction.last = data
        self._run_server(now, transaction, row, None)

    def _server(self, now: Instant, transaction: ServerTransaction, event: str, message: Request | None) -> None:
        row = transaction.machine.get((transaction.state, event))
        if row is not None:
            self._run_server(now, transaction, row, message)

    def _run_server(self, now: Instant, transaction: ServerTransaction, row: Row, message: Request | None) -> None:
        self.taken.add(row)
        transaction.state = row.then
        for action in row.actions:
            if action == "send":
                self.send(transaction.flow, transaction.last)
            elif action == "resend":
                if transaction.last:
                    self.repeated += 1
                    self.send(transaction.flow, transaction.last)
            elif action == "tell":
                if message is not None:
                    self.user.ack_came(now, transaction, message)
            elif action in ("timeout", "fault"):
                self.user.response_failed(now, transaction, action)
            elif action[:5] == "start":
                self._start(now, transaction, action[6:])
            else:
                self.timers.stop(transaction, action[5:])
        if row.then == "terminated":
            self._forget_server(transaction)

    def _forget_server(self, transaction: ServerTransaction) -> None:
        self.timers.clear(transaction)
        if self.servers.get(transaction.key) is transaction:
            del self.servers[transaction.key]
        if transaction.merge is not None and self.merges.get(transaction.merge) is transaction:
            del self.merges[transaction.merge]

    # --- clients

    def request(self, now: Instant, key: ClientKey, message: Request, flow: Flow, owner: object) -> ClientTransaction:
        """Send a request of ours."""
        machine = tables.INVITE_CLIENT if message.method == "INVITE" else tables.CLIENT
        transaction = ClientTransaction(key, message, flow, bytes(message), machine, owner)
        self.clients[key] = transaction
        self._client(now, transaction, "request", None)
        return transaction

    def responded(self, now: Instant, transaction: ClientTransaction, message: Response) -> bool:
        """Take a response that matched; give whether it was news."""
        row = transaction.machine[transaction.state, tables.kind(message.code)]
        self._run_client(now, transaction, row, message)
        return "tell" in row.actions

    def _client(self, now: Instant, transaction: ClientTransaction, event: str, message: Response | None) -> None:
        row = transaction.machine.get((transaction.state, event))
        if row is not None:
            self._run_client(now, transaction, row, message)

    def _run_client(self, now: Instant, transaction: ClientTransaction, row: Row, message: Response | None) -> None:
        self.taken.add(row)
        transaction.state = row.then
        for action in row.actions:
            if action == "send":
                self.send(transaction.flow, transaction.data)
            elif action == "resend":
                self.repeated += 1
                self.send(transaction.flow, transaction.data)
            elif action == "ack":
                assert message is not None
                self.send(transaction.flow, bytes(refusal_ack(transaction.request, message)))
            elif action == "tell":
                assert message is not None
                self.user.response_came(now, transaction, message)
            elif action in ("timeout", "fault"):
                self.user.request_failed(now, transaction, action)
            elif action[:5] == "start":
                self._start(now, transaction, action[6:])
            else:
                self.timers.stop(transaction, action[5:])
        if row.then == "terminated":
            self.timers.clear(transaction)
            if self.clients.get(transaction.key) is transaction:
                del self.clients[transaction.key]

    # --- both

    def _start(self, now: Instant, transaction: ServerTransaction | ClientTransaction, timer: str) -> None:
        reliable = transaction.flow.transport in RELIABLE
        if timer in tables.REPEATS:
            if reliable:
                return
            # A has no ceiling (section 17.1.1.2); E and G stop growing at T2, where E stands once a 1xx came.
            interval = transaction.interval * 2 if transaction.interval else self.times.t1
            if timer != "a":
                interval = self.times.t2 if transaction.state == "proceeding" else min(interval, self.times.t2)
            transaction.interval = interval
            self.timers.start(transaction, f"timer_{timer}", now + interval)
            return
        lasts = tables.duration(timer, self.times, reliable=reliable)
        if lasts:
            self.timers.start(transaction, f"timer_{timer}", now + lasts)
        else:
            self.fire(now, transaction, f"timer_{timer}")

    def fire(self, now: Instant, transaction: ServerTransaction | ClientTransaction, timer: str) -> None:
        """Take a timer that ran out."""
        if isinstance(transaction, ServerTransaction):
            self._server(now, transaction, timer, None)
        else:
            self._client(now, transaction, timer, None)

    def failed(self, now: Instant, flow: Flow) -> None:
        """Tell every transaction on a flow that it is gone (section 17.1.4 and 17.2.4)."""
        for client in [one for one in self.clients.values() if same_flow(one.flow, flow)]:
            self._client(now, client, "fault", None)
        for server in [one for one in self.servers.values() if same_flow(one.flow, flow)]:
            self._server(now, server, "fault", None)

    def send(self, flow: Flow, data: bytes) -> None:
        """Put bytes on a flow."""
        self.sent += 1
        self.out.append(Send(flow, data))


def same_flow(one: Flow, other: Flow) -> bool:
    """Say whether two flows are the same path."""
    return (
        one.transport == other.transport
        and one.remote == other.remote
        and (one.connection == other.connection or 0 in (one.connection, other.connection))
    )


def refusal_ack(invite: Request, message: Response) -> Request:
    """Make the ACK of a final response above 299 (section 17.1.1.3): the INVITE's branch, the response's To."""
    number = (invite.first("CSeq") or "0").split()[0]
    fields = [("Via", invite.all("Via")[0])]
    fields += [field for field in invite.headers if field[0] in ("Max-Forwards", "From", "Call-ID", "Route")]
    fields += [("To", message.first("To") or ""), ("CSeq", f"{number} ACK")]
    return Request(tuple(fields), b"", "ACK", invite.uri)
