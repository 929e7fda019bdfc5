"""Who reads the caller's audio as it comes (`Call.audio`), each at its own pace."""

from __future__ import annotations

from collections import deque
from typing import Final

from offhook import _native as native
from offhook.call.feed import Feed

PIECES: Final = 100
"""Pieces (2 s) that a reader may lag behind; then the oldest go."""


class Readers:
    """The readers of one call. `early`: the first one hears from the first packet on, though it began later."""

    __slots__ = ("_early", "_feeds")

    def __init__(self, *, early: bool) -> None:
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
        self._feeds.append(feed)
        return feed

    def close(self, feed: Feed[native.Heard] | None = None) -> None:
        """Let a reader go, or all of them."""
        for one in list(self._feeds) if feed is None else [feed]:
            one.close()
            if one in self._feeds:  # a call that ended first has let go of it
                self._feeds.remove(one)
