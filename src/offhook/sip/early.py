"""An INVITE of ours until somebody has it: early dialogs, forks, redirections (RFC 3261 8.1.3.4, 9.1, 12, 13.2, 16.7).

    INVITE ─┬─► 18x, a To tag each ─► early dialog ─┬─► Progress          199 ends one (RFC 6228)
            │                                       └─► PRACK, in order (RFC 3262 section 4)
            ├─► 2xx ─► ACK, Answered; the other early dialogs are over; any other 2xx is hung up
            ├─► 3xx ─► Redirected ─► follow: INVITE again, or skip
            └─► 4xx-6xx, CANCEL ─► Ended

Laws: one call has one end; every early dialog has an offer/answer of its own (RFC 6337 section 2), and that of the one
who answers becomes the call's; a reliable response is told once and acknowledged once.
"""

from __future__ import annotations

from typing import Final

from offhook.core.errors import ProtocolError
from offhook.core.instants import Instant
from offhook.sip.body import description
from offhook.sip.calls import Call, Calls, Early
from offhook.sip.codes import said_no
from offhook.sip.dialog import Dialog, called_dialog
from offhook.sip.grammar import Malformed, number
from offhook.sip.header import parse_name_addr
from offhook.sip.meanings import causes_of
from offhook.sip.message import Request, Response
from offhook.sip.outcomes import Answered, Flow, Progress, Redirected
from offhook.sip.redirects import KEPT, Trail
from offhook.sip.requests import TRIES_LIMIT, UNWATCHED, Purpose, failed
from offhook.sip.sdp import Session, parse_sdp
from offhook.sip.transaction import ClientTransaction
from offhook.sip.uri import Uri

FORKS_LIMIT: Final = 16
"""Early dialogs of one INVITE that are kept, and answers to it that are taken and hung up; more is a flood."""

RSEQ_LIMIT: Final = 2**32 - 1
"""RFC 3262 section 7.1."""


class Invitation(Purpose):
    """The INVITE of a call of ours."""

    __slots__ = ("_call", "_invitations")

    def __init__(self, invitations: Invitations, call: Call) -> None:
        self._invitations = invitations
        self._call = call

    def insists(self) -> bool:
        """Try on while somebody wants the call."""
        return self._call.phase == "inviting" and self._call.verdict is None

    def moved(self, now: Instant, sent: ClientTransaction) -> None:
        """Follow it: a CANCEL goes where the last INVITE went, and so does what comes in the dialog."""
        self._invitations.calls.forget_early(self._call)
        self._call.inviting = sent
        self._call.flow = sent.flow

    def came(self, now: Instant, sent: ClientTransaction, response: Response) -> bool:
        """Take a response."""
        return self._invitations.came(now, sent, self._call, response)

    def failed(self, now: Instant, sent: ClientTransaction, why: str) -> None:
        """Go where else it may, or end the call."""
        call = self._call
        if call.phase == "inviting":
            self._invitations.refused(now, call, sent, failed(why))


class Invitations:
    """The calls that we place, until they are answered."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        calls.alarms |= {"inviting": self._unanswered, "cancelled": self._given_up}

    def begin(self, now: Instant, call: Call, request: Request, ways: tuple[Flow, ...]) -> None:
        """Send the INVITE of a new call."""
        calls = self.calls
        calls.alive[call.number] = call
        calls.timers.start(call, "inviting", now + calls.settings.ring_limit)
        call.inviting = calls.requests.send(now, request, ways, Invitation(self, call), account=call.account)

    # --- what comes

    def came(self, now: Instant, transaction: ClientTransaction, call: Call, message: Response) -> bool:
        """Take a response to an INVITE of ours."""
        code = message.code
        if code < 200:
            if call.phase != "inviting":
                return True
            if call.verdict is not None:
                self._send_cancel(now, call, transaction)
            elif code > 100:
                return self._progressed(now, transaction, call, message)
        elif code < 300:
            return self._accepted(now, transaction, call, message)
        elif call.phase == "inviting" and call.inviting is transaction:
            if code == 422 and self._longer(now, transaction, call, message):
                return True
            self.refused(now, call, transaction, (code, said_no(code)), message)
        return True

    def _longer(self, now: Instant, sent: ClientTransaction, call: Call, message: Response) -> bool:
        """Ask again for a session as long as somebody on the way wants it (RFC 4028 section 7.3)."""
        longer = self.calls.refresh.longer(sent.request, message)
        if longer is None or call.verdict is not None or sent.tries >= TRIES_LIMIT:
            return False
        self.calls.requests.again(now, sent, longer)
        return True

    def refused(
        self, now: Instant, call: Call, sent: ClientTransaction, end: tuple[int, str], message: Response | None = None
    ) -> None:
        """Take the end of one INVITE: the call goes where else it may, or is over."""
        self.calls.forget_early(call)
        if call.verdict is not None:
            self.calls.end(call, *call.verdict)
            return
        call.refused = (*end, causes_of(message) if message is not None else ())
        if message is not None and 300 <= message.code < 400:
            call.trail = call.trail or Trail(sent.request.uri)
            call.trail.redirected(message)
        call.inviting = None
        if call.trail is None or end[0] >= 600:
            self.calls.end(call, *call.refused)
            return
        call.trail.invite = sent.request
        self.skip(now, call)

    def _progressed(self, now: Instant, transaction: ClientTransaction, call: Call, message: Response) -> bool:
        """Take a provisional response: the first with a tag makes an early dialog (section 12.1.2)."""
        tag = parse_name_addr(message.index["To"], "to").tag
        early = call.early.get(tag)
        if early is None and tag:
            if len(call.early) >= FORKS_LIMIT:
                return True
            try:
                dialog = called_dialog(transaction.request, message, call.local_tag, _number(transaction.request))
            except Malformed:
                return True  # nothing could be asked in it
            early = Early(dialog, call.session.fork())
            call.early[tag] = early
            self.calls.dialogs[dialog.key] = call
        reliable = early is not None and reliably(message)
        if early is not None and reliable:
            try:
                sequence = number(message.index["RSeq"].strip(), RSEQ_LIMIT, "rseq")
            except Malformed:
                return True  # it can't be acknowledged, so it is not taken
            if early.rseq is not None and sequence != early.rseq + 1:
                # RFC 3262 section 4: a repeat is dropped, and so is what came before what it follows.
                self.calls.transactions.repeated += sequence <= early.rseq
                return False
            early.rseq = sequence
        body, offering = self._described(early, message, reliable=reliable)
        if early is not None and reliable and not offering:
            self._prack(now, transaction, call, early)
        if message.code == 199:
            call.early.pop(tag, None)
            if early is not None:
                self.calls.dialogs.pop(early.dialog.key, None)
        self.calls.out.append(Progress(call.number, message, tag, body, offering))
        return True

    @staticmethod
    def _described(early: Early | None, message: Response, *, reliable: bool) -> tuple[Session | None, bool]:
        """Give the description in a provisional response, and whether it is an offer that wants an answer.

        Where it came reliably it is the answer, or their offer (RFC 3262 section 5). Where not, it is what the answer
        will be (RFC 3261 section 13.2.1), and is only listened by.
        """
        try:
            data = description(message)
            body = parse_sdp(data) if data is not None else None
        except ProtocolError:
            return None, False
        if early is None or body is None:
            return body, False
        if early.session.open == "ours":
            early.described = body
            if reliable:
                early.session.answered(body)
            return body, False
        if reliable and early.session.open == "none" and early.session.local is None:
            early.session.offered(body)
            return body, True
        return None, False

    def _prack(self, now: Instant, transaction: ClientTransaction, call: Call, early: Early, body: bytes = b"") -> None:
        """Acknowledge a reliable provisional response (RFC 3262 section 4)."""
        flow = self.calls.route(early.dialog, transaction.flow)
        content = (("Content-Type", "application/sdp"),) if body else ()
        rack = ("RAck", f"{early.rseq} {_number(transaction.request)} INVITE")
        request = early.dialog.request("PRACK", extra=(rack, *content, *self.calls.software("User-Agent")), body=body)
        self.calls.requests.send(now, request, (flow,), UNWATCHED, account=call.account, dialog=early.dialog)

    def _accepted(self, now: Instant, transaction: ClientTransaction, call: Call, message: Response) -> bool:
        """Take a 2xx: the first makes the call, repeats are acknowledged again, forks are hung up (13.2.2.4)."""
        tag = parse_name_addr(message.index["To"], "to").tag
        known = call.forks.get(tag)
        if known is not None:
            self.calls.transactions.repeated += 1
            self.calls.transactions.send(known[0], known[1])
            return False
        seq = _number(transaction.request)
        try:
            dialog = called_dialog(transaction.request, message, call.local_tag, seq)
        except Malformed:
            return False  # it can't be acknowledged; the far end gives up by itself
        if len(call.forks) >= FORKS_LIMIT or (call.dialog is not None and call.dialog.remote_tag == tag):
            return False
        early = call.early.get(tag)
        if early is not None:
            # Section 13.2.2.4: the route set is that of the 2xx; the numbers go on.
            dialog.local_seq, dialog.remote_seq = early.dialog.local_seq, early.dialog.remote_seq
        dialog.local_seq = max(dialog.local_seq, call.spent.get(tag, 0))
        if call.forks or call.phase != "inviting" or call.verdict is not None:
            self._decline(now, call, dialog, transaction, call.verdict or (487, "hangup"))
        else:
            self._established(now, transaction, call, dialog, message)
        return True

    def _established(
        self, now: Instant, transaction: ClientTransaction, call: Call, dialog: Dialog, message: Response
    ) -> None:
        early = call.early.get(dialog.remote_tag)
        try:
            answer = self._answer(call, early, message)
        except ProtocolError:
            self._decline(now, call, dialog, transaction, (488, "refused"))
            return
        call.phase = "up"
        call.inviting = None
        call.trail = None
        self.calls.timers.clear(call)
        self.calls.forget_early(call)
        self.calls.join(call, dialog)
        call.invited = transaction.request
        if call.session.open == "none":
            self.acknowledge(call, dialog, call.flow, call.invited)
        call.allow = message.index.get("Allow", "")
        self.calls.refresh.agreed(now, call, message)
        self.calls.out.append(Answered(call.number, message, answer))

    @staticmethod
    def _answer(call: Call, early: Early | None, message: Response) -> Session | None:
        """Give what was agreed, or their offer. ProtocolError where there is neither."""
        if early is not None:
            call.session = early.session
        session = call.session
        if session.open == "theirs":
            raise ProtocolError("a 2xx before the offer in a reliable response was answered", 488)
        if session.open == "none" and session.local is not None:
            return session.remote  # it came reliably before the answer: what comes now says nothing new
        data = description(message)
        body = parse_sdp(data) if data is not None else None
        if body is None and early is not None:
            body = early.described  # gateways leave out of the 2xx what their 183 said
        if body is None:
            raise ProtocolError("a 2xx without a description", 488)
        if session.open == "ours":
            session.answered(body)
        else:
            session.offered(body)
        return body

    def acknowledge(self, call: Call, dialog: Dialog, made_on: Flow, invite: Request, body: bytes = b"") -> Flow:
        """Send the ACK of a 2xx and keep it for repeats: a new branch, the INVITE's number (section 13.2.2.4)."""
        kept = self.calls.acknowledge(call, dialog, made_on, invite, body)
        call.forks[dialog.remote_tag] = kept
        return kept[0]

    def _decline(
        self, now: Instant, call: Call, dialog: Dialog, transaction: ClientTransaction, verdict: tuple[int, str]
    ) -> None:
        """Acknowledge a 2xx that we have no use for, and hang it up."""
        flow = self.acknowledge(call, dialog, transaction.flow, transaction.request)
        bye = dialog.request("BYE")
        self.calls.requests.send(now, bye, (flow,), UNWATCHED, account=call.account, dialog=dialog)
        if call.phase == "inviting":
            self.calls.end(call, *verdict)

    # --- orders

    def answer_early(self, now: Instant, call: Call, tag: str, body: Session) -> None:
        """Answer in the PRACK the offer that a reliable provisional response brought (RFC 3262 section 5)."""
        early = call.early.get(tag)
        if call.inviting is not None and early is not None and early.session.open == "theirs":
            body = early.session.answer(body)
            early.described = early.session.remote
            self._prack(now, call.inviting, call, early, bytes(body))

    def follow(self, now: Instant, call: Call, target: Uri, ways: tuple[Flow, ...]) -> None:
        """Invite the target that `Redirected` named, over the first of `ways` or the next where one fails."""
        trail = call.trail
        if call.phase != "inviting" or call.inviting is not None or trail is None or trail.invite is None:
            return
        invite = trail.invite
        # Section 8.1.3.4: the same To, From and Call-ID, the next number. Credentials were for somebody else.
        dropped = ("Via", "CSeq", "Contact", "Route", "Authorization", "Proxy-Authorization", *KEPT)
        kept = [field for field in invite.headers if field[0] not in dropped]
        following = ("CSeq", f"{_number(invite) + 1} INVITE")
        fields = (*kept, following, ("Contact", self.calls.contact(ways[0])), *trail.kept)
        call.flow = ways[0]
        request = Request(fields, invite.body, "INVITE", str(target))
        call.inviting = self.calls.requests.send(now, request, ways, Invitation(self, call), account=call.account)

    def skip(self, now: Instant, call: Call) -> None:
        """Take the next target of a redirection; where there is none, the call is over as it was refused last."""
        trail = call.trail
        if call.phase != "inviting" or call.inviting is not None or trail is None:
            return
        target = trail.next()
        if target is None:
            self.calls.end(call, *call.refused)
        else:
            self.calls.out.append(Redirected(call.number, target, call.refused[0]))

    def cancel(self, now: Instant, call: Call, verdict: tuple[int, str]) -> None:
        """Give a call up before it is answered."""
        if call.verdict is not None:
            return
        call.verdict = verdict
        if call.inviting is None:
            self.calls.end(call, *verdict)  # nothing is out: it was to be redirected
        # Section 9.1: not before a provisional response; it goes out behind the first one.
        elif call.inviting.state == "proceeding":
            self._send_cancel(now, call, call.inviting)

    def _send_cancel(self, now: Instant, call: Call, transaction: ClientTransaction) -> None:
        if "cancelled" in call.alarms:
            return
        self.calls.cancel(now, transaction)
        # Section 9.1: who gets no final response for 64*T1 after its CANCEL takes the INVITE for cancelled.
        self.calls.timers.start(call, "cancelled", now + 64 * self.calls.settings.times.t1)

    # --- timers of a call

    def _unanswered(self, now: Instant, call: Call) -> None:
        """Cancel what rings too long."""
        self.cancel(now, call, (408, "no_answer"))

    def _given_up(self, now: Instant, call: Call) -> None:
        """Give up an INVITE that was cancelled and never answered."""
        transaction = call.inviting
        if call.phase == "inviting" and transaction is not None:
            self.calls.end(call, *(call.verdict or (487, "hangup")))
            self.calls.transactions.client_event(now, transaction, "given_up")


def reliably(message: Response) -> bool:
    """Say whether a provisional response asks for a PRACK (RFC 3262 section 4)."""
    index = message.index
    if message.code <= 100 or "RSeq" not in index or "Require" not in index:
        return False
    try:
        return any(tag.lower() == "100rel" for tag in message.values("Require"))
    except Malformed:
        return False


def _number(request: Request) -> int:
    return int(request.index["CSeq"].split(None, 1)[0])
