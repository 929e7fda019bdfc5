"""Cutting a stream into messages by Content-Length (RFC 3261 section 18.3, RFC 5626 section 4.4.1 for keep-alives).

bytes as they come ─► StreamParser.push ─► whole messages
"""

from __future__ import annotations

from typing import Final

from offhook.sip.grammar import Malformed, number
from offhook.sip.message import SIZE_LIMIT, canonical

HEAD_LIMIT: Final = SIZE_LIMIT
"""Bytes of a head that has not ended yet: no message may be larger as a whole."""

PING: Final = b"\r\n\r\n"
PONG: Final = b"\r\n"


class StreamParser:
    """One direction of one connection. After a Malformed the stream can't be followed any more: close it.

    `pings` counts the double CRLFs that asked for a single one back (RFC 5626); the reader of the count answers them.
    """

    __slots__ = ("_buffer", "_fault", "_need", "_searched", "pings")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._need = 0
        self._searched = 0
        self._fault: Malformed | None = None
        self.pings = 0

    def push(self, data: bytes) -> list[bytes]:
        """Take bytes; give the messages that are whole now, in order. Malformed where the stream makes no sense.

        What was whole before the fault is given first: then the next call (with no bytes, if there are none) raises.
        """
        if self._fault is not None:
            raise self._fault
        self._buffer += data
        out: list[bytes] = []
        try:
            while (message := self._cut()) is not None:
                out.append(message)
        except Malformed as fault:
            self._fault = fault
            if not out:
                raise
        return out

    def _blank(self) -> None:
        """Swallow the CRLFs between messages; two of them are a ping."""
        buffer = self._buffer
        while buffer.startswith(PONG):
            if buffer.startswith(PING):
                self.pings += 1
                del buffer[:4]
            elif PING.startswith(bytes(buffer[:4])) and len(buffer) < 4:
                return  # a pong, or the first half of a ping
            else:
                del buffer[:2]

    def _cut(self) -> bytes | None:
        self._blank()
        buffer = self._buffer
        if len(buffer) < max(self._need, 5):
            return None
        end = buffer.find(b"\r\n\r\n", self._searched)
        if end < 0:
            self._searched = max(len(buffer) - 3, 0)  # so that a head in single bytes is not searched over and over
            if len(buffer) > HEAD_LIMIT:
                raise Malformed("size", "a head that does not end", 513)
            return None
        total = end + 4 + _content_length(bytes(buffer[:end]))
        if total > SIZE_LIMIT:
            raise Malformed("size", "a message that is too large", 513)
        if len(buffer) < total:
            self._need = total
            return None
        self._need = self._searched = 0
        message = bytes(buffer[:total])
        del buffer[:total]
        return message


def _content_length(head: bytes) -> int:
    """Find the length in a head. Section 18.3: over a stream it must be there; taken for 0 where it is not."""
    lengths: set[int] = set()
    # Section 7.3.1: a value may stand on the line behind its name.
    unfolded = head.decode("latin-1").replace("\r\n ", " ").replace("\r\n\t", " ")
    for line in unfolded.split("\r\n")[1:]:
        name, colon, value = line.partition(":")
        if colon and canonical(name.strip()) == "Content-Length":
            lengths.add(number(value.strip(), SIZE_LIMIT, "content_length"))
    if len(lengths) > 1:
        raise Malformed("content_length", "two lengths")
    return lengths.pop() if lengths else 0
