"""`pacing`: how late our packets leave, by the kernel's timestamps, taken in another process.

    Python ── speech, piece by piece, into 2 s queues ──► engine ══ RTP ══► load: SO_TIMESTAMPNS against each deadline
       └─ blocked for 200 ms of every second, or not              and, in the same process, a bare sleeper

Four kinds of run, in turn, three times each: 500 calls; 500 and 100 calls while Python is held by a busy loop with a
switch interval of one second; 500 calls while 20 more are set up every second, each of them up for a second. The bare
sleeper of the same run says what the machine itself would have cost: what is asked is to be no more than 2 ms later
than that. A run in which Python was not blocked, set up too few calls, or did not hand on the speech that left, is no
run.
"""

from __future__ import annotations

from dataclasses import dataclass

from offhook.testing.bench.budgets import Figure
from offhook.testing.bench.machine import BenchFailed, Subject, median, wait
from offhook.testing.bench.result import Result
from offhook.testing.bench.tools import load, tool

ROUNDS = 3
MANY, FEW = 500, 100
BLOCK_MS, EVERY_MS = 200, 1000
SET_UP_MS, UP_MS = 50, 1000
"""20 calls are set up a second, and are up for one."""
SLOT_US = 2000
"""The engine's departures are due at multiples of this on the monotonic clock."""
QUEUE_S = 2
"""A play queue that was full and ran empty would have lent so much speech."""


@dataclass(frozen=True, slots=True)
class Run:
    """Lateness of departures and of the bare sleeper in one run, ms; and what sounded wrong."""

    p99: float
    p999: float
    sleeper_p99: float
    sleeper_p999: float
    underruns: int
    departures: int
    blocks: int
    set_ups: int


@dataclass(frozen=True, slots=True)
class Kind:
    """What a run is: how many calls, and what happens meanwhile."""

    calls: int
    blocked: bool = False
    churns: bool = False


def stream(load_program: str, kind: Kind, seconds: int, seed: int) -> Run:
    """Stream speech on all calls for `seconds`."""
    calls = kind.calls
    with Subject.module("subject_media", "stream", "--seed", str(seed)) as subject:
        subject.report(60)
        ports = subject.ask(30, open=calls)["ports"]
        with load(load_program, ports, seconds, None, echo=False, seed=seed, grid_us=SLOT_US) as sender:
            remotes = sender.report(30)["ports"]
            subject.ask(60, connect=remotes)
            wait(1.0)  # every queue is full and every stream on its grid
            before = subject.ask(10, counters=True)
            sender.order(start=True)
            if kind.churns:
                subject.ask(10, churn={"every_ms": SET_UP_MS, "up_ms": UP_MS})
            if kind.blocked:
                subject.ask(10, block={"ms": BLOCK_MS, "every_ms": EVERY_MS})
            told = sender.report(seconds + 60)
        after = subject.ask(30, counters=True)
    blocks, set_ups = (after[what] - before[what] for what in ("blocks", "set_ups"))
    if kind.blocked and blocks * (BLOCK_MS + EVERY_MS) < seconds * 900:
        raise BenchFailed(f"Python was blocked {blocks} times in {seconds} s")
    if kind.churns and set_ups * SET_UP_MS < seconds * 900:
        raise BenchFailed(f"{set_ups} calls were set up in {seconds} s")
    handed_on = after["handed_on"] - before["handed_on"]
    if handed_on < calls * (seconds - QUEUE_S) * 8000:
        raise BenchFailed(f"Python handed on {handed_on / calls / 8000:.1f} s of speech a call in {seconds} s")
    late, sleeper = told["lateness_us"], told["sleeper_us"]
    return Run(
        late["p99"] / 1000,
        late["p999"] / 1000,
        sleeper["p99"] / 1000,
        sleeper["p999"] / 1000,
        after["counters"]["underruns"] - before["counters"]["underruns"] + told["gaps"]["silent_frames"],
        late["count"],
        blocks,
        set_ups,
    )


def run(*, seed: int = 1, calls: int | None = None, seconds: float | None = None) -> Result:
    """Run the bench; `calls` replaces the 500, `seconds` (20) is the length of each run."""
    load_program = tool("load")
    many, length = calls or MANY, round(seconds or 20)
    kinds = {
        "": Kind(many),
        "blocked_": Kind(many, blocked=True),
        "few_blocked_": Kind(FEW, blocked=True),
        "churn_": Kind(many, churns=True),
    }
    runs: dict[str, list[Run]] = {name: [] for name in kinds}
    for _ in range(ROUNDS):
        for name, kind in kinds.items():
            runs[name].append(stream(load_program, kind, length, seed))
    figures: dict[str, Figure] = {}
    floors: dict[str, Figure | str] = {}
    for name, done in runs.items():
        figures[f"{name}p99_ms"] = median([one.p99 for one in done])
        figures[f"{name}p999_ms"] = median([one.p999 for one in done])
        figures[f"{name}p99_over_sleeper_ms"] = median([one.p99 - one.sleeper_p99 for one in done])
        figures[f"{name}p999_over_sleeper_ms"] = median([one.p999 - one.sleeper_p999 for one in done])
        figures[f"{name}worst_p999_over_sleeper_ms"] = max(one.p999 - one.sleeper_p999 for one in done)
        figures[f"{name}underruns"] = sum(one.underruns for one in done)
        figures[f"{name}departures"] = sum(one.departures for one in done)
        floors[f"{name}sleeper_p99_ms"] = median([one.sleeper_p99 for one in done])
        floors[f"{name}sleeper_p999_ms"] = median([one.sleeper_p999 for one in done])
    figures["blocked_times"] = sum(one.blocks for one in runs["blocked_"])
    figures["churn_set_ups"] = sum(one.set_ups for one in runs["churn_"])
    return Result(
        bench="pacing",
        figures=figures,
        floor=floors,
        seed=seed,
        shape={
            "calls": [kind.calls for kind in kinds.values()],
            "seconds": length,
            "rounds": ROUNDS,
            "blocked_ms": BLOCK_MS,
            "every_ms": EVERY_MS,
            "switch_interval_s": 1,
            "set_up_every_ms": SET_UP_MS,
            "set_up_lasts_ms": UP_MS,
        },
    )
