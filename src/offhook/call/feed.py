"""A bounded queue with one reader, as an async iterator: what passes between two tasks of a call.

`put` never waits; what does not fit is dropped and counted, and `close` ends the reader once it has read the rest.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Generic, TypeVar, cast

_T = TypeVar("_T")


class Feed(Generic[_T]):
    """A queue of at most `limit` items. `newest`: when it is full the oldest item goes, instead of the new one."""

    __slots__ = ("_closed", "_items", "_limit", "_newest", "_waiter", "dropped")

    def __init__(self, limit: int, *, newest: bool = False) -> None:
        self._items: deque[_T] = deque()
        self._limit = limit
        self._newest = newest
        self._closed = False
        self._waiter: asyncio.Future[None] | None = None
        self.dropped = 0

    def put(self, item: _T) -> None:
        """Add an item."""
        if self._closed:
            return
        if len(self._items) >= self._limit:
            self.dropped += 1
            if not self._newest:
                return
            self._items.popleft()
        self._items.append(item)
        self._wake()

    def close(self) -> None:
        """Say that nothing more comes. Idempotent."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def __aiter__(self) -> Feed[_T]:
        return self

    async def __anext__(self) -> _T:
        while not self._items:
            if self._closed:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._items.popleft()


class closing(Generic[_T]):
    """Close an async generator at the end, so that the work behind it ends here and now; a plain iterator is left."""

    __slots__ = ("_stream",)

    def __init__(self, stream: AsyncIterator[_T]) -> None:
        self._stream = stream

    async def __aenter__(self) -> AsyncIterator[_T]:
        return self._stream

    async def __aexit__(self, *error: object) -> None:
        if hasattr(self._stream, "aclose"):
            await cast(Any, self._stream).aclose()
