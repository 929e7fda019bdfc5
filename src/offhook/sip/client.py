"""The client side of the user agent (RFC 3261 sections 8.1, 9.1, 11.1, 13.2, 15.1.1; RFC 3515): what we ask of others.

    invite ─► 1xx Progress ─► 2xx ACK, Answered            refer ─► TransferProgress …
                          └─► 3xx-6xx Ended                hangup ─► CANCEL, BYE or a refusal
    options ─► Asked

Each request has an owner here that says what becomes of its responses; where it goes next and who we say we are is
`requests`' business.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from offhook.core.errors import ProtocolError
from offhook.core.instants import Instant
from offhook.sip.body import description
from offhook.sip.calls import Call, Calls, refuse_breaks
from offhook.sip.codes import said_no
from offhook.sip.dialog import Dialog, called_dialog
from offhook.sip.grammar import Fields, Malformed
from offhook.sip.header import NameAddr, parse_name_addr
from offhook.sip.message import Request, Response
from offhook.sip.outcomes import Answered, Asked, Flow, Progress, SipCall, TransferProgress
from offhook.sip.requests import UNREPEATED, UNWATCHED, Account, Purpose
from offhook.sip.sdp import Session, parse_sdp
from offhook.sip.transaction import ClientTransaction
from offhook.sip.uri import Uri

FORKS_LIMIT: Final = 16
"""Answers of one INVITE from different places that are taken and hung up; more is a flood."""


class Question(Purpose):
    """An OPTIONS of ours outside any dialog."""

    __slots__ = ("_calls", "number")

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self.number = calls.number()

    def came(self, now: Instant, sent: ClientTransaction, response: Response) -> bool:
        """Tell what the final response was."""
        if response.code >= 200:
            self._calls.out.append(Asked(self.number, response.code, response))
        return True

    def failed(self, now: Instant, sent: ClientTransaction, why: str) -> None:
        """Tell that nobody answered."""
        self._calls.out.append(Asked(self.number, failed(why)[0], None))


class Invitation(Purpose):
    """The INVITE of a call of ours."""

    __slots__ = ("_call", "_client")

    def __init__(self, client: Client, call: Call) -> None:
        self._client = client
        self._call = call

    def insists(self) -> bool:
        """Try on while somebody wants the call."""
        return self._call.phase == "inviting" and self._call.verdict is None

    def moved(self, now: Instant, sent: ClientTransaction) -> None:
        """Follow it: a CANCEL goes where the last INVITE went, and so does what comes in the dialog."""
        self._call.inviting = sent
        self._call.flow = sent.flow

    def came(self, now: Instant, sent: ClientTransaction, response: Response) -> bool:
        """Take a response; one to an INVITE that has gone elsewhere since says nothing any more."""
        return self._client.invited(now, sent, self._call, response)

    def failed(self, now: Instant, sent: ClientTransaction, why: str) -> None:
        """End the call."""
        call = self._call
        if call.phase == "inviting":
            self._client.calls.end(call, *(call.verdict or failed(why)))


class Referral(Purpose):
    """A REFER of ours."""

    __slots__ = ("_call", "_calls")

    def __init__(self, calls: Calls, call: Call) -> None:
        self._calls = calls
        self._call = call

    def came(self, now: Instant, sent: ClientTransaction, response: Response) -> bool:
        """Tell whether it was taken; NOTIFYs follow if it was."""
        call = self._call
        if response.code >= 200 and call.phase != "over":
            refused = response.code >= 300
            call.referring = not refused
            self._calls.out.append(TransferProgress(call.number, response.code, response.reason, refused))
        return True

    def failed(self, now: Instant, sent: ClientTransaction, why: str) -> None:
        """Tell that nobody answered."""
        if self._call.phase != "over":
            self._call.referring = False
            self._calls.out.append(TransferProgress(self._call.number, failed(why)[0], "", True))


def failed(why: str) -> tuple[int, str]:
    """Give the code and the reason word of a request that nobody answered."""
    return (408, "timeout") if why == "timeout" else (503, "transport")


class Client:
    """Asks, and follows what is answered."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        calls.alarms |= {"inviting": self._unanswered, "cancelled": self._given_up}

    # --- orders

    def invite(
        self,
        now: Instant,
        target: Uri,
        ways: Sequence[Flow],
        body: Session | None,
        sender: Uri | None,
        headers: Fields,
        account: Account | None,
    ) -> SipCall:
        """Call someone; without a body the offer is left to them (delayed)."""
        for name, value in (*headers, ("Target", str(target)), ("Sender", str(sender or ""))):
            refuse_breaks(name, value)
        calls = self.calls
        flow = ways[0]
        call = Call(calls.number(), flow, "inviting", calls.tag(), account=account)
        if body is not None:
            headers = (*headers, ("Content-Type", "application/sdp"))
            call.session.offer(body)
        data = b"" if body is None else bytes(body)
        request = self.new("INVITE", target, flow, call.local_tag, sender, headers, data)
        calls.alive[call.number] = call
        calls.timers.start(call, "inviting", now + calls.settings.ring_limit)
        call.inviting = calls.requests.send(now, request, ways, Invitation(self, call), account=account)
        return call.number

    def options(self, now: Instant, target: Uri, ways: Sequence[Flow], account: Account | None) -> SipCall:
        """Ask someone what they take, which is also how one sees whether they are there (section 11.1)."""
        refuse_breaks("Target", str(target))
        calls = self.calls
        question = Question(calls)
        accept = (("Accept", "application/sdp"),)
        request = self.new("OPTIONS", target, ways[0], calls.tag(), None, accept)
        calls.requests.send(now, request, ways, question, account=account)
        return question.number

    def new(
        self,
        method: str,
        target: Uri,
        flow: Flow,
        tag: str,
        sender: Uri | None,
        headers: Fields,
        body: bytes = b"",
    ) -> Request:
        """Make a request outside of any dialog, all but its Via (section 8.1.1)."""
        calls = self.calls
        uri = str(Uri(target.scheme, target.user, target.host, target.port, target.params, "", target.opaque))
        fields = (
            ("Max-Forwards", "70"),
            ("From", f"{calls.sender(flow, sender)};tag={tag}"),
            ("To", str(NameAddr("", uri))),
            ("Call-ID", f"{calls.rng.getrandbits(128):032x}"),
            ("CSeq", f"1 {method}"),
            ("Contact", calls.contact(flow)),
            *calls.hello,
            *calls.software("User-Agent"),
            *headers,
        )
        return Request(fields, body, method, uri)

    def hangup(self, now: Instant, call: Call, headers: Fields) -> None:
        """End a call of ours or one that we answered; the server side refuses what is only ringing."""
        for name, value in headers:
            refuse_breaks(name, value)
        if call.phase == "inviting":
            self._cancel(now, call, (487, "hangup"))
        elif call.phase == "answered":
            call.leaving = headers
        else:
            self.calls.bye(now, call, headers)
            self.calls.end(call, 200, "hangup")

    def _cancel(self, now: Instant, call: Call, verdict: tuple[int, str]) -> None:
        if call.verdict is not None or call.inviting is None:
            return
        call.verdict = verdict
        # Section 9.1: not before a provisional response; it goes out behind the first one.
        if call.inviting.state == "proceeding":
            self._send_cancel(now, call, call.inviting)

    def _send_cancel(self, now: Instant, call: Call, transaction: ClientTransaction) -> None:
        if "cancelled" in call.alarms:
            return
        invite = transaction.request
        kept = [field for field in invite.headers if field[0] in ("Max-Forwards", "From", "To", "Call-ID", "Route")]
        fields = (("Via", invite.index["Via"]), *kept, ("CSeq", f"{_number(invite)} CANCEL"))
        request = Request(fields, b"", "CANCEL", invite.uri)
        cancel = ClientTransaction((transaction.key[0], "CANCEL"), request, transaction.flow, UNREPEATED)
        self.calls.transactions.request(now, cancel)
        # Section 9.1: who gets no final response for 64*T1 after its CANCEL takes the INVITE for cancelled.
        self.calls.timers.start(call, "cancelled", now + 64 * self.calls.settings.times.t1)

    def refer(self, now: Instant, call: Call, target: Uri) -> None:
        """Ask the far end to call someone else (blind transfer, RFC 3515).

        Where the call is not up, or a transfer is under way, `TransferProgress` says 491 at once.
        """
        refuse_breaks("Refer-To", str(target))
        if call.phase != "up" or call.dialog is None or call.referring:
            self.calls.out.append(TransferProgress(call.number, 491, "Request Pending", True))
            return
        call.referring = True
        extra = (
            ("Contact", self.calls.contact(call.flow)),
            ("Refer-To", str(NameAddr("", str(target)))),
            ("Referred-By", f"<{self._own_uri(call.dialog)}>"),
        )
        self.calls.within(now, call, "REFER", Referral(self.calls, call), extra=extra)

    @staticmethod
    def _own_uri(dialog: Dialog) -> str:
        return parse_name_addr(dialog.local).uri

    # --- what comes

    def invited(self, now: Instant, transaction: ClientTransaction, call: Call, message: Response) -> bool:
        """Take a response to an INVITE of ours."""
        code = message.code
        if code < 200:
            if call.phase != "inviting":
                return True
            if call.verdict is not None:
                self._send_cancel(now, call, transaction)
            elif code > 100:
                self.calls.out.append(Progress(call.number, message))
        elif code < 300:
            return self._accepted(now, transaction, call, message)
        elif call.phase == "inviting" and call.inviting is transaction:
            end, reason = call.verdict or (code, said_no(code))
            self.calls.end(call, end, reason)
        return True

    def _accepted(self, now: Instant, transaction: ClientTransaction, call: Call, message: Response) -> bool:
        """Take a 2xx: the first makes the call, repeats are acknowledged again, forks are hung up (13.2.2.4)."""
        tag = parse_name_addr(message.index["To"], "to").tag
        known = call.forks.get(tag)
        if known is not None:
            self.calls.transactions.repeated += 1
            self.calls.transactions.send(known[0], known[1])
            return False
        try:
            dialog = called_dialog(transaction.request, message, call.local_tag, _number(transaction.request))
        except Malformed:
            return False  # it can't be acknowledged; the far end gives up by itself
        if len(call.forks) >= FORKS_LIMIT or (call.dialog is not None and call.dialog.remote_tag == tag):
            return False
        if call.forks or call.phase != "inviting" or call.verdict is not None:
            self._decline(now, call, dialog, transaction, call.verdict or (487, "hangup"))
        else:
            self._established(now, transaction, call, dialog, message)
        return True

    def _established(
        self, now: Instant, transaction: ClientTransaction, call: Call, dialog: Dialog, message: Response
    ) -> None:
        answer: Session | None = None
        try:
            data = description(message)
            answer = parse_sdp(data) if data is not None else None
            if call.session.open == "ours":
                if answer is None:
                    raise ProtocolError("a 2xx without an answer", 488)
                call.session.answered(answer)
            elif answer is None:
                raise ProtocolError("a 2xx without an offer", 488)
            else:
                call.session.offered(answer)
        except ProtocolError:
            self._decline(now, call, dialog, transaction, (488, "refused"))
            return
        call.phase = "up"
        call.inviting = None
        self.calls.timers.clear(call)
        self.calls.join(call, dialog)
        if call.session.open == "none":
            self._acknowledge(call, dialog, call.flow)
        self.calls.out.append(Answered(call.number, message, answer))

    def acknowledge(self, now: Instant, call: Call, body: Session) -> None:
        """Answer in the ACK the offer that a 2xx brought to an INVITE without one."""
        if call.phase != "up" or call.dialog is None or call.session.open != "theirs" or call.reoffer is not None:
            return
        call.session.answer(body)
        self._acknowledge(call, call.dialog, call.flow, bytes(body))

    def _acknowledge(self, call: Call, dialog: Dialog, made_on: Flow, body: bytes = b"") -> Flow:
        """Send the ACK of a 2xx and keep it for repeats: a new branch, the INVITE's number (section 13.2.2.4)."""
        flow = self.calls.route(dialog, made_on)
        extra = (("Content-Type", "application/sdp"),) if body else ()
        data = bytes(self.calls.signed(dialog.request("ACK", extra=extra, body=body, seq=dialog.local_seq), flow))
        call.forks[dialog.remote_tag] = (flow, data)
        self.calls.transactions.send(flow, data)
        return flow

    def _decline(
        self, now: Instant, call: Call, dialog: Dialog, transaction: ClientTransaction, verdict: tuple[int, str]
    ) -> None:
        """Acknowledge a 2xx that we have no use for, and hang it up."""
        flow = self._acknowledge(call, dialog, transaction.flow)
        bye = dialog.request("BYE")
        self.calls.requests.send(now, bye, (flow,), UNWATCHED, account=call.account, dialog=dialog)
        if call.phase == "inviting":
            self.calls.end(call, *verdict)

    # --- timers of a call

    def _unanswered(self, now: Instant, call: Call) -> None:
        """Cancel what rings too long."""
        self._cancel(now, call, (408, "no_answer"))

    def _given_up(self, now: Instant, call: Call) -> None:
        """Give up an INVITE that was cancelled and never answered."""
        transaction = call.inviting
        if call.phase == "inviting" and transaction is not None:
            self.calls.end(call, *(call.verdict or (487, "hangup")))
            self.calls.transactions.client_event(now, transaction, "given_up")


def _number(request: Request) -> int:
    return int(request.index["CSeq"].split(None, 1)[0])
