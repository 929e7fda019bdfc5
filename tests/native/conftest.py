"""A Port in virtual time, with the far end at hand."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest

from offhook import _native as native

MS = 1_000_000
FAR = ("192.0.2.1", 4000)
E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class Rtp:
    """A packet as it is on the wire, without extensions."""

    marker: bool
    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes

    @staticmethod
    def parse(data: bytes) -> Rtp:
        first, second, sequence, timestamp, ssrc = struct.unpack_from("!BBHII", data)
        assert first == 0x80
        return Rtp(second >= 128, second & 127, sequence, timestamp, ssrc, data[12:])

    def __bytes__(self) -> bytes:
        second = self.marker << 7 | self.payload_type
        return struct.pack("!BBHII", 0x80, second, self.sequence, self.timestamp, self.ssrc) + self.payload


@dataclass(slots=True)
class Rig:
    """A Port that is ticked when it asks to be; `send` is the far end's mouth, `heard` its ear."""

    port: native.Port
    now: int = 1000 * MS
    sequence: int = 100
    timestamp: int = 5000
    ssrc: int = 0xFA2
    told: list[native.Event] = field(default_factory=list)
    sent: list[tuple[int, Rtp]] = field(default_factory=list)
    reports: list[tuple[bytes, tuple[str, int], bool]] = field(default_factory=list)

    def configure(self, generation: int = 1, **changes: object) -> None:
        plan: dict[str, object] = {
            "remote": FAR,
            "remote_rtcp": (FAR[0], FAR[1] + 1),
            "send": (0, "PCMU"),
            "receive": ((0, "PCMU"), (8, "PCMA")),
            "dtmf_send": 101,
            "dtmf_receive": 101,
            "noise_receive": 13,
        }
        self.port.configure(self.now, generation, **(plan | changes))  # type: ignore[arg-type]

    def collect(self) -> None:
        self.told += self.port.events()
        for data, to, rtcp in self.port.packets():
            if 200 <= data[1] <= 204:
                self.reports.append((data, to, rtcp))
            else:
                self.sent.append((self.now, Rtp.parse(data)))

    def run(self, ms: float) -> None:
        """Let time pass, ticking at each deadline."""
        until = self.now + round(ms * MS)
        while (due := self.port.deadline()) is not None and due <= until:
            self.now = max(self.now, due)
            self.port.tick(self.now)
            self.collect()
        self.now = until

    def give(self, packet: Rtp | bytes, source: tuple[str, int] = FAR, rtcp: bool = False) -> None:
        self.port.datagram(self.now, bytes(packet), source, rtcp)
        self.collect()

    def next(self, payload: bytes, payload_type: int = 0, *, step: int | None = None, marker: bool = False) -> Rtp:
        """Make the far end's next packet; its clock goes on by `step` samples (the payload's own length)."""
        packet = Rtp(marker, payload_type, self.sequence, self.timestamp, self.ssrc, payload)
        self.sequence = (self.sequence + 1) & 0xFFFF
        self.timestamp = (self.timestamp + (len(payload) if step is None else step)) & 0xFFFFFFFF
        return packet

    def speak(self, pcm: bytes) -> None:
        """Send µ-law in packets of 20 ms, in real time."""
        for at in range(0, len(pcm), 320):
            self.run(20)
            self.give(self.next(native.encode("PCMU", pcm[at : at + 320])))

    def events(self, kind: type[E]) -> list[E]:
        told: list[Any] = self.told  # type: ignore[assignment]
        return [event for event in told if isinstance(event, kind)]

    def heard(self) -> bytes:
        return b"".join(event.pcm for event in self.events(native.Heard))

    def add_up(self) -> dict[str, int]:
        """Give the counters, having checked that every datagram is in exactly one of them."""
        counters = self.port.counters()
        ended = [value for name, value in counters.items() if name.startswith(("received_", "dropped_"))]
        assert sum(ended) == counters["given"]
        return counters


def tone(ms: int, hz: float = 440, level: float = 8000, rate: int = 8000) -> bytes:
    """Make a plain tone."""
    count = ms * rate // 1000
    return struct.pack(f"<{count}h", *(round(level * math.sin(math.tau * hz * n / rate)) for n in range(count)))


def voice(ms: int, level: float = 9000) -> bytes:
    """Make something with a pitch, harmonics and syllables, which the gate takes for speech."""
    samples: list[int] = []
    for n in range(ms * 8):
        t = n / 8000
        buzz = sum(math.sin(math.tau * 130 * k * t) / k for k in range(1, 15))
        samples.append(round(level / 3 * buzz * (0.6 + 0.4 * math.sin(math.tau * 4 * t))))
    return struct.pack(f"<{len(samples)}h", *samples)


@pytest.fixture
def rig() -> Rig:
    """Give a configured Port that listens to all."""
    rig = Rig(native.Port(ssrc=0x0FF, sequence=65533, timestamp=0xFFFFFF00, cname="us"))
    rig.configure()
    rig.port.listen("all")
    return rig


@pytest.fixture
def make_rig() -> Callable[..., Rig]:
    """Give the maker of Ports that nothing was said to yet."""

    def make(ssrc: int = 0x0FF, number: int = 0) -> Rig:
        return Rig(native.Port(ssrc=ssrc, sequence=1, timestamp=1000, number=number, cname="us"))

    return make


@pytest.fixture
def rtp() -> type[Rtp]:
    """Give the packet class."""
    return Rtp


@pytest.fixture
def sounds() -> tuple[Callable[..., bytes], Callable[..., bytes]]:
    """Give `tone` and `voice`."""
    return tone, voice


@pytest.fixture
def engine() -> Iterator[native.Engine]:
    """Give an Engine on ports that no other test uses at the time, and stop it afterwards."""
    engine = native.Engine(first_port=21000, last_port=27999)
    yield engine
    engine.shutdown()
