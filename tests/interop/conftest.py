"""`offhook serve` as a process, for calls with real peers; the rest of what they need is in `kit`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from interop import kit as tools
from interop.kit import OFFHOOK, PATIENCE_S, free_port, until


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
            OFFHOOK, "serve", agent, *(() if "listen" in toml else ("--sip", f"127.0.0.1:{port}")),
            "--events", str(events), "--config", str(config), *options,
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


@pytest.fixture(scope="session")
def kit() -> ModuleType:
    """The tools of `kit`, as a fixture."""
    return tools
