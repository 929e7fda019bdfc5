"""The newcomer's call, whole: two processes, UDP between them, real speech; and the same with its caller muted.

The second one runs in a network namespace of its own, where the kernel drops what the caller's media ports send.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offhook.run.report.words import word_errors

pytestmark = [pytest.mark.slow, pytest.mark.interop]

OFFHOOK = str(Path(sys.executable).with_name("offhook"))
FILES = ["call.wav", "report.html", "timeline.json", "transcript.json"]

MUTED = """
table inet muted {
    chain arriving {
        type filter hook input priority 0; policy accept;
        udp sport 20000-29999 counter drop
    }
}
"""
"""The caller's media ports are 20000 to 29999 (`caller`); its signalling goes by another."""


def run(seed: int, out: Path, *before: str) -> subprocess.CompletedProcess[str]:
    command = [*before, OFFHOOK, "demo", "--seed", str(seed), "--out", str(out)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, stdin=subprocess.DEVNULL)


def transcript(out: Path) -> dict[str, Any]:
    return json.loads((out / "transcript.json").read_text())


def loud_s(out: Path) -> list[float]:
    """How long each channel of the recording is speech, in seconds."""
    with wave.open(str(out / "call.wav"), "rb") as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 8000)
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").reshape(-1, 2).astype(float)
    frames = samples[: len(samples) // 160 * 160].reshape(-1, 160, 2)
    return [float(np.sum(np.sqrt(np.mean(frames[:, :, side] ** 2, axis=1)) > 300) * 0.02) for side in (0, 1)]


@pytest.mark.parametrize("seed", [5, 1234])
def test_a_table_is_booked_by_telephone(tmp_path: Path, seed: int) -> None:
    done = run(seed, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(file.name for file in tmp_path.iterdir()) == FILES
    told = transcript(tmp_path)
    assert told["booking"]["got"] == told["booking"]["wanted"]
    assert told["key"]["heard"] == told["key"]["pressed"] != ""
    assert word_errors(" ".join(told["script"]), told["caller"]) <= 0.2
    assert min(loud_s(tmp_path)) > 3.0
    events = [event["event"] for event in json.loads((tmp_path / "timeline.json").read_text())["events"]]
    assert "cut" in events, "the caller interrupts once"


@pytest.fixture
def muted(peer: Callable[[str, str], str]) -> Iterator[tuple[str, ...]]:
    """How to run a program where the caller's RTP never arrives."""
    ip, nft = peer("ip", "iproute2"), peer("nft", "nftables")
    if os.geteuid() != 0:
        pytest.skip("a network namespace needs root")
    name = f"offhook-{uuid.uuid4().hex[:8]}"
    subprocess.run([ip, "netns", "add", name], check=True)
    try:
        inside = (ip, "netns", "exec", name)
        subprocess.run([*inside, ip, "link", "set", "lo", "up"], check=True)
        subprocess.run([*inside, nft, "-f", "-"], input=MUTED, text=True, check=True)
        yield inside
        rules = subprocess.run([*inside, nft, "list", "ruleset"], capture_output=True, text=True, check=True).stdout
        assert "packets 0 " not in rules, "nothing was dropped: the caller was not muted"
    finally:
        subprocess.run([ip, "netns", "delete", name], check=True)


def test_a_caller_who_is_muted_in_flight_is_not_understood(tmp_path: Path, muted: tuple[str, ...]) -> None:
    done = run(5, tmp_path, *muted)
    assert done.returncode == 1
    assert "nothing of the caller was heard" in done.stdout + done.stderr
    told = transcript(tmp_path)
    assert told["caller"] == ""
    assert told["booking"]["got"] is None
    caller, agent = loud_s(tmp_path)
    assert caller == 0.0
    assert agent > 0.5
