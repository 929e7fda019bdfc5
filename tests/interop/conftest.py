"""What calls with real peers need: `offhook serve` as a process, free ports, speech-like sound, and a comparison."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

OFFHOOK = str(Path(sys.executable).with_name("offhook"))
PATIENCE_S = 30.0


def until(what: str, check: Callable[[], Any], patience_s: float = PATIENCE_S) -> Any:
    """Wait for something of another process, at most so long; give what the check gave."""
    deadline = time.monotonic() + patience_s
    while not (found := check()):
        assert time.monotonic() < deadline, f"waited {patience_s:.0f} s for {what}"
        time.sleep(0.02)
    return found


def free_port(taken: set[int] | None = None) -> int:
    """Give a port that is free for UDP and TCP, outside the range from which the system gives ports to others."""
    for _ in range(1000):
        port = random.randrange(20_000, 32_000, 2)
        try:
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                for offset in (0, 1):
                    with socket.socket(socket.AF_INET, kind) as probe:
                        probe.bind(("127.0.0.1", port + offset))
        except OSError:
            continue
        if taken is None or port not in taken:
            return port
    raise AssertionError("no free port")


@dataclass
class Serving:
    """One `offhook serve`."""

    process: subprocess.Popen[bytes]
    port: int
    events_file: Path
    log: Path

    def events(self, event: str | None = None) -> list[dict[str, Any]]:
        """Give the events so far, all or those of one kind."""
        if not self.events_file.exists():
            return []
        # A line that is still being written has no end yet.
        lines = self.events_file.read_text().split("\n")[:-1]
        return [line for line in map(json.loads, lines) if event is None or line["event"] == event]

    def stop(self) -> int:
        """Send SIGTERM and wait for the drain; give the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)


@dataclass
class Server:
    """Starts `offhook serve` and ends what it started."""

    folder: Path
    running: list[Serving] = field(default_factory=list)

    def __call__(
        self,
        agent: str = "offhook.examples:echo",
        *,
        toml: str = "",
        options: tuple[str, ...] = (),
        rtp: tuple[int, int] | None = None,
        cwd: Path | None = None,
    ) -> Serving:
        name = f"serve{len(self.running)}"
        port, media = free_port(), free_port()
        first, last = rtp or (media, min(media + 2000, 32_766))
        config = self.folder / f"{name}.toml"
        config.write_text(toml)
        log, events = self.folder / f"{name}.log", self.folder / f"{name}.jsonl"
        command = [
            OFFHOOK, "serve", agent, "--sip", f"127.0.0.1:{port}", "--events", str(events), "--config", str(config),
            *options,
        ]  # fmt: skip
        environment = {**os.environ, "OFFHOOK__SIP__RTP_PORTS": f"[{first}, {last}]"}
        with log.open("wb") as out:
            process = subprocess.Popen(command, stderr=out, stdout=out, env=environment, cwd=cwd)
        serving = Serving(process, port, events, log)
        self.running.append(serving)
        until("the ready line", lambda: process.poll() is not None or b"ready:" in log.read_bytes())
        assert process.poll() is None, log.read_text()
        return serving


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Server]:
    """`serve()` starts `offhook serve offhook.examples:echo` on a free port; it is ended with the test."""
    server = Server(tmp_path)
    yield server
    for serving in server.running:
        if serving.process.poll() is None:
            serving.process.kill()
            serving.process.wait()


def sound(seconds: float, seed: int = 1) -> np.ndarray:
    """Make something with the spectrum and the unevenness of speech, the same for the same seed."""
    chance = np.random.default_rng(seed)
    count = int(8000 * seconds)
    at = np.arange(count) / 8000
    noise = np.convolve(chance.normal(size=count), np.hanning(9), "same")
    syllables = 0.55 + 0.45 * np.sin(2 * np.pi * 3.1 * at + 2 * np.sin(2 * np.pi * 0.7 * at))
    return (noise / np.abs(noise).max() * syllables * 16_000).astype("<i2")


def write_wav(path: Path, samples: np.ndarray) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(samples.astype("<i2").tobytes())


def read_wav(path: Path) -> np.ndarray:
    with wave.open(str(path), "rb") as file:
        assert file.getnchannels() == 1
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)
        step = file.getframerate() // 8000
        return samples[::step]


def correlation(heard: np.ndarray, said: np.ndarray) -> float:
    """Give how alike two sounds are (−1 to 1) where they fit each other best; `said` may be any stretch of `heard`."""
    heard, said = heard.astype(float), said.astype(float)
    size = 1 << int(np.ceil(np.log2(len(heard) + len(said))))
    alike = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(said, size)), size)
    lag = int(np.argmax(alike))
    assert lag < len(heard), "it came before it was said"
    a, b = heard[lag:], said
    length = min(len(a), len(b))
    assert length >= 0.8 * len(said), f"only {length} of {len(said)} samples came back"
    a, b = a[:length], b[:length]
    return float(np.dot(a, b) / np.sqrt(np.dot(a, a) * np.dot(b, b)))


@pytest.fixture(scope="session")
def kit() -> Any:
    """The functions of this file, for tests that can't import it."""
    return sys.modules[__name__]
