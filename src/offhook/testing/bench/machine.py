"""The machine under the benches: processes under test, their CPU and memory as the kernel counts them, and cores.

CPU is `/proc/PID/task/*/schedstat`, in nanoseconds, of the process under test and nobody else. Load comes from another
process, on another core where there is one.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Any

from offhook.core.errors import Ours


class BenchFailed(Ours):
    """A bench could not be carried out on this machine; the text says why."""


def cores() -> tuple[int | None, int | None]:
    """Give the core of the process under test and the core of its load; None, None where there is only one."""
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], usable[1]) if len(usable) > 1 else (None, None)


def pin(pid: int, core: int | None) -> None:
    """Keep a process, with all threads that it has, on one core; None leaves it alone."""
    if core is not None:
        for task in _tasks(pid):
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(task, {core})


def _tasks(pid: int) -> list[int]:
    return [int(entry) for entry in os.listdir(f"/proc/{pid}/task")]


def cpu_ms(pid: int) -> float:
    """Give the CPU time that the live threads of a process have used, in milliseconds."""
    total = 0
    for task in _tasks(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            total += int(Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0])
    return total / 1e6


def rss_kib(pid: int) -> int:
    """Give the resident memory of a process, in KiB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1])
    raise BenchFailed(f"/proc/{pid}/smaps_rollup has no Rss")


def program(name: str) -> str | None:
    """Find an installed peer; None if it is not there."""
    return shutil.which(name)


class Subject:
    """A process under test (or its load) that speaks JSON lines: orders on stdin, reports on stdout."""

    def __init__(self, command: Sequence[str], core: int | None = None) -> None:
        self._process = subprocess.Popen(  # noqa: S603 (our own programs)
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        self.pid = self._process.pid
        self._name = command[2] if command[1:2] == ["-m"] else Path(command[0]).name
        self._rest = b""
        pin(self.pid, core)  # before it has threads of its own: they inherit it

    @classmethod
    def module(cls, name: str, *arguments: str, core: int | None = None) -> Subject:
        """Start a module of this package as a process."""
        return cls([sys.executable, "-m", f"offhook.testing.bench.{name}", *arguments], core)

    def __enter__(self) -> Subject:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def order(self, **what: Any) -> None:
        """Give it an order."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(what).encode() + b"\n")
        except BrokenPipeError:
            raise BenchFailed(f"{self._name} has died") from None

    def report(self, within_s: float) -> dict[str, Any]:
        """Wait for its next report. BenchFailed if it dies or is silent for longer."""
        assert self._process.stdout is not None
        until = time.monotonic() + within_s
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._rest:
                if not selector.select(max(0.0, until - time.monotonic())):
                    raise BenchFailed(f"{self._name} did not answer within {within_s:.0f} s")
                piece = os.read(self._process.stdout.fileno(), 65536)
                if not piece:
                    raise BenchFailed(f"{self._name} ended with exit code {self._process.wait()}")
                self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        return json.loads(line)

    def ask(self, within_s: float, **what: Any) -> dict[str, Any]:
        """Give an order and wait for what it reports."""
        self.order(**what)
        return self.report(within_s)

    def cpu_ms(self) -> float:
        """Give the CPU time that it has used, in ms."""
        return cpu_ms(self.pid)

    def rss_kib(self) -> int:
        """Give its resident memory, in KiB."""
        return rss_kib(self.pid)

    def close(self) -> None:
        """End it: its stdin closes, then SIGTERM, then SIGKILL."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        for number in (None, signal.SIGTERM, signal.SIGKILL):
            if number is not None:
                self._process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(3)
                break
        self._process.stdout.close()


def wait(seconds: float) -> None:
    """Let time pass in this process, which has nothing to do meanwhile."""
    Event().wait(seconds)


def tell(**what: Any) -> None:
    """Report to the bench (in a subject)."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def median(values: Sequence[float]) -> float:
    """Give the middle value; of an even number the lower of the two in the middle."""
    return sorted(values)[(len(values) - 1) // 2]
