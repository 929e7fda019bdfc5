"""A managed service as the host sees it: what its webhooks say, what it is answered, what its API is asked.

    webhook ─► verify ─► hook ─► Offered, Progressed, Detected, Handed, Left, Recorded …
    Offered ─► connect(media URL) or refuse(code) ─► Answer: a control document, or 200 and requests to the API
    hang_up, transfer, dial ─► ApiCall

All of it is pure: the host keeps the clock, the sockets, the tokens and what is going on. A service is made of its
account; between two calls of its methods it keeps nothing but the names of proofs that came.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, runtime_checkable

from offhook.carriers.services.http import ApiCall, ApiReply, Request, Response
from offhook.carriers.services.stream import Dialect
from offhook.core.carriage import Carriage
from offhook.core.signals import Answerer

if TYPE_CHECKING:
    from offhook.carriers.services.turn import Turn


@dataclass(frozen=True, slots=True)
class Offered:
    """A call has come, or one that we placed was answered. `call` is the service's name for it, unique there.

    `caller` and `called` are numbers in E.164 with their plus where they are numbers, else as the service gives them.
    `headers` are SIP headers and parameters that came with the call, by their names. `verstat` is what the service says
    of the caller's signature ("" where it says nothing), `machine` what answered ("" where nobody has looked).
    """

    call: str
    caller: str = ""
    called: str = ""
    direction: Literal["inbound", "outbound"] = "inbound"
    caller_name: str = ""
    diverted_from: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    verstat: str = ""
    machine: Answerer | Literal[""] = ""


@dataclass(frozen=True, slots=True)
class Progressed:
    """A call goes on: `state` is `ringing` or `answered`. `order` sorts what comes out of order, where there is one."""

    call: str
    state: Literal["ringing", "answered"]
    order: int | None = None


@dataclass(frozen=True, slots=True)
class Left:
    """A call is over. `code` is the SIP status that means the same: 200, 486 (busy), 480, 404, 603.

    `meaning` is one of `sip.meanings` where the service's own word says it better: that it rang, and nobody came.
    """

    call: str
    code: int = 200
    reason: str = ""
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Detected:
    """What answered a call of ours; `machine_beep`: it may be spoken to now."""

    call: str
    what: Answerer


@dataclass(frozen=True, slots=True)
class Handed:
    """What became of a transfer: `code` 200 where the target has answered, else why it has not."""

    call: str
    code: int
    over: bool = False
    """Whether the call has ended with it: the target, or the caller, has hung up."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """The service has recorded a call. `url` is only told on: nothing that a webhook names is fetched by itself.

    `recording` is the service's name for it.
    """

    call: str
    url: str
    seconds: int = 0
    recording: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """The far end has spoken or pressed keys, where the service hears for us and calls back for each turn.

    Both empty: it was silent.
    """

    call: str
    text: str = ""
    keys: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """The service asks for the document of a transfer, where its API can't be given one: what we wanted is in it.

    `hook` is that of the call's `Links`. Without a target, the call's own line knows what we wanted.
    """

    call: str
    target: str
    caller: str
    hook: str


News = Offered | Progressed | Left | Detected | Handed | Recorded | Said | Asked
"""What a webhook says."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a webhook is answered, and what the API is asked then, in this order."""

    response: Response
    calls: Sequence[ApiCall] = ()


@dataclass(frozen=True, slots=True)
class Links:
    """Our own URLs of one call, made of the public address that is configured; each has its token in the path.

    `media` is where the audio is brought (wss), `hook` where the service tells how the call goes on: behind it comes
    `/` and the kind of news (`status`, `machine`, `transfer`, `recording`, `after`).
    """

    media: str
    hook: str


@dataclass(frozen=True, slots=True)
class Placement:
    """A call that the service is to place. `detect`: say what has answered, before (`sync`) or while it goes on."""

    to: str
    caller: str
    ring_s: int = 60
    detect: Literal["", "sync", "async"] = ""


class Direct(ABC):
    """A service that has no webhooks: it opens a media socket to a fixed address, and says there whose call it is."""

    __slots__ = ()
    name: str
    """The word for it in paths and configuration."""

    instead: ClassVar[str] = "give it a trunk under [trunks], and call by SIP, without a carrier (docs/numbers/pbx.md)"
    """What places calls in its place: it only brings them."""

    @property
    def is_near(self) -> bool:
        """Whether it is a machine of ours, which needs no public address to find us."""
        return False

    @property
    @abstractmethod
    def carriage(self) -> Carriage:
        """How its media sockets take audio."""

    @abstractmethod
    def verify(self, request: Request, base: str, now_s: float) -> None:
        """Check that a socket's handshake is the service's; `base` is our public address. Unsigned where it is not."""

    @abstractmethod
    def dialect(self) -> Dialect:
        """Give what one media socket speaks."""


@runtime_checkable
class Speaking(Protocol):
    """A service that hears and speaks itself, besides what it is as a `Service`."""

    @property
    def way(self) -> Literal["relay", "turns"]:
        """How words come: over the socket that `connect` names, or in requests to the hooks `said` and `again`."""
        ...

    def speak(self, turn: Turn, links: Links) -> Response:
        """Write one answer of ours, where words come turn by turn."""
        ...


@runtime_checkable
class Flowing(Protocol):
    """A service whose flow goes on once our socket has ended, and asks us whom to call, besides as a `Service`."""

    def flows(self, target: str) -> bool:
        """Say whether a call is handed on to `target` so: the service asks (`Asked`, without a target), and is told."""
        ...


@runtime_checkable
class Probed(Protocol):
    """A service that can be asked whether it knows us."""

    @property
    def name(self) -> str:
        """The word for it in paths and configuration."""
        ...

    def probe(self) -> ApiCall:
        """Ask something that needs the account's proof, and changes nothing."""
        ...


class Service(Protocol):
    """One account at a managed service whose calls come by webhook, or by what is like one."""

    @property
    def name(self) -> str:
        """The word for it in paths and configuration: `twilio`."""
        ...

    @property
    def api(self) -> str:
        """The base URL of its API, as configured: the only host that is ever asked anything."""
        ...

    def verify(self, request: Request, base: str, now_s: float) -> None:
        """Check that a webhook or a socket's handshake is the service's; `base` is our public address (https://…).

        Unsigned where it is not. Nothing of the request is read before.
        """
        ...

    def hook(self, kind: str, request: Request) -> Sequence[News]:
        """Read a verified webhook; `kind` is the last part of its path. ProtocolError where it makes no sense."""
        ...

    def connect(self, offered: Offered, links: Links) -> Answer:
        """Take a call: have its audio brought to `links.media`."""
        ...

    def refuse(self, offered: Offered, code: int) -> Answer:
        """Refuse a call with what comes next to a SIP status."""
        ...

    def heed(self, news: News | None) -> Response:
        """Answer a webhook that asks for nothing: the call goes on as it does, or ends where nothing is left of it."""
        ...

    def hang_up(self, call: str) -> Sequence[ApiCall]:
        """End a call."""
        ...

    def transfer(self, call: str, target: str, caller: str, links: Links) -> Sequence[ApiCall]:
        """Hand a call's far end to `target`; news comes to the hook `transfer`. Empty where the service can't."""
        ...

    def authorize(self, call: ApiCall, now_s: float, nonce: str) -> ApiCall:
        """Put our proof on a request as it is sent: a token has its instant and its name (`nonce`, a UUID) in it.

        Where the proof is the same for each request, it is there already.
        """
        ...


@runtime_checkable
class Carried(Service, Protocol):
    """A service whose audio comes by a media socket, and which places calls."""

    @property
    def carriage(self) -> Carriage:
        """How its media sockets take audio."""
        ...

    def dialect(self) -> Dialect:
        """Give what one media socket speaks."""
        ...

    def dial(self, placement: Placement, links: Links) -> ApiCall:
        """Place a call: its `Offered` (outbound) comes to the hook `voice` once it is answered."""
        ...

    def placed(self, reply: ApiReply) -> str:
        """Read how a call that was placed is called. DialFailed with the code where it was refused."""
        ...


@runtime_checkable
class Controlled(Service, Protocol):
    """A service that hears and speaks, and is told what by a socket that we open for each call."""

    def control(self, call: str) -> ApiCall:
        """Give the handshake of the socket of a call that was taken."""
        ...


@runtime_checkable
class Evented(Carried, Probed, Protocol):
    """A service whose news come by a socket that we open, and hold open, in the place of webhooks."""

    @property
    def is_near(self) -> bool:
        """Whether it is a machine of ours, which needs no public address to find us."""
        ...

    def paste(self) -> Sequence[str]:
        """Say what belongs in its configuration, beside where it finds us."""
        ...

    def events(self) -> ApiCall:
        """Give the handshake of the socket; each of its messages is read by the hook `events`."""
        ...

    def follow(self, request: Request) -> Sequence[ApiCall]:
        """Give what an event asks for, whatever it is news of. ProtocolError where it makes no sense."""
        ...

    def key(self, call: str) -> str:
        """Give the hook's key of a call that we have placed and that was named by it, "" where it is none of those."""
        ...

    def look(self) -> ApiCall:
        """Ask which calls are there."""
        ...

    def there(self, reply: ApiReply) -> Collection[str]:
        """Read which calls are there. ProtocolError where it can't be told."""
        ...


def is_near(service: Service | Direct) -> bool:
    """Whether a service is a machine of ours, which needs no public address to find us."""
    return isinstance(service, Direct | Evented) and service.is_near
