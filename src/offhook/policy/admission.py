"""Who is heard, how much of each, and who has lost that for a while.

    ip ─► source(ip): local · trunk · user · network · unknown
     hears   may a byte of it be read?                 no: dropped unread
     admits  may it ask for something new?             no: refused, or dropped where it is unknown or banned
     offend  it did what only an attacker does         so often in so long: banned, told once

Laws: this machine and trunks are never banned (over UDP a source is easily forged, and a carrier that is banned is an
outage), only limited; whoever has a call up is heard for that call, whatever else came from there; every table has a
bound and every ban ends. IPv6 sources count by their /64, which is what one subscriber gets. Pure: `now` is given.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, Literal

from offhook.core.instants import SECOND, Duration, Instant

SOURCES_LIMIT: Final = 4096
"""Sources that are remembered; the one not seen for longest makes room. A ban takes some 200 bytes."""

LEARNT_LIMIT: Final = 4096
"""Addresses of registrars and registered phones that are known beyond the networks of the configuration."""


class Kind(Enum):
    """The class of a source, in the order in which it is trusted."""

    LOCAL = "local"
    TRUNK = "trunk"
    USER = "user"
    NETWORK = "network"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Source:
    """Who an address belongs to. `name` is the trunk's or the user's, "" for the other classes."""

    kind: Kind
    name: str = ""

    @property
    def trunk(self) -> str:
        """The name of the trunk; "" where it is none."""
        return self.name if self.kind is Kind.TRUNK else ""


@dataclass(frozen=True, slots=True)
class Pace:
    """How much of one source is taken: requests outside of a call a second, how many at once, calls at a time."""

    a_second: float | None = None
    at_once: float = 1.0
    calls: int | None = None


FREE: Final = Pace()
PACES: Final[Mapping[Kind, Pace]] = {
    Kind.LOCAL: FREE,
    Kind.TRUNK: Pace(200.0, 400.0),
    Kind.USER: Pace(5.0, 20.0, calls=10),
    Kind.NETWORK: Pace(50.0, 100.0),
    Kind.UNKNOWN: Pace(2.0, 10.0, calls=2),
}
"""What each class may where the configuration does not say: a phone asks a few times a minute, a PBX in bursts."""


@dataclass(frozen=True, slots=True)
class Offence:
    """How often in how long makes an attack of it."""

    times: int
    within: Duration


OFFENCES: Final[Mapping[str, Offence]] = {
    "flood": Offence(40, 10 * SECOND),
    "brute_force": Offence(5, 60 * SECOND),
    "enumeration": Offence(10, 60 * SECOND),
    "scan": Offence(1, 60 * SECOND),
    "injection": Offence(3, 60 * SECOND),
    "garbage": Offence(30, 60 * SECOND),
    "digest_leak": Offence(1, 60 * SECOND),
    "toll_fraud": Offence(1, 60 * SECOND),
    "rtp_stranger": Offence(1, 60 * SECOND),
}
"""The kinds of attack. A mistyped password is not one; five in a minute are."""

BANNING: Final = frozenset({"flood", "brute_force", "enumeration", "injection", "garbage"})
"""Those for which the source is shut out. The others are somebody else's doing, or are of no use to repeat."""

SAME_ATTACK: Final = 600 * SECOND
"""What comes again before it was quiet for so long is the same attack, and told no second time."""


@dataclass(frozen=True, slots=True)
class Attack:
    """What is told of an attack, once. `banned` is for how long its source is shut out; None where it is not."""

    kind: str
    ip: str
    source: Source
    count: int
    within: Duration
    banned: Duration | None


@dataclass(slots=True)
class _Tally:
    """Offences of one kind from one source. `told` is when the last of an attack came that has been told."""

    since: Instant
    count: int = 0
    told: Instant | None = None


@dataclass(slots=True)
class _Account:
    """What is known of one source.

    `up` of its `calls` are answered and acknowledged, so that it is where it says. `knocked` is when it last came while
    it was shut out.
    """

    filled: Instant
    tokens: float
    calls: int = 0
    up: int = 0
    banned_until: Instant | None = None
    knocked: Instant | None = None
    tallies: dict[str, _Tally] = field(default_factory=dict[str, "_Tally"])


Verdict = Literal["take", "refuse", "drop"]


class Admission:
    """The door. `networks` say whose an address is, the first that fits; `strangers` whether others are heard."""

    def __init__(
        self,
        networks: Sequence[tuple[str, Source]],
        *,
        strangers: bool = False,
        paces: Mapping[Source | Kind, Pace] | None = None,
        ban: Duration = 600 * SECOND,
    ) -> None:
        self.strangers = strangers
        self.ban = ban
        self._networks: list[tuple[IPv4Network | IPv6Network, Source]] = [
            (ip_network(text), source) for text, source in networks
        ]
        self._paces: dict[Source | Kind, Pace] = {**PACES, **(paces or {})}
        self._learnt: OrderedDict[str, Source] = OrderedDict()
        self._known: OrderedDict[str, Source] = OrderedDict()
        self._accounts: OrderedDict[str, _Account] = OrderedDict()

    # Whose is it?

    def source(self, ip: str) -> Source:
        """Give whose an address is."""
        learnt = self._learnt.get(ip)
        if learnt is not None:
            return learnt
        known = self._known.get(ip)
        if known is None:
            known = self._known[ip] = self._look_up(ip)
            if len(self._known) > SOURCES_LIMIT:
                self._known.popitem(last=False)
        return known

    def learn(self, ip: str, source: Source) -> None:
        """Take an address for a source from now on: a registrar of ours, a phone that registered."""
        if self._look_up(ip).kind in (Kind.LOCAL, Kind.TRUNK):
            return  # nobody becomes less than the configuration says
        self._learnt[ip] = source
        self._learnt.move_to_end(ip)
        if len(self._learnt) > LEARNT_LIMIT:
            self._learnt.popitem(last=False)

    def forget(self, ip: str) -> None:
        """Take back what was learnt of an address."""
        self._learnt.pop(ip, None)

    def _look_up(self, ip: str) -> Source:
        try:
            address = ip_address(ip)
        except ValueError:
            return Source(Kind.UNKNOWN)
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        for network, source in self._networks:
            if (mapped or address) in network:
                return source
        return Source(Kind.UNKNOWN)

    # What it may

    def hears(self, now: Instant, ip: str) -> bool:
        """Say whether a byte of a source is read."""
        source = self.source(ip)
        if source.kind in (Kind.LOCAL, Kind.TRUNK):
            return True
        account = self._accounts.get(_key(source, ip))
        if account is not None and account.up:
            return True
        if account is not None and self._shut(now, account):
            return False
        return self.strangers or source.kind is not Kind.UNKNOWN

    def admits(self, now: Instant, ip: str, *, call: bool) -> Verdict:
        """Say whether a source may ask for something new; `call` for a call, which takes one of its places too."""
        source = self.source(ip)
        pace = self._paces.get(source) or self._paces[source.kind]
        if pace == FREE:
            return "take"
        account = self._account(now, source, ip, pace)
        if self._shut(now, account):
            return "drop"
        if pace.a_second is not None:
            gained = (now - account.filled) * pace.a_second / SECOND
            account.filled, account.tokens = now, min(pace.at_once, account.tokens + gained)
            if account.tokens < 1.0:
                return "drop" if source.kind is Kind.UNKNOWN else "refuse"
            account.tokens -= 1.0
        return "refuse" if call and pace.calls is not None and account.calls >= pace.calls else "take"

    def began(self, now: Instant, ip: str) -> None:
        """Count a call from a source."""
        source = self.source(ip)
        self._account(now, source, ip, self._paces.get(source) or self._paces[source.kind]).calls += 1

    def answered(self, ip: str) -> None:
        """Take note that one of them is up: its far end has acknowledged it, which takes one that hears us."""
        account = self._accounts.get(_key(self.source(ip), ip))
        if account is not None:
            account.up += 1

    def ended(self, ip: str, *, answered: bool) -> None:
        """Stop counting one."""
        account = self._accounts.get(_key(self.source(ip), ip))
        if account is not None:
            account.calls = max(0, account.calls - 1)
            account.up = max(0, account.up - answered)

    def banned(self, now: Instant, ip: str) -> bool:
        """Say whether a source is shut out."""
        account = self._accounts.get(_key(self.source(ip), ip))
        return account is not None and self._shut(now, account)

    # What it did

    def offend(self, now: Instant, ip: str, kind: str) -> Attack | None:
        """Take note of an offence; give the attack where this makes one that has not been told."""
        offence = OFFENCES[kind]
        source = self.source(ip)
        account = self._account(now, source, ip, self._paces.get(source) or self._paces[source.kind])
        tally = account.tallies.setdefault(kind, _Tally(now))
        if now - tally.since > offence.within:
            tally.since, tally.count = now, 0
        tally.count += 1
        last = max(tally.told or 0, account.knocked or 0)
        goes_on = tally.told is not None and now - last <= SAME_ATTACK
        if tally.count < offence.times and not goes_on:
            return None
        banned = None
        if kind in BANNING and source.kind not in (Kind.LOCAL, Kind.TRUNK) and tally.count >= offence.times:
            banned = self.ban
            account.banned_until = now + banned
        tally.told = now
        return None if goes_on else Attack(kind, ip, source, tally.count, offence.within, banned)

    def _shut(self, now: Instant, account: _Account) -> bool:
        if account.banned_until is None:
            return False
        if now < account.banned_until:
            account.knocked = now
            return True
        account.banned_until = None
        return False

    def _account(self, now: Instant, source: Source, ip: str, pace: Pace) -> _Account:
        key = _key(source, ip)
        account = self._accounts.get(key)
        if account is None:
            account = self._accounts[key] = _Account(now, pace.at_once)
            if len(self._accounts) > SOURCES_LIMIT:
                self._make_room()
        else:
            self._accounts.move_to_end(key)
        return account

    def _make_room(self) -> None:
        # Whoever has a call is not forgotten: it would be counted down from nothing, and its ban forgotten with it.
        for key, account in self._accounts.items():
            if not account.calls:
                del self._accounts[key]
                return


def _key(source: Source, ip: str) -> str:
    """Give what a source is counted by: a trunk by its name, whatever address it uses; others by theirs."""
    if source.kind is Kind.TRUNK:
        return f"trunk {source.name}"
    if ":" in ip:
        try:
            address = IPv6Address(ip.partition("%")[0])
        except ValueError:
            return ip
        return str(address.ipv4_mapped or IPv6Address(int(address) >> 64 << 64))
    return ip
