"""What happened in a simulated world, in order: one digest of it all, and whoever wants to watch.

Same seed, same digest: every byte on the wire with its virtual time, each arrival with the sum of its bytes, and every
event, goes into one BLAKE2b state in the order in which it happened. Two runs that differ in one bit of one packet, or
one nanosecond, differ in the digest.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections import Counter
from typing import Final, Protocol

from offhook.core.instants import Instant
from offhook.core.media import Address

_STAMP: Final = struct.Struct("<qcI")


class Watcher(Protocol):
    """Sees each datagram leave and arrive, on the machines' side of any NAT."""

    def left(self, now: Instant, source: Address, destination: Address, data: bytes) -> None:
        """A datagram (or a piece of a stream) was sent: `source` is the socket, `destination` what it wrote to."""
        ...

    def arrived(self, now: Instant, source: Address, destination: Address, data: bytes) -> None:
        """A datagram came: `source` is what the socket sees, `destination` the socket."""
        ...


class Journal:
    """The digest, the counters by name, and the watchers of one world."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self._addresses: dict[tuple[Address, Address], bytes] = {}
        self.counters: Counter[str] = Counter()
        self.watchers: list[Watcher] = []

    def left(self, now: Instant, source: Address, destination: Address, data: bytes) -> None:
        """Take down that a datagram was sent."""
        self._wire(now, b"s", source, destination, data)
        for watcher in self.watchers:
            watcher.left(now, source, destination, data)

    def arrived(self, now: Instant, source: Address, destination: Address, data: bytes) -> None:
        """Take down that a datagram arrived. Its bytes were taken down when it left; their sum says that it is they."""
        self._wire(now, b"a", source, destination, zlib.crc32(data).to_bytes(4, "big"))
        for watcher in self.watchers:
            watcher.arrived(now, source, destination, data)

    def piece(self, now: Instant, source: Address, destination: Address, data: bytes) -> None:
        """Take down that a piece of a stream arrived; it may be any part of any message, so nobody is shown it."""
        self._wire(now, b"p", source, destination, data)

    def event(self, now: Instant, text: str) -> None:
        """Take down an event. `text` must be a function of the seed: no addresses of objects, no sets."""
        data = text.encode()
        self._hash.update(_STAMP.pack(now, b"e", len(data)) + data)

    def count(self, name: str) -> None:
        """Count one fault or fact by its name."""
        self.counters[name] += 1

    def digest(self) -> str:
        """Give the digest of all so far, as hexadecimal."""
        return self._hash.hexdigest()

    def _wire(self, now: Instant, kind: bytes, source: Address, destination: Address, data: bytes) -> None:
        path = self._addresses.get((source, destination))
        if path is None:
            path = f"{source[0]}:{source[1]}>{destination[0]}:{destination[1]} ".encode()
            self._addresses[source, destination] = path
        self._hash.update(_STAMP.pack(now, kind, len(data)) + path + data)
