"""Gives callers their own audio back, in order and whole: the shortest proof that both directions work."""

from __future__ import annotations

from typing import Final

from offhook.call import Call

PRIMING_MS: Final = 160
"""Silence before the first piece: so late may a packet, or this task, be without tearing the echo."""


async def echo(call: Call) -> None:
    """Play back all that is heard, until the caller hangs up."""
    rate_hz = call.rate_hz
    primed = False
    async for pcm in call.audio(rate_hz=rate_hz):
        if not primed:
            primed = True
            await call.play(bytes(2 * rate_hz // 1000 * PRIMING_MS), rate_hz=rate_hz)
        await call.play(pcm, rate_hz=rate_hz)


echo.needs_models = False  # type: ignore[attr-defined]  # nothing is understood, so nothing is loaded
