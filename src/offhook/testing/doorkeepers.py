"""Scripts that take a simulated call before its answer, and hand it to the clerk once it is up, or refuse it.

ring? ─► early? ─┬─► reject
                 └─► answer ─► hold, music, resume? ─► keys? ─► hand_over(clerk)

What they play is a tone at 1800 Hz, which nobody reads as words.
"""

from __future__ import annotations

import asyncio
import math
import struct
from collections.abc import Awaitable, Callable
from functools import cache
from random import Random
from typing import TYPE_CHECKING

from offhook.call.agents import Agent, answers
from offhook.sip.meanings import REFUSALS

if TYPE_CHECKING:
    from offhook.call.call import Call

RATE_HZ = 8000


def doorkeeper(rng: Random, clerk: Agent) -> Callable[[Call], Awaitable[None]]:
    """Make a script that does by `rng` what may be done before an answer; `clerk` goes on behind it."""

    @answers
    async def door(call: Call) -> None:
        if rng.random() < 0.8:
            await call.ring()
        await asyncio.sleep(rng.uniform(0.0, 2.0))
        if rng.random() < 0.6:
            await call.early(_tone(rng.choice((200, 700, 1500))))
        manner = rng.random()
        if manner < 0.2:
            await call.reject(rng.choice(sorted(REFUSALS)))
        elif manner > 0.25:  # between the two it only goes away
            await call.answer()
            await _welcomes(call)
            await call.hand_over(clerk)

    async def _welcomes(call: Call) -> None:
        if rng.random() < 0.3:
            await call.hold()
            await call.play(_tone(500))
            await asyncio.sleep(rng.uniform(0.0, 2.0))
            await call.resume()
        if call.leg.capabilities.press and rng.random() < 0.3:
            await call.press(rng.choice(("5", "12#")))

    return door


@cache
def _tone(length_ms: int) -> bytes:
    count = RATE_HZ * length_ms // 1000
    return struct.pack(f"<{count}h", *[round(2000 * math.sin(math.tau * 1800 * n / RATE_HZ)) for n in range(count)])
