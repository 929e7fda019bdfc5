"""How messages lie in a connection's bytes: by Content-Length (TCP, TLS), or one a websocket message (RFC 7118).

    bytes ─► push ─► whole messages                  message ─► frame ─► bytes
                └──► reply: what the framing itself has to say (pongs, the websocket's handshake)

Both are without sockets: the first is here, the other in `websocket`.
"""

from __future__ import annotations

from typing import Protocol

from offhook.sip.stream import PING, PONG, StreamParser


class Framing(Protocol):
    """One connection's framing."""

    @property
    def pending(self) -> bool:
        """Whether something has begun that must end soon: a message, a handshake."""
        ...

    @property
    def broken(self) -> bool:
        """Whether nothing that comes makes sense any more."""
        ...

    def push(self, data: bytes) -> list[bytes]:
        """Take bytes; give the messages that are whole now. ProtocolError where it is `broken`."""
        ...

    def unfinished(self) -> bytes:
        """Give a message whose rest has not come, where it can be answered all the same; else nothing."""
        ...

    def reply(self) -> bytes:
        """Give what is to be written now, ahead of any message."""
        ...

    def frame(self, message: bytes) -> bytes:
        """Give the bytes that carry a message; b"" where it must wait, and comes with a later `reply`."""
        ...

    def ping(self) -> bytes:
        """Give the bytes that ask the far end for a sign of life."""
        ...


class StreamFraming:
    """Messages one behind the other (RFC 3261 section 18.3); a double CRLF asks for a single one (RFC 5626)."""

    def __init__(self) -> None:
        self._parser = StreamParser()

    @property
    def pending(self) -> bool:
        """Whether a message has begun and not ended."""
        return self._parser.pending

    @property
    def broken(self) -> bool:
        """Whether there is no telling where the next message begins."""
        return self._parser.broken

    def push(self, data: bytes) -> list[bytes]:
        """Take bytes; give the messages that are whole now."""
        return self._parser.push(data)

    def unfinished(self) -> bytes:
        """Give a message whose head is whole and whose body is not."""
        return self._parser.unfinished()

    def reply(self) -> bytes:
        """Give the pongs that were asked for."""
        pongs, self._parser.pings = self._parser.pings, 0
        return PONG * pongs

    def frame(self, message: bytes) -> bytes:
        """Give the message as it is."""
        return message

    def ping(self) -> bytes:
        """Give a double CRLF."""
        return PING
