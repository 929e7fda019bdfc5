"""A program of ours that takes orders and tells events, one JSON object a line: the desk, and the phone over pjsua2."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from interop.kit import PATIENCE_S, until

TESTS = Path(__file__).resolve().parents[1]

Event = dict[str, Any]


class Program:
    """One such process. `events` are all that it has told so far."""

    def __init__(self, script: str, *arguments: str | Path, log: Path) -> None:
        self.log = log
        self.events: list[Event] = []
        self._numbers = count(1)
        with log.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, str(TESTS / "interop" / script), *map(str, arguments)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=err,
                text=True,
                env={"PYTHONPATH": str(TESTS), "PATH": "/usr/bin:/bin", "PYTHONUNBUFFERED": "1"},
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.wait("it to begin", lambda: self.told("ready"))

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.events.append(json.loads(line))

    def told(self, event: str, since: int = 0, **like: Any) -> list[Event]:
        """Give the events of a kind whose fields are so, from the `since`th on."""
        return [
            one
            for one in self.events[since:]
            if one["event"] == event and all(one.get(name) == value for name, value in like.items())
        ]

    def wait(self, what: str, check: Callable[[], Any], patience_s: float = PATIENCE_S) -> Any:
        """Wait for something that this program brings about; fail at once if it is gone."""

        def look() -> Any:
            assert self.process.poll() is None, f"it ended: {self.log.read_text()[-3000:]}"
            return check()

        return until(what, look, patience_s)

    def order(self, do: str, **details: Any) -> int:
        """Give an order; gives its number."""
        number = next(self._numbers)
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"order": number, "do": do, **details}) + "\n")
        self.process.stdin.flush()
        return number

    def outcome(self, number: int, patience_s: float = PATIENCE_S) -> Any:
        """Wait until an order is done; give its result. Fails if it did."""
        (done,) = self.wait(f"order {number}", lambda: self.told("done", order=number), patience_s)
        assert not done["error"], done["error"]
        return done["result"]

    def do(self, do: str, **details: Any) -> Any:
        """Give an order and wait until it is done; give its result."""
        return self.outcome(self.order(do, **details))

    def stop(self) -> None:
        """End it: its input ends, and it goes."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join()
