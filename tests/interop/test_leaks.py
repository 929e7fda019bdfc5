"""Twenty thousand calls leave memory, descriptors, ports and tasks where they were."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.interop

RATE = 200
WARM, CALLS = 10_000, 20_000
"""The first calls last longer than a transaction lingers, so that memory has been as full as it will be."""

LINGER_S = 60
"""A transaction lingers for 32 s behind its call (RFC 3261, timers H and J); twice that is plenty."""

GROWTH_KIB = 6_144
"""What 10 000 more calls may leave in resident memory: 600 octets each would already be more."""


def counted(serving: Any, kit: Any) -> dict[str, int]:
    """Ask a serving process what it has counted, and give its newest word."""
    told = len(re.findall(rb"counted: ", serving.log.read_bytes()))
    serving.process.send_signal(signal.SIGUSR1)
    kit.until("the counters", lambda: len(re.findall(rb"counted: ", serving.log.read_bytes())) > told)
    return json.loads(serving.log.read_bytes().rpartition(b"counted: ")[2].partition(b"\n")[0])


def settled(serving: Any, kit: Any) -> dict[str, int]:
    """Wait until no call and no transaction is left; give the counters."""

    def quiet() -> dict[str, int] | None:
        counts = counted(serving, kit)
        return counts if not counts.get("calls", 0) and not counts.get("transactions", 0) else None

    return kit.until("the last transaction to end", quiet, LINGER_S)


def resources(serving: Any) -> tuple[int, int]:
    """Give resident memory in KiB and open descriptors."""
    folder = Path(f"/proc/{serving.process.pid}")
    rss = next(line for line in (folder / "smaps_rollup").read_text().splitlines() if line.startswith("Rss:"))
    return int(rss.split()[1]), len(list((folder / "fd").iterdir()))


@pytest.mark.timeout(600)
def test_twenty_thousand_calls_leave_nothing_behind(serve: Any, kit: Any, peer: Any, tmp_path: Path) -> None:
    sipp = peer("sipp", "sip-tester")
    serving = serve(options=("--max-calls", "4000"))

    def call(calls: int) -> None:
        command = [sipp, "-sn", "uac", f"127.0.0.1:{serving.port}", "-i", "127.0.0.1", "-p", str(kit.free_port())]
        command += ["-r", str(RATE), "-m", str(calls), "-l", "4000", "-d", "0", "-nostdin"]
        done = subprocess.run(command, capture_output=True, timeout=60 + 3 * calls / RATE, cwd=tmp_path, check=False)
        assert done.returncode == 0, done.stdout[-2000:]

    call(WARM)
    before = settled(serving, kit)
    memory, descriptors = resources(serving)
    call(CALLS - WARM)
    after = settled(serving, kit)
    grown, still = resources(serving)
    assert after["served"] == CALLS
    assert after["guard"] == after["failures"] == 0
    for what in ("ports", "tasks", "live"):
        assert after.get(what, 0) == before.get(what, 0), what
    assert still <= descriptors
    assert grown - memory < GROWTH_KIB, f"{memory} KiB after {WARM} calls, {grown} KiB after {CALLS}"
    assert serving.stop() == 0
