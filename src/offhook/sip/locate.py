"""Finding the way to a URI (RFC 3263, RFC 2782, RFC 7118 section 5.1): pure, with what the name service said as input.

    uri ─► locate(answers) ─► questions ─► the name service ─► answers … ─► ways, best first

    NAPTR  which transports, in whose order        SRV  which hosts and ports, by priority and weight        A, AAAA

`locate` is asked anew with all answers so far, until it asks nothing more: three rounds at most, since what is needed
where there is no NAPTR is asked beside it. What it gives is the whole list that section 4.3 goes through when a way
fails. Laws: a `sips` URI never gets a way without TLS (RFC 3261 section 26.2.2); no answer, however large, makes more
questions or ways than the limits say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import TYPE_CHECKING, Final, Literal

from offhook.core.errors import NotAllowed
from offhook.sip.grammar import is_address
from offhook.sip.uri import Uri

if TYPE_CHECKING:
    import random

Kind = Literal["NAPTR", "SRV", "A", "AAAA"]

PORTS: Final = {"udp": 5060, "tcp": 5060, "tls": 5061, "ws": 80, "wss": 443}
"""The default port of each transport that we speak (RFC 3261 section 19.1.2, RFC 7118 section 5.1)."""

SECURE: Final = frozenset({"tls", "wss"})
"""The transports that a `sips` URI may take."""

RECORDS_LIMIT: Final = 16
"""Records of one answer that are looked at: more than any trunk has hosts."""

QUESTIONS_LIMIT: Final = 32
"""Questions of one round: both families of as many hosts."""

WAYS_LIMIT: Final = 16
"""Ways that are given: a call gives up long before it has tried so many."""

_SERVICES: Final = {
    "SIP+D2U": "udp",
    "SIP+D2T": "tcp",
    "SIPS+D2T": "tls",
    "SIP+D2W": "ws",
    "SIPS+D2W": "wss",
}
_SRV: Final = {"udp": "_sip._udp", "tcp": "_sip._tcp", "tls": "_sips._tcp"}
_SECURED: Final = {"udp": "tls", "tcp": "tls", "tls": "tls", "ws": "wss", "wss": "wss"}


@dataclass(frozen=True, slots=True)
class Naptr:
    """A NAPTR record (RFC 3403): `service` like `SIP+D2U`, `replacement` the name to ask SRV of."""

    order: int
    preference: int
    flags: str
    service: str
    replacement: str


@dataclass(frozen=True, slots=True)
class Srv:
    """An SRV record (RFC 2782). `target` "" or "." says that there is no such service."""

    priority: int
    weight: int
    port: int
    target: str


@dataclass(frozen=True, slots=True)
class Host:
    """An A or AAAA record."""

    ip: str


Record = Naptr | Srv | Host


@dataclass(frozen=True, slots=True)
class Question:
    """One question to the name service."""

    kind: Kind
    name: str


Answers = Mapping[Question, tuple[Record, ...]]
"""What was answered; an empty tuple where there is no such record, or no answer came."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to try. `name` is the host that was asked for: what a certificate must be for (RFC 5922 section 4)."""

    transport: str
    ip: str
    port: int
    name: str


@dataclass(frozen=True, slots=True)
class Able:
    """What can be used here: transports, and families of addresses (4, 6) in the order of preference."""

    transports: tuple[str, ...] = ("udp", "tcp")
    families: tuple[int, ...] = (4,)


def locate(uri: Uri, answers: Answers, able: Able, rng: random.Random) -> tuple[tuple[Question, ...], tuple[Way, ...]]:
    """Give the questions that are still to be answered and, once there is none, the ways to `uri`, best first.

    No question and no way: the name is not known. `rng` chooses among SRV records of one priority by their weights.
    NotAllowed where the URI asks for a transport that can't be used here.
    """
    asked: dict[Question, None] = {}

    def look(kind: Kind, name: str) -> tuple[Record, ...]:
        question = Question(kind, name.rstrip(".").lower())
        if question not in answers:
            asked[question] = None
            return ()
        return answers[question][:RECORDS_LIMIT]

    ways = tuple(dict.fromkeys(_ways(uri, look, able, rng)))
    return (tuple(asked)[:QUESTIONS_LIMIT], ()) if asked else ((), ways[:WAYS_LIMIT])


_Look = Callable[[Kind, str], tuple[Record, ...]]


def _ways(uri: Uri, look: _Look, able: Able, rng: random.Random) -> Iterator[Way]:
    secure = uri.scheme == "sips"
    named = wanted_transport(uri)
    chosen = named or ("tls" if secure else "udp")
    usable = [one for one in able.transports if not secure or one in SECURE]
    target = uri.param("maddr") or uri.host
    # Section 4.1: who gives an address, a port or a transport has chosen.
    decided = is_address(target) or uri.port is not None
    if (named or decided or not usable) and chosen not in usable:
        raise NotAllowed(f"{uri}: {chosen} can't be used here, only {', '.join(usable) or 'nothing'}")
    if decided:
        yield from _hosts([(chosen, target, uri.port or PORTS[chosen])], uri.host, look, able)
        return
    hosts: list[tuple[str, str, int]] = []
    for transport, name in _services(target, named, usable, look):
        records = [one for one in look("SRV", name) if isinstance(one, Srv)]
        hosts += [(transport, one.target, one.port) for one in _ordered(records, rng) if one.target.rstrip(".")]
    # Section 4.2: where there is no SRV record at all, the name itself at the default port.
    if not hosts and chosen in usable:
        hosts = [(chosen, target, PORTS[chosen])]
    yield from _hosts(hosts, uri.host, look, able)


def wanted_transport(uri: Uri) -> str:
    """Give the transport that a URI names, "" where it leaves the choice. `sips` turns each into its secure one."""
    named = (uri.param("transport") or "").lower()
    if uri.scheme == "sips" and named:
        return _SECURED.get(named, named)
    return named


def _services(target: str, named: str, usable: list[str], look: _Look) -> Iterator[tuple[str, str]]:
    """Give the transports to try, with the name whose SRV records say where (section 4.1)."""
    if not named:
        found = sorted(
            [one for one in look("NAPTR", target) if isinstance(one, Naptr) and _leads_on(one, usable)],
            key=lambda one: (one.order, one.preference),
        )
        if found:
            yield from [(_SERVICES[one.service.upper()], one.replacement) for one in found]
            return
    for transport in [named] if named else usable:
        if transport in _SRV:
            yield transport, f"{_SRV[transport]}.{target}"


def _leads_on(record: Naptr, usable: list[str]) -> bool:
    service = _SERVICES.get(record.service.upper())
    return record.flags.lower() == "s" and service in usable and bool(record.replacement.rstrip("."))


def _ordered(records: list[Srv], rng: random.Random) -> Iterator[Srv]:
    """Order SRV records: lower priorities first, within one by chance in proportion to the weights (RFC 2782)."""
    for _, group in groupby(sorted(records, key=lambda one: one.priority), key=lambda one: one.priority):
        # Those of no weight stand first, so that they are seldom, but not never, chosen.
        waiting = sorted(group, key=lambda one: one.weight > 0)
        while waiting:
            drawn = rng.randint(0, sum(one.weight for one in waiting))
            passed = accumulate(one.weight for one in waiting)
            yield waiting.pop(next(index for index, sum_so_far in enumerate(passed) if sum_so_far >= drawn))


def _hosts(hosts: list[tuple[str, str, int]], name: str, look: _Look, able: Able) -> Iterator[Way]:
    """Give every address of every host, in order."""
    for transport, host, port in hosts[:WAYS_LIMIT]:
        if is_address(host):
            if (6 if ":" in host else 4) in able.families:
                yield Way(transport, host, port, name)
            continue
        for family in able.families:
            for one in look("AAAA" if family == 6 else "A", host):
                if isinstance(one, Host) and is_address(one.ip):
                    yield Way(transport, one.ip, port, name)
