"""The lines of `--events`."""

from __future__ import annotations

import io
import json

from offhook.call.events import Digit, Ended
from offhook.core.ids import CallId
from offhook.run.events import EventLines


def test_each_event_is_one_line_at_once() -> None:
    out = io.StringIO()
    lines = EventLines(out)
    lines(Digit(1.25, CallId("c1"), "5"))
    lines(Ended(2.0, CallId("c1"), "hang\nup", 200))
    first, second = out.getvalue().splitlines()
    assert json.loads(first) == {"t": 1.25, "call": "c1", "event": "digit", "digit": "5"}
    assert json.loads(second)["reason"] == "hang\nup"


def test_a_full_disk_costs_the_event_and_nothing_else() -> None:
    class Full(io.StringIO):
        def flush(self) -> None:
            raise OSError("no space left on device")

    lines = EventLines(Full())
    lines(Digit(1.0, CallId("c1"), "5"))
    gone = io.StringIO()
    gone.close()
    closed = EventLines(gone)
    closed(Digit(1.0, CallId("c1"), "5"))
    assert (lines.failed, closed.failed) == (1, 1)
