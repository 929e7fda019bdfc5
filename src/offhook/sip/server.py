"""The server side of the user agent (RFC 3261 sections 8.2, 9.2, 11.2, 13.3, 14.2, 15.1.2): what is answered, and how.

    new request ─► examine: may it be answered at all? ─► invite · bye · options · notify
    orders:  answer · reject

Everything that can be wrong with a request is found before anything of a call changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from offhook.core.instants import Instant
from offhook.sip.body import description
from offhook.sip.calls import Call, Calls, Unacknowledged, refuse_breaks
from offhook.sip.dialog import served_dialog
from offhook.sip.gate import Refusal
from offhook.sip.grammar import Fields, Malformed
from offhook.sip.header import NameAddr
from offhook.sip.meanings import because, causes_of
from offhook.sip.message import Request
from offhook.sip.outcomes import Confirmed, IncomingCall, Replacing
from offhook.sip.ringing import Ringing
from offhook.sip.sdp import Session, parse_sdp
from offhook.sip.transaction import ServerTransaction
from offhook.sip.transfer import abandon, replaced_by
from offhook.sip.uri import parse_uri

KNOWN: Final = frozenset(
    {"REGISTER", "INFO", "MESSAGE", "UPDATE", "SUBSCRIBE", "PUBLISH", "PRACK", "REFER", "NOTIFY"}
    | {"INVITE", "ACK", "BYE", "CANCEL", "OPTIONS"}
)
"""Methods that we know of: refused with 405 where we do not serve them, others with 501 (section 21.5.2)."""

ACCEPT: Final = ("Accept", "application/sdp")


Within = Callable[[Instant, ServerTransaction, Call], None]
"""What serves one method inside a dialog: it answers, or raises `Refusal` or `Malformed` and has changed nothing."""

Outside = Callable[[Instant, ServerTransaction], None]
"""What serves one method outside a dialog, likewise."""


class Server:
    """Answers requests."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        self.refusing = False
        self._unsaid: list[tuple[Instant, ServerTransaction]] = []
        self.retry_after: tuple[int, int] = (1, 10)
        self.within: dict[str, Within] = {"BYE": self._bye, "OPTIONS": self._asked}
        self.outside: dict[str, Outside] = {"OPTIONS": self._options}
        calls.alarms |= {
            "ringing": self._unanswered,
            "repeat": self._repeat,
            "no_ack": self._unacknowledged,
        }
        self.ringing = Ringing(self)

    # --- what comes

    def request(
        self, now: Instant, transaction: ServerTransaction, sender: NameAddr, seq: int, to_tag: str
    ) -> Malformed | None:
        """Take a new request, for which a transaction has just begun; give what was wrong with it, if anything."""
        request = transaction.request
        call = self.calls.dialogs.get((request.index["Call-ID"], to_tag, sender.tag)) if to_tag else None
        try:
            self._examine(now, transaction, in_dialog=bool(to_tag), known=call is not None)
            if call is not None:
                self._within(now, transaction, call, seq, sender.tag)
            elif request.method == "INVITE":
                self._invite(now, transaction, sender, seq)
            else:
                self.outside[request.method](now, transaction)
        except Refusal as refusal:
            self.respond(now, transaction, refusal.code, refusal.headers)
        except Malformed as fault:
            self.respond(now, transaction, fault.code)
            return fault
        return None

    def _examine(self, now: Instant, transaction: ServerTransaction, *, in_dialog: bool, known: bool) -> None:
        """Refuse what can't be answered whatever its purpose, in the order of section 8.2."""
        request = transaction.request
        method = request.method
        index = request.index
        if method not in self.within and method not in self.outside:
            if in_dialog and not known and method in KNOWN:
                raise Refusal(481)
            raise Refusal(405 if method in KNOWN else 501, self.calls.hello[:1])
        if in_dialog and not known:
            raise Refusal(481)
        if not in_dialog:
            self._addressed(request.uri)
            self._loops(transaction)
            if self.calls.settings.gate is not None:
                self.calls.settings.gate.admit(now, request, transaction.flow)
            if method != "INVITE" and method not in self.outside:
                if method == "MESSAGE":  # it would make sense, but text out of the blue is nobody's call
                    raise Refusal(405, (("Allow", ", ".join(("INVITE", "ACK", "CANCEL", *self.outside))),))
                raise Refusal(481)  # what only makes sense within a dialog
        if "Require" in index:
            unknown = [tag for tag in request.values("Require") if tag not in self.calls.settings.extensions]
            if unknown:
                raise Refusal(420, (("Unsupported", ", ".join(unknown)),))
        if "Content-Encoding" in index and index["Content-Encoding"].strip().lower() not in ("identity", ""):
            raise Refusal(415, (("Accept-Encoding", "identity"),))

    @staticmethod
    def _addressed(uri: str) -> None:
        """Refuse a Request-URI that is none of SIP's, or that carries headers (section 19.1.1 forbids them there)."""
        if uri[:4] != "sip:" and uri.partition(":")[0].lower() not in ("sip", "sips"):
            raise Refusal(416)
        if "?" in uri and parse_uri(uri).headers:
            raise Malformed("request_uri", "a Request-URI with headers in it")

    def _loops(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        merged = self.calls.transactions.merges.get(transaction.merge) if transaction.merge is not None else None
        if merged is not None and merged is not transaction:
            raise Refusal(482)  # section 8.2.2.2: the same request by another way
        for via in request.all("Via"):
            if self.calls.mark in via:
                raise Refusal(482)
        # Who only ends a call need not count hops (RFC 4475 section 3.3.11), and OPTIONS is answered at 0. But what
        # answers here may dial on, and a ring of such answerers ends only where somebody counts.
        if request.method == "INVITE" and request.index.get("Max-Forwards", "70").strip("0") == "":
            raise Refusal(483)

    def respond(
        self,
        now: Instant,
        transaction: ServerTransaction,
        code: int,
        headers: Fields = (),
        body: bytes = b"",
        reason: str = "",
    ) -> None:
        """Answer a request, naming the software if it is to be named."""
        named = self.calls.software("Server")
        self.calls.transactions.respond(now, transaction, code, (*headers, *named) if named else headers, body, reason)

    def trying(self) -> None:
        """Say 100 to an INVITE that nothing was said to at once (section 17.2.1: else it may stay away)."""
        for now, transaction in self._unsaid:
            if transaction.state == "proceeding" and not transaction.last:
                self.respond(now, transaction, 100)
        self._unsaid.clear()

    def come_again(self) -> Fields:
        """Say when to ask again."""
        # Spread, so that those who were turned away do not all come back at once.
        return (("Retry-After", str(self.calls.rng.randint(*self.retry_after))),)

    def _options(self, now: Instant, transaction: ServerTransaction) -> None:
        if self.refusing:
            raise Refusal(503, self.come_again())
        contact = ("Contact", self.calls.contact(transaction.flow))
        self.respond(now, transaction, 200, (contact, ACCEPT, *self.calls.hello))

    def _invite(self, now: Instant, transaction: ServerTransaction, sender: NameAddr, seq: int) -> None:
        request = transaction.request
        if self.refusing or len(self.calls.alive) >= self.calls.settings.max_calls:
            raise Refusal(503, self.come_again())
        replaced = replaced_by(self.calls, request)
        offer = self.offer(request)
        manners = self.calls.manners(transaction.flow)
        self.calls.refresh.check(request, manners)
        dialog = served_dialog(request, sender, transaction.to, transaction.tag, seq)
        flow = transaction.flow
        call = Call(self.calls.number(), flow, "ringing", transaction.tag, invite=transaction, manners=manners)
        call.allow = request.index.get("Allow", "")
        transaction.owner = call
        call.account = self.calls.account_of(flow)
        call.natted = manners.symmetric or ";received=" in transaction.echo.partition("\r\n")[0]
        if offer is not None:
            call.session.offered(offer)
        self.calls.alive[call.number] = call
        self.calls.join(call, dialog)
        if "Timestamp" in request.index:  # how long it is under way is to be told (section 8.2.6.1)
            self.respond(now, transaction, 100, (("Timestamp", request.index["Timestamp"]),))
        else:
            self._unsaid.append((now, transaction))
        if self.calls.settings.ring_at_once and replaced is None:
            self.ringing.ring(now, call, 180, None, ())
        self.calls.timers.start(call, "ringing", now + self.calls.settings.ring_limit)
        if replaced is None:
            self.calls.out.append(IncomingCall(call.number, request, flow, offer))
        else:
            self.calls.out.append(Replacing(call.number, request, flow, offer, replaced.number))

    def offer(self, request: Request) -> Session | None:
        """Give the description in a request, None where there is no body. 415 where it is of another type."""
        index = request.index
        if "Accept" in index:
            kinds = {element.partition(";")[0].strip().lower() for element in request.values("Accept")}
            if not kinds & {"application/sdp", "application/*", "*/*", ""}:
                raise Refusal(406, (ACCEPT,))
        if not request.body or request.body.isspace():
            return None
        data = description(request)
        if data is None:
            raise Refusal(415, (ACCEPT,))
        return parse_sdp(data)

    @staticmethod
    def recorded(request: Request) -> Fields:
        """Give the Record-Route that a response repeats (section 12.1.1)."""
        if "Record-Route" not in request.index:
            return ()
        return tuple([("Record-Route", value) for value in request.all("Record-Route")])

    # --- inside a dialog

    def _within(self, now: Instant, transaction: ServerTransaction, call: Call, seq: int, remote_tag: str) -> None:
        dialog = call.dialog or call.early[remote_tag].dialog
        if dialog.remote_seq is not None and seq <= dialog.remote_seq:
            raise Refusal(500, self.come_again())  # section 12.2.2: out of order
        request = transaction.request
        serve = self.within.get(request.method)
        if serve is None:
            raise Refusal(405, self.calls.hello[:1])
        dialog.remote_seq = seq
        serve(now, transaction, call)

    def _asked(self, now: Instant, transaction: ServerTransaction, call: Call) -> None:
        self.respond(now, transaction, 200, (ACCEPT, *self.calls.hello))

    def _bye(self, now: Instant, transaction: ServerTransaction, call: Call) -> None:
        if call.phase == "inviting":
            raise Refusal(481)  # section 15: who was called refuses, and does not say BYE, before it has answered
        causes = causes_of(transaction.request)
        self.respond(now, transaction, 200)
        if call.reoffer is not None:
            self.respond(now, call.reoffer, 487)
            call.reoffer = None
        abandon(self.calls, now, call, 487)
        if call.phase == "ringing" and call.invite is not None:
            self.respond(now, call.invite, 487)  # section 15.1.2
            self.calls.end(call, 487, "cancelled", causes)
        elif call.leaving is not None:
            self.calls.end(call, 200, "hangup")
        else:
            self.calls.end(call, 200, "remote_hangup", causes)

    def confirmed(self, call: Call) -> None:
        """Take note that the far end has our 2xx."""
        call.waiting = None
        self.calls.timers.stop(call, "repeat")
        self.calls.timers.stop(call, "no_ack")
        if call.phase == "answered":
            call.phase = "up"

    def left(self, now: Instant, call: Call) -> bool:
        """Say the goodbye that waited until the far end had our 2xx, if one did."""
        if call.leaving is None:
            return False
        self.calls.bye(now, call, call.leaving)
        self.calls.end(call, 200, "hangup")
        return True

    def deserted(self, now: Instant, transaction: ServerTransaction) -> None:
        """Answer a re-INVITE or UPDATE whose call has ended before it was decided."""
        self.respond(now, transaction, 487)

    def cancel(self, now: Instant, transaction: ServerTransaction, target: ServerTransaction | None) -> None:
        """Take a CANCEL; `target` is the INVITE that it names (section 9.2)."""
        if target is None:
            self.respond(now, transaction, 481)
            return
        if transaction.merge is not None:
            # Section 9.2: the To tag of both responses is the same.
            transaction.echo = transaction.echo.replace(f"To: {transaction.to}\r\n", f"To: {target.to}\r\n", 1)
        causes = causes_of(transaction.request)
        self.respond(now, transaction, 200)
        call = target.owner
        if target.state != "proceeding" or not isinstance(call, Call):
            return  # too late: the final response has crossed it
        self.respond(now, target, 487)
        if call.invite is target:
            self.calls.end(call, 487, "cancelled", causes)
        else:
            call.reoffer = None
            call.session.withdraw()
            self.calls.timers.stop(call, "reoffered")

    def ack(self, now: Instant, call: Call, request: Request, seq: int) -> bool:
        """Take the ACK of a 2xx; give whether one was waited for."""
        waiting = call.waiting
        if waiting is None or waiting.seq != seq:
            return False
        answer: Session | None = None
        broken = False
        if waiting.delayed:
            try:
                data = description(request)
                answer = parse_sdp(data) if data is not None else None
            except Malformed:
                answer = None
            broken = answer is None
        self.confirmed(call)
        if answer is not None:
            call.session.answered(answer)
        if self.left(now, call):
            return True
        if broken:
            # The answer to our offer never came and can't come any more (RFC 3264 section 4): there is no session.
            self.calls.bye(now, call, because(488, "no answer in the ACK"))
            self.calls.end(call, 488, "refused")
        else:
            self.calls.out.append(Confirmed(call.number, answer))
        return True

    # --- orders

    def answer(self, now: Instant, call: Call, body: Session) -> None:
        """Answer a call: 200 with our description, repeated until the ACK comes."""
        if call.phase != "ringing" or call.invite is None or self.ringing.holds(call, body):
            return
        transaction, call.invite = call.invite, None
        call.phase = "answered"
        self.accept(now, call, transaction, None if call.ring is not None and call.ring.settled else body)

    def accept(self, now: Instant, call: Call, transaction: ServerTransaction, body: Session | None) -> None:
        """Answer an INVITE, the first or another, with 200, and wait for its ACK.

        Without a body where all was said in a reliable provisional response.
        """
        delayed = body is not None and call.session.open != "theirs"
        if body is not None:
            body = (call.session.offer if delayed else call.session.answer)(body)
        flow = transaction.flow
        # The ACK has the number of its INVITE, whatever else was asked in the dialog meanwhile.
        seq = int(transaction.request.index["CSeq"].split(None, 1)[0])
        extra = (
            *self.recorded(transaction.request),
            ("Contact", self.calls.contact(flow, call.account)),
            *self.calls.hello,
            *self.calls.refresh.answer(now, call, transaction.request),
            *((("Content-Type", "application/sdp"),) if body is not None else ()),
        )
        self.respond(now, transaction, 200, extra, b"" if body is None else bytes(body))
        times = self.calls.settings.times
        self.calls.timers.stop(call, "ringing")
        call.waiting = Unacknowledged(seq, flow, transaction.last, times.t1, delayed)
        self.calls.timers.start(call, "repeat", now + times.t1)

    def reject(
        self, now: Instant, call: Call, code: int, reason: str, headers: Fields, *, why: str = "refused"
    ) -> None:
        """Refuse a call with a final response from 300 up; `why` is what `Ended` says."""
        if not 300 <= code <= 699:
            raise ValueError(f"{code} refuses nothing")
        for name, value in (*headers, ("Reason-Phrase", reason)):
            refuse_breaks(name, value)
        if call.phase != "ringing" or call.invite is None:
            return
        self.respond(now, call.invite, code, (*headers, *self.warning(call, code)), reason=reason)
        self.calls.end(call, code, why)

    def warning(self, call: Call, code: int) -> Fields:
        """Say why an offer was refused (sections 13.3.1.3 and 20.43)."""
        here = self.calls.here(call.flow)
        return (("Warning", f'305 {here} "Incompatible media format"'),) if code == 488 else ()

    # --- timers of a call

    def _unanswered(self, now: Instant, call: Call) -> None:
        self.reject(now, call, 480, "", (), why="no_answer")

    def _repeat(self, now: Instant, call: Call) -> None:
        """Repeat a 2xx (section 13.3.1.4)."""
        waiting = call.waiting
        if waiting is not None:
            self.calls.transactions.repeated += 1
            self.calls.transactions.send(waiting.flow, waiting.data)
            times = self.calls.settings.times
            if "no_ack" not in call.alarms:  # not before, since nearly every ACK comes before the first repeat
                self.calls.timers.start(call, "no_ack", now + 63 * times.t1)
            waiting.interval = min(waiting.interval * 2, times.t2)
            self.calls.timers.start(call, "repeat", now + waiting.interval)

    def _unacknowledged(self, now: Instant, call: Call) -> None:
        """Give up waiting for an ACK (section 13.3.1.4)."""
        if call.waiting is not None:
            self.calls.bye(now, call, call.leaving or ())
            self.calls.end(call, 408, "no_ack" if call.leaving is None else "hangup")
