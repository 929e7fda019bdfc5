"""Messages as they go over the wire, in text files that people can read.

    === title
    lines              a line ends in CRLF on the wire; `<hex:..>` stands for bytes

The line end before the next title belongs to the file; so a message without a body ends in two empty lines there.
`torture` reads the verdicts of tests/golden/sip/torture.txt, which says itself what they mean.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_MARK: Final = re.compile(r"<hex:([0-9a-f]*)>")


def wire(text: str) -> bytes:
    """Give the bytes that a text stands for."""
    out = b""
    at = 0
    for mark in _MARK.finditer(text):
        out += text[at : mark.start()].replace("\n", "\r\n").encode() + bytes.fromhex(mark[1])
        at = mark.end()
    return out + text[at:].replace("\n", "\r\n").encode()


def titled(path: Path) -> list[tuple[str, bytes]]:
    """Read a file: every title with its message."""
    found: list[tuple[str, bytes]] = []
    for part in path.read_text().split("\n=== ")[1:]:
        title, _, text = part.partition("\n")
        found.append((title, wire(text.removesuffix("\n") + "\n")))
    return found


@dataclass(frozen=True, slots=True)
class Case:
    """A torture message and its verdicts: the final codes it gets as a datagram, and over a connection.

    `valid`: its RFC calls it well formed. `breaks`: the connection can't be followed behind it. `unfinished`: over a
    connection more would have to come.
    """

    name: str
    data: bytes
    rfc: int
    udp: list[int]
    tcp: list[int]
    valid: bool
    breaks: bool
    unfinished: bool


def torture(path: Path) -> list[Case]:
    """Read the torture messages."""
    return [_case(title, data) for title, data in titled(path)]


def _case(title: str, data: bytes) -> Case:
    name, _, verdicts = title.partition(": ")
    words, _, over_tcp = verdicts.partition("; tcp ")
    flags = words.split() + over_tcp.split()
    udp = [int(word) for word in words.split() if word.isdigit()]
    tcp = [int(word) for word in over_tcp.split() if word.isdigit()] if over_tcp else udp
    rfc = 0 if "+" in name else 5118 if "rfc5118" in flags else 4475
    return Case(name, data, rfc, udp, tcp, "valid" in flags, "breaks" in flags, "unfinished" in flags)
