"""Connections of the listener: who connects and does not ask, or asks ever so slowly, is hung up on.

    connected, or a first byte ─► REQUEST_S ─┬─ the request is whole ─► answered, however long that takes
                                             └─ it is not            ─► the connection ends

Law: who has shown nothing yet holds a connection, and its file descriptor, no longer than that.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_S: Final = 10.0
"""How long a request may take to be whole; services send theirs at once."""


class Patience(H11Protocol):
    """One connection."""

    _timer: asyncio.TimerHandle | None = None
    _is_socket = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        super().data_received(data)
        asked: Any = self.cycle
        is_whole = asked is not None and not asked.response_complete and not asked.more_body
        if is_whole or self._is_socket:
            self._stop()
        else:
            self._wait()

    def handle_websocket_upgrade(self, event: Any) -> None:
        """Leave the connection to the media socket, which has a limit of its own."""
        self._is_socket = True
        super().handle_websocket_upgrade(event)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go."""
        self._stop()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(REQUEST_S, self.transport.abort)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
