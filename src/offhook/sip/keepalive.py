"""Keeping a path open, and seeing that it still is the same (RFC 5626 section 4.4, RFC 8489 for STUN).

stream    CRLF CRLF ─►  ◄─ CRLF
datagram  STUN Binding ─►  ◄─ where we are seen          CRLF CRLF where the far end does not speak RFC 5626
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Final

from offhook.core.instants import SECOND, Duration

if TYPE_CHECKING:
    import random

CRLFS: Final = b"\r\n\r\n"

COOKIE: Final = b"\x21\x12\xa4\x42"
"""What every STUN message has behind its first four bytes (RFC 8489 section 5)."""

BINDING: Final = b"\x00\x01"
BOUND: Final = b"\x01\x01"

XOR_MAPPED_ADDRESS: Final = 0x0020

PONG_WITHIN: Final[Duration] = 10 * SECOND
"""How long a far end has to answer (section 4.4.1)."""

INTERVAL: Final = (24 * SECOND, 29 * SECOND)
"""Between two keepalives (section 4.4.2): below the 30 s after which many NATs forget."""


class Pings:
    """The keepalives of one flow."""

    def __init__(self, rng: random.Random) -> None:
        self.patience = PONG_WITHIN
        self._rng = rng
        self._transaction = b""
        self._mapped: tuple[str, int] | None = None
        self._timer_s = 0

    def reset(self, timer_s: int) -> None:
        """Begin anew; `timer_s` is the Flow-Timer that the far end gave (section 4.4.1), 0 where it gave none."""
        self._mapped = None
        self._timer_s = timer_s

    def interval(self) -> Duration:
        """Draw how long to wait: between 80 and 100 % of Flow-Timer, else what is safe for any NAT."""
        low, high = INTERVAL
        if self._timer_s:
            high = min(self._timer_s * SECOND, 3600 * SECOND)
            low = high * 4 // 5
        return self._rng.randint(low, high)

    def request(self) -> bytes:
        """Make a STUN Binding request."""
        self._transaction = self._rng.getrandbits(96).to_bytes(12, "big")
        return BINDING + b"\x00\x00" + COOKIE + self._transaction

    def answered(self, data: bytes) -> bool:
        """Say whether this is the answer to the last one: a CRLF of a stream, or STUN with our transaction."""
        return not data.strip(b"\r\n") or (is_stun(data) and data[8:20] == self._transaction)

    def moved(self, data: bytes) -> bool:
        """Say whether an answer sees us at another address than the one before did."""
        mapped = mapped_address(data)
        if mapped is None:
            return False
        before, self._mapped = self._mapped, mapped
        return before is not None and before != mapped


def is_stun(data: bytes) -> bool:
    """Say whether a datagram is STUN and not SIP: no SIP message begins with a byte below 4 (RFC 7983)."""
    return len(data) >= 20 and data[0] < 4 and data[4:8] == COOKIE


def mapped_address(data: bytes) -> tuple[str, int] | None:
    """Give where a Binding response says that we are seen, None where it does not or is none."""
    if not is_stun(data) or data[:2] != BOUND or len(data) != 20 + int.from_bytes(data[2:4], "big"):
        return None
    at = 20
    while at + 4 <= len(data):
        kind, size = int.from_bytes(data[at : at + 2], "big"), int.from_bytes(data[at + 2 : at + 4], "big")
        value = data[at + 4 : at + 4 + size]
        if kind == XOR_MAPPED_ADDRESS and len(value) in (8, 20):
            mask = data[4:20]
            port = int.from_bytes(value[2:4], "big") ^ int.from_bytes(mask[:2], "big")
            raw = bytes([one ^ other for one, other in zip(value[4:], mask, strict=False)])
            return str(IPv4Address(raw) if len(raw) == 4 else IPv6Address(raw)), port
        at += 4 + size + -size % 4
    return None


def binding_response(data: bytes, source: tuple[str, int]) -> bytes | None:
    """Answer a Binding request that came to our SIP port (section 5.4), None where it is none."""
    if not is_stun(data) or data[:2] != BINDING:
        return None
    mask = data[4:20]
    host = source[0]
    raw = IPv6Address(host).packed if ":" in host else IPv4Address(host).packed
    port = source[1] ^ int.from_bytes(mask[:2], "big")
    address = bytes([one ^ other for one, other in zip(raw, mask, strict=False)])
    value = (b"\x00\x02" if len(raw) == 16 else b"\x00\x01") + port.to_bytes(2, "big") + address
    attribute = XOR_MAPPED_ADDRESS.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value
    return BOUND + len(attribute).to_bytes(2, "big") + mask + attribute
