"""`carriers`: what a call over a service's media socket costs, and how soon a hush is on the wire.

200 Twilio streams (JSON, base64, µ-law), speech both ways all the time, through signed webhooks and real sockets. The
load is on the other core. `clear_p99_ms` is from the decision to the arrival of `clear` at the other process. Pipecat,
where it is installed, has the same streams and no ear, fewer of them, so that its core is not full.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from importlib.util import find_spec

from offhook.testing.bench.load_streams import FRAME_S
from offhook.testing.bench.machine import BenchFailed, Subject, cores, median, wait
from offhook.testing.bench.result import NOT_RUN, Result, percentile

CALLS = 200
PEER_CALLS = 20
ROUNDS = 3
CLEARS = 300
SETTLE_S = 2.0


@dataclass(frozen=True, slots=True)
class Cost:
    """What so many streams cost: CPU-ms a call-second; the least share of speech that came; how late the load was."""

    cms: float
    least_share: float
    late_ms: float


def run(*, seed: int = 1, calls: int | None = None, seconds: float | None = None) -> Result:
    """Run the bench; `calls` replaces the 200, `seconds` (8) is the length of each round."""
    count, length = calls or CALLS, seconds or 8.0
    ours, theirs = cores()
    port = _free()
    with (
        Subject.module("subject_streams", str(port), core=ours) as subject,
        Subject.module("load_streams", str(port), str(seed), core=theirs) as load,
    ):
        cost = _cost(subject, load, count, length)
        load.order(run=CLEARS * 0.02 + 2)
        wait(0.5)
        decided = subject.ask(CLEARS * 0.02 + 30, clears=CLEARS, every_ms=20)
        told = load.report(CLEARS * 0.02 + 30)
    sent = count * (SETTLE_S + ROUNDS * length) / FRAME_S
    if decided["heard"] < 0.95 * sent:
        raise BenchFailed(f"only {decided['heard']} of {sent:.0f} frames were heard")
    waits = _waits(decided["decided"], told["clears"])
    peer = _pipecat(min(count, PEER_CALLS), length, seed)
    return Result(
        bench="carriers",
        figures={
            "cms_200" if count == CALLS else f"cms_{count}": cost.cms,
            "clear_p50_ms": percentile(waits, 0.5),
            "clear_p99_ms": percentile(waits, 0.99),
            "clears": len(waits),
            "least_share_of_speech": cost.least_share,
            "live": decided["live"],
            "load_late_ms": cost.late_ms,
        },
        peers={
            "pipecat": NOT_RUN if peer is None else {"cms": peer.cms, "least_share_of_speech": peer.least_share},
        },
        ratios={} if peer is None else {"of_pipecat": cost.cms / peer.cms},
        seed=seed,
        shape={"calls": count, "seconds": length, "rounds": ROUNDS, "service": "twilio", "codec": "PCMU"},
    )


def _cost(subject: Subject, load: Subject, count: int, length: float) -> Cost:
    """Open the streams and measure what they cost, the median of the rounds."""
    subject.report(60)
    load.report(30)
    load.ask(60, open=count)
    load.ask(30, run=SETTLE_S)  # buffers fill up, threads start
    costs: list[float] = []
    shares: list[float] = []
    late_ms = 0.0
    for _ in range(ROUNDS):
        before = subject.cpu_ms()
        told = load.ask(length + 30, run=length)
        costs.append((subject.cpu_ms() - before) / (count * length))
        shares.append(min(told["got_ms"]) / told["sent_ms"])
        late_ms = max(late_ms, told["late_ms"])
    return Cost(median(costs), min(shares), late_ms)


def _pipecat(count: int, length: float, seed: int) -> Cost | None:
    """Measure the peer; None where it is not installed."""
    if find_spec("pipecat") is None:
        return None
    ours, theirs = cores()
    port = _free()
    with (
        Subject.module("subject_pipecat", str(port), core=ours) as subject,
        Subject.module("load_streams", str(port), str(seed), core=theirs) as load,
    ):
        return _cost(subject, load, count, length)


def _free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def _waits(decided: list[list[float]], clears: list[list[float]]) -> list[float]:
    """Give how long each clear of each stream took, sorted, ms."""
    pairs = [
        (at, came) for ats, cames in zip(decided, clears, strict=True) for at, came in zip(ats, cames, strict=False)
    ]
    return sorted((came - at) * 1000 for at, came in pairs)
