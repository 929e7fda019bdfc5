"""`signalling`: what it costs to answer a call, all transactions, over UDP: INVITE 100 180 200 ACK … BYE 200.

SIPp calls (20 000 calls, split into three runs); between ours its own server answers as many, so that both stand in
the same minute. Our side is a user agent with transactions, timers, offer and answer, and an RTP port of its own for
each call; SIPp's is a fixed script.
"""

from __future__ import annotations

import csv
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from offhook.testing.bench.machine import BenchFailed, Subject, cores, cpu_ms, median, pin, program
from offhook.testing.bench.ports import free_udp_port
from offhook.testing.bench.result import NOT_RUN, Result

RATE = 500
"""Calls a second, so that two cores carry the load and what is measured at once."""

ROUNDS = 3


def run(*, seed: int = 1, calls: int | None = None, seconds: float | None = None) -> Result:
    """Run the bench. BenchFailed where SIPp is not installed: it is the load."""
    del seconds
    sipp = program("sipp")
    if sipp is None:
        raise BenchFailed("sipp makes the calls and is not installed: apt install sip-tester")
    calls = calls or 20_000
    each = -(-calls // ROUNDS)
    ours: list[float] = []
    theirs: list[float] = []
    failed = 0
    ours_core, load_core = cores()
    for _ in range(ROUNDS):
        with Subject.module("subject_uas", core=ours_core) as subject:
            port = int(subject.report(30)["port"])
            before = subject.cpu_ms()
            failed += load(sipp, port, each, load_core)
            ours.append((subject.cpu_ms() - before) / each)
        theirs.append(_peer(sipp, each, ours_core, load_core))
    figures = {"cpu_ms_per_call": median(ours), "failed": failed, "calls": each * ROUNDS, "best_run": min(ours)}
    peer = median(theirs)
    return Result(
        bench="signalling",
        figures=figures,
        peers={"sipp uas": {"cpu_ms_per_call": peer}, "kamailio": NOT_RUN},
        ratios={"to sipp uas": median(ours) / peer},
        seed=seed,
        shape={"calls": each * ROUNDS, "rate": RATE, "rounds": ROUNDS, "transport": "udp", "caller": "sipp uac"},
    )


def load(sipp: str, port: int, calls: int, core: int | None) -> int:
    """Let SIPp call; give how many calls failed."""
    with tempfile.TemporaryDirectory() as folder:
        stat = Path(folder) / "stat.csv"
        command = [sipp, "-sn", "uac", f"127.0.0.1:{port}", "-i", "127.0.0.1", "-p", str(free_udp_port())]
        command += ["-m", str(calls), "-r", str(RATE), "-l", "4000", "-nostdin", "-trace_stat", "-fd", "1"]
        process = subprocess.Popen(  # noqa: S603 (sipp, found by its name)
            [*command, "-stf", str(stat)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder
        )
        pin(process.pid, core)
        try:
            process.wait(60 + 3 * calls / RATE)
        except subprocess.TimeoutExpired:
            raise BenchFailed("sipp was not done in time") from None
        finally:
            process.kill()
            process.wait()
        rows = list(csv.DictReader(stat.read_text().splitlines(), delimiter=";"))
    if not rows:
        raise BenchFailed(f"sipp made no calls (exit code {process.returncode})")
    return calls - int(rows[-1]["SuccessfulCall(C)"])


def _peer(sipp: str, calls: int, core: int | None, load_core: int | None) -> float:
    """Give what SIPp's own server costs a call."""
    with answering(sipp, core) as (port, pid):
        before = cpu_ms(pid)
        load(sipp, port, calls, load_core)
        return (cpu_ms(pid) - before) / calls


@contextmanager
def answering(sipp: str, core: int | None) -> Generator[tuple[int, int]]:
    """Let SIPp's own server answer calls; gives its port and its process."""
    port = free_udp_port()
    with tempfile.TemporaryDirectory() as folder:
        command = [sipp, "-sn", "uas", "-i", "127.0.0.1", "-p", str(port), "-nostdin"]
        server = subprocess.Popen(  # noqa: S603 (sipp, found by its name)
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder
        )
        try:
            pin(server.pid, core)
            yield port, server.pid
        finally:
            server.kill()
            server.wait()
