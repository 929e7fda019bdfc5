"""Cutting a stream into messages by Content-Length (RFC 3261 section 18.3, RFC 5626 section 4.4.1 for keep-alives).

bytes as they come ─► StreamParser.push ─► whole messages
                                       └─► the head of one whose end can't be found, so that it is answered: `broken`

A message without Content-Length breaks section 18.3, and has no body here. What its sender meant for one then stands
where the next message should begin: lines that can't begin a message are skipped, as far as one message may be long.
"""

from __future__ import annotations

from typing import Final

from offhook.sip.grammar import Malformed, is_token, number
from offhook.sip.header import parse_via
from offhook.sip.message import SIZE_LIMIT, Request, canonical, parse_message

HEAD_LIMIT: Final = SIZE_LIMIT
"""Bytes of a head that has not ended yet: no message may be larger as a whole."""

ALIAS_WITHIN: Final = 4096
"""How far into a message its top Via is looked for."""

PING: Final = b"\r\n\r\n"
PONG: Final = b"\r\n"


class StreamParser:
    """One direction of one connection. Once it is `broken` the stream can't be followed any more: close it.

    `pings` counts the double CRLFs that asked for a single one back (RFC 5626); the reader of the count answers them.
    """

    __slots__ = ("_buffer", "_fault", "_need", "_searched", "_skipped", "pings")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._need = 0
        self._searched = 0
        self._skipped = 0
        self._fault: Malformed | None = None
        self.pings = 0

    @property
    def broken(self) -> bool:
        """Whether there is no telling where the next message begins."""
        return self._fault is not None

    @property
    def pending(self) -> bool:
        """Whether a message has begun and not ended."""
        return bool(self._buffer) and not PING.startswith(self._buffer)

    def push(self, data: bytes) -> list[bytes]:
        """Take bytes; give the messages that are whole now, in order. Malformed where the stream makes no sense.

        What was whole before the fault is given first, and the head of the message that has the fault, if it ended:
        then it is `broken`, and the next call raises.
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
            if self._need:
                out.append(bytes(self._buffer[: self._need]))
            if not out:
                raise
        return out

    def unfinished(self) -> bytes:
        """Give what has come of a message whose head is whole and whose body is not; empty where there is none.

        For a stream that ends or is given up there: the sender is owed an answer (section 18.3).
        """
        return bytes(self._buffer) if self._need and self._fault is None else b""

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

    def _skip(self) -> None:
        """Skip lines that can't begin a message, and the CRLFs around them."""
        buffer = self._buffer
        self._blank()
        while (end := buffer.find(PONG)) > 0 and not _begins(bytes(buffer[:end])):
            self._skipped += end
            if self._skipped > SIZE_LIMIT:
                raise Malformed("start_line", "no message among so many lines")
            del buffer[: end + 2]
            self._blank()

    def _cut(self) -> bytes | None:
        if self._searched == 0 and self._need == 0:
            self._skip()
        buffer = self._buffer
        if len(buffer) < max(self._need, 5):
            return None
        end = buffer.find(b"\r\n\r\n", self._searched)
        if end < 0:
            if len(buffer) > HEAD_LIMIT:
                raise Malformed("size", "a head that does not end", 513)
            if PONG in buffer:
                self._searched = len(buffer) - 3  # so that a head in single bytes is not searched over and over
            return None
        if end + 4 > HEAD_LIMIT:
            raise Malformed("size", "a head that is too large", 513)
        self._need = end + 4  # of a fault found from here on the head is given
        total = end + 4 + _content_length(bytes(buffer[:end]))
        if total > SIZE_LIMIT:
            raise Malformed("size", "a message that is too large", 513)
        if len(buffer) < total:
            self._need = total
            return None
        self._need = self._searched = self._skipped = 0
        message = bytes(buffer[:total])
        del buffer[:total]
        return message


def _begins(line: bytes) -> bool:
    """Say whether a line can begin a message, if a faulty one: `SIP/…`, or a token and something behind it."""
    word, space, _ = line.partition(b" ")
    return word[:4].upper() == b"SIP/" or (bool(space) and is_token(word.decode("latin-1")))


def alias_port(data: bytes) -> int | None:
    """Give the port that a request says its sender can be reached at on this very connection (RFC 5923 section 5).

    That is the one of the top Via where it has `;alias`; None where it has none, or can't be read.
    """
    if b";alias" not in data[:ALIAS_WITHIN]:
        return None
    try:
        message = parse_message(data)
        via = parse_via(message.values("Via")[0])
    except (Malformed, IndexError):
        return None
    if not isinstance(message, Request) or via.param("alias") is None:
        return None
    return via.port or 5061


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
