"""`setup`: how long a caller waits from INVITE to 200, at 500 calls a second, while 500 calls are up and speak.

    caller ── INVITE … 200, ACK … BYE ──► user agent, legs, engine ◄══ RTP both ways, 500 calls ══ load

The caller and the load are on the other core. SIPp's server takes the same calls in turn with us, without media: it is
what a fixed script needs, the machine's own lateness included.
"""

from __future__ import annotations

from offhook.testing.bench.machine import BenchFailed, Subject, cores, median, program, wait
from offhook.testing.bench.result import NOT_RUN, Result, percentile
from offhook.testing.bench.signalling import answering
from offhook.testing.bench.tools import load, tool

LIVE = 500
RATE = 500
UP_MS = 200
ROUNDS = 3


def run(*, seed: int = 1, calls: int | None = None, seconds: float | None = None) -> Result:
    """Run the bench; `calls` replaces the 500 that are up, `seconds` (10) is the length of each run."""
    live = calls or LIVE
    length = round(seconds or 10)
    load_program = tool("load")
    sipp = program("sipp")
    waits: list[list[float]] = []
    theirs: list[list[float]] = []
    failed = 0
    for _ in range(ROUNDS):
        took, lost = _ours(load_program, live, length, seed)
        waits.append(took)
        failed += lost
        if sipp is not None:
            theirs.append(_peer(sipp, length))
    peers = {"sipp uas, no media": _figures(theirs) if theirs else NOT_RUN}
    return Result(
        bench="setup",
        figures={**_figures(waits), "failed": failed},
        peers=peers,
        seed=seed,
        shape={"live": live, "rate": RATE, "up_ms": UP_MS, "seconds": length, "rounds": ROUNDS, "transport": "udp"},
    )


def _figures(rounds: list[list[float]]) -> dict[str, float]:
    return {
        name: median([percentile(sorted(one), share) for one in rounds])
        for name, share in (("p50_ms", 0.5), ("p99_ms", 0.99), ("p999_ms", 0.999))
    }


def _ours(load_program: str, live: int, seconds: int, seed: int) -> tuple[list[float], int]:
    """Give how long each caller waited, and how many were not served."""
    ours, theirs = cores()
    with Subject.module("subject_uas", core=ours) as subject:
        port = int(subject.report(30)["port"])
        with Subject.module("subject_caller", str(port), core=theirs) as caller:
            caller.report(30)
            held = caller.ask(60, hold=live)
            if held["failed"]:
                raise BenchFailed(f"{held['failed']} of {live} calls that were to be up were not answered")
            with load(load_program, held["ports"], seconds + 4, theirs, echo=False, seed=seed) as sender:
                sender.report(30)
                sender.order(start=True)
                wait(2.0)  # latches close, threads start
                told = caller.ask(seconds + 60, call=RATE * seconds, rate=RATE, up_ms=UP_MS)
                sender.report(60)
    return told["waits_ms"], told["failed"]


def _peer(sipp: str, seconds: int) -> list[float]:
    ours, theirs = cores()
    with answering(sipp, ours) as (port, _), Subject.module("subject_caller", str(port), core=theirs) as caller:
        caller.report(30)
        wait(0.5)
        return caller.ask(seconds + 60, call=RATE * seconds, rate=RATE, up_ms=UP_MS)["waits_ms"]
