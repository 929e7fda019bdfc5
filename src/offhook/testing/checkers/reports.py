"""What must hold of RTCP: reports keep their intervals and say what was sent (RFC 3550 sections 6.2 to 6.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from offhook.core.instants import MILLISECOND, SECOND, Instant
from offhook.core.media import Address
from offhook.testing.checkers.base import Checker, is_phone
from offhook.testing.wire import Rtcp, Rtp

if TYPE_CHECKING:
    from offhook.testing.engine import VirtualEngine


@dataclass(slots=True)
class _Stream:
    """What a bystander counts of one stream, and when its last report left."""

    packets: int = 0
    octets: int = 0
    reported: Instant | None = None
    gone: bool = False


class ReportsTrue(Checker):
    """Between two reports lie 5 s times 0.5 to 1.5, over 1.21828; a sender's counts what left; a goodbye is last."""

    law = "reports come in their time and say what was sent"
    LEAST: Final = 2052 * MILLISECOND
    MOST: Final = 6157 * MILLISECOND + 60 * MILLISECOND
    """A report waits for the packet after it is due, 60 ms at most."""

    def __init__(self) -> None:
        super().__init__()
        self._streams: dict[tuple[str, int], _Stream] = {}
        self._sealed: dict[Address, None] = {}

    def verb(self, now: Instant, engine: VirtualEngine, port: int, name: str, arguments: tuple[Any, ...]) -> None:
        """Note what is SRTP: a bystander can't read its reports."""
        if name == "tunnel" or (name == "configure" and arguments[1].get("protection") is not None):
            self._sealed[engine.local(port)] = None

    def _stream(self, source: Address, ssrc: int) -> _Stream | None:
        if not is_phone(source[0]) or (source[0], source[1] - source[1] % 2) in self._sealed:
            return None
        return self._streams.setdefault((source[0], ssrc), _Stream())

    def rtp_left(self, now: Instant, source: Address, destination: Address, packet: Rtp) -> None:
        """Count a packet."""
        stream = self._stream(source, packet.ssrc)
        if stream is not None:
            stream.packets += 1
            stream.octets += len(packet.body)

    def rtcp_left(self, now: Instant, source: Address, destination: Address, report: Rtcp) -> None:
        """Hold a report against the stream."""
        stream = self._stream(source, report.ssrc)
        if stream is None:
            return
        if stream.gone:
            self.broken(now, f"{source[0]} reports after it said goodbye")
        if report.sent is not None and report.sent != (stream.packets, stream.octets):
            self.broken(now, f"{source[0]} reports {report.sent}, but {stream.packets, stream.octets} left")
        if stream.reported is not None:
            passed = now - stream.reported
            if not (0 if report.goodbye else self.LEAST) <= passed <= self.MOST:
                self.broken(now, f"{source[0]}: {passed / SECOND:.3f} s between two reports")
        stream.reported, stream.gone = now, report.goodbye
