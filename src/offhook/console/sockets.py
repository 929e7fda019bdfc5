"""Media sockets of managed services: bytes of a connection that asked for a websocket, handled outside any framework.

    uvicorn ─ the upgrade's bytes ─► MediaSocket ─► handshake ─► Switchboard.socket ─┬─► Visit: messages both ways
                                                                                    └─► 401, 403, 404

The frames are the `websockets` library's, which knows no socket either (RFC 6455). Laws: who is not let in costs one
answer; a message, and what waits to be sent, is bounded; nothing that a socket says ends more than its own call.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, Final, cast

import structlog
from websockets.datastructures import Headers
from websockets.frames import Frame as Piece
from websockets.frames import Opcode
from websockets.http11 import Request as Handshake
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from offhook.carriers.services.http import Request, Response
from offhook.carriers.services.stream import Frame
from offhook.run.services import Listener, Switchboard

log: Final = structlog.get_logger("offhook.services")

PATH: Final = "/services/"

MESSAGE_LIMIT: Final = 640 * 1024
"""Bytes of a message: half a minute of µ-law in base64, which one service may send at once."""

UNSENT_LIMIT: Final = 4 * 1024 * 1024
"""Bytes that may wait for a peer that does not read."""

HANDSHAKE_S: Final = 5.0
"""How long the handshake may take."""

GOODBYE_S: Final = 2.0
"""How long the far end may take to close what we have closed."""


class MediaSocket(asyncio.Protocol):
    """One connection. `board` says who is let in."""

    def __init__(self, board: Switchboard, ids: list[MediaSocket], limit: int) -> None:
        self._board = board
        self._open = ids
        self._limit = limit
        self._inner = ServerProtocol(max_size=MESSAGE_LIMIT, select_subprotocol=_agree)
        self._visit: Listener | None = None
        self._parts: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._timer = asyncio.get_running_loop().call_later(HANDSHAKE_S, self._abort)
        self._open.append(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        inner = self._inner
        inner.receive_data(data)
        for event in inner.events_received():
            if isinstance(event, Piece):
                self._take(event)
            elif isinstance(event, Handshake):
                self._answer(event)
        self._flush()

    def eof_received(self) -> None:
        """Take the end of what comes."""
        self._inner.receive_eof()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go."""
        self._stop()
        self._transport = None
        if self in self._open:
            self._open.remove(self)
        visit, self._visit = self._visit, None
        if visit is not None:
            visit.closed()

    # carriers.stream.Wire

    def send(self, frame: Frame) -> None:
        """Send a message."""
        inner = self._inner
        if inner.state is not State.OPEN or self._transport is None:
            return
        if isinstance(frame, str):
            inner.send_text(frame.encode())
        else:
            inner.send_binary(frame)
        self._flush()

    def close(self) -> None:
        """Close the websocket, then the connection."""
        if self._inner.state is State.OPEN and self._transport is not None:
            self._inner.send_close(1000)
            self._flush()
            self._stop()
            self._timer = asyncio.get_running_loop().call_later(GOODBYE_S, self._abort)

    # The rest

    def _answer(self, handshake: Handshake) -> None:
        self._stop()
        inner = self._inner
        if inner.handshake_exc is not None or len(self._open) > self._limit:
            busy = len(self._open) > self._limit
            inner.send_response(inner.reject(HTTPStatus.SERVICE_UNAVAILABLE if busy else HTTPStatus.BAD_REQUEST, ""))
            return
        name, _, rest = handshake.path.removeprefix(PATH).partition("?")[0].partition("/")
        peer: Any = self._transport.get_extra_info("peername") if self._transport is not None else None
        request = Request("GET", handshake.path, folded(handshake.headers), peer=str(peer[0]) if peer else "")
        found: Listener | Response = Response(404)
        if rest.startswith("media/"):
            found = self._board.socket(name, rest.removeprefix("media/"), request)
        if isinstance(found, Response):
            inner.send_response(inner.reject(HTTPStatus(found.status), ""))
            return
        response = inner.accept(handshake)
        inner.send_response(response)
        if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            self._visit = found
            found.opened(self)

    def _take(self, piece: Piece) -> None:
        if piece.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT) or self._visit is None:
            return
        if piece.fin and not self._parts:
            self._visit.heard(_message(piece.opcode, bytes(piece.data)))
            return
        if not self._parts:
            self._kind = piece.opcode
        self._parts.append(bytes(piece.data))
        if piece.fin:
            whole, self._parts = b"".join(self._parts), []
            self._visit.heard(_message(self._kind, whole))

    def _flush(self) -> None:
        transport = self._transport
        if transport is None:
            return
        for data in self._inner.data_to_send():
            if data:
                transport.write(data)
            elif transport.can_write_eof():
                transport.write_eof()
        if transport.get_write_buffer_size() > UNSENT_LIMIT:
            log.warning("a media socket does not read, and is closed")
            self._abort()
            return
        if self._inner.close_expected() and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GOODBYE_S, self._abort)
        if self._inner.state is State.CLOSED:
            transport.close()

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _agree(protocol: ServerProtocol, offered: Any) -> Subprotocol | None:
    """Take the first subprotocol that is offered: services offer their own, and want it back."""
    return offered[0] if offered else None


def _message(kind: Opcode, data: bytes) -> Frame:
    """Give a message as text or bytes. Text that is no UTF-8 is what a dialect can make no sense of."""
    return data.decode("utf-8", "replace") if kind is Opcode.TEXT else data


def folded(headers: Headers) -> dict[str, str]:
    """Give headers with names in lower case, those that came twice in one."""
    out: dict[str, str] = {}
    for name, value in headers.raw_items():
        low = name.lower()
        out[low] = f"{out[low]}, {value}" if low in out else value
    return out
