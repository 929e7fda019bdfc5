"""Who reads the caller's audio as it comes (`Call.audio`), each at its own pace."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from offhook import _native as native
from offhook.call.feed import Feed

PIECES: Final = 100
"""Pieces (2 s) that a reader may lag behind; then the oldest go."""


class Readers:
    """The readers of one call. `early`: the first one hears from the first packet on, though it began later.

    `changed` is called when there is one more, or none left.
    """

    __slots__ = ("_changed", "_early", "_feeds", "_over")

    def __init__(self, changed: Callable[[], None], *, early: bool) -> None:
        self._changed = changed
        self._over = False
        self._feeds: list[Feed[native.Heard]] = []
        self._early: deque[native.Heard] | None = deque(maxlen=PIECES) if early else None

    def __bool__(self) -> bool:
        """Whether anybody reads."""
        return bool(self._feeds)

    def put(self, piece: native.Heard) -> None:
        """Give everyone a piece."""
        for feed in self._feeds:
            feed.put(piece)
        if self._early is not None:
            self._early.append(piece)

    def open(self) -> Feed[native.Heard]:
        """Add a reader."""
        feed: Feed[native.Heard] = Feed(PIECES, newest=True)
        for piece in self._early or ():
            feed.put(piece)
        self._early = None
        if self._over:
            feed.close()
        else:
            self._feeds.append(feed)
            self._changed()
        return feed

    def close(self, feed: Feed[native.Heard]) -> None:
        """Let a reader go."""
        feed.close()
        if feed in self._feeds:  # a call that ended first has let go of it
            self._feeds.remove(feed)
            if not self._feeds:
                self._changed()

    def over(self) -> None:
        """Let all of them go: the call is over."""
        self._over = True
        for feed in self._feeds:
            feed.close()
        self._feeds.clear()
