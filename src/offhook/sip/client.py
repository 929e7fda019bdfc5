"""The client side of the user agent (RFC 3261 sections 8.1, 9.1, 11.1, 13.2, 15.1.1): what we ask of others.

    invite ─► `early`            hangup ─► CANCEL, BYE or a refusal
    options ─► Asked             probe ─► Probed

Each request has an owner here that says what becomes of its responses; where it goes next and who we say we are is
`requests`' business.
"""

from __future__ import annotations

from collections.abc import Sequence

from offhook.core.instants import Instant
from offhook.sip.calls import Call, Calls, refuse_breaks
from offhook.sip.early import Invitations
from offhook.sip.grammar import Fields
from offhook.sip.header import NameAddr
from offhook.sip.manners import Manners
from offhook.sip.message import Request, Response
from offhook.sip.outcomes import Asked, Flow, Probed, SipCall
from offhook.sip.requests import Account, Purpose, failed
from offhook.sip.sdp import Session
from offhook.sip.transaction import ClientTransaction
from offhook.sip.uri import Uri


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


class Probe(Purpose):
    """An OPTIONS of ours inside a dialog: is the call still there at the other end?"""

    __slots__ = ("_call", "_calls")

    def __init__(self, calls: Calls, call: Call) -> None:
        self._calls = calls
        self._call = call

    def came(self, now: Instant, sent: ClientTransaction, response: Response) -> bool:
        """Tell what the far end says."""
        self._tell(response.code)
        return True

    def failed(self, now: Instant, sent: ClientTransaction, why: str) -> None:
        """Tell that it says nothing."""
        self._tell(failed(why)[0])

    def _tell(self, code: int) -> None:
        if code >= 200 and self._call.phase != "over":
            self._calls.out.append(Probed(self._call.number, code))


class Client:
    """Asks, and follows what is answered."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        self.invitations = Invitations(calls)

    # --- orders

    def invite(
        self,
        now: Instant,
        target: Uri,
        ways: Sequence[Flow],
        body: Session | None,
        sender: NameAddr | Uri | None,
        headers: Fields,
        account: Account | None,
        manners: Manners | None,
    ) -> SipCall:
        """Call someone; without a body the offer is left to them (delayed)."""
        for name, value in (*headers, ("Target", str(target)), ("Sender", str(sender or ""))):
            refuse_breaks(name, value)
        calls = self.calls
        flow = ways[0]
        call = Call(calls.number(), flow, "inviting", calls.tag(), placed=True, account=account)
        call.manners = manners or calls.usual
        call.natted = call.manners.symmetric
        headers = (*calls.refresh.wish(call.manners), *headers)
        if body is not None:
            headers = (*headers, ("Content-Type", "application/sdp"))
            body = call.session.offer(body)
        data = b"" if body is None else bytes(body)
        request = self.new("INVITE", target, flow, call.local_tag, sender, headers, data, account)
        self.invitations.begin(now, call, request, tuple(ways))
        return call.number

    def options(self, now: Instant, target: Uri, ways: Sequence[Flow], account: Account | None) -> SipCall:
        """Ask someone what they take, which is also how one sees whether they are there (section 11.1)."""
        refuse_breaks("Target", str(target))
        calls = self.calls
        question = Question(calls)
        accept = (("Accept", "application/sdp"),)
        request = self.new("OPTIONS", target, ways[0], calls.tag(), None, accept, account=account)
        calls.requests.send(now, request, ways, question, account=account)
        return question.number

    def probe(self, now: Instant, call: Call) -> None:
        """Ask the far end of a call that is up whether it is still there."""
        if call.phase == "up" and call.dialog is not None:
            accept = (("Contact", self.calls.contact(call.flow)), ("Accept", "application/sdp"))
            self.calls.within(now, call, "OPTIONS", Probe(self.calls, call), extra=accept)

    def new(
        self,
        method: str,
        target: Uri,
        flow: Flow,
        tag: str,
        sender: NameAddr | Uri | None,
        headers: Fields,
        body: bytes = b"",
        account: Account | None = None,
    ) -> Request:
        """Make a request outside of any dialog, all but its Via (section 8.1.1)."""
        calls = self.calls
        uri = str(Uri(target.scheme, target.user, target.host, target.port, target.params, "", target.opaque))
        fields = (
            *[("Route", route) for route in (account.routes if account is not None else ())],
            ("Max-Forwards", "70"),
            ("From", f"{calls.sender(flow, sender)};tag={tag}"),
            ("To", str(NameAddr("", uri))),
            ("Call-ID", f"{calls.rng.getrandbits(128):032x}"),
            ("CSeq", f"1 {method}"),
            ("Contact", calls.contact(flow, account)),
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
            self.invitations.cancel(now, call, (487, "hangup"))
        elif call.phase == "answered":
            call.leaving = headers
        else:
            self.calls.bye(now, call, headers)
            self.calls.end(call, 200, "hangup")

    def acknowledge(self, now: Instant, call: Call, body: Session) -> None:
        """Answer in the ACK the offer that a 2xx brought to an INVITE without one."""
        if call.phase != "up" or call.dialog is None or call.session.open != "theirs" or call.reoffer is not None:
            return
        assert call.invited is not None
        self.invitations.acknowledge(call, call.dialog, call.flow, call.invited, bytes(call.session.answer(body)))
