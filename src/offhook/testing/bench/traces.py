"""Four networks, each a seed: when every 20 ms packet of a 300 s stream arrives, or that it never does.

    lan     1 ms of path; a gamma of 1.5 ms; now and then a busy host holds everything for 5 to 15 ms
    wan    35 ms of path; a queue that follows its load (first-order autoregression) and long-tailed cross traffic
    wifi    5 ms of path; every 3 s or so the channel is taken for 40 to 150 ms and what waited leaves in one burst
    lte    60 ms of path; a slow drift of ±15 ms, a scheduler of up to 10 ms, and handovers that first stop, then shift

Every trace is first-in first-out, as one path is, and loses 1 % of its packets in bursts of 1.2 on average (Gilbert).
The models are ours and made to have the delay spread of their names, not recordings.

What is said over them is a conversation's one side: spurts of 2 s and pauses of 1.6 s on average (exponential, none
shorter than 200 ms), in the proportions that ITU-T P.59 found, with packets all the time.
"""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from offhook.core.instants import MILLISECOND, SECOND

PTIME = 20 * MILLISECOND
LOSS, BURST = 0.01, 1.2


@dataclass(frozen=True, slots=True)
class Trace:
    """`arrivals[n]` is when packet n, sent at n × 20 ms, arrives, in nanoseconds; None if it is lost."""

    name: str
    arrivals: tuple[int | None, ...]

    def bytes(self) -> bytes:
        """Give the trace as bytes, for its hash."""
        return b"".join((-1 if at is None else at).to_bytes(8, "big", signed=True) for at in self.arrivals)


def _lan(rng: random.Random, packets: int) -> Sequence[float]:
    delays = [1.0 + rng.gammavariate(1.5, 1.0) for _ in range(packets)]
    for start in _poisson(rng, packets * 0.02, 2.0):
        _hold(delays, start, rng.uniform(5.0, 15.0))
    return delays


def _wan(rng: random.Random, packets: int) -> Sequence[float]:
    delays: list[float] = []
    queue = 0.0
    for _ in range(packets):
        queue = 0.96 * queue + rng.gauss(0.0, 1.4)
        cross = rng.lognormvariate(2.0, 0.8) if rng.random() < 0.08 else 0.0
        delays.append(35.0 + max(0.0, 6.0 + queue) + cross)
    return delays


def _wifi(rng: random.Random, packets: int) -> Sequence[float]:
    delays = [5.0 + rng.gammavariate(1.2, 1.5) for _ in range(packets)]
    for start in _poisson(rng, packets * 0.02, 3.0):
        _hold(delays, start, rng.uniform(40.0, 150.0))
    return delays


def _lte(rng: random.Random, packets: int) -> Sequence[float]:
    phase, step = rng.uniform(0.0, math.tau), 0.0
    delays = [0.0] * packets
    handovers = {round(at / 0.02) for at in _poisson(rng, packets * 0.02, 30.0)}
    for number in range(packets):
        if number in handovers:
            step = rng.uniform(0.0, 60.0)
        drift = 15.0 * math.sin(phase + math.tau * number * 0.02 / 40.0)
        delays[number] = 60.0 + drift + step + rng.uniform(0.0, 10.0)
    for number in sorted(handovers):
        _hold(delays, number * 0.02, rng.uniform(60.0, 120.0))
    return delays


def _poisson(rng: random.Random, seconds: float, every_s: float) -> list[float]:
    at, found = rng.expovariate(1 / every_s), list[float]()
    while at < seconds:
        found.append(at)
        at += rng.expovariate(1 / every_s)
    return found


def _hold(delays: list[float], start_s: float, hold_ms: float) -> None:
    """Keep all that is sent within `hold_ms` of `start_s` until its end; then it leaves at once."""
    first = math.ceil(start_s / 0.02)
    for number in range(first, min(len(delays), first + math.ceil(hold_ms / 20.0))):
        waited = start_s * 1000 + hold_ms - number * 20.0
        delays[number] = max(delays[number], delays[number] + waited)


_NETWORKS: dict[str, Callable[[random.Random, int], Sequence[float]]] = {
    "lan": _lan,
    "wan": _wan,
    "wifi": _wifi,
    "lte": _lte,
}
NAMES: tuple[str, ...] = tuple(_NETWORKS)


def trace(name: str, seed: int, seconds: int = 300) -> Trace:
    """Make the trace of one network. The same name, seed and length give the same trace anywhere."""
    packets = seconds * SECOND // PTIME
    rng = random.Random(f"{name} {seed}")  # a string seed is hashed with SHA-512, whatever PYTHONHASHSEED says
    lost = losses(rng, packets)
    latest = 0
    arrivals: list[int | None] = []
    for number, delay_ms in enumerate(_NETWORKS[name](rng, packets)):
        latest = max(latest, number * PTIME + round(delay_ms * MILLISECOND))
        arrivals.append(None if lost[number] else latest)
    return Trace(name, tuple(arrivals))


def losses(rng: random.Random, packets: int, share: float = LOSS, burst: float = BURST) -> list[bool]:
    """Lose `share` of the packets in bursts of `burst` on average (Gilbert's two states)."""
    leave = 1 / burst
    enter = leave * share / (1 - share)
    lost, found = False, list[bool]()
    for _ in range(packets):
        lost = rng.random() < (1 - leave if lost else enter)
        found.append(lost)
    return found


def talk(seed: int, packets: int) -> list[bool]:
    """Say which packets of one side of a conversation carry speech."""
    rng = random.Random(f"talk {seed}")
    found: list[bool] = []
    while len(found) < packets:
        for speaks, mean_s in ((True, 2.0), (False, 1.6)):
            found += [speaks] * max(10, round(rng.expovariate(1 / mean_s) * SECOND / PTIME))
    return found[:packets]


def voice(seed: int, packets: int) -> list[bytes]:
    """Make 20 ms pieces of something like speech, 16-bit PCM at 8 kHz.

    Syllables of six harmonics with a gliding pitch of 95 to 190 Hz, between them closures and hisses of 30 to 100 ms.
    """
    rng = random.Random(f"voice {seed}")
    samples: list[int] = []
    phase = 0.0
    while len(samples) < packets * 160:
        pitch_hz, glide_hz = rng.uniform(95, 190), rng.uniform(-40, 40)
        levels = [rng.uniform(0.3, 1.0) / harmonic**0.8 for harmonic in range(1, 7)]
        length = round(rng.uniform(0.08, 0.25) * 8000)
        for at in range(length):
            phase += math.tau * (pitch_hz + glide_hz * at / length) / 8000
            swell = min(1.0, at / 160, (length - at) / 240)
            voiced = sum(level * math.sin(phase * harmonic) for harmonic, level in enumerate(levels, 1))
            samples.append(round(3000 * swell * voiced))
        loud = rng.choice((30, 30, 800, 1500))
        samples += [round(rng.gauss(0, loud)) for _ in range(round(rng.uniform(0.03, 0.1) * 8000))]
    pieces = (samples[at : at + 160] for at in range(0, packets * 160, 160))
    return [struct.pack("<160h", *(max(-32768, min(32767, sample)) for sample in piece)) for piece in pieces]
