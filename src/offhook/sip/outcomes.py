"""What the user agent gives out: bytes to send and things that happened. One closed union, consumed with `match`.

`run/` sends every `Send`; `carriers/sip.py` takes the rest, each of which names its call by the `SipCall` number
that the user agent gave it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NewType

from offhook.core.media import Address

if TYPE_CHECKING:
    from offhook.sip.meanings import Cause
    from offhook.sip.message import Request, Response
    from offhook.sip.replaces import Replaces
    from offhook.sip.sdp import Session
    from offhook.sip.uri import Uri

SipCall = NewType("SipCall", int)
"""The user agent's number for one call (an INVITE and the dialog that it made)."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Where a message came from or goes to: "udp", "tcp", "tls", "ws" or "wss", our address and theirs.

    `connection` tells the connections of a stream transport apart; 0 asks the transport to use or open one. `name` is
    the host that was asked for where a name led to the address: what its certificate must be for (RFC 5922).
    """

    transport: str
    local: Address
    remote: Address
    connection: int = 0
    name: str = ""


@dataclass(frozen=True, slots=True)
class Send:
    """Bytes to put on a flow."""

    flow: Flow
    data: bytes


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """A new INVITE, after 100 was sent. `offer` is None where the offer is delayed (RFC 3264 section 5)."""

    call: SipCall
    invite: Request
    flow: Flow
    offer: Session | None


@dataclass(frozen=True, slots=True)
class Progress:
    """A provisional response above 100 to an INVITE of ours.

    `tag` names its early dialog ("": it made none); 199 says that this one is over (RFC 6228). `description` is what
    the far end says of its media; with `offering` it wants an answer (`answer_early`), else it is the answer that will
    come, or has come if it was told reliably (RFC 3262 section 5).
    """

    call: SipCall
    response: Response
    tag: str = ""
    description: Session | None = None
    offering: bool = False


@dataclass(frozen=True, slots=True)
class Redirected:
    """An INVITE of ours was answered with `code`, and may go to `target` instead: `follow` it or `skip` it."""

    call: SipCall
    target: Uri
    code: int


@dataclass(frozen=True, slots=True)
class EarlyAnswered:
    """The PRACK of a provisional response of ours brought the answer to the offer in it (RFC 3262 section 5)."""

    call: SipCall
    answer: Session


@dataclass(frozen=True, slots=True)
class Answered:
    """An INVITE of ours got its 2xx; the ACK is on its way. `answer` is the SDP in it, if any."""

    call: SipCall
    response: Response
    answer: Session | None


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The ACK to our 2xx came. `answer` is its SDP: the answer to our delayed offer, else None."""

    call: SipCall
    answer: Session | None


@dataclass(frozen=True, slots=True)
class Reoffered:
    """A re-INVITE or UPDATE of theirs, or the 2xx to a `reoffer` of ours that left the offer to them.

    Answer it with `accept_reoffer` or `refuse_reoffer`; `offer` is None where it asks for ours.
    """

    call: SipCall
    offer: Session | None


@dataclass(frozen=True, slots=True)
class Reanswered:
    """What became of a `reoffer` of ours: their answer, or None and the code where it was refused and nothing changed.

    `offer` is ours that it answers. `asked` is False for a refresh (RFC 4028), of which only a new answer is told.
    """

    call: SipCall
    answer: Session | None
    code: int
    offer: Session | None = None
    asked: bool = True


@dataclass(frozen=True, slots=True)
class Keyed:
    """The far end pressed a key and said so by INFO."""

    call: SipCall
    key: str
    duration_ms: int


@dataclass(frozen=True, slots=True)
class Texted:
    """The far end sent text within the call (RFC 3428): lines of what can be printed."""

    call: SipCall
    text: str


@dataclass(frozen=True, slots=True)
class TransferProgress:
    """What became of our REFER: its own final response, then each NOTIFY's sipfrag. `final` when it is over.

    `refused`: the REFER itself was not taken, so that nobody was called.
    """

    call: SipCall
    code: int
    reason: str
    final: bool
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Referred:
    """A REFER of theirs. Answer it with `transfers.accept` or `transfers.refuse`, and tell with `transfers.progress`.

    `target` is whom to call and `replaces` the dialog there to take over; `referred_by` is for the INVITE ("": they
    said nothing). `flow` is where it came by, which is not the call's own where it came outside its dialog.
    """

    call: SipCall
    target: Uri
    replaces: Replaces | None
    referred_by: str
    flow: Flow


@dataclass(frozen=True, slots=True)
class Replacing:
    """A new INVITE that is to take the place of a call of ours (RFC 3891). Answer or reject `call` as any other."""

    call: SipCall
    invite: Request
    flow: Flow
    offer: Session | None
    replaced: SipCall


@dataclass(frozen=True, slots=True)
class Asked:
    """What became of an OPTIONS of ours, once: the final response, or None where none came (408) or it can't go (503).

    `call` is the number that `UserAgent.options` gave; there is no call behind it.
    """

    call: SipCall
    code: int
    response: Response | None


@dataclass(frozen=True, slots=True)
class Probed:
    """What the far end of a call said to whether it is still there: a final code, 408 for nothing, 503 for no way."""

    call: SipCall
    code: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The call is over. Told exactly once a call, whoever ended it.

    `code` is the SIP status that fits (200 for a BYE after answer, 487 for a CANCEL, 408 where an ACK never came …);
    `reason` is one of `hangup` (we ended it), `remote_hangup`, `cancelled`, `refused`, `no_answer`, `no_ack`,
    `transport`, `timeout`, `expired` (the session was not refreshed). `causes` is what a Reason header said besides
    (RFC 3326).
    """

    call: SipCall
    code: int
    reason: str
    causes: tuple[Cause, ...] = ()


@dataclass(frozen=True, slots=True)
class Seeking:
    """An account needs the ways to its registrars: `Registrations.found` gives them, the best first, within seconds."""

    account: str


@dataclass(frozen=True, slots=True)
class Registered:
    """An account is registered from now on, or at another `contact` (a URI); `expires_s` is what was granted."""

    account: str
    contact: str
    expires_s: int


@dataclass(frozen=True, slots=True)
class Unregistered:
    """An account could not be registered, or is no more (200: by our own wish).

    `code` is the SIP status or what stands for it (408 no answer, 503 no connection); `reason` says why in words that
    may be logged. `retry_at` is when it is tried again, None: never. Told when code or reason change, not at each try.
    """

    account: str
    code: int
    reason: str
    retry_at: int | None


@dataclass(frozen=True, slots=True)
class Bound:
    """A user of ours has registered, or moved to another `source` (an address): it can be reached for `expires_s`."""

    user: str
    contact: str
    source: str
    expires_s: int


@dataclass(frozen=True, slots=True)
class Unbound:
    """A user of ours can't be reached at a contact any more."""

    user: str
    contact: str
    source: str


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A source did what only an attacker does often: `kind` is "brute_force".

    `user` is whom it claimed to be, as it wrote it.
    """

    source: str
    kind: str
    user: str


UserOutcome = Bound | Unbound | Suspicion
"""What happens to users of ours, and in their name."""


@dataclass(frozen=True, slots=True)
class Unproven:
    """Somebody who is no host of our account, or a far end inside a call, asked for our password and got nothing."""

    flow: Flow
    method: str


AccountOutcome = Seeking | Registered | Unregistered
"""What happens to an account of ours at its registrar."""

Outcome = (
    Send
    | IncomingCall
    | Replacing
    | Progress
    | Redirected
    | EarlyAnswered
    | Answered
    | Confirmed
    | Reoffered
    | Reanswered
    | Keyed
    | Texted
    | TransferProgress
    | Referred
    | Asked
    | Probed
    | Ended
    | AccountOutcome
    | UserOutcome
    | Unproven
)
