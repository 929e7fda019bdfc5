"""SIP in a websocket (RFC 7118, RFC 6455): one message of the websocket is one of SIP.

    bytes ─► handshake (subprotocol `sip`) ─► frames ─► whole messages

A `Framing` over the `websockets` library's protocol, which knows no socket either.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Origin, Subprotocol
from websockets.uri import parse_uri

from offhook.sip.grammar import is_address
from offhook.sip.message import SIZE_LIMIT
from offhook.sip.stream import PING, PONG

SUBPROTOCOL: Final = Subprotocol("sip")
"""RFC 7118 section 4.2."""

WAITING_LIMIT: Final = 64
"""Messages that wait for the handshake."""


class WebFraming:
    """A websocket with the subprotocol `sip`. `host` is given where we open it; else `origins` are the pages that may.

    A browser tells the origin of the page that opens the websocket: any other page than those gets 403, or somebody's
    page could speak SIP from inside our network. Who is no browser tells none and may. A page of the very host that was
    asked for is our own, whatever its port, where its name can't be a borrowed one: under TLS, or by its address.
    """

    def __init__(self, host: str | None, *, secure: bool, origins: Sequence[str] = ()) -> None:
        self._secure = secure
        self._parts: list[bytes] = []
        self._waiting: list[bytes] = []
        self._out: list[bytes] = []
        self._protocol: ClientProtocol | ServerProtocol
        if host is None:
            self._origins: list[Origin | None] = [None, *map(Origin, origins)]
            self._protocol = ServerProtocol(origins=self._origins, subprotocols=[SUBPROTOCOL], max_size=SIZE_LIMIT)
        else:
            client = ClientProtocol(
                parse_uri(f"{'wss' if secure else 'ws'}://{host}/"), subprotocols=[SUBPROTOCOL], max_size=SIZE_LIMIT
            )
            client.send_request(client.connect())
            self._protocol = client

    @property
    def pending(self) -> bool:
        """Whether the handshake, a frame or a message in several frames is under way."""
        inner = self._protocol
        return inner.state is State.CONNECTING or bool(self._parts) or bool(inner.reader.buffer)

    @property
    def broken(self) -> bool:
        """Whether the websocket is refused, closed or broken."""
        inner = self._protocol
        return inner.state in (State.CLOSING, State.CLOSED) or inner.handshake_exc is not None

    def push(self, data: bytes) -> list[bytes]:
        """Take bytes; give the messages that are whole now."""
        inner = self._protocol
        inner.receive_data(data)
        out: list[bytes] = []
        for event in inner.events_received():
            if isinstance(event, Request):
                assert isinstance(inner, ServerProtocol)
                self._origins += _own(event.headers, secure=self._secure)
                inner.send_response(inner.accept(event))
            elif isinstance(event, Frame) and event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                self._parts.append(bytes(event.data))
                if event.fin:
                    message, self._parts = b"".join(self._parts), []
                    if message == PING:
                        self._out.append(self.frame(PONG))
                    else:
                        out.append(message)
        if inner.state is State.OPEN:
            waiting, self._waiting = self._waiting, []
            self._out += [self.frame(message) for message in waiting]
        return out

    def unfinished(self) -> bytes:
        """Give nothing: what is not whole is no message here."""
        return b""

    def reply(self) -> bytes:
        """Give the handshake, pongs and what waited for the handshake."""
        out, self._out = self._out, []
        return b"".join([*self._protocol.data_to_send(), *out])

    def frame(self, message: bytes) -> bytes:
        """Give a message as one frame: text where it is UTF-8, else binary (RFC 7118 section 4.2)."""
        inner = self._protocol
        if inner.state is not State.OPEN:
            if inner.state is State.CONNECTING and len(self._waiting) < WAITING_LIMIT:
                self._waiting.append(message)
            return b""
        try:
            message.decode()
        except UnicodeDecodeError:
            inner.send_binary(message)
        else:
            inner.send_text(message)
        return b"".join(inner.data_to_send())

    def ping(self) -> bytes:
        """Give a ping frame."""
        if self._protocol.state is not State.OPEN:
            return b""
        self._protocol.send_ping(b"")
        return b"".join(self._protocol.data_to_send())


def _own(headers: Headers, *, secure: bool) -> list[Origin]:
    """Give the origin of a page of the host that was asked for, where this is one.

    Over plain HTTP a name proves nothing: whose page it is may have it point here (DNS rebinding).
    """
    try:
        origin, host = [headers.get_all(name)[0] for name in ("Origin", "Host")]
        page, asked = urlsplit(origin).hostname, urlsplit(f"//{host}").hostname
    except (IndexError, ValueError):
        return []
    return [Origin(origin)] if page is not None and page == asked and (secure or is_address(page)) else []
