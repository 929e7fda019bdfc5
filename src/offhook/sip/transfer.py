"""Transfers, in both roles: REFER, the NOTIFYs that follow it, and INVITE with Replaces (RFC 3515, 3891, 5589).

    ours:   refer ─► REFER ─► 2xx ─► NOTIFY … ─► TransferProgress …, the last of them final
    theirs: REFER ─► Referred ─► accept: 202, NOTIFY 100 ─► progress: NOTIFY … ─► taken: they leave, or we do
                             └─► refuse
            INVITE with Replaces ─► replaced_by: which call it takes over

Laws: one transfer each way at a time in a call; each of ours ends in one final `TransferProgress` within `REFER_LIMIT`,
unless the call ends first; a REFER outside any dialog is refused unless it names one that is ours (RFC 4538), and even
then it only asks: who may send us where is for policy to say.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from offhook.core.instants import SECOND, Instant
from offhook.sip.body import fragment
from offhook.sip.calls import Call, Calls, refuse_breaks
from offhook.sip.dialog import Dialog, served_dialog
from offhook.sip.gate import Refusal
from offhook.sip.grammar import Fields, Malformed, param, parse_params
from offhook.sip.header import parse_name_addr
from offhook.sip.message import Request, Response, status_line
from offhook.sip.outcomes import Flow, Referred, SipCall, TransferProgress
from offhook.sip.replaces import (
    ReferTo,
    Replaces,
    parse_refer_to,
    parse_referred_by,
    parse_replaces,
    parse_target_dialog,
)
from offhook.sip.requests import Purpose, failed
from offhook.sip.transaction import ClientTransaction, ServerTransaction
from offhook.sip.uri import Uri, parse_uri

if TYPE_CHECKING:
    from offhook.sip.server import Server

REFER_LIMIT: Final = 60 * SECOND
"""How long we wait for the last word on a REFER of ours: the target may ring that long; some never say a word."""

UNDECIDED: Final = 4 * SECOND
"""How long a REFER of theirs may wait for its decision (RFC 4320: seconds, not more)."""

RELIEF: Final = 4 * SECOND
"""How long who referred us has to hang up, once the other has taken over (RFC 5589 section 6.1); then we do."""


class Referral(Purpose):
    """A REFER of ours. `numbers` are its CSeqs, by which NOTIFYs name it (RFC 3515 section 2.4.6)."""

    __slots__ = ("_call", "_transfers", "numbers", "open")

    def __init__(self, transfers: Transfers, call: Call) -> None:
        self._transfers = transfers
        self._call = call
        self.numbers: set[str] = set()
        self.open = True

    def moved(self, now: Instant, sent: ClientTransaction) -> None:
        """Follow its number: with credentials it has the next one."""
        self.numbers.add(sent.request.index["CSeq"].split(None, 1)[0])

    def came(self, now: Instant, sent: ClientTransaction, response: Response) -> bool:
        """Tell whether it was taken; NOTIFYs follow if it was, or came before."""
        code = response.code
        if code >= 200 and self.open and self._call.phase != "over":
            # RFC 4488 section 4: who takes it without a subscription will tell no more.
            silent = (response.first("Refer-Sub") or "").partition(";")[0].strip().lower() == "false"
            told = self._transfers.ours_over if code >= 300 or silent else self._transfers.ours
            told(self._call, code, response.reason, refused=code >= 300)
        return True

    def failed(self, now: Instant, sent: ClientTransaction, why: str) -> None:
        """Tell that nobody answered."""
        if self.open and self._call.phase != "over":
            self._transfers.ours_over(self._call, failed(why)[0], "", refused=True)


@dataclass(slots=True, eq=False)
class Subscription:
    """A REFER of theirs. `transaction` waits for its answer; `event` names it in NOTIFYs, which `dialog` carries.

    `silent`: they want no NOTIFYs (RFC 4488).
    """

    transaction: ServerTransaction | None
    event: str
    dialog: Dialog
    flow: Flow
    silent: bool


class News(Purpose):
    """A NOTIFY of ours: who does not want it gets no more (RFC 6665 section 4.2.2)."""

    __slots__ = ("_about",)

    def __init__(self, about: Subscription) -> None:
        self._about = about

    def came(self, now: Instant, sent: ClientTransaction, response: Response) -> bool:
        """Take a refusal for the end of the subscription."""
        if response.code >= 300:
            self._about.silent = True
        return True

    def failed(self, now: Instant, sent: ClientTransaction, why: str) -> None:
        """Take silence for one."""
        self._about.silent = True


class Transfers:
    """What is under way, call by call. A call that is over takes no orders."""

    def __init__(self, calls: Calls, server: Server) -> None:
        self._calls = calls
        self._server = server
        server.within |= {"REFER": self._referred, "NOTIFY": self._notified}
        server.outside["REFER"] = self._referred_outside
        calls.alarms |= {"referring": self._no_news, "referred": self._undecided, "relieved": self._relieved}

    # --- ours

    def refer(self, now: Instant, number: SipCall, target: Uri, other: SipCall | None = None) -> None:
        """Ask the far end of a call to call someone else (RFC 3515); `TransferProgress` follows.

        `target` is whom to call; where `other` is a call of ours that is up, the far end is asked to take its place
        there instead (attended transfer: Replaces, RFC 3891). Where the call is not up, or a transfer is under way,
        `TransferProgress` says 491 at once. ValueError for a line break in the target.
        """
        calls = self._calls
        call = calls.alive.get(number)
        if call is None:
            return
        refer_to = ReferTo(target)
        if other is not None:
            theirs = calls.alive.get(other)
            if theirs is None or theirs.phase != "up" or theirs.dialog is None:
                calls.out.append(TransferProgress(number, 481, "", final=True, refused=False))
                return
            refer_to = _in_place_of(theirs.dialog, target)
        refuse_breaks("Refer-To", str(refer_to))
        if call.phase != "up" or call.dialog is None or (call.referral is not None and call.referral.open):
            calls.out.append(TransferProgress(number, 491, "Request Pending", final=True, refused=False))
            return
        call.referral = referral = Referral(self, call)
        calls.timers.start(call, "referring", now + REFER_LIMIT)
        extra = (
            ("Contact", calls.contact(call.flow, call.account)),
            ("Refer-To", str(refer_to)),
            ("Referred-By", f"<{parse_name_addr(call.dialog.local).uri}>"),
            *calls.hello,
        )
        referral.moved(now, calls.within(now, call, "REFER", referral, extra=extra))

    def ours(self, call: Call, code: int, reason: str, *, refused: bool = False, final: bool = False) -> None:
        """Tell news of a REFER of ours."""
        self._calls.out.append(TransferProgress(call.number, code, reason, final=final, refused=refused))

    def ours_over(self, call: Call, code: int, reason: str, *, refused: bool = False) -> None:
        """Tell the last news of it."""
        if call.referral is not None:
            call.referral.open = False
        self._calls.timers.stop(call, "referring")
        self.ours(call, code, reason, refused=refused, final=True)

    def _no_news(self, now: Instant, call: Call) -> None:
        self.ours_over(call, 408, "no news of the transfer")

    def _notified(self, now: Instant, transaction: ServerTransaction, call: Call) -> None:
        """Take a NOTIFY. It may come before the 2xx of its REFER."""
        request = transaction.request
        event, named = _event(request)
        if event != "refer":
            raise Refusal(489, (("Allow-Events", "refer"),))
        referral = call.referral
        if referral is None or (named is not None and named not in referral.numbers):
            raise Refusal(481)
        # Some end their subscription without a word.
        code, phrase = fragment(request) if request.body.strip() else (100, "")
        state, semicolon, rest = (request.first("Subscription-State") or "").partition(";")
        terminated = state.strip().lower() == "terminated"
        why = (param(parse_params(semicolon + rest), "reason") or "").lower() if terminated else ""
        self._server.respond(now, transaction, 200)
        was_open = referral.open
        if was_open and (terminated or code >= 200):
            if code < 200:
                # It ends before it was decided: nobody will tell any more what becomes of it.
                code, phrase = (403, "rejected") if why == "rejected" else (408, why)
            self.ours_over(call, code, phrase)
        elif was_open:
            self.ours(call, code, phrase)
        if terminated:
            call.referral = None

    # --- theirs

    def _referred(self, now: Instant, transaction: ServerTransaction, call: Call) -> None:
        dialog = call.dialog
        assert dialog is not None
        self._asked(now, transaction, call, dialog)

    def _referred_outside(self, now: Instant, transaction: ServerTransaction) -> None:
        """Take a REFER outside any dialog: refused, unless who sends it knows a dialog of ours (RFC 4538)."""
        request = transaction.request
        named = request.first("Target-Dialog")
        if named is None:
            raise Refusal(403)
        known = parse_target_dialog(named)
        # Whose view the two tags are in is read both ways round: to know them at all is what counts.
        calls = self._calls.dialogs
        call = calls.get((known.call_id, known.local_tag, known.remote_tag)) or calls.get(
            (known.call_id, known.remote_tag, known.local_tag)
        )
        if call is None:
            raise Refusal(481)
        sender = parse_name_addr(request.index["From"], "from")
        seq = int(request.index["CSeq"].split(None, 1)[0])
        dialog = served_dialog(request, sender, transaction.to, transaction.tag, seq)
        self._asked(now, transaction, call, dialog)

    def _asked(self, now: Instant, transaction: ServerTransaction, call: Call, dialog: Dialog) -> None:
        request = transaction.request
        values = request.values("Refer-To")
        if len(values) != 1:
            raise Malformed("refer_to", "not one Refer-To")
        wanted = parse_refer_to(values[0])
        by = request.first("Referred-By")
        referred_by = "" if by is None else str(parse_referred_by(by))
        if call.phase != "up" or call.referred is not None or call.relieving:
            raise Refusal(491)
        silent = (request.first("Refer-Sub") or "").partition(";")[0].strip().lower() == "false"
        number = request.index["CSeq"].split(None, 1)[0]
        event = f"refer;id={number}" if call.refers else "refer"
        call.refers += 1
        call.referred = Subscription(transaction, event, dialog, transaction.flow, silent)
        self._calls.timers.start(call, "referred", now + UNDECIDED)
        self._calls.out.append(Referred(call.number, wanted.target, wanted.replaces, referred_by, transaction.flow))

    def accept(self, now: Instant, number: SipCall) -> None:
        """Take a REFER of theirs: 202, and NOTIFY that it is being tried."""
        call = self._calls.alive.get(number)
        if call is None or call.referred is None or call.referred.transaction is None:
            return
        referred = call.referred
        transaction, referred.transaction = call.referred.transaction, None
        self._calls.timers.stop(call, "referred")
        silent: Fields = (("Refer-Sub", "false"),) if referred.silent else ()
        self._server.respond(
            now, transaction, 202, (("Contact", self._calls.contact(referred.flow, call.account)), *silent)
        )
        self._notify(now, call, referred, 100, "active;expires=60")

    def refuse(self, now: Instant, number: SipCall, code: int) -> None:
        """Refuse a REFER of theirs; the call goes on."""
        call = self._calls.alive.get(number)
        if call is not None:
            abandon(self._calls, now, call, code)

    def progress(self, now: Instant, number: SipCall, code: int) -> None:
        """Tell who referred us what becomes of it; from 200 up it is over, below 300 they are expected to leave."""
        call = self._calls.alive.get(number)
        if call is None or call.referred is None or call.referred.transaction is not None:
            return
        if code < 200:
            self._notify(now, call, call.referred, code, "active;expires=60")
            return
        referred, call.referred = call.referred, None
        self._notify(now, call, referred, code, "terminated;reason=noresource")
        if code < 300:
            call.relieving = True
            self._calls.timers.start(call, "relieved", now + RELIEF)

    def _notify(self, now: Instant, call: Call, referred: Subscription, code: int, state: str) -> None:
        if referred.silent:
            return
        calls = self._calls
        dialog = referred.dialog
        flow = calls.route(dialog, referred.flow, natted=call.natted)
        extra = (
            ("Contact", calls.contact(flow, call.account)),
            ("Event", referred.event),
            ("Subscription-State", state),
            ("Content-Type", "message/sipfrag;version=2.0"),
            *calls.software("User-Agent"),
        )
        # The words of the status are ours: what a target wrote goes no further.
        request = dialog.request("NOTIFY", extra=extra, body=status_line(code).encode())
        calls.requests.send(now, request, (flow,), News(referred), account=call.account, dialog=dialog)

    def _undecided(self, now: Instant, call: Call) -> None:
        abandon(self._calls, now, call, 603)

    def _relieved(self, now: Instant, call: Call) -> None:
        """Leave where nobody has: the far end that referred us has been replaced."""
        self._calls.bye(now, call)
        self._calls.end(call, 200, "hangup")


def abandon(calls: Calls, now: Instant, call: Call, code: int) -> None:
    """Answer a REFER of theirs that waits for its decision: it is refused, or the call ends before it is decided."""
    referred = call.referred
    if referred is None or referred.transaction is None:
        return
    call.referred = None
    calls.timers.stop(call, "referred")
    calls.transactions.respond(now, referred.transaction, code, calls.software("Server"))


def replaced_by(calls: Calls, request: Request) -> Call | None:
    """Give the call that an INVITE takes over, None where it names none (RFC 3891 section 3).

    Refusal: 481 where there is none such or it is ringing at us, 486 where only an early one was meant, 603 where it is
    ending. Malformed for more than one, or one beside a Join.
    """
    if "Replaces" not in request.index:
        return None
    values = request.values("Replaces")
    if len(values) != 1 or "Join" in request.index:
        raise Malformed("replaces", "more than one dialog to replace")
    named = parse_replaces(values[0])
    call = calls.dialogs.get((named.call_id, named.to_tag, named.from_tag))
    if call is None or call.phase == "ringing":
        raise Refusal(481)
    if call.leaving is not None or call.relieving:
        raise Refusal(603)
    if named.early_only and call.phase != "inviting":
        raise Refusal(486)
    return call


def _in_place_of(dialog: Dialog, called: Uri) -> ReferTo:
    """Give the Refer-To that asks for our place in a dialog: the tags as its far end sees them.

    Behind a proxy it names who was `called`: a Contact may be reached by who has the route set and by nobody else, a
    GRUU by all (RFC 5589 section 7.3).
    """
    contact = parse_uri(dialog.target)
    target = called if dialog.routes and contact.param("gr") is None else contact
    return ReferTo(replace(target, headers=""), Replaces(dialog.call_id, dialog.remote_tag, dialog.local_tag))


def _event(request: Request) -> tuple[str, str | None]:
    """Read an Event: the package and the id (RFC 6665 section 8.2.1)."""
    package, semicolon, rest = (request.first("Event") or "").partition(";")
    return package.strip().lower(), param(parse_params(semicolon + rest), "id")
