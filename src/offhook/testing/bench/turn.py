"""`turn`: what we add to a turn before the brain is asked, with 200 calls in one process.

From the event that says that the caller has stopped, put in where the ear would, to `Brain.reply` being entered, with
an ear and a voice that take no time. Then the same through Pydantic AI with its FunctionModel, to the first word that
comes out of the brain, and the CPU of the whole process for each reply; beside it Pydantic AI alone, one reply at a
time.
"""

from __future__ import annotations

from dataclasses import dataclass

from offhook.testing.bench.machine import BenchFailed, Subject, cores, median, wait
from offhook.testing.bench.result import NOT_RUN, Result, percentile

CALLS = 200
ROUNDS = 3
SETTLE_S = 6.0
"""Every call has had its first turn by then."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run: the overheads, sorted, in ms, and the CPU-ms of a reply."""

    overheads_ms: list[float]
    cpu_ms_per_reply: float


def turns(mode: str, calls: int, seconds: float, seed: int) -> Run:
    """Measure one process for `seconds`."""
    core, _ = cores()
    with Subject.module("subject_turn", mode, str(calls), str(seed), core=core) as subject:
        subject.report(60)
        wait(SETTLE_S)
        subject.ask(30, flush=True)
        before = subject.cpu_ms()
        wait(seconds)
        used = subject.cpu_ms() - before
        told = subject.ask(30, done=True)
    if told["broken"]:
        raise BenchFailed(f"{told['broken']} of {calls} calls ended by themselves")
    overheads = sorted(told["overheads_ms"])
    if len(overheads) < min(calls, 50) * seconds / 10:
        raise BenchFailed(f"only {len(overheads)} turns reached the brain: the machine is too busy")
    return Run(overheads, used / len(overheads))


def run(*, seed: int = 1, calls: int | None = None, seconds: float | None = None) -> Result:
    """Run the bench; `seconds` (8) is the length of each of the nine runs."""
    calls, seconds = calls or CALLS, seconds or 8.0
    runs: dict[str, list[Run]] = {"brain": [], "function_model": [], "alone": []}
    for _ in range(ROUNDS):
        for mode, done in runs.items():
            done.append(turns(mode, calls, seconds, seed))
    straight, through, bare = runs["brain"], runs["function_model"], runs["alone"]
    figures = {
        "p50_ms": median([percentile(one.overheads_ms, 0.5) for one in straight]),
        "p99_ms": median([percentile(one.overheads_ms, 0.99) for one in straight]),
        "cpu_ms_per_reply": median([one.cpu_ms_per_reply for one in straight]),
        "turns": sum(len(one.overheads_ms) for one in straight),
        "function_model_p50_ms": median([percentile(one.overheads_ms, 0.5) for one in through]),
        "function_model_p99_ms": median([percentile(one.overheads_ms, 0.99) for one in through]),
        "function_model_cpu_ms_per_reply": median([one.cpu_ms_per_reply for one in through]),
        "function_model_turns": sum(len(one.overheads_ms) for one in through),
    }
    return Result(
        bench="turn",
        figures=figures,
        floor={
            "pydantic_ai_alone_p50_ms": median([percentile(one.overheads_ms, 0.5) for one in bare]),
            "pydantic_ai_alone_cpu_ms_per_reply": median([one.cpu_ms_per_reply for one in bare]),
        },
        peers={"pipecat": NOT_RUN},
        seed=seed,
        shape={"calls": calls, "seconds": seconds, "rounds": ROUNDS, "stt": "instant", "tts": "instant"},
    )
