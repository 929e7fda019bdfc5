"""What happened in a process's calls, written for programs: the `--events` file.

    {"t": 1512.345, "call": "5f…", "event": "heard", "text": "a table for two"}

What stands in a line is decided by `offhook.call.events`; `t` counts seconds on the loop's clock.
"""

from __future__ import annotations

import json
from typing import IO

from offhook.call.events import CallEvent, as_json


class EventLines:
    """Writes one JSON object a line and flushes each, so that a reader sees it at once.

    A disk that is full or a reader that went away costs events, never a call: `failed` counts them.
    """

    def __init__(self, out: IO[str]) -> None:
        self._out = out
        self.failed = 0

    def __call__(self, event: CallEvent) -> None:
        """Write an event."""
        try:
            self._out.write(json.dumps(as_json(event), ensure_ascii=False, default=str) + "\n")
            self._out.flush()
        except (OSError, ValueError):
            self.failed += 1
