"""Holding the far end, as one leg does it: one change at a time, and what it came to (RFC 3264 section 8.4).

turn ─► re-INVITE ─► Reanswered ─► told ─► whether it was taken
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from offhook.core.errors import CallEnded


class Holding:
    """Whether the far end is held, and the change of it that is under way."""

    def __init__(self) -> None:
        self._on = False
        self._wish = False
        self._over = False
        self._decided: asyncio.Future[bool] | None = None

    async def turn(self, on: bool, order: Callable[[bool], None]) -> bool:
        """Hold or resume, by `order`; give whether the far end took it. CallEnded if the call ends first.

        The user agent tells what became of every offer, within its own bounds.
        """
        while self._decided is not None:
            await asyncio.wait([self._decided])
        if self._over:
            raise CallEnded("the call ended before it was held")
        if on == self._on:
            return True
        self._wish = on
        decided = self._decided = asyncio.get_running_loop().create_future()
        order(on)
        taken = await asyncio.shield(decided)
        if self._over:
            raise CallEnded("the call ended before it was held")
        return taken

    def told(self, taken: bool) -> bool:
        """Take what became of the change under way; give whether the far end is held now."""
        decided, self._decided = self._decided, None
        if decided is not None:
            if taken:
                self._on = self._wish
            if not decided.done():
                decided.set_result(taken)
        return self._on

    def ended(self) -> None:
        """Hear that the call is over."""
        self._over = True
        self.told(taken=False)
