"""A crowd of calls through a real Engine, with Python answering every piece, under the load of another process."""

from __future__ import annotations

import pytest

from offhook.testing.bench.media import subject_run
from offhook.testing.bench.tools import tool

CALLS, SECONDS = 200, 10


@pytest.mark.slow
def test_two_hundred_calls_get_every_frame_back() -> None:
    run = subject_run(tool("load"), CALLS, SECONDS, seed=1)
    assert run.frames == CALLS * SECONDS * 50
    assert run.lost == 0
