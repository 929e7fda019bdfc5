"""Connections of Asterisk's AudioSocket: TCP, cut into frames.

bytes ─► Splitter ─► DirectVisit        frames of ours ─► bytes
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, cast

from offhook.carriers.services.asterisk.audiosocket import Splitter
from offhook.carriers.services.http import Response
from offhook.carriers.services.stream import Frame
from offhook.run.services.direct import DirectVisit

UNSENT_LIMIT: Final = 1024 * 1024
"""Bytes that may wait for a peer that does not read."""


class FramedSocket(asyncio.Protocol):
    """One connection, of at most `limit` at a time: `others` are those that are open."""

    def __init__(self, let_in: Callable[[str], DirectVisit | Response], others: set[FramedSocket], limit: int) -> None:
        self._let_in = let_in
        self._open = others
        self._limit = limit
        self._visit: DirectVisit | None = None
        self._splitter = Splitter()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, or refuse."""
        self._transport = cast("asyncio.Transport", transport)
        self._open.add(self)
        if len(self._open) > self._limit:
            self._transport.close()
            return
        found = self._let_in(str(transport.get_extra_info("peername", ("",))[0]))
        if isinstance(found, Response):
            self._transport.close()
        else:
            self._visit = found
            found.opened(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        if self._visit is not None:
            for frame in self._splitter.push(data):
                self._visit.heard(frame)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go."""
        self._transport = None
        self._open.discard(self)
        visit, self._visit = self._visit, None
        if visit is not None:
            visit.closed()

    def send(self, frame: Frame) -> None:
        """Send a frame."""
        transport = self._transport
        if transport is not None and isinstance(frame, bytes):
            transport.write(frame)
            if transport.get_write_buffer_size() > UNSENT_LIMIT:
                transport.abort()

    def close(self) -> None:
        """Close it, behind what was sent."""
        if self._transport is not None:
            self._transport.close()
