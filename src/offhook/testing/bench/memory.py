"""`memory`: how much resident memory one more call takes, fitted over 50, 250 and 500 live calls.

Twice: media alone (an engine port with its play queue full, heard by Python, RTP and RTCP flowing), and a whole session
behind it (signalling, leg, call, conversation), called over SIP by a process that holds its calls. RSS is the kernel's
(`smaps_rollup`); sockets' buffers in the kernel are not in it, on either side of any comparison.
"""

from __future__ import annotations

from collections.abc import Sequence

from offhook.testing.bench.machine import BenchFailed, Subject, wait
from offhook.testing.bench.result import Result
from offhook.testing.bench.tools import load, tool

SIZES = (50, 250, 500)
SETTLE_S = 4.0
"""Greetings are over by then, and every buffer has been used."""


def slope(points: Sequence[tuple[int, int]]) -> float:
    """Give the least-squares slope of memory over calls."""
    calls = [size for size, _ in points]
    memory = [kib for _, kib in points]
    mean_calls, mean_memory = sum(calls) / len(calls), sum(memory) / len(memory)
    above = sum((size - mean_calls) * (kib - mean_memory) for size, kib in points)
    return above / sum((size - mean_calls) ** 2 for size in calls)


def media_only(load_program: str, seed: int) -> list[tuple[int, int]]:
    """Give (calls, KiB) for engine ports that hear, with their play queues full."""
    points: list[tuple[int, int]] = []
    loads: list[Subject] = []
    with Subject.module("subject_media", "stream", "--seed", str(seed)) as subject:
        subject.report(30)
        try:
            for before, size in zip((0, *SIZES), SIZES, strict=False):
                ports = subject.ask(30, open=size - before)["ports"]
                sender = load(load_program, ports, round(SETTLE_S) + 60, None, echo=False, seed=seed)
                loads.append(sender)
                subject.ask(30, connect=sender.report(30)["ports"])
                sender.order(start=True)
                wait(SETTLE_S)
                subject.ask(30, counters=True)
                points.append((size, subject.rss_kib()))
        finally:
            for sender in loads:
                sender.close()
    return points


def with_session() -> list[tuple[int, int]]:
    """Give (calls, KiB) for whole sessions."""
    points: list[tuple[int, int]] = []
    with Subject.module("subject_session", "host") as host, Subject.module("subject_session", "callers") as callers:
        port = host.report(60)["port"]
        callers.report(60)
        for before, size in zip((0, *SIZES), SIZES, strict=False):
            up = callers.ask(60, call=size - before, to=port)["up"]
            wait(SETTLE_S)
            live = host.ask(60, count=True)["live"]
            if up != size or live != size:
                raise BenchFailed(f"{live} calls are up instead of {size}")
            points.append((size, host.rss_kib()))
    return points


def run(*, seed: int = 1, calls: int | None = None, seconds: float | None = None) -> Result:
    """Run the bench; the sizes are fixed."""
    del calls, seconds
    media, session = media_only(tool("load"), seed), with_session()
    return Result(
        bench="memory",
        figures={
            "media_kib_per_call": slope(media),
            "session_kib_per_call": slope(session),
            **{f"media_rss_kib_{size}": kib for size, kib in media},
            **{f"session_rss_kib_{size}": kib for size, kib in session},
        },
        seed=seed,
        shape={"calls": list(SIZES), "codec": "PCMU", "rtp": "20 ms, both ways"},
    )
