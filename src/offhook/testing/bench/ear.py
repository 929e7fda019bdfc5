"""`ear`: how much later than the network a packet's audio reaches speech recognition.

Four traces with 1 % loss go through the native `Port` in virtual time, datagram by datagram, so the figures are exact
and the same on every machine. Each packet carries its number in its own samples; the number is read back from what
the ear gives, so what is measured is this packet's audio and not merely some audio. Beside it stands the smallest
fixed buffer that makes at most 1 % of the same packets late.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from offhook import _native as native
from offhook.core.instants import MILLISECOND
from offhook.testing.bench.budgets import Figure
from offhook.testing.bench.result import Result, digest, percentile
from offhook.testing.bench.traces import NAMES, PTIME, Trace, trace

_FAR = ("192.0.2.1", 4000)
_PLUS, _MINUS = 0x80 + 0x10, 0x10  # µ-law codes of one loud sample and of its opposite
_BITS, _REPEAT = 16, 5
_FIRST_SEQUENCE = 65_000  # so that every trace wraps the sequence number


@dataclass(frozen=True, slots=True)
class Listening:
    """What one trace came to: the delay added to each packet heard, and the packets that came but were not heard."""

    delays_ms: list[float]
    dropped: int


def payload(number: int) -> bytes:
    """Give 20 ms of µ-law that says `number` (16 bits) in the signs of its last 80 samples."""
    bits = b"".join(bytes([_PLUS if number >> bit & 1 else _MINUS]) * _REPEAT for bit in range(_BITS))
    return b"\xff" * (160 - len(bits)) + bits


def number_in(pcm: bytes) -> int:
    """Read the number back from 20 ms of decoded audio."""
    samples = struct.unpack("<160h", pcm)[160 - _BITS * _REPEAT :]
    middles = samples[_REPEAT // 2 :: _REPEAT]
    return sum(1 << bit for bit, sample in enumerate(middles) if sample > 0)


def listen(network: Trace) -> Listening:
    """Play one trace into a `Port` and note when each packet's audio comes out."""
    port = native.Port(ssrc=1, sequence=0, timestamp=0)
    port.configure(0, 1, remote=_FAR, remote_rtcp=None, send=(0, "PCMU"), receive=((0, "PCMU"),), sending=False)
    port.listen("all")
    came = {number: at for number, at in enumerate(network.arrivals) if at is not None}
    delays: dict[int, float] = {}

    def note(now: int) -> None:
        port.packets()
        for event in port.events():
            if isinstance(event, native.Heard) and not event.concealed:
                for start in range(0, len(event.pcm), 320):
                    number = number_in(event.pcm[start : start + 320])
                    delays[number] = (now - came[number]) / MILLISECOND

    def expire(until: int) -> None:
        while (due := port.deadline()) is not None and due <= until:
            port.tick(due)
            note(due)

    for number, at in came.items():
        expire(at - 1)
        header = struct.pack("!BBHII", 0x80, 0, (_FIRST_SEQUENCE + number) & 0xFFFF, number * 160, 0xCA11E4)
        port.datagram(at, header + payload(number), _FAR)
        note(at)
    expire(max(came.values()) + 2 * PTIME)
    return Listening(sorted(delays.values()), len(came) - len(delays))


def fixed_buffer(network: Trace, late: float = 0.01) -> float:
    """Give the mean delay, in ms, that the smallest fixed buffer adds that makes at most `late` of them late."""
    transits = sorted(
        (at - number * PTIME) / MILLISECOND for number, at in enumerate(network.arrivals) if at is not None
    )
    play = percentile(transits, 1 - late)
    waits = [play - transit for transit in transits if transit <= play]
    return sum(waits) / len(waits)


def run(*, seed: int = 1, calls: int | None = None, seconds: float | None = None) -> Result:
    """Run the bench over traces of `seconds` (300); there is always one call a trace."""
    del calls
    seconds = round(seconds or 300)
    networks = [trace(name, seed, seconds) for name in NAMES]
    figures: dict[str, Figure] = {}
    fixed: dict[str, Figure] = {}
    for network in networks:
        heard = listen(network)
        figures[f"{network.name}_p50_ms"] = percentile(heard.delays_ms, 0.5)
        figures[f"{network.name}_mean_ms"] = sum(heard.delays_ms) / len(heard.delays_ms)
        figures[f"{network.name}_p99_ms"] = percentile(heard.delays_ms, 0.99)
        figures[f"{network.name}_dropped"] = heard.dropped
        fixed[f"{network.name}_mean_ms"] = fixed_buffer(network)
    return Result(
        bench="ear",
        figures=figures,
        floor={f"{name}_mean_ms": 0.0 for name in NAMES},
        peers={"best fixed buffer at 1 % late": fixed},
        seed=seed,
        corpus=digest(*(network.bytes() for network in networks)),
        shape={"traces": list(NAMES), "seconds": seconds, "ptime_ms": 20, "loss": 0.01, "clock": "virtual"},
    )
