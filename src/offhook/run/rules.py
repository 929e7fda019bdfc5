"""What a host goes by, as values: made of a configuration by `run.config`, by hand in tests and programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from pathlib import Path

from offhook.call.ambience import Ambience
from offhook.carriers.negotiation import AudioRules
from offhook.carriers.terms import LegTerms, LineTones
from offhook.carriers.transfers import TransferRules
from offhook.carriers.trunks import Trunk
from offhook.core.instants import SECOND, Duration
from offhook.core.media import Address
from offhook.policy.admission import Admission, Kind, Pace, Source
from offhook.policy.toll import Caps
from offhook.run.transports.tls import TlsRules
from offhook.sip.challenges import User as Password
from offhook.sip.gate import Gate
from offhook.sip.manners import Manners
from offhook.sip.outcomes import Flow
from offhook.sip.useragent import Settings


@dataclass(frozen=True, slots=True)
class StirRules:
    """How signed callers are judged, and our own calls signed (STIR/SHAKEN).

    `roots` are the authorities that may vouch for numbers (None: signatures are not looked at). `require` is the least
    that a caller must show: "" nothing, "valid" a signature that holds, "A" to "C" one with that attestation or a
    better one. `key` signs our calls with `attest`; others find its certificate at `certificate_url`. `private` lets
    certificates be fetched from addresses that are not public: a laboratory's.
    """

    roots: Path | None = None
    require: str = ""
    key: Path | None = None
    certificate_url: str = ""
    attest: str = "A"
    private: bool = False


@dataclass(frozen=True, slots=True)
class User:
    """A softphone that registers at us. `calls` is how many it may have up, `secrets` HA1 by algorithm."""

    name: str
    password: str = field(default="", repr=False)
    display: str = ""
    calls: int = 10
    secrets: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)


@dataclass(frozen=True, slots=True)
class HostRules:
    """How a host behaves. Times in seconds.

    `listen` are (transport, (ip, port)). `allow` are the networks whose SIP is read at all, beside those of `trunks`
    and of whom we call; with `users`, everyone's is, and whoever is none of them is asked for a password. `dial` are
    the rules of `policy.screening`, `toll` bounds all that is dialled, `dials` names the trunks that numbers go
    through, in order (None: all). `external` is the address that others reach us at, where it is not the socket's
    own, except from `local_networks`; where it is not known, `stun` (host, port) is asked from each RTP socket.
    `origins` are the web pages that may open a websocket, `nameservers` those that are asked (none: the
    system's). `ban_s` is how long an attacker is shut out. `ambience` sounds under calls whose agent has none.
    """

    listen: tuple[tuple[str, Address], ...] = (("udp", ("127.0.0.1", 5060)), ("tcp", ("127.0.0.1", 5060)))
    external: str | None = None
    local_networks: tuple[str, ...] = ()
    stun: tuple[str, int] | None = None
    tls: TlsRules = field(default_factory=TlsRules)
    origins: tuple[str, ...] = ()
    nameservers: tuple[Address, ...] = ()
    stir: StirRules = field(default_factory=StirRules)
    allow: tuple[str, ...] = ("127.0.0.0/8",)
    users: tuple[User, ...] = ()
    dial: tuple[str, ...] = ()
    dials: tuple[str, ...] | None = None
    toll: Caps = field(default_factory=Caps)
    trunks: tuple[Trunk, ...] = ()
    max_calls: int = 1000
    ring_s: float = 60.0
    ban_s: float = 600.0
    audio: AudioRules = field(default_factory=AudioRules)
    handing_on: TransferRules = field(default_factory=TransferRules)
    settings: Settings = field(default_factory=Settings)
    ambience: Ambience | None = None

    def admission(self) -> Admission:
        """Make the door that these rules ask for."""
        networks = [(net, Source(Kind.TRUNK, trunk.name)) for trunk in self.trunks for net in trunk.networks]
        networks += [(net, Source(_kind(net))) for net in self.allow]
        paces: dict[Source | Kind, Pace] = {
            Source(Kind.TRUNK, trunk.name): Pace(trunk.caps.calls_a_second, 2 * trunk.caps.calls_a_second)
            for trunk in self.trunks
            if trunk.caps.calls_a_second is not None
        }
        ban: Duration = round(self.ban_s * SECOND)
        return Admission(networks, strangers=bool(self.users), paces=paces, ban=ban)

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names that our users may call us by."""
        return (*[ip for _, (ip, _) in self.listen], self.external or "", self.settings.realm)

    def of_user_agent(self, gate: Gate, manners: Callable[[Flow], Manners | None]) -> Settings:
        """Give the settings of the user agent, with who is let in, how whom is dealt with, and our users."""
        users = {user.name: Password(user.password or None, dict(user.secrets)) for user in self.users}
        return replace(self.settings, gate=gate, manners=manners, users=users, ring_at_once=False)

    def trunk(self, name: str) -> Trunk | None:
        """Give a trunk by its name."""
        return next((trunk for trunk in self.trunks if trunk.name == name), None)

    def terms(self, trunk: str) -> LegTerms:
        """Give what the legs of a trunk go by ("": those of none)."""
        found = self.trunk(trunk)
        if found is None:
            return LegTerms(self.audio)
        codecs, srtp = found.codecs or self.audio.codecs, found.srtp or self.audio.srtp
        audio = replace(self.audio, codecs=codecs, srtp=srtp, dtx=found.dtx)
        sounds = LineTones(found.country, found.hangup_tones)
        return LegTerms(audio, found.meanings, found.dtmf, self.manners(trunk), sounds)

    def manners(self, trunk: str) -> Manners | None:
        """Give how the user agent deals with the calls of a trunk; None where it is as with anyone."""
        found = self.trunk(trunk)
        if found is None:
            return None
        least_s = self.settings.min_se_s if found.min_se_s is None else found.min_se_s
        return Manners(least_s, found.reliable or self.settings.reliable, found.contact == "rewrite")

    def transfers(self, trunk: str) -> TransferRules:
        """Give how the callers of a trunk are handed on ("": who comes by none)."""
        found = self.trunk(trunk)
        return (
            self.handing_on
            if found is None
            else TransferRules(found.refer, show=found.shows, diversion=found.diversion)
        )

    @property
    def outward(self) -> tuple[Trunk, ...]:
        """The trunks that a number is dialled through, in order."""
        if self.dials is None:
            return tuple(trunk for trunk in self.trunks if trunk.uri is not None)
        return tuple(trunk for name in self.dials if (trunk := self.trunk(name)) is not None)


def _kind(network: str) -> Kind:
    # `allow` names this machine where it is to be heard; nothing else of a network's class is without a pace.
    return Kind.LOCAL if ip_network(network).is_loopback else Kind.NETWORK
