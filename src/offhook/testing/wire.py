"""What a bystander reads from a datagram: the few fields that checkers need, read without the rooms under test.

These readers are deliberately not those of `sip` and `native`: a checker that shares the code it checks can't find its
mistakes. They take what well-meaning machines send and give None for all else.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Final, NamedTuple

FIRST_DYNAMIC: Final = 96
"""In our own SDP the only dynamic payload is telephone-event."""

_BRANCH: Final = re.compile(rb"branch=([^;,\s]+)")
_TAG: Final = re.compile(rb";\s*tag=([^;,\s>]+)")
_CSEQ: Final = re.compile(rb"(\d+)\s+([A-Z]+)")
_RTP: Final = struct.Struct("!BBHII")
_EVENT: Final = struct.Struct("!BBH")
_SENT: Final = struct.Struct("!II")


@dataclass(frozen=True, slots=True)
class Sip:
    """A SIP message: `code` is 0 in a request; `method` is that of the CSeq."""

    code: int
    method: str
    number: int
    branch: str
    call: str
    from_tag: str
    to_tag: str


class Rtp(NamedTuple):
    """The header of an RTP packet."""

    payload: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    body: bytes


class Rtcp(NamedTuple):
    """What a report says of its sender: packets and octets where it is an SR, and whether it says goodbye."""

    ssrc: int
    sent: tuple[int, int] | None
    goodbye: bool


@dataclass(frozen=True, slots=True)
class KeyEvent:
    """A telephone-event payload (RFC 4733 section 2.3)."""

    event: int
    end: bool
    duration: int


def read_sip(data: bytes) -> Sip | None:
    """Read a SIP message; None if it is none, or too odd to be read."""
    if not data[:1].isalpha():
        return None
    head = data.partition(b"\r\n\r\n")[0].split(b"\r\n")
    fields: dict[bytes, bytes] = {}
    for line in head[1:]:
        name, colon, value = line.partition(b":")
        if colon:
            fields.setdefault(_LONG.get(name.strip().lower(), name.strip().lower()), value.strip())
    cseq = _CSEQ.match(fields.get(b"cseq", b""))
    branch = _BRANCH.search(fields.get(b"via", b""))
    if cseq is None or branch is None or b"call-id" not in fields:
        return None
    first = head[0].split(b" ", 2)
    code = int(first[1]) if first[0] == b"SIP/2.0" and first[1].isdigit() else 0
    from_tag, to_tag = _TAG.search(fields.get(b"from", b"")), _TAG.search(fields.get(b"to", b""))
    method = cseq[2] if code else first[0]
    return Sip(
        code,
        method.decode("ascii", "replace"),
        int(cseq[1]),
        branch[1].decode("latin-1"),
        fields[b"call-id"].decode("latin-1"),
        from_tag[1].decode("latin-1") if from_tag else "",
        to_tag[1].decode("latin-1") if to_tag else "",
    )


_LONG: Final = {b"v": b"via", b"i": b"call-id", b"f": b"from", b"t": b"to"}


def is_rtp(data: bytes) -> bool:
    """Tell whether a datagram is RTP (version 2, and not RTCP: RFC 5761 section 4)."""
    return len(data) >= 12 and data[0] >> 6 == 2 and not 200 <= data[1] <= 207


def read_rtp(data: bytes) -> Rtp | None:
    """Read an RTP packet; None if it is none. Extensions and padding, which our machines don't send, stay in `body`."""
    if not is_rtp(data):
        return None
    _, second, sequence, timestamp, ssrc = _RTP.unpack_from(data)
    return Rtp(second & 0x7F, second >= 0x80, sequence, timestamp, ssrc, data[12:])


def read_rtcp(data: bytes) -> Rtcp | None:
    """Read an RTCP compound that begins with a report; None if it is none."""
    if len(data) < 8 or data[0] >> 6 != 2 or data[1] not in (200, 201):
        return None
    sent = _SENT.unpack_from(data, 20) if data[1] == 200 and len(data) >= 28 else None
    at, kinds = 0, list[int]()
    while at + 4 <= len(data):
        kinds.append(data[at + 1])
        at += 4 + 4 * int.from_bytes(data[at + 2 : at + 4], "big")
    return Rtcp(int.from_bytes(data[4:8], "big"), sent, 203 in kinds)


def read_key(body: bytes) -> KeyEvent | None:
    """Read the payload of a telephone-event packet."""
    if len(body) < 4:
        return None
    event, flags, duration = _EVENT.unpack_from(body)
    return KeyEvent(event, flags >= 0x80, duration)


KEYS: Final = "0123456789*#ABCD"
"""The keys by event number (RFC 4733 section 3.2)."""
