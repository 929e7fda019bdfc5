"""What a checker is, and the watch that shows it everything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from offhook import _native as native
from offhook.core.instants import SECOND, Instant
from offhook.core.media import Address
from offhook.testing.wire import FIRST_DYNAMIC, Rtcp, Rtp, Sip, is_rtp, read_rtcp, read_rtp, read_sip

if TYPE_CHECKING:
    from offhook.testing.engine import VirtualEngine


@dataclass(frozen=True, slots=True)
class Violation:
    """A law was broken: when (virtual), which, and what was seen."""

    at: Instant
    law: str
    text: str

    def __str__(self) -> str:
        """Give it as a line."""
        return f"{self.at / SECOND:.6f} s  {self.law}: {self.text}"


AGENTS, CALLERS, PEERS, NONSENSE = "10.1.", "10.2.", "10.3.", "10.4."
"""How the addresses of a simulated world begin: agents, callers (whole phones, rude at most), rude scripts, and scripts
that don't even keep to the grammar."""


def is_agent(ip: str) -> bool:
    """Tell whether a machine is an agent's."""
    return ip.startswith(AGENTS)


def is_phone(ip: str) -> bool:
    """Tell whether a machine runs the code under test."""
    return ip.startswith((AGENTS, CALLERS))


class Checker:
    """One invariant. Its heirs override what they need and call `broken`.

    `law` is the invariant in words, as it is printed.
    """

    law: ClassVar[str] = ""

    def __init__(self) -> None:
        self.violations: list[Violation] = []

    def broken(self, now: Instant, text: str) -> None:
        """Take down a violation."""
        self.violations.append(Violation(now, self.law, text))

    def sip_left(self, now: Instant, source: Address, destination: Address, message: Sip, data: bytes) -> None:
        """See a SIP message leave."""

    def sip_arrived(self, now: Instant, source: Address, destination: Address, message: Sip, data: bytes) -> None:
        """See a SIP message arrive."""

    def rtp_left(self, now: Instant, source: Address, destination: Address, packet: Rtp) -> None:
        """See an RTP packet leave."""

    def rtcp_left(self, now: Instant, source: Address, destination: Address, report: Rtcp) -> None:
        """See an RTCP report leave."""

    def rtp_arrived(self, now: Instant, source: Address, destination: Address, packet: Rtp) -> None:
        """See a packet that is no audio (a dynamic payload: telephone-event) arrive."""

    def verb(self, now: Instant, engine: VirtualEngine, port: int, name: str, arguments: tuple[Any, ...]) -> None:
        """See a verb of an engine."""

    def event(self, now: Instant, engine: VirtualEngine, event: native.Event) -> None:
        """See an event of an engine."""

    def told(self, now: Instant, host: str, call: str, event: str, data: Mapping[str, Any]) -> None:
        """See what a host reports of a call (the lines of `--events`)."""

    def finish(self, now: Instant, remains: Mapping[str, Iterable[str]]) -> None:
        """See what is left when all calls are over and every linger has passed."""


class Watch:
    """Shows everything to every checker, parsing each datagram once. A Watcher of the journal, an engine's Observer."""

    def __init__(self, checkers: Iterable[Checker]) -> None:
        self.checkers = list(checkers)
        self._calls_of: dict[str, list[Any]] = {
            name: [
                getattr(checker, name) for checker in self.checkers if getattr(type(checker), name) is not _base(name)
            ]
            for name in (
                "sip_left",
                "sip_arrived",
                "rtp_left",
                "rtcp_left",
                "rtp_arrived",
                "verb",
                "event",
                "told",
                "finish",
            )
        }
        self._rtp_left = self._calls_of["rtp_left"]
        self._rtp_arrived = self._calls_of["rtp_arrived"]

    @property
    def violations(self) -> list[Violation]:
        """All violations, in the order in which they happened."""
        return sorted((one for checker in self.checkers for one in checker.violations), key=lambda one: one.at)

    def left(self, now: Instant, source: Address, destination: Address, data: bytes) -> None:
        """See a datagram leave."""
        packet = read_rtp(data)
        if packet is not None:
            for call in self._rtp_left:
                call(now, source, destination, packet)
            return
        report = read_rtcp(data)
        if report is not None:
            for call in self._calls_of["rtcp_left"]:
                call(now, source, destination, report)
            return
        message = read_sip(data)
        if message is not None:
            for call in self._calls_of["sip_left"]:
                call(now, source, destination, message, data)

    def arrived(self, now: Instant, source: Address, destination: Address, data: bytes) -> None:
        """See a datagram arrive."""
        if is_rtp(data):
            if data[1] & 0x7F >= FIRST_DYNAMIC and (packet := read_rtp(data)) is not None:
                for call in self._rtp_arrived:
                    call(now, source, destination, packet)
            return
        message = read_sip(data)
        if message is not None:
            for call in self._calls_of["sip_arrived"]:
                call(now, source, destination, message, data)

    def verb(self, now: Instant, engine: VirtualEngine, port: int, name: str, arguments: tuple[Any, ...]) -> None:
        """See a verb of an engine."""
        for call in self._calls_of["verb"]:
            call(now, engine, port, name, arguments)

    def event(self, now: Instant, engine: VirtualEngine, event: native.Event) -> None:
        """See an event of an engine."""
        for call in self._calls_of["event"]:
            call(now, engine, event)

    def told(self, now: Instant, host: str, call_id: str, event: str, data: Mapping[str, Any]) -> None:
        """See what a host reports."""
        for call in self._calls_of["told"]:
            call(now, host, call_id, event, data)

    def finish(self, now: Instant, remains: Mapping[str, Iterable[str]]) -> None:
        """See what is left."""
        for call in self._calls_of["finish"]:
            call(now, remains)


def _base(name: str) -> Any:
    return getattr(Checker, name)
