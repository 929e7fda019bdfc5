"""A trunk: one way to and from telephone numbers, with what its carrier, PBX or gateway is known to want.

    [trunks.NAME] over profiles.toml ─► Trunk ─┬─ in:  numbers called, whom it may be believed about
                                               └─ out: Request-URI, From, identity headers, what is tried next

A profile is data: the same keys as a trunk's own. Numbers inside offhook are E.164 or bare (an extension, a service).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal

from offhook.carriers.numbers import NumberFormat, canonical, written
from offhook.core.codecs import Codec
from offhook.core.errors import NotAllowed
from offhook.policy.toll import Caps
from offhook.sip.grammar import Fields, is_token
from offhook.sip.header import NameAddr
from offhook.sip.identity import Believed
from offhook.sip.meanings import COMMON, Meanings
from offhook.sip.message import canonical as header_name
from offhook.sip.offer import Srtp
from offhook.sip.uri import Uri

Transport = Literal["udp", "tcp", "tls", "ws", "wss"]
CalledFrom = Literal["request", "to", "p-called-party-id", "diversion"]
Shown = Literal["pai", "ppi", "rpid"]

ANONYMOUS: Final = Uri("sip", "anonymous", "anonymous.invalid")
"""Who calls where the caller's number is withheld (RFC 3323 section 4.1.1.3)."""

HEADER_LIMIT: Final = 2048
"""Characters of one header that an agent adds: carriers cut at 1 to 4 KB."""

HEADERS_LIMIT: Final = 32
"""Headers that an agent may add to one call."""

OURS: Final = frozenset({"User-To-User", "Alert-Info", "Subject", "Call-Info", "Priority", "Accept-Language", "Reason"})
"""Headers beside X- ones that an agent may set: the others steer the call and are ours to write."""


@cache
def profiles() -> Mapping[str, Mapping[str, Any]]:
    """Give what is known of each kind of trunk, by the keys of the configuration."""
    return tomllib.loads(files("offhook.carriers").joinpath("profiles.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Trunk:
    """One trunk, with all that its profile and its keys say. `uri` None: it is only called from.

    `spares` are its other registrars and gateways, tried in order where the one before fails. `secrets` stand for the
    password: HA1 by algorithm (RFC 7616 section 3.4.2). `called_from` is where the called number is looked for;
    `believed` what it is trusted about; `identity` how it wants our number besides From; `shows` and `diversion` whose
    numbers a bridged transfer through it shows; `retry` the codes after which the next trunk is tried; `refuse` what
    new calls are told in overload; `meanings` what the codes of this carrier mean where it is not what the RFC says.
    `min_se_s` None: as with anyone.
    """

    name: str
    profile: str = "generic"
    uri: Uri | None = None
    spares: tuple[Uri, ...] = ()
    username: str = ""
    password: str = field(default="", repr=False)
    secrets: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    auth_username: str = ""
    realm: str = ""
    register: bool = False
    expires_s: int = 3600
    outbound_proxy: Uri | None = None
    networks: tuple[str, ...] = ()
    codecs: tuple[Codec, ...] = ()
    srtp: Literal["dtls"] | Srtp | None = None
    dtx: bool = False
    country: str = ""
    number_format: NumberFormat = "e164"
    prefix: str = ""
    caller: str = ""
    caller_name: str = ""
    withhold: bool = False
    identity: tuple[Shown, ...] = ()
    headers: Fields = ()
    called_from: tuple[CalledFrom, ...] = ("request", "to")
    believed: Believed = field(default_factory=Believed)
    verstat_header: str = ""
    refer: bool = True
    shows: Literal["own", "caller"] = "own"
    diversion: bool = True
    dtmf: Literal["rtp", "info"] = "rtp"
    hangup_tones: bool = False
    contact: Literal["keep", "rewrite"] = "keep"
    min_se_s: int | None = None
    reliable: bool = False
    refuse: int = 503
    retry: frozenset[int] = frozenset()
    caps: Caps = field(default_factory=Caps)
    emergency: bool = False
    meanings: Meanings = COMMON

    def number(self, text: str) -> str:
        """Give a number that this trunk wrote in the one form that we compare."""
        return canonical(text, self.country)

    @property
    def gateways(self) -> tuple[Trunk, ...]:
        """This trunk by each of its addresses, in order."""
        return (self, *[replace(self, uri=spare, spares=()) for spare in self.spares])

    def target(self, number: str) -> Uri:
        """Give the URI to call for a number. NotAllowed where this trunk has no address to call."""
        if self.uri is None:
            raise NotAllowed(f"the trunk {self.name} has no address to call: set trunks.{self.name}.address")
        user = self.prefix + written(number, self.number_format, self.country)
        return Uri(self.uri.scheme, user, self.uri.host, self.uri.port, self.uri.params)

    def next_hop(self) -> Uri:
        """Give where requests go first: the outbound proxy, else the trunk itself."""
        assert self.uri is not None
        return self.outbound_proxy or self.uri

    def next_hops(self) -> tuple[Uri, ...]:
        """Give where a registration goes, the first that answers is asked."""
        return tuple(dict.fromkeys([gateway.next_hop() for gateway in self.gateways]))

    @property
    def through(self) -> Fields:
        """The Route that leads through the outbound proxy (RFC 3261 section 8.1.2); () where there is none."""
        proxy = self.outbound_proxy
        if proxy is None:
            return ()
        loose = proxy if proxy.param("lr") is not None else replace(proxy, params=(*proxy.params, ("lr", None)))
        return (("Route", f"<{loose}>"),)

    def sender(self, *, caller: str = "", withhold: bool = False) -> tuple[NameAddr, Fields]:
        """Give From and the headers that say who calls; `caller` shows another number of ours.

        RFC 3323 and 3325: who withholds its number is anonymous in From, tells the carrier in P-Asserted- or
        P-Preferred-Identity, and asks for `Privacy: id`.
        """
        host = self.uri.host if self.uri is not None else "anonymous.invalid"
        shown = written(canonical(caller or self.caller, self.country), self.number_format, self.country)
        own = NameAddr(self.caller_name, str(Uri("sip", shown or self.username or "offhook", host)))
        hidden = withhold or self.withhold
        fields = [(_SHOWN[kind], _shown(kind, own, hidden=hidden)) for kind in self.identity]
        if not hidden:
            return own, tuple(fields)
        if not any(kind in ("pai", "ppi") for kind in self.identity):
            # Somebody has to know, or the carrier does not take it.
            fields.append(("P-Preferred-Identity", str(own)))
        return NameAddr("Anonymous", str(ANONYMOUS)), (*fields, ("Privacy", "id"))

    def tries_on(self, code: int) -> bool:
        """Say whether a call that this trunk refused with `code` goes to the next one.

        What the callee decided (486, 600, 603 …) is final; so is any other 4xx that the profile does not name.
        """
        if code in (486, 600, 603):
            return False
        return code in (408, 430) or 500 <= code < 600 or code in self.retry


_SHOWN: Final = {"pai": "P-Asserted-Identity", "ppi": "P-Preferred-Identity", "rpid": "Remote-Party-ID"}


def _shown(kind: Shown, own: NameAddr, *, hidden: bool) -> str:
    if kind != "rpid":
        return str(own)
    return f"{own};party=calling;screen=yes;privacy={'full' if hidden else 'off'}"


def added_headers(headers: Mapping[str, str]) -> Fields:
    """Give the headers that an agent adds to a call. ValueError where one is not its to set, or could become two."""
    if len(headers) > HEADERS_LIMIT:
        raise ValueError(f"{len(headers)} headers are too many: {HEADERS_LIMIT} at most")
    fields: list[tuple[str, str]] = []
    for given, value in headers.items():
        name = header_name(given)
        if not is_token(given) or not (name.startswith("X-") or name in OURS):
            raise ValueError(f"{given!r} is no header that an agent may set: X-… or {', '.join(sorted(OURS))}")
        if not value.isprintable():
            raise ValueError(f"{given} holds a line break or another control character")
        if len(value) > HEADER_LIMIT:
            raise ValueError(f"{given} is longer than {HEADER_LIMIT} characters")
        fields.append((name, value.strip()))
    return tuple(fields)
