"""Transactions: the layer that runs the rows of `tables` (RFC 3261 section 17).

    request ─► ServerTransaction ─► responses, repeats         ours ─► ClientTransaction ─► responses to the user

Matching is by branch, sent-by and method (section 17.2.3), or by the whole of RFC 2543's fields where the branch is not
one of RFC 3261's. Responses go where section 18.2.2 and RFC 3581 say.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from offhook.core.instants import Instant
from offhook.core.media import Address
from offhook.sip import tables
from offhook.sip.grammar import Fields
from offhook.sip.header import COOKIE, Via
from offhook.sip.message import Request, Response, block, status_line, write
from offhook.sip.outcomes import Flow, Outcome, Send
from offhook.sip.tables import Row, Times
from offhook.sip.timers import Alarms, Timers

if TYPE_CHECKING:
    from offhook.sip.dialog import Dialog
    from offhook.sip.requests import Account, Owner

ANSWERED: Final = Request((), b"", "", "")
"""What stands for the request of a server transaction once its final response is made."""

RELIABLE: Final = frozenset({"tcp", "tls", "ws", "wss"})
"""Transports on which nothing is repeated."""

ServerKey = tuple[str | int | None, ...]
MergeKey = tuple[str, str, int, str]
ClientKey = tuple[str, str]


def _no_alarms() -> Alarms:
    return {}


@dataclass(slots=True, eq=False)
class ServerTransaction:
    """A request that came and what was answered to it.

    `echo` are the header lines that every response repeats, `to` the To value in them with our `tag`, `back` where a
    response goes if the connection it came on is gone. `last` is the response to repeat. `merge` is what a copy of the
    request that came another way has in common with it.
    """

    key: ServerKey
    request: Request
    flow: Flow
    back: Address
    machine: tables.Machine
    echo: str
    to: str
    tag: str
    merge: MergeKey | None
    state: str = "new"
    last: bytes = b""
    interval: int = 0
    owner: object = None
    alarms: Alarms = field(default_factory=_no_alarms)


@dataclass(slots=True, eq=False)
class ClientTransaction:
    """A request of ours on its way.

    `owner` is what it was sent for, `ways` where else it may go, `account` who answers a challenge to it, `dialog` the
    one that counts its number, `tries` how often it went out before.
    """

    key: ClientKey
    request: Request
    flow: Flow
    owner: Owner
    ways: tuple[Flow, ...] = ()
    account: Account | None = None
    dialog: Dialog | None = None
    tries: int = 0
    data: bytes = b""
    state: str = "new"
    interval: int = 0
    alarms: Alarms = field(default_factory=_no_alarms)


class TransactionUser(Protocol):
    """Who uses the transactions: what section 17 calls the TU."""

    def response_came(self, now: Instant, transaction: ClientTransaction, message: Response) -> bool:
        """Take a response to a request of ours; give whether it was news (a repeated 2xx is not)."""
        ...

    def request_failed(self, now: Instant, transaction: ClientTransaction, why: str) -> None:
        """Hear that a request of ours got no final response: "timeout" or "fault"."""
        ...


def server_key(request: Request, via: Via, from_tag: str, method: str) -> ServerKey:
    """Give what identifies a server transaction (section 17.2.3). ACK and CANCEL give `method` as INVITE."""
    branch = via.branch
    if len(branch) > len(COOKIE) and branch.startswith(COOKIE):
        # Section 17.2.3 has the branch suffice. Some draw it badly, or again from each start (RFC 4475's messages share
        # theirs): a repeat, an ACK and a CANCEL have the Call-ID of what they belong to, somebody else's does not.
        return branch, via.host, via.port, method, request.first("Call-ID") or ""
    # RFC 2543: a branch without the cookie (or with nothing behind it) is not unique, so the key is all that stays.
    number = (request.first("CSeq") or "").split(None, 1)[0]
    return request.uri, from_tag, request.first("Call-ID") or "", number, str(via), method


def answered_via(text: str, via: Via, source: Address) -> str:
    """Give the top Via of a response: `received` and `rport` added (section 18.2.1, RFC 3581 section 4)."""
    asked = via.param("rport") is not None
    if not asked and via.host == source[0]:
        return text
    params = [(name, value) for name, value in via.params if name not in ("received", "rport")]
    params.append(("received", source[0]))
    if asked:
        params.append(("rport", str(source[1])))
    return str(Via(via.transport, via.host, via.port, tuple(params), via.version))


def response_flow(via: Via, flow: Flow) -> Flow:
    """Give where a response goes (section 18.2.2, RFC 3581 section 4).

    Streams answer on their connection. A datagram is answered to its source: to its port where `rport` was asked for,
    else to the port in the Via. `maddr` is not followed: it would let anyone aim our responses at a third party, and
    multicast, its purpose, is not spoken here.
    """
    port = via.port or 5060
    if port == flow.remote[1] or flow.transport in RELIABLE or via.param("rport") is not None:
        return flow
    return Flow(flow.transport, flow.local, (flow.remote[0], port), flow.connection)


def echo(request: Request, via: Via, source: Address, to: str) -> str:
    """Give the header lines that every response repeats (section 8.2.6.2), with our tag in `to`."""
    index = request.index
    vias = echoed_vias(request, via, source)
    return f"{vias}From: {index['From']}\r\nTo: {to}\r\nCall-ID: {index['Call-ID']}\r\nCSeq: {index['CSeq']}\r\n"


def echoed_vias(request: Request, via: Via, source: Address) -> str:
    """Give the Via lines of a response. Only the top element is ours to mark; all others go back as they came."""
    top = request.index["Via"]
    if len(request.index) == len(request.headers) and "," not in top:
        return f"Via: {answered_via(top, via, source)}\r\n"
    first, *others = request.values("Via")
    return block((("Via", answered_via(first, via, source)), *[("Via", other) for other in others]))


class Transactions:
    """All transactions of a user agent. What goes out is put on `out`; `taken` is every row that was taken."""

    def __init__(self, *, user: TransactionUser, times: Times, timers: Timers, out: list[Outcome]) -> None:
        self.user = user
        self.times = times
        self.timers = timers
        self.out = out
        self.taken: set[Row] = set()
        self.servers: dict[ServerKey, ServerTransaction] = {}
        self.clients: dict[ClientKey, ClientTransaction] = {}
        self.merges: dict[MergeKey, ServerTransaction] = {}
        self.sent = 0
        self.repeated = 0
        self._plain = {timer: tables.duration(timer, times, reliable=False) for timer in tables.LASTING}
        self._reliable = {timer: tables.duration(timer, times, reliable=True) for timer in tables.LASTING}

    # --- servers

    def serve(self, now: Instant, transaction: ServerTransaction) -> None:
        """Begin a server transaction for a new request."""
        self.servers[transaction.key] = transaction
        if transaction.merge is not None:
            self.merges.setdefault(transaction.merge, transaction)
        self.server_event(now, transaction, "request")

    def respond(
        self,
        now: Instant,
        transaction: ServerTransaction,
        code: int,
        headers: Fields = (),
        body: bytes = b"",
        reason: str = "",
    ) -> None:
        """Answer a request. ValueError where a header holds a line break.

        What the table has no row for, a second final response, would be a bug of ours.
        """
        event = tables.RESPOND[code // 100]
        assert (transaction.state, event) in transaction.machine, (transaction.state, code)
        fields = transaction.echo + block(headers) if headers else transaction.echo
        transaction.last = write(status_line(code, reason), fields, body)
        if code >= 200:
            # Most of a call's memory is what it asked; for the 32 s that follow, the answer is enough.
            transaction.request, transaction.echo, transaction.owner = ANSWERED, "", None
        self.server_event(now, transaction, event)

    def server_event(self, now: Instant, transaction: ServerTransaction, event: str) -> None:
        """Take the row of an event: the request again, an ACK, a response of ours, a timer or a fault."""
        row = transaction.machine.get((transaction.state, event))
        if row is None:
            return
        self.taken.add(row)
        transaction.state = row.then
        for action in row.actions:
            if action == "send":
                self.send(transaction.flow, transaction.last)
            elif action == "resend":
                if transaction.last:
                    self.repeated += 1
                    self.send(transaction.flow, transaction.last)
            elif action == "reroute":
                # Section 18.2.2: where the connection is gone, to the address that it came from and the Via's port.
                flow = transaction.flow
                transaction.flow = Flow(flow.transport, flow.local, transaction.back)
            elif action[:5] == "start":
                self._start(now, transaction, action[6:])
            else:
                self.timers.stop(transaction, f"timer_{action[5:]}")
        if row.then == "terminated":
            self.timers.clear(transaction)
            if self.servers.get(transaction.key) is transaction:
                del self.servers[transaction.key]
            if transaction.merge is not None and self.merges.get(transaction.merge) is transaction:
                del self.merges[transaction.merge]

    # --- clients

    def request(self, now: Instant, transaction: ClientTransaction) -> None:
        """Send a request of ours. ValueError where a part of it holds a line break."""
        transaction.data = bytes(transaction.request)
        self.clients[transaction.key] = transaction
        self.client_event(now, transaction, "request")

    def client_event(
        self, now: Instant, transaction: ClientTransaction, event: str, message: Response | None = None
    ) -> bool:
        """Take the row of an event: a response, a timer, a fault or giving up. Give whether a response was news."""
        machine = tables.INVITE_CLIENT if transaction.key[1] == "INVITE" else tables.CLIENT
        row = machine.get((transaction.state, event))
        if row is None:
            return False
        news = False
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
                news = self.user.response_came(now, transaction, message)
            elif action in ("timeout", "fault"):
                self.user.request_failed(now, transaction, action)
            elif action[:5] == "start":
                self._start(now, transaction, action[6:])
            else:
                self.timers.stop(transaction, f"timer_{action[5:]}")
        # What was told may have moved this very transaction on (a cancelled call gives it up).
        if transaction.state == "terminated":
            self.timers.clear(transaction)
            if self.clients.get(transaction.key) is transaction:
                del self.clients[transaction.key]
        return news

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
        lasts = (self._reliable if reliable else self._plain)[timer]
        if lasts:
            self.timers.start(transaction, f"timer_{timer}", now + lasts)
        else:
            self.fire(now, transaction, f"timer_{timer}")

    def fire(self, now: Instant, transaction: ServerTransaction | ClientTransaction, timer: str) -> None:
        """Take a timer that ran out."""
        if isinstance(transaction, ServerTransaction):
            self.server_event(now, transaction, timer)
        else:
            self.client_event(now, transaction, timer)

    def failed(self, now: Instant, flow: Flow) -> None:
        """Tell every transaction on a flow that it is gone (section 17.1.4 and 17.2.4)."""
        for client in [one for one in self.clients.values() if same_flow(one.flow, flow)]:
            self.client_event(now, client, "fault")
        for server in [one for one in self.servers.values() if same_flow(one.flow, flow)]:
            self.server_event(now, server, "fault")

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
