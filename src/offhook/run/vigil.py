"""Waiting for a house to be empty: a drain waits until no call is up any more, and not for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Vigil:
    """Who waits until `empty` says yes; `look` is called whenever it may have changed."""

    def __init__(self, empty: Callable[[], bool]) -> None:
        self._empty = empty
        self._waiter: asyncio.Future[None] | None = None

    async def wait(self, patience_s: float) -> bool:
        """Wait for that long at most; give whether it is empty."""
        if self._empty():
            return True
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(patience_s):
                await self._waiter
        except TimeoutError:
            return False
        finally:
            self._waiter = None
        return True

    def look(self) -> None:
        """Tell who waits, if it is empty."""
        if self._waiter is not None and not self._waiter.done() and self._empty():
            self._waiter.set_result(None)
