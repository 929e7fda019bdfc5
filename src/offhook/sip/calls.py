"""The calls of a user agent and what server and client sides share: names, numbers, ways out and the end of a call."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from offhook.core.addresses import reach
from offhook.core.instants import SECOND, Duration, Instant
from offhook.sip.codes import LOST, reason
from offhook.sip.dialog import Dialog, DialogKey
from offhook.sip.grammar import Fields, Malformed, is_address, is_token, write_host_port
from offhook.sip.header import COOKIE, NameAddr
from offhook.sip.locate import PORTS, SECURE, wanted_transport
from offhook.sip.manners import Manners
from offhook.sip.meanings import because
from offhook.sip.message import Request
from offhook.sip.outcomes import Ended, Flow, Outcome, Reoffered, SipCall
from offhook.sip.refresh import Refresh, Terms
from offhook.sip.requests import UNREPEATED, UNWATCHED, Account, Owner, Requests
from offhook.sip.session import OfferAnswer
from offhook.sip.tables import Times
from offhook.sip.timers import Alarms, Timers
from offhook.sip.transaction import RELIABLE, ClientTransaction, ServerTransaction, Transactions
from offhook.sip.uri import Uri, parse_uri

if TYPE_CHECKING:
    import random

    from offhook.sip.challenges import User
    from offhook.sip.gate import Gate
    from offhook.sip.info import Presses
    from offhook.sip.meanings import Cause
    from offhook.sip.redirects import Trail
    from offhook.sip.renegotiation import Change
    from offhook.sip.ringing import Ring
    from offhook.sip.sdp import Session
    from offhook.sip.transfer import Referral, Subscription

METHODS: Final = ("INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "NOTIFY", "PRACK", "UPDATE", "INFO", "MESSAGE", "REFER")
"""What Allow says. NOTIFY is taken only as news of a REFER of ours."""

_NUMERIC: Final = re.compile(r"sips?:(?:[^@]*@)?(?:[0-9.]+|\[[0-9A-Fa-f:.]+\])(?:[:;?]|$)", re.IGNORECASE)
"""A hop that needs no looking up, which is the usual one: reading it as a URI costs ten times as much."""

EXTENSIONS: Final = ("100rel", "199", "timer", "norefersub", "replaces", "tdialog")
"""What Supported says: RFC 3262, RFC 6228, RFC 4028, RFC 4488, RFC 3891, RFC 4538."""

PROMPT: Final = 16 * SECOND
"""How long an UPDATE may wait to be answered: half of what its sender waits (RFC 3311 section 5.2 wants 504 then)."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user agent is and how far it goes.

    `user` and `display` name us in Contact and From; `host` is the address that others reach us at where it is not
    the socket's own (None). `server` is the Server and User-Agent header (None: neither is sent, since what software
    answers is nobody's business). `ring_at_once` sends 180 at once, in place of the 100; `reliable` sends provisional
    responses reliably to all who can take them so (RFC 3262), not only to those who insist. `ring_limit` ends what
    nobody answers: a call of theirs (480), a re-INVITE (500), a call of ours (CANCEL); proxies give up after as long
    (section 16.6).
    `max_calls` bounds the calls alive and `max_transactions` what was asked of us in the last 32 s: at 1500 calls a
    second each leaves two transactions behind for that long, which is 96 000. `gate` says who is let in (None: all);
    `users` are those who may register at us, in `realm`; `digests` how they may prove who they are (`sip.challenges`).
    `session_expires_s` is how long a call goes on without news of the far end (RFC 4028; 0: we ask for none),
    `min_se_s` the shortest such time that we take. `manners` says how the calls that come by a flow are dealt with,
    where that is another way than `reliable` and `min_se_s` say (None: it never is).
    """

    user: str = "offhook"
    display: str = ""
    host: str | None = None
    server: str | None = None
    extensions: tuple[str, ...] = EXTENSIONS
    ring_at_once: bool = True
    reliable: bool = False
    times: Times = field(default_factory=Times)
    ring_limit: Duration = 180 * SECOND
    max_calls: int = 20_000
    max_transactions: int = 131_072
    gate: Gate | None = None
    users: Mapping[str, User] = field(default_factory=dict[str, "User"], repr=False)
    realm: str = "offhook"
    digests: tuple[str, ...] = ("MD5",)
    session_expires_s: int = 1800
    min_se_s: int = 90
    manners: Callable[[Flow], Manners | None] | None = None


def _no_forks() -> dict[str, tuple[Flow, bytes]]:
    return {}


def _no_alarms() -> Alarms:
    return {}


@dataclass(slots=True, eq=False)
class Unacknowledged:
    """A 2xx of ours that waits for its ACK: repeated from T1, doubling to T2 (section 13.3.1.4)."""

    seq: int
    flow: Flow
    data: bytes
    interval: int
    delayed: bool


@dataclass(slots=True, eq=False)
class Early:
    """An early dialog of a call of ours: who rings there, and the last reliable response that was acknowledged.

    `session` is its own offer/answer; `described` what it has said of its media so far, which may only be a foretaste.
    """

    dialog: Dialog
    session: OfferAnswer
    rseq: int | None = None
    described: Session | None = None


def _no_numbers() -> dict[str, int]:
    return {}


def _no_early() -> dict[str, Early]:
    return {}


@dataclass(slots=True, eq=False)
class Call:
    """One call. `placed`: it is ours, and so is its Call-ID.

    `phase` is ringing (they call us), answered (our 2xx has no ACK yet), inviting (we call), up or over. `ring` is what
    was said while it rang, `waiting` a 2xx without its ACK; `reoffer` a re-INVITE or UPDATE of theirs that is not
    answered yet, `change` one of ours; `terms` are how the session is kept alive, `presses` the keys on their way by
    INFO, `allow` is the far end's Allow as it said it last. `leaving` are the headers of a BYE that must wait for the
    ACK (section 15: the callee may not send BYE before it). `verdict` is how a call of ours that was cancelled ends.
    `account` is who answers challenges in it, `manners` how its far end is dealt with. `forks` are the ACKs that we
    sent, by the tag of who answered; `invited` is the INVITE of ours that made the call. `early` are the dialogs of a
    call of ours that is not answered, by their tag; `trail` is where it was redirected to, `refused` how it was refused
    last. `referral` is a REFER of ours in it, `referred` one of theirs, `refers` how many of theirs there were;
    `relieving`: another has taken over and this one only has to end.
    """

    number: SipCall
    flow: Flow
    phase: str
    local_tag: str
    placed: bool = False
    invite: ServerTransaction | None = None
    inviting: ClientTransaction | None = None
    dialog: Dialog | None = None
    session: OfferAnswer = field(default_factory=OfferAnswer)
    waiting: Unacknowledged | None = None
    reoffer: ServerTransaction | None = None
    ring: Ring | None = None
    change: Change | None = None
    terms: Terms | None = None
    allow: str = ""
    presses: Presses | None = None
    leaving: Fields | None = None
    natted: bool = False
    verdict: tuple[int, str] | None = None
    account: Account | None = None
    manners: Manners = field(default_factory=Manners)
    referral: Referral | None = None
    referred: Subscription | None = None
    refers: int = 0
    relieving: bool = False
    forks: dict[str, tuple[Flow, bytes]] = field(default_factory=_no_forks)
    invited: Request | None = None
    early: dict[str, Early] = field(default_factory=_no_early)
    spent: dict[str, int] = field(default_factory=_no_numbers)
    trail: Trail | None = None
    refused: tuple[int, str, tuple[Cause, ...]] = (487, "hangup", ())
    alarms: Alarms = field(default_factory=_no_alarms)


class Calls:
    """Every call alive, by number and by dialog."""

    def __init__(
        self, *, rng: random.Random, settings: Settings, way: Callable[[Uri], Flow | None] = lambda uri: None
    ) -> None:
        self.rng = rng
        self._way = way
        self.settings = settings
        self.out: list[Outcome] = []
        self.timers = Timers()
        self.requests = Requests(self)
        self.transactions = Transactions(user=self.requests, times=settings.times, timers=self.timers, out=self.out)
        self.alive: dict[SipCall, Call] = {}
        self.dialogs: dict[DialogKey, Call] = {}
        self.accounts: list[Account] = []
        """The accounts that are registered: who calls us from their hosts has them answer in the call, too."""
        self.alarms: dict[str, Callable[[Instant, Call], None]] = {}
        """What to do when a timer of a call runs out, by its name."""
        # Our own branches carry this, so that a request which comes back to us is known (section 16.3).
        self.mark = f"{rng.getrandbits(48):012x}"
        self._numbers = 0
        self.hello: Fields = (
            ("Allow", ", ".join(METHODS)),
            ("Supported", ", ".join(settings.extensions)),
        )
        self.usual = Manners(settings.min_se_s, settings.reliable)
        self.refresh = Refresh(self, settings.session_expires_s)
        if settings.server is not None:
            refuse_breaks("Server", settings.server)

    def number(self) -> SipCall:
        """Give a new call its number."""
        self._numbers += 1
        return SipCall(self._numbers)

    def tag(self) -> str:
        """Make a tag (section 19.3: at least 32 random bits)."""
        return f"{self.rng.getrandbits(64):016x}"

    def branch(self) -> str:
        """Make a branch that no other request has."""
        return f"{COOKIE}{self.mark}{self.rng.getrandbits(64):016x}"

    def here(self, flow: Flow) -> str:
        """Give host and port that the far end of a flow reaches us at."""
        return write_host_port(self.settings.host or flow.local[0], flow.local[1])

    def via(self, flow: Flow, branch: str) -> str:
        """Make the Via of a request of ours; `rport` asks for the way back (RFC 3581)."""
        return f"SIP/2.0/{flow.transport.upper()} {self.here(flow)};rport;branch={branch}"

    def account_of(self, flow: Flow) -> Account | None:
        """Give the account whose host is at the far end of a flow, None where it is nobody's."""
        for account in self.accounts:
            if account.trusts(flow):
                return account
        return None

    def manners(self, flow: Flow) -> Manners:
        """Give how a call that comes by a flow is dealt with."""
        ask = self.settings.manners
        return (ask(flow) if ask is not None else None) or self.usual

    def contact(self, flow: Flow, account: Account | None = None) -> str:
        """Make our Contact: where `account`'s registrar knows us by another, that one."""
        if account is not None and account.contact:
            return f"<{account.contact}>"
        transport = "" if flow.transport == "udp" else f";transport={flow.transport}"
        return f"<sip:{self.settings.user}@{self.here(flow)}{transport}>"

    def sender(self, flow: Flow, sender: NameAddr | Uri | None) -> NameAddr:
        """Give who we are in From: as told, with our own name where that says none, or by our address."""
        if isinstance(sender, NameAddr):
            return NameAddr(sender.display or self.settings.display, sender.uri)
        host = self.settings.host or flow.local[0]
        return NameAddr(self.settings.display, str(sender or Uri("sip", self.settings.user, host)))

    def software(self, header: str) -> Fields:
        """Give the header (Server or User-Agent) that names the software, if it is to be named."""
        name = self.settings.server
        return () if name is None else ((header, name),)

    def route(self, dialog: Dialog, flow: Flow, *, natted: bool = False) -> Flow:
        """Give the flow that a request inside a dialog takes; `flow` is the one that the dialog was made on.

        A far end that is outside names no place inside of ours, be it by its address or by a name that leads there:
        what it is sent goes to itself then.
        """
        found = self._routed(dialog, flow, natted=natted)
        return _never_plain(dialog, flow if reach(found.remote[0]) < reach(flow.remote[0]) else found)

    def _routed(self, dialog: Dialog, flow: Flow, *, natted: bool) -> Flow:
        """Give the flow that the dialog's route set and target ask for.

        What came over a connection stays on it. Else a request goes to the first route or the target; to where the
        dialog's own come from where the way there is not known, or where NAT made the Contact useless.
        """
        if flow.transport in RELIABLE and flow.connection:
            return flow
        try:
            uri = parse_uri(dialog.next_hop())
        except Malformed:
            return flow
        if not uri.is_sip or (natted and not dialog.routes):
            return flow
        insecure = uri.scheme == "sips" and flow.transport not in SECURE
        transport = wanted_transport(uri) or ("tls" if insecure else flow.transport)
        if is_address(uri.host) and transport == flow.transport and (":" in uri.host) is (":" in flow.local[0]):
            remote = (uri.host, uri.port or PORTS.get(transport, 5060))
            # An address has no certificate of its own: whoever the dialog was made with must be there, too.
            return flow if remote == flow.remote else Flow(transport, flow.local, remote, 0, flow.name)
        if uri.scheme == "sip" and uri.param("transport") is None and flow.transport != "udp":
            uri = replace(uri, params=(*uri.params, ("transport", flow.transport)))
        return self._way(uri) or flow

    def within(
        self,
        now: Instant,
        call: Call,
        method: str,
        owner: Owner,
        *,
        extra: Fields = (),
        body: bytes = b"",
    ) -> ClientTransaction:
        """Send a request inside the dialog of a call."""
        dialog = call.dialog
        assert dialog is not None
        flow = self.route(dialog, call.flow, natted=call.natted)
        request = dialog.request(method, extra=(*extra, *self.software("User-Agent")), body=body)
        return self.requests.send(now, request, (flow,), owner, account=call.account, dialog=dialog)

    def signed(self, request: Request, flow: Flow) -> Request:
        """Put a Via on a request that makes no transaction: the ACK of a 2xx."""
        via = ("Via", self.via(flow, self.branch()))
        return Request((via, *request.headers), request.body, request.method, request.uri)

    def acknowledge(
        self, call: Call, dialog: Dialog, made_on: Flow, invite: Request, body: bytes = b""
    ) -> tuple[Flow, bytes]:
        """Send the ACK of a 2xx and give it to be kept for repeats: a new branch, the INVITE's number (13.2.2.4).

        It shows the INVITE's credentials (section 22.1), but not to a far end that they were not made for.
        """
        flow = self.route(dialog, made_on, natted=call.natted)
        extra = (("Content-Type", "application/sdp"),) if body else ()
        if call.account is not None and call.account.trusts(flow):
            extra += tuple([one for one in invite.headers if one[0] in ("Authorization", "Proxy-Authorization")])
        seq = int(invite.index["CSeq"].split(None, 1)[0])
        data = bytes(self.signed(dialog.request("ACK", extra=extra, body=body, seq=seq), flow))
        self.transactions.send(flow, data)
        return flow, data

    def bye(self, now: Instant, call: Call, headers: Fields = ()) -> None:
        """Send BYE; nobody waits for what is said to it."""
        self.within(now, call, "BYE", UNWATCHED, extra=headers)

    def cancel(self, now: Instant, invite: ClientTransaction) -> None:
        """Send the CANCEL of an INVITE of ours (section 9.1): its branch, its number, its way."""
        request = invite.request
        fields = [("Via", request.index["Via"])]
        fields += [field for field in request.headers if field[0] in ("Max-Forwards", "From", "To", "Call-ID", "Route")]
        fields.append(("CSeq", f"{request.index['CSeq'].split(None, 1)[0]} CANCEL"))
        cancel = Request(tuple(fields), b"", "CANCEL", request.uri)
        self.transactions.request(now, ClientTransaction((invite.key[0], "CANCEL"), cancel, invite.flow, UNREPEATED))

    def join(self, call: Call, dialog: Dialog) -> None:
        """Give a call its dialog."""
        call.dialog = dialog
        self.dialogs[dialog.key] = call
        if not _NUMERIC.match(dialog.next_hop()):
            self.route(dialog, call.flow, natted=call.natted)  # so that a name is known when it is needed

    def reoffered(
        self,
        now: Instant,
        call: Call,
        transaction: ServerTransaction,
        session: OfferAnswer,
        offer: Session | None,
        limit: Duration = PROMPT,
    ) -> None:
        """Tell of an offer of theirs inside a call, or that they want ours; it is refused unless decided in time."""
        if offer is not None:
            session.offered(offer)
        call.reoffer = transaction
        transaction.owner = call
        self.timers.start(call, "reoffered", now + limit)
        self.out.append(Reoffered(call.number, offer))

    def forget_early(self, call: Call) -> None:
        """Forget the early dialogs of a call: it was answered, or its INVITE is over (RFC 3261 section 12.3)."""
        for tag, early in call.early.items():
            self.dialogs.pop(early.dialog.key, None)
            if early.rseq is not None:
                call.spent[tag] = early.dialog.local_seq  # a fork that answers late goes on from its PRACKs
        call.early.clear()

    def lost(self, now: Instant, call: Call, code: int) -> None:
        """End a call whose far end has refused a request inside it with a code that leaves no call (RFC 5057 5.1)."""
        if call.phase == "over":
            return
        if code not in LOST:
            self.bye(now, call, because(code, reason(code)))  # whoever may still have the call is to drop it
        self.end(call, code, "timeout" if code in (408, 481) else "refused")

    def end(self, call: Call, code: int, reason: str, causes: tuple[Cause, ...] = ()) -> None:
        """End a call: told once, then forgotten; its transactions run out by themselves."""
        if call.phase == "over":
            return
        call.phase = "over"
        call.waiting = None
        if call.reoffer is not None:
            self.timers.start(call.reoffer, "deserted", 0)  # it is answered as soon as there is a `now`
            call.reoffer = None
        call.ring = None
        call.change = None
        self.timers.clear(call)
        del self.alive[call.number]
        if call.dialog is not None:
            self.dialogs.pop(call.dialog.key, None)
        self.forget_early(call)
        self.out.append(Ended(call.number, code, reason, causes))


def refuse_breaks(name: str, value: str) -> None:
    """Refuse a header that could become two: ValueError where the name is no token or the value has a line break."""
    if not is_token(name):
        raise ValueError(f"{name!r} is no header name")
    if "\r" in value or "\n" in value or "\0" in value:
        raise ValueError(f"a line break in {name}")


def _never_plain(dialog: Dialog, flow: Flow) -> Flow:
    """Give a flow that may lead to a `sips` next hop (RFC 3261 section 26.2.2): with TLS, or none at all.

    Where the way to it is not known, TLS is tried at the host that the dialog is with, under the name that the URI has:
    who can't show a certificate for it is told nothing.
    """
    try:
        uri = parse_uri(dialog.next_hop())
    except Malformed:
        return flow
    if uri.scheme != "sips" or flow.transport in SECURE:
        return flow
    return Flow("tls", flow.local, (flow.remote[0], uri.port or PORTS["tls"]), 0, uri.host)
