"""A call that rings at us: provisional responses, reliable where the caller asks for it (RFC 3262, RFC 3261 13.3.1.1).

    ring(180, 183 + SDP) ─┬─► plain: sent, and once a minute so that no proxy gives up (timer C)
                          └─► RSeq, repeated from T1, doubling ─┬─► PRACK ─► the next one, or the 200 that waited
                                                               └─► 64*T1 without ─► 504

Laws: one reliable response is out at a time; a description that went reliably is settled, and the 2xx waits for its
PRACK (section 5); a PRACK that fits nothing gets 481.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from offhook.core.instants import SECOND, Instant
from offhook.sip.body import description
from offhook.sip.calls import Call
from offhook.sip.gate import Refusal
from offhook.sip.grammar import Fields, Malformed, number
from offhook.sip.message import Request
from offhook.sip.outcomes import EarlyAnswered
from offhook.sip.sdp import Session, parse_sdp
from offhook.sip.transaction import ServerTransaction

if TYPE_CHECKING:
    from offhook.sip.server import Server

STILL: Final = 60 * SECOND
"""How often a call that goes on ringing says so (RFC 3261 section 13.3.1.1)."""

QUEUE_LIMIT: Final = 4
"""Provisional responses that wait for the PRACK of one before; of more, the oldest says nothing any more."""


@dataclass(slots=True, eq=False)
class Sent:
    """A reliable provisional response without its PRACK."""

    rseq: int
    data: bytes
    interval: int
    described: bool


@dataclass(slots=True, eq=False)
class Ring:
    """What was said while a call rings.

    `seq` is the number of its INVITE, `rseq` the last number of ours. `out` is without its PRACK, `waiting` goes out
    behind it, `answer` is the description of the 2xx that waits. `settled`: the offer/answer came to its end already.
    """

    reliable: bool
    seq: int
    rseq: int
    out: Sent | None = None
    waiting: tuple[tuple[int, Session | None, Fields], ...] = ()
    answer: Session | None = None
    settled: bool = False


class Ringing:
    """Says that it rings, and takes the PRACKs."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._calls = server.calls
        server.within["PRACK"] = self._prack
        self._calls.alarms |= {"still": self._still, "again": self._again, "unheard": self._unheard}

    def ring(self, now: Instant, call: Call, code: int, body: Session | None, headers: Fields) -> None:
        """Send a provisional response, or queue it behind the one that waits for its PRACK."""
        transaction = call.invite
        if call.phase != "ringing" or transaction is None:
            return
        ring = call.ring or self._begin(call, transaction.request)
        if ring.out is not None:
            ring.waiting = (*ring.waiting, (code, body, headers))[-QUEUE_LIMIT:]
            return
        if body is not None and not self._describe(call, ring, body):
            body = None
        extra = (
            *self._server.recorded(transaction.request),
            ("Contact", self._calls.contact(transaction.flow, call.account)),
            *headers,
            *((("Content-Type", "application/sdp"),) if body is not None else ()),
        )
        data = b"" if body is None else bytes(body)
        if not ring.reliable:
            self._server.respond(now, transaction, code, extra, data)
            self._calls.timers.start(call, "still", now + STILL)
            return
        ring.rseq += 1
        extra = (*extra, ("Require", "100rel"), ("RSeq", str(ring.rseq)))
        self._server.respond(now, transaction, code, extra, data)
        times = self._calls.settings.times
        ring.out = Sent(ring.rseq, transaction.last, times.t1, body is not None)
        self._calls.timers.start(call, "again", now + times.t1)
        self._calls.timers.start(call, "unheard", now + 64 * times.t1)

    def holds(self, call: Call, body: Session) -> bool:
        """Say whether the 2xx must wait for a PRACK (section 5); then it goes out behind it."""
        ring = call.ring
        if ring is None:
            return False
        if ring.out is not None and ring.out.described:
            ring.answer = body
            return True
        for name in ("still", "again", "unheard"):  # section 3: a final response ends the repeating
            self._calls.timers.stop(call, name)
        return False

    def _begin(self, call: Call, invite: Request) -> Ring:
        reliable = _knows(invite, "Require") or (call.manners.reliable and _knows(invite, "Supported"))
        seq = int(invite.index["CSeq"].split(None, 1)[0])
        # Section 3: any number below 2**31 to begin with.
        call.ring = Ring(reliable, seq, self._calls.rng.randrange(1, 2**31 - 1) if reliable else 0)
        return call.ring

    @staticmethod
    def _describe(call: Call, ring: Ring, body: Session) -> bool:
        """Take note of a description that goes out; give whether it may."""
        if not ring.reliable:
            return call.session.open == "theirs"  # our offer may not go where it can be lost (RFC 3261 section 13.2.1)
        if ring.settled or call.session.open == "ours":
            return False
        if call.session.open == "theirs":
            call.session.answer(body)
        else:
            call.session.offer(body)
        ring.settled = True
        return True

    def _prack(self, now: Instant, transaction: ServerTransaction, call: Call) -> None:
        ring = call.ring
        rseq, seq, method = parse_rack(transaction.request.first("RAck") or "")
        if ring is None or ring.out is None or (rseq, seq, method) != (ring.out.rseq, ring.seq, "INVITE"):
            raise Refusal(481)
        body = description(transaction.request)
        said = parse_sdp(body) if body is not None else None
        if said is not None and call.session.open != "ours":
            self._offered(now, transaction, call, ring, said)
            return
        self._acknowledged(now, transaction, call, ring)
        if said is not None:
            call.session.answered(said)
            self._calls.out.append(EarlyAnswered(call.number, said))
        elif call.session.open == "ours":
            self._server.reject(now, call, 488, "", ())  # what we offered was not answered where it had to be
            return
        self._go_on(now, call, ring)

    def _offered(self, now: Instant, transaction: ServerTransaction, call: Call, ring: Ring, offer: Session) -> None:
        """Take another offer, which a PRACK may bring once the first is answered (section 5).

        Until it is decided the response stays out; one that is refused is no acknowledgement.
        """
        if not ring.settled:
            raise Refusal(488)  # the first one is still open: this can't be one
        if call.session.open != "none" or call.reoffer is not None:
            raise Refusal(500, self._server.come_again())
        self._calls.reoffered(now, call, transaction, call.session, offer)

    def accept(self, now: Instant, call: Call, transaction: ServerTransaction, body: Session) -> None:
        """Take a PRACK with our answer to the offer in it."""
        ring = call.ring
        if ring is None or ring.out is None:
            self._server.respond(now, transaction, 481)
            return
        self._acknowledged(now, transaction, call, ring, body)
        self._go_on(now, call, ring)

    def _acknowledged(
        self, now: Instant, transaction: ServerTransaction, call: Call, ring: Ring, body: Session | None = None
    ) -> None:
        ring.out = None
        for name in ("again", "unheard"):
            self._calls.timers.stop(call, name)
        content = (("Content-Type", "application/sdp"),) if body is not None else ()
        self._server.respond(now, transaction, 200, content, b"" if body is None else bytes(body))

    def _go_on(self, now: Instant, call: Call, ring: Ring) -> None:
        if ring.answer is not None:
            answer, ring.answer = ring.answer, None
            self._server.answer(now, call, answer)
        elif ring.waiting:
            first, ring.waiting = ring.waiting[0], ring.waiting[1:]
            self.ring(now, call, *first)

    # --- timers of a call

    def _still(self, now: Instant, call: Call) -> None:
        if call.invite is not None:
            self._calls.transactions.repeated += 1
            self._calls.transactions.send(call.invite.flow, call.invite.last)
            self._calls.timers.start(call, "still", now + STILL)

    def _again(self, now: Instant, call: Call) -> None:
        """Repeat, over any transport, with no ceiling to the intervals (RFC 3262 section 3)."""
        ring = call.ring
        if call.invite is not None and ring is not None and ring.out is not None:
            self._calls.transactions.repeated += 1
            self._calls.transactions.send(call.invite.flow, ring.out.data)
            ring.out.interval *= 2
            self._calls.timers.start(call, "again", now + ring.out.interval)

    def _unheard(self, now: Instant, call: Call) -> None:
        """Refuse a call whose caller never acknowledged what it had asked for (RFC 3262 section 3)."""
        self._server.reject(now, call, 504, "", (), why="no_ack")


def parse_rack(text: str) -> tuple[int, int, str]:
    """Read a RAck: the number of the response, that of its request, its method (RFC 3262 section 7.2)."""
    pieces = text.split()
    if len(pieces) != 3:
        raise Malformed("rack", "a RAck that is none")
    return number(pieces[0], 2**32 - 1, "rack"), number(pieces[1], 2**32 - 1, "rack"), pieces[2]


def _knows(request: Request, name: str) -> bool:
    return name in request.index and "100rel" in [tag.lower() for tag in request.values(name)]
