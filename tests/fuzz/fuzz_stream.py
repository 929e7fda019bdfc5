"""Fuzz the cutting of a stream: however the bytes are divided, the same messages come out. See `oracle`."""

from __future__ import annotations

import atheris
from oracle import fuzz, planted

with atheris.instrument_imports(include=["offhook.sip", "offhook.core"]):  # pyright: ignore[reportAttributeAccessIssue]
    from offhook.core.errors import ProtocolError
    from offhook.sip.stream import StreamParser


def cut(data: bytes, step: int) -> tuple[list[bytes], bool]:
    parser = StreamParser()
    out: list[bytes] = []
    try:
        for at in range(0, len(data), step):
            piece = data[at : at + step]
            if planted("stream") and step < 64 and piece[:1] == b"\n" and b"m" in data[:at]:
                # The fault: a reader that takes a line end at the head of a piece for a keep-alive.
                piece = piece[1:]
            out += parser.push(piece)
        out += parser.push(b"")
    except ProtocolError:
        return out, True
    return out, False


def target(data: bytes) -> None:
    whole, broken = cut(data, 1 << 20)
    for step in (1, 7):
        pieces, broke = cut(data, step)
        assert (pieces, broke) == (whole, broken)
    assert sum(map(len, whole)) <= len(data)
    for message in whole:
        assert message in data


SEEDS = (
    b"OPTIONS sip:a SIP/2.0\r\nCall-ID: 1\r\nContent-Length: 3\r\n\r\nabcBYE sip:a SIP/2.0\r\nl: 0\r\n\r\n",
    b"\r\n\r\nACK sip:a SIP/2.0\r\nCSeq: 1 ACK\r\n\r\n\r\n",
)

if __name__ == "__main__":
    fuzz(target, SEEDS)
