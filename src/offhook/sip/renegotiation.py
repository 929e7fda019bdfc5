"""Changes of a session that is up: re-INVITE and UPDATE, theirs and ours (RFC 3261 section 14, RFC 3311, RFC 6141).

    their re-INVITE, UPDATE ─► free? ─► Reoffered ─► accept · refuse
    reoffer, refresh ─► Change ─► free? ─► re-INVITE or UPDATE ─► 2xx: ACK, Reanswered
                          ▲ 491, 500: later ◄─┘              └─► else what was agreed holds; Reanswered tells the code

What is answered while something else is open (RFC 3261 section 14.2, RFC 3311 section 5.2, RFC 6337 section 4):

    what is open                                  their INVITE   their UPDATE   UPDATE without SDP   ours
    nothing                                       served         served         200                  goes out
    their INVITE, not answered                    500            500 (1)        200                  waits
    their UPDATE, not answered                    500            500            500                  waits
    our offer in a 2xx that has no ACK            491            491            200                  waits
    our answer in a 2xx that has no ACK           served (2)     served         200                  waits
    our INVITE, not answered                      491            491            200                  waits
    our UPDATE with an offer, not answered        491            491            200                  waits
    our UPDATE without one, not answered          served         served         200                  waits
    their offer in the 2xx to our INVITE          500            500            200                  waits

500 comes with Retry-After. (1) Unless a reliable provisional response has brought the answer already, and the INVITE is
the first: then it is served, too. (2) Whoever sends the next INVITE has our 2xx, whatever became of its ACK.

A refused change leaves all as it was, but for what an UPDATE changed meanwhile (RFC 6141 section 3). Silence,
and what says that there is no dialog at the other end or no way to it (`codes.GONE`), end the call. 491 is tried again
within the windows of RFC 3261 section 14.1: whoever owns the Call-ID waits 2.1 to 4 s, the other less than 2 s.
"""

from __future__ import annotations

from typing import Final

from offhook.core.errors import ProtocolError
from offhook.core.instants import MILLISECOND, SECOND, Instant
from offhook.sip import tables
from offhook.sip.body import description
from offhook.sip.calls import PROMPT, Call, Calls
from offhook.sip.codes import GONE
from offhook.sip.dialog import Dialog, contact_of
from offhook.sip.gate import Refusal
from offhook.sip.grammar import Fields
from offhook.sip.header import parse_name_addr
from offhook.sip.meanings import because
from offhook.sip.message import Request, Response
from offhook.sip.outcomes import Flow, Reanswered, Reoffered
from offhook.sip.requests import TRIES_LIMIT, Purpose
from offhook.sip.sdp import Media, Session, parse_sdp
from offhook.sip.server import Server
from offhook.sip.session import OfferAnswer
from offhook.sip.transaction import ClientTransaction, ServerTransaction

TURNS_LIMIT: Final = 10
"""How often a change is tried against 491: who is asked at the same time as often is no accident any more."""

SLOT: Final = 10 * MILLISECOND
"""The unit of the windows (section 14.1)."""

BUSY_SLOTS: Final = (5, 30)
"""How long a change waits until it looks again whether it may go out, in slots: a round trip or two."""

PATIENCE_S: Final = 10
"""The longest Retry-After that is waited for; those that mean us say 0 to 10 (section 14.2)."""


class Change(Purpose):
    """A re-INVITE or UPDATE of ours. `body` None: the offer is left to them (INVITE), or there is none (UPDATE).

    `asked`: somebody waits for `Reanswered`; else it only refreshes. `behind` goes out after it.
    """

    __slots__ = (
        *("ack", "asked", "behind", "body", "call", "cancelled", "method", "offer", "over", "owner", "patient"),
        *("sent", "turns", "until"),
    )

    def __init__(self, owner: Renegotiation, call: Call, body: Session | None, *, asked: bool, until: Instant) -> None:
        self.owner = owner
        self.call = call
        self.method = "INVITE"
        self.body = body
        self.asked = asked
        self.until = until
        self.behind: Change | None = None
        self.sent: ClientTransaction | None = None
        self.ack: tuple[Flow, bytes] | None = None
        self.offer: Session | None = None  # theirs, in the 2xx, until we answer it in the ACK
        self.cancelled = False
        self.patient = True
        self.over = False
        self.turns = 0

    @property
    def waits(self) -> bool:
        """Whether it is out and has no final answer."""
        return self.sent is not None and not self.over

    def insists(self) -> bool:
        """Try on while there is a call to change."""
        return not self.over and self.call.phase != "over"

    def moved(self, now: Instant, sent: ClientTransaction) -> None:
        """Follow it."""
        self.sent = sent
        self.owner.bound(now, sent)

    def came(self, now: Instant, sent: ClientTransaction, response: Response) -> bool:
        """Take a response."""
        return self.owner.came(now, self, sent, response)

    def failed(self, now: Instant, sent: ClientTransaction, why: str) -> None:
        """End a call whose far end is silent; a connection that is gone may be opened again."""
        if why == "timeout":
            self.owner.gone(now, self)
        else:
            self.owner.refused(now, self, 503)


class Renegotiation:
    """Serves their changes of a session and carries out ours."""

    def __init__(self, calls: Calls, server: Server) -> None:
        self._calls = calls
        self._server = server
        server.within |= {"INVITE": self._reinvited, "UPDATE": self._updated}
        calls.alarms |= {
            "reoffered": self._undecided,
            "change": self._again,
            "changing": self._unanswered,
            "refresh": self._refresh,
        }

    # --- theirs

    def _reinvited(self, now: Instant, transaction: ServerTransaction, call: Call) -> None:
        if call.phase == "inviting":
            raise Refusal(491)
        if call.phase == "ringing" or call.reoffer is not None or call.session.open == "theirs":
            raise Refusal(500, self._server.come_again())
        if call.session.open == "ours" or self._inviting(call):
            raise Refusal(491)
        offer = self._examined(call, transaction.request)
        self._server.confirmed(call)
        if self._server.left(now, call):
            raise Refusal(481)
        self._server.respond(now, transaction, 100)
        self._calls.reoffered(now, call, transaction, call.session, offer, self._calls.settings.ring_limit)

    def _updated(self, now: Instant, transaction: ServerTransaction, call: Call) -> None:
        pending = call.reoffer
        if pending is not None and pending.machine is tables.SERVER:
            raise Refusal(500, self._server.come_again())
        offer = self._examined(call, transaction.request)
        dialog, session = _place(call, transaction.request)
        if offer is None:
            self._server.respond(now, transaction, 200, self._targeted(now, call, dialog, transaction))
            return
        if session.open == "theirs" or pending is not None:
            raise Refusal(500, self._server.come_again())
        if session.open == "ours" or self._inviting(call):
            raise Refusal(491)
        self._calls.reoffered(now, call, transaction, session, offer)

    def _inviting(self, call: Call) -> bool:
        """Whether a re-INVITE of ours is out: it is an offer, or asks for one."""
        change = call.change
        return change is not None and change.waits and change.method == "INVITE"

    def _examined(self, call: Call, request: Request) -> Session | None:
        """Find all that can be wrong with it before anything changes."""
        offer = self._server.offer(request)
        contact_of(request)
        self._calls.refresh.check(request, call.manners)
        return offer

    def _targeted(self, now: Instant, call: Call, dialog: Dialog, transaction: ServerTransaction) -> Fields:
        """Take what an accepted UPDATE says of its sender; give what its 200 says of us."""
        self._moved(call, dialog, transaction)
        terms = self._calls.refresh.answer(now, call, transaction.request) if call.phase in ("answered", "up") else ()
        return ("Contact", self._calls.contact(call.flow)), *self._calls.hello, *terms

    @staticmethod
    def _moved(call: Call, dialog: Dialog, transaction: ServerTransaction) -> None:
        """Take the target and the way of a request that is accepted (section 12.2.2, RFC 6141 section 4)."""
        dialog.refresh(transaction.request)
        if dialog is not call.dialog:
            return  # one of several that ring
        call.flow = transaction.flow
        call.natted = call.manners.symmetric or ";received=" in transaction.echo.partition("\r\n")[0]
        call.allow = transaction.request.index.get("Allow", call.allow)

    def accept(self, now: Instant, call: Call, body: Session) -> None:
        """Answer a re-INVITE or UPDATE, or the offer that the 2xx to ours brought."""
        transaction, call.reoffer = call.reoffer, None
        if transaction is None:
            if call.change is not None and call.change.offer is not None:
                self._answer(now, call.change, body)
            return
        self._calls.timers.stop(call, "reoffered")
        if not _there(call, transaction.request):
            self._server.respond(now, transaction, 481)
            return
        dialog, session = _place(call, transaction.request)
        if transaction.request.method == "PRACK":
            self._server.ringing.accept(now, call, transaction, session.answer(body))
            return
        if transaction.machine is tables.INVITE_SERVER:
            self._moved(call, dialog, transaction)
            self._server.accept(now, call, transaction, body)
            return
        fields = (*self._targeted(now, call, dialog, transaction), ("Content-Type", "application/sdp"))
        self._server.respond(now, transaction, 200, fields, bytes(session.answer(body)))

    def refuse(self, now: Instant, call: Call, code: int) -> None:
        """Refuse a re-INVITE or UPDATE; the session stays as it was."""
        if not 300 <= code <= 699:
            raise ValueError(f"{code} refuses nothing")
        transaction, call.reoffer = call.reoffer, None
        if transaction is None:
            if call.change is not None and call.change.offer is not None:
                self._answer(now, call.change, None)
            return
        session = _place(call, transaction.request)[1] if _there(call, transaction.request) else None
        if session is not None and session.open == "theirs":
            session.withdraw()
        self._calls.timers.stop(call, "reoffered")
        self._server.respond(now, transaction, code, self._server.warning(call, code))

    def _undecided(self, now: Instant, call: Call) -> None:
        update = call.reoffer is not None and call.reoffer.machine is tables.SERVER
        self.refuse(now, call, 504 if update else 500)

    # --- ours

    def reoffer(self, now: Instant, call: Call, body: Session | None) -> None:
        """Offer to change the session, by UPDATE while it rings, else by re-INVITE."""
        change = Change(self, call, body, asked=True, until=now + 64 * self._calls.settings.times.t1)
        if call.phase in ("ringing", "inviting"):
            if call.dialog is None or body is None or "UPDATE" not in call.allow:
                self._done(now, change, 491)
                return
            change.method = "UPDATE"
        if call.change is None:
            call.change = change
            self._send(now, change)
        elif call.change.behind is None:
            call.change.behind = change
        else:
            self._done(now, change, 491)

    def _refresh(self, now: Instant, call: Call) -> None:
        """Say that we are there (RFC 4028 section 7.4): by UPDATE where they take it, else by the unchanged offer."""
        refresh = self._calls.refresh
        if call.phase != "up" or call.change is not None:
            refresh.failed(now, call, 0)  # a change under way refreshes as well
            return
        change = Change(self, call, None, asked=False, until=now + 64 * self._calls.settings.times.t1)
        if "UPDATE" in call.allow:
            change.method = "UPDATE"
        else:
            change.body = call.session.local
        call.change = change
        refresh.begun(now, call)
        self._send(now, change)

    def _free(self, change: Change) -> bool:
        call = change.call
        if change.method == "UPDATE" and change.body is None:
            return True
        if call.ring is not None and call.ring.out is not None:
            return False  # RFC 3311 section 5.1: not before the PRACK of what we described
        return call.session.open == "none" and call.reoffer is None and call.waiting is None

    def _send(self, now: Instant, change: Change) -> None:
        calls, call = self._calls, change.call
        if not self._free(change):
            if now >= change.until:
                self.refused(now, change, 491)
            else:
                calls.timers.start(call, "change", now + calls.rng.randrange(*BUSY_SLOTS) * SLOT)
            return
        fields = (("Contact", calls.contact(call.flow)), *calls.hello, *calls.refresh.fields(call))
        data = b""
        if change.body is not None:
            change.body = call.session.offer(change.body)
            data = bytes(change.body)
            fields = (*fields, ("Content-Type", "application/sdp"))
        change.sent = calls.within(now, call, change.method, change, extra=fields, body=data)
        self.bound(now, change.sent)
        if change.method == "INVITE":
            calls.timers.start(call, "changing", now + 64 * calls.settings.times.t1)

    def bound(self, now: Instant, sent: ClientTransaction) -> None:
        """See to it that a re-INVITE which only ever got provisional responses is gone some day, call or no call."""
        if sent.key[1] == "INVITE":
            self._calls.timers.start(sent, "given_up", now + 128 * self._calls.settings.times.t1)

    def came(self, now: Instant, change: Change, sent: ClientTransaction, response: Response) -> bool:
        """Take a response to a change of ours; give whether it was news."""
        code, call = response.code, change.call
        if code < 200:
            return True
        if code < 300:
            return self._accepted(now, change, sent, response)
        if change.over or change.sent is not sent or call.phase == "over":
            return True
        calls = self._calls
        if code in GONE:
            calls.lost(now, call, code)
        elif change.cancelled:
            self.refused(now, change, code)
        elif code == 422 and (longer := self._longer(change, sent, response)) is not None:
            calls.requests.again(now, sent, longer)
        elif code == 491 and change.turns < TURNS_LIMIT:
            change.turns += 1
            self._later(now, change, calls.rng.randint(210, 400) if call.placed else calls.rng.randint(0, 200))
        elif code in (500, 503) and change.patient and (wait_s := _retry_after(response)) is not None:
            change.patient = False
            self._later(now, change, wait_s * SECOND // SLOT)
        elif code in (405, 501) and change.method == "UPDATE" and call.phase == "up":
            # Its Allow said otherwise, or what stands between us does not let it pass.
            self._later(now, change, 0)
            call.allow, change.method = "", "INVITE"
            change.body = change.body or call.session.local
        else:
            self.refused(now, change, code)
        return True

    def _longer(self, change: Change, sent: ClientTransaction, response: Response) -> Fields | None:
        return self._calls.refresh.longer(sent.request, response) if sent.tries < TRIES_LIMIT else None

    def _later(self, now: Instant, change: Change, slots: int) -> None:
        """Take the offer back and make it again after so many slots."""
        self._take_back(change)
        change.sent = None
        change.until = now + slots * SLOT + 64 * self._calls.settings.times.t1
        self._calls.timers.stop(change.call, "changing")
        self._calls.timers.start(change.call, "change", now + slots * SLOT)

    def _again(self, now: Instant, call: Call) -> None:
        if call.change is not None:
            self._send(now, call.change)

    def _accepted(self, now: Instant, change: Change, sent: ClientTransaction, response: Response) -> bool:
        calls, call = self._calls, change.call
        if change.ack is not None:
            calls.transactions.repeated += 1
            calls.transactions.send(*change.ack)
            return False
        if change.offer is not None:
            return False
        if change.over or call.phase == "over":
            self._acknowledge(change, sent)
            return True
        dialog = call.dialog
        assert dialog is not None
        said: Session | None = None
        try:
            dialog.refresh(response)
            data = description(response)
            said = parse_sdp(data) if data is not None else None
        except ProtocolError:
            pass  # then it said nothing
        call.allow = response.index.get("Allow", call.allow)
        if call.phase == "up":
            calls.refresh.agreed(now, call, response)
        calls.timers.stop(call, "changing")
        if change.body is None and change.method == "INVITE" and said is not None:
            call.session.offered(said)
            change.offer = said
            calls.timers.start(call, "reoffered", now + PROMPT)
            calls.out.append(Reoffered(call.number, said))
            return True
        self._acknowledge(change, sent)
        if change.body is not None and said is not None:
            before = call.session.remote
            call.session.answered(said)
            if change.asked or said != before:
                calls.out.append(Reanswered(call.number, said, response.code, change.body, change.asked))
            self._next(now, change)
        elif change.method == "UPDATE" and change.body is None:
            self._next(now, change)
        else:
            self.refused(now, change, 488)  # an answer was due, or an offer
        return True

    def _acknowledge(self, change: Change, sent: ClientTransaction, body: bytes = b"") -> None:
        """Send the ACK of a 2xx, and keep it for repeats."""
        dialog = change.call.dialog
        if sent.key[1] != "INVITE" or dialog is None:
            return
        change.ack = self._calls.acknowledge(change.call, dialog, change.call.flow, sent.request, body)

    def _answer(self, now: Instant, change: Change, body: Session | None) -> None:
        """Answer in the ACK what their 2xx offered; where it can't be taken decline it all and leave (13.2.2.4)."""
        calls, call = self._calls, change.call
        offer, change.offer = change.offer, None
        assert change.sent is not None
        assert offer is not None
        calls.timers.stop(call, "reoffered")
        if body is not None:
            self._acknowledge(change, change.sent, bytes(call.session.answer(body)))
            self._done(now, change, 200, offer)
        else:
            none = tuple([Media(media.kind, 0, media.protocol, media.formats) for media in offer.media])
            lines = (call.session.local or offer).lines
            self._acknowledge(change, change.sent, bytes(call.session.answer(Session(lines, none))))
            calls.bye(now, call, because(488, "nothing of the offer can be taken"))
            calls.end(call, 488, "refused")

    # --- how it ends

    def refused(self, now: Instant, change: Change, code: int) -> None:
        """End a change that was not taken: what was agreed holds."""
        if change.over or change.call.phase == "over":
            return
        self._take_back(change)
        self._done(now, change, code)

    @staticmethod
    def _take_back(change: Change) -> None:
        session = change.call.session
        if change.sent is not None and change.body is not None and session.open == "ours":
            session.withdraw()

    def gone(self, now: Instant, change: Change) -> None:
        """End a call whose far end says nothing any more."""
        if not change.over:
            self._calls.lost(now, change.call, 408)

    def _done(self, now: Instant, change: Change, code: int, answer: Session | None = None) -> None:
        """Tell what became of a change, and go on to the next."""
        if change.asked:
            self._calls.out.append(Reanswered(change.call.number, answer, code))
        else:
            self._calls.refresh.failed(now, change.call, code)
        self._next(now, change)

    def _next(self, now: Instant, change: Change) -> None:
        call = change.call
        change.over = True
        if call.change is not change:
            return
        self._calls.timers.stop(call, "changing")
        self._calls.timers.stop(call, "change")
        call.change = change.behind
        if call.change is not None:
            self._send(now, call.change)

    def _unanswered(self, now: Instant, call: Call) -> None:
        """Give up a re-INVITE that only got provisional responses: by CANCEL, then the call with it."""
        change = call.change
        if change is None or change.sent is None:
            return
        if change.cancelled:
            self.gone(now, change)
            return
        change.cancelled = True
        self._calls.cancel(now, change.sent)
        self._calls.timers.start(call, "changing", now + 64 * self._calls.settings.times.t1)


def _there(call: Call, request: Request) -> bool:
    """Say whether the dialog that a request came in is still there: an early one may be over by itself (RFC 6228)."""
    return call.dialog is not None or parse_name_addr(request.index["From"]).tag in call.early


def _place(call: Call, request: Request) -> tuple[Dialog, OfferAnswer]:
    """Give the dialog that a request is in, and its offer/answer: while it rings at several, each has its own."""
    early = None if call.dialog is not None else call.early.get(parse_name_addr(request.index["From"]).tag)
    if early is not None:
        return early.dialog, early.session
    assert call.dialog is not None
    return call.dialog, call.session


def _retry_after(response: Response) -> int | None:
    """Give how many seconds to wait; None where it does not say, or says too much."""
    digits = response.index.get("Retry-After", "").split("(")[0].partition(";")[0].strip()
    if not digits.isascii() or not digits.isdigit() or len(digits) > 4 or int(digits) > PATIENCE_S:
        return None
    return int(digits)
