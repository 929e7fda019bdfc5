"""Gives callers their own audio back, in order and whole: the shortest proof that both directions work."""

from __future__ import annotations

from typing import Final

from offhook.call import Call

PRIMING: Final = bytes(2 * 8 * 160)
"""160 ms of silence before the first piece: so late may a packet, or this task, be without tearing the echo."""


async def echo(call: Call) -> None:
    """Play back all that is heard, until the caller hangs up."""
    primed = False
    async for pcm in call.audio():
        if not primed:
            primed = True
            await call.play(PRIMING)
        await call.play(pcm)


echo.needs_models = False  # type: ignore[attr-defined]  # nothing is understood, so nothing is loaded
