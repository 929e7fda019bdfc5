"""What the fuzz targets of services share: how bytes become a value of JSON, a message of a socket, a request.

The first byte of an input chooses the parser, so that one target has several; the rest is what it reads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

SEPARATOR = b"\x1e"
"""Between the messages of a socket: a message that begins with a byte of 0x80 or more is binary."""


def frames(data: bytes) -> list[str | bytes]:
    """Give the messages of a socket that an input says."""
    pieces = data.split(SEPARATOR)[:64]
    return [piece[1:] if piece[:1] >= b"\x80" else piece.decode("utf-8", "surrogateescape") for piece in pieces]


def script(*messages: Mapping[str, Any] | str | bytes) -> bytes:
    """Write an input of these messages."""
    written: list[bytes] = []
    for one in messages:
        if isinstance(one, bytes):
            written.append(b"\x80" + one)
        else:
            written.append((one if isinstance(one, str) else json.dumps(one)).encode())
    return SEPARATOR.join(written)


def seeds(scripts: Mapping[int, Sequence[bytes]]) -> tuple[bytes, ...]:
    """Give the seeds of each parser with the byte that chooses it."""
    return tuple(bytes([number]) + one for number, some in scripts.items() for one in some)
