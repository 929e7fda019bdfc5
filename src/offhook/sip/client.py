"""The client side of the user agent (RFC 3261 sections 8.1, 9.1, 13.2, 15.1.1; RFC 3515): what we ask of others.

    invite ─► 1xx Progress ─► 2xx ACK, Answered            refer ─► TransferProgress …
                          └─► 3xx-6xx Ended                hangup ─► CANCEL, BYE or a refusal

A challenge (401, 407) refuses the call: credentials come with registration, and this is where they will be looked up.
"""

from __future__ import annotations

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
from offhook.sip.outcomes import Answered, Flow, Progress, SipCall, TransferProgress
from offhook.sip.sdp import Session, parse_sdp
from offhook.sip.transaction import ClientTransaction
from offhook.sip.uri import Uri

FORKS_LIMIT: Final = 16
"""Answers of one INVITE from different places that are taken and hung up; more is a flood."""


class Client:
    """Asks, and follows what is answered."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls

    # --- orders

    def invite(
        self, now: Instant, target: Uri, flow: Flow, body: Session | None, sender: Uri | None, headers: Fields
    ) -> SipCall:
        """Call someone; without a body the offer is left to them (delayed)."""
        for name, value in headers:
            refuse_breaks(name, value)
        calls = self.calls
        call = Call(calls.number(), flow, "inviting", calls.tag())
        branch = calls.branch()
        uri = str(Uri(target.scheme, target.user, target.host, target.port, target.params, "", target.opaque))
        fields = [
            ("Via", calls.via(flow, branch)),
            ("Max-Forwards", "70"),
            ("From", f"{calls.sender(flow, sender)};tag={call.local_tag}"),
            ("To", str(NameAddr("", uri))),
            ("Call-ID", f"{calls.rng.getrandbits(128):032x}"),
            ("CSeq", "1 INVITE"),
            ("Contact", calls.contact(flow)),
            *calls.hello,
            *calls.named(response=False),
            *headers,
        ]
        if body is not None:
            fields.append(("Content-Type", "application/sdp"))
            call.session.offer(body)
        request = Request(tuple(fields), b"" if body is None else bytes(body), "INVITE", uri)
        calls.alive[call.number] = call
        call.inviting = calls.transactions.request(now, (branch, "INVITE"), request, flow, call)
        return call.number

    def hangup(self, now: Instant, call: Call, headers: Fields) -> None:
        """End a call of ours or one that we answered; the server side refuses what is only ringing."""
        for name, value in headers:
            refuse_breaks(name, value)
        if call.phase == "inviting":
            self._cancel(now, call)
        elif call.waiting is not None and call.dialog is not None and call.dialog.local_seq == 0:
            call.leaving = headers
        else:
            self.calls.bye(now, call, headers)
            self.calls.end(call, 200, "hangup")

    def _cancel(self, now: Instant, call: Call) -> None:
        if call.cancelling or call.inviting is None:
            return
        call.cancelling = True
        # Section 9.1: not before a provisional response; it goes out behind the first one.
        if call.inviting.state == "proceeding":
            self._send_cancel(now, call)

    def _send_cancel(self, now: Instant, call: Call) -> None:
        transaction = call.inviting
        assert transaction is not None
        if transaction.cancelled:
            return
        transaction.cancelled = True
        invite = transaction.request
        kept = [field for field in invite.headers if field[0] in ("Max-Forwards", "From", "To", "Call-ID", "Route")]
        fields = (("Via", invite.all("Via")[0]), *kept, ("CSeq", "1 CANCEL"))
        request = Request(fields, b"", "CANCEL", invite.uri)
        self.calls.transactions.request(now, (transaction.key[0], "CANCEL"), request, transaction.flow, call)
        # Section 9.1: who gets no final response for 64*T1 after its CANCEL takes the INVITE for cancelled.
        self.calls.timers.start(call, "cancelled", now + 64 * self.calls.settings.times.t1)

    def refer(self, now: Instant, call: Call, target: Uri) -> None:
        """Ask the far end to call someone else (blind transfer, RFC 3515)."""
        if call.phase != "up" or call.dialog is None:
            return
        call.referring = True
        extra = (
            ("Contact", self.calls.contact(call.flow)),
            ("Refer-To", str(NameAddr("", str(target)))),
            ("Referred-By", f"<{self._own_uri(call.dialog)}>"),
        )
        self.calls.send_in_dialog(now, call, "REFER", extra=extra)

    @staticmethod
    def _own_uri(dialog: Dialog) -> str:
        return parse_name_addr(dialog.local).uri

    # --- what comes

    def response(self, now: Instant, transaction: ClientTransaction, message: Response) -> None:
        """Take a response that its transaction passed on."""
        call = transaction.owner
        if not isinstance(call, Call):
            return
        method = transaction.request.method
        if method == "INVITE":
            self._invited(now, transaction, call, message)
        elif method == "REFER" and message.code >= 200 and call.phase != "over":
            taken = message.code < 300
            if not taken:
                call.referring = False
            self.calls.out.append(TransferProgress(call.number, message.code, message.reason, not taken))

    def _invited(self, now: Instant, transaction: ClientTransaction, call: Call, message: Response) -> None:
        code = message.code
        if code < 200:
            if call.cancelling:
                self._send_cancel(now, call)
            elif code > 100:
                self.calls.out.append(Progress(call.number, message))
        elif code < 300:
            self._accepted(now, transaction, call, message)
        elif call.phase == "inviting":
            reason = "hangup" if call.cancelling else said_no(code)
            self.calls.end(call, code, reason)

    def _accepted(self, now: Instant, transaction: ClientTransaction, call: Call, message: Response) -> None:
        """Take a 2xx: the first makes the call, repeats are acknowledged again, forks are hung up (13.2.2.4)."""
        seq = 1
        try:
            dialog = called_dialog(transaction.request, message, call.local_tag, seq)
        except Malformed:
            return  # it can't be acknowledged; the far end gives up by itself
        flow = transaction.flow
        known = call.forks.get(dialog.remote_tag)
        if known is not None:
            self.calls.transactions.repeated += 1
            self.calls.transactions.send(flow, known)
            return
        if len(call.forks) >= FORKS_LIMIT:
            return
        if call.forks or call.phase != "inviting" or call.cancelling:
            self._decline(now, call, dialog, transaction, "hangup", 487)
            return
        self._established(now, transaction, call, dialog, message)

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
            self._decline(now, call, dialog, transaction, "refused", 488)
            return
        call.phase = "up"
        call.inviting = None
        self.calls.join(call, dialog)
        if call.session.open == "none":
            call.forks[dialog.remote_tag] = self.calls.acknowledge(dialog, self.calls.route(call), 1)
        self.calls.out.append(Answered(call.number, message, answer))

    def acknowledge(self, now: Instant, call: Call, body: Session) -> None:
        """Answer in the ACK the offer that a 2xx brought to an INVITE without one."""
        if call.phase != "up" or call.dialog is None or call.session.open != "theirs" or call.reoffer is not None:
            return
        call.session.answer(body)
        flow = self.calls.route(call)
        call.forks[call.dialog.remote_tag] = self.calls.acknowledge(call.dialog, flow, 1, bytes(body))

    def _decline(
        self, now: Instant, call: Call, dialog: Dialog, transaction: ClientTransaction, reason: str, code: int
    ) -> None:
        """Acknowledge a 2xx that we have no use for, and hang it up."""
        flow = transaction.flow
        call.forks[dialog.remote_tag] = self.calls.acknowledge(dialog, flow, 1)
        branch = self.calls.branch()
        bye = dialog.request("BYE", self.calls.via(flow, branch))
        self.calls.transactions.request(now, (branch, "BYE"), bye, flow, None)
        if call.phase == "inviting":
            self.calls.end(call, code, reason)

    def failed(self, now: Instant, transaction: ClientTransaction, why: str) -> None:
        """Take a request of ours that nobody answered."""
        call = transaction.owner
        if not isinstance(call, Call) or call.phase == "over":
            return
        code, reason = (408, "timeout") if why == "timeout" else (503, "transport")
        method = transaction.request.method
        if method == "INVITE" and call.phase == "inviting":
            self.calls.end(call, code, "hangup" if call.cancelling else reason)
        elif method == "REFER":
            call.referring = False
            self.calls.out.append(TransferProgress(call.number, code, "", True))

    def expired(self, call: Call) -> None:
        """Give up an INVITE that was cancelled and never answered."""
        if call.phase == "inviting":
            self.calls.end(call, 487, "hangup")
