"""Requests of ours on their way: where they go next, and who we say we are (RFC 3261 section 8.1.3, RFC 3263 4.3).

    send ─► transaction ─┬─► 401, 407: again, with what the account answers ───► owner.moved
                         ├─► 503, no answer, no connection: again, the next way ─► owner.moved
                         │   (a request too large for a datagram: by TCP, then by UDP)
                         ├─► any other response ─────────────────────────────────► owner.came
                         └─► no way left ────────────────────────────────────────► owner.failed

A request goes out anew as another transaction, with another branch: the same number on another way (it is the same
request), the next number with credentials (section 22.2). It is never tried more than `TRIES_LIMIT` times in all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol

from offhook.core.instants import SECOND, Instant
from offhook.core.media import Address
from offhook.sip.grammar import Fields
from offhook.sip.message import Request, Response
from offhook.sip.outcomes import Flow, Unproven
from offhook.sip.transaction import ClientTransaction

if TYPE_CHECKING:
    from offhook.sip.calls import Calls
    from offhook.sip.dialog import Dialog

TRIES_LIMIT: Final = 12
"""How often one request goes out anew: eight addresses of a trunk, and a challenge or two of each that answers."""


DATAGRAM_LIMIT: Final = 1300
"""Bytes of a request that may go as a datagram where nobody knows the path's MTU (section 18.1.1)."""

VIA_SIZE: Final = 160
"""Bytes of the Via that we put on, the start line and Content-Length beside what is counted."""

STREAMLESS: Final = 600 * SECOND
"""How long a host that refused TCP is not asked for it again: where it is dropped unseen, that costs ten seconds."""

STREAMLESS_LIMIT: Final = 1024
"""Hosts of which that is remembered."""

CREDENTIALS: Final = frozenset({"Authorization", "Proxy-Authorization"})
"""Headers that are for one host alone."""


class Account(Protocol):
    """Who we are to one trunk or registrar (`auth.Account`).

    While we are registered there, `contact` is the URI that it knows us by and `routes` the way it wants to be asked.
    """

    contact: str
    routes: tuple[str, ...]

    def trusts(self, flow: Flow) -> bool:
        """Say whether a flow leads to a host of this account."""
        ...

    def open(self, request: Request, flow: Flow) -> Fields:
        """Give the credentials to send in advance over a flow: () where none are known, or they are not for it."""
        ...

    def answer(self, request: Request, response: Response, flow: Flow) -> Fields | None:
        """Give the header fields that answer a challenge, or None where this challenger gets nothing from us."""
        ...


class Owner(Protocol):
    """What a request was sent for."""

    def insists(self) -> bool:
        """Whether the request is to go out anew where it can."""
        ...

    def moved(self, now: Instant, sent: ClientTransaction) -> None:
        """Hear that the request went out anew, as another transaction."""
        ...

    def came(self, now: Instant, sent: ClientTransaction, response: Response) -> bool:
        """Take a response; give whether it was news (a repeated 2xx is not)."""
        ...

    def failed(self, now: Instant, sent: ClientTransaction, why: str) -> None:
        """Hear that no final response came and no way is left: "timeout" or "fault"."""
        ...


class Purpose:
    """An `Owner` that only overrides what it cares for."""

    __slots__ = ()

    def insists(self) -> bool:
        """Try on."""
        return True

    def moved(self, now: Instant, sent: ClientTransaction) -> None:
        """Take note of nothing."""

    def came(self, now: Instant, sent: ClientTransaction, response: Response) -> bool:
        """Take every response for news."""
        return True

    def failed(self, now: Instant, sent: ClientTransaction, why: str) -> None:
        """Bear it."""


UNWATCHED: Final = Purpose()
"""Owns what is sent and not followed: the BYE of a call that is over."""


class Once(Purpose):
    """Owns what must not go out anew."""

    __slots__ = ()

    def insists(self) -> bool:
        """Let it be."""
        return False


UNREPEATED: Final = Once()
"""Owns a CANCEL: it follows its INVITE and has no way of its own."""


def failed(why: str) -> tuple[int, str]:
    """Give the code and the reason word of a request that nobody answered."""
    return (408, "timeout") if why == "timeout" else (503, "transport")


class Requests:
    """Sends what we ask. What transactions call their user (section 17)."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._streamless: dict[Address, Instant] = {}

    def send(
        self,
        now: Instant,
        request: Request,
        ways: Sequence[Flow],
        owner: Owner,
        *,
        account: Account | None = None,
        dialog: Dialog | None = None,
    ) -> ClientTransaction:
        """Send a request, which has no Via yet, over the first of `ways`; the others are for when that one fails.

        `account` answers challenges. `dialog` is the one that the request is inside of: it counts the numbers.
        """
        request = _opened(request, request.headers, account, ways[0]) if account is not None else request
        return self._send(now, request, self._fitting(now, request, tuple(ways)), owner, account, dialog, 0)

    def _send(
        self,
        now: Instant,
        request: Request,
        ways: tuple[Flow, ...],
        owner: Owner,
        account: Account | None,
        dialog: Dialog | None,
        tries: int,
    ) -> ClientTransaction:
        calls = self._calls
        flow = ways[0]
        branch = calls.branch()
        sent = ClientTransaction(
            (branch, request.method),
            Request((("Via", calls.via(flow, branch)), *request.headers), request.body, request.method, request.uri),
            flow,
            owner,
            ways=ways[1:],
            account=account,
            dialog=dialog,
            tries=tries,
        )
        if tries:
            owner.moved(now, sent)
        calls.transactions.request(now, sent)
        return sent

    # --- what transactions tell (transaction.TransactionUser)

    def response_came(self, now: Instant, transaction: ClientTransaction, message: Response) -> bool:
        """Take a response from its transaction; give whether it was news."""
        if message.code >= 300 and transaction.tries < TRIES_LIMIT and transaction.owner.insists():
            if message.code in (401, 407):
                account = transaction.account
                answer = None
                if account is not None:
                    answer = account.answer(transaction.request, message, transaction.flow)
                if answer is not None:
                    self.again(now, transaction, answer)
                    return True
                if account is not None or transaction.dialog is not None:
                    self._calls.out.append(Unproven(transaction.flow, transaction.request.method))
            if message.code == 503 and transaction.ways:
                self._onward(now, transaction)
                return True
        return transaction.owner.came(now, transaction, message)

    def request_failed(self, now: Instant, transaction: ClientTransaction, why: str) -> None:
        """Take the end of a request that nobody answered."""
        if transaction.ways and transaction.tries < TRIES_LIMIT and transaction.owner.insists():
            if _falls_back(transaction):
                if len(self._streamless) >= STREAMLESS_LIMIT:
                    self._streamless.clear()
                self._streamless[transaction.flow.remote] = now + STREAMLESS
            self._onward(now, transaction)
        else:
            transaction.owner.failed(now, transaction, why)

    def _fitting(self, now: Instant, request: Request, ways: tuple[Flow, ...]) -> tuple[Flow, ...]:
        """Have a request that is too large for a datagram go by TCP first, where UDP is only our own choice.

        Section 18.1.1; by UDP all the same where TCP is refused. Only its Via changes.
        """
        if ways[0].transport != "udp" or _size(request) <= DATAGRAM_LIMIT:
            return ways
        hop = request.first("Route") or request.uri
        if "transport=udp" in hop.lower() or self._streamless.get(ways[0].remote, 0) > now:
            return ways
        both: list[Flow] = []
        for flow in ways:
            if flow.transport == "udp":
                both.append(Flow("tcp", flow.local, flow.remote, 0, flow.name))
            both.append(flow)
        return tuple(both)

    def _onward(self, now: Instant, sent: ClientTransaction) -> None:
        """Send the same over the next way."""
        was, then = [self._calls.contact(flow, sent.account) for flow in (sent.flow, sent.ways[0])]
        fields = sent.request.headers[1:]
        if was != then:
            fields = tuple([(name, then if name == "Contact" and value == was else value) for name, value in fields])
        self._anew(now, sent, _opened(sent.request, fields, sent.account, sent.ways[0]), sent.ways)

    def again(self, now: Instant, sent: ClientTransaction, said: Fields) -> None:
        """Send it under the next number with other fields in place of those of their names.

        Credentials (section 22.2), or a longer session after a 422 (RFC 4028 section 7.3).
        """
        old, _, method = sent.request.index["CSeq"].partition(" ")
        if sent.dialog is not None:
            sent.dialog.local_seq += 1
            number = sent.dialog.local_seq
        else:
            number = int(old) + 1
        given = {name for name, _ in said}
        fields = [
            (name, f"{number} {method}" if name == "CSeq" else value)
            for name, value in sent.request.headers[1:]
            if name not in given and name not in CREDENTIALS
        ]
        was = sent.request
        if given & CREDENTIALS:
            request = Request((*fields, *said), was.body, was.method, was.uri)
        else:
            request = _opened(was, (*fields, *said), sent.account, sent.flow)
        self._anew(now, sent, request, self._fitting(now, request, (sent.flow, *sent.ways)))

    def _anew(self, now: Instant, sent: ClientTransaction, request: Request, ways: tuple[Flow, ...]) -> None:
        self._send(now, request, ways, sent.owner, sent.account, sent.dialog, sent.tries + 1)


def _size(request: Request) -> int:
    """Give how many bytes a request will have on the wire, or a few more."""
    return VIA_SIZE + len(request.uri) + len(request.body) + sum([len(n) + len(v) + 4 for n, v in request.headers])


def _falls_back(sent: ClientTransaction) -> bool:
    """Say whether a request that failed went by TCP for its size alone."""
    then = sent.ways[0]
    return (sent.flow.transport, then.transport) == ("tcp", "udp") and sent.flow.remote == then.remote


def _opened(request: Request, fields: Fields, account: Account | None, flow: Flow) -> Request:
    """Give a request with these fields and what its account sends in advance over a flow.

    Credentials that stand there already go: they were for another host, or have been used.
    """
    kept = tuple([field for field in fields if field[0] not in CREDENTIALS])
    advance = account.open(request, flow) if account is not None else ()
    return Request((*kept, *advance), request.body, request.method, request.uri)
