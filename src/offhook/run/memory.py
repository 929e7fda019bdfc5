"""When the collector looks for garbage: while the process has little else to do.

A call frees itself when it is over. What agents and libraries leave in cycles is looked for in a quiet second, since
the collector then also goes through all that the calls which are up hold: tens of milliseconds at 500 of them, while
a caller who has just sent an INVITE waits.
"""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Final

ENOUGH: Final = 10_000
"""New objects, less those that are gone, before it is worth looking."""

TOO_MANY: Final = 500_000
"""The same, before the collector looks even while the process is busy: twice what 500 calls a second come to."""

LOOK_S: Final = 1.0
"""How often we see whether it is quiet."""

QUIET: Final = 0.1
"""The share of a core below which it is."""


def settle_memory() -> None:
    """Spare the collector what was loaded so far, for good, and have it look when it is quiet from now on."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(TOO_MANY, 20, 20)
    _wait(asyncio.get_running_loop())


def _wait(loop: asyncio.AbstractEventLoop) -> None:
    loop.call_later(LOOK_S, _look, loop, time.thread_time())


def _look(loop: asyncio.AbstractEventLoop, before: float) -> None:
    if gc.get_count()[0] >= ENOUGH and time.thread_time() - before < QUIET * LOOK_S:
        gc.collect()
    _wait(loop)
