"""The far end's audio as a service sends it, made into what the port takes: numbered packets of 60 ms at most.

    Sound (one frame, or half a minute at once) ─► wind ─► (sequence, timestamp, payload) …

Where the service numbers its messages and each is one frame, those numbers are the packets': what came out of order is
put in order by the port. Else they are counted here, as they come.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from offhook.carriers.services.stream import Encoding, Sound

PACKET_MS: Final = 20
LONGEST_MS: Final = 60
"""The longest packet that the port takes."""


class Reel:
    """One socket's audio."""

    def __init__(self, encoding: Encoding | None = None) -> None:
        encoding = encoding or Encoding()
        self._per_ms = encoding.bytes_per_ms
        self._ticks_per_ms = encoding.rate_hz // 1000
        self._sequence = 0
        self._timestamp = 0
        self._offset: int | None = None
        self._frame_ms = 0

    def wind(self, sound: Sound) -> Iterator[tuple[int, int, bytes]]:
        """Give the packets of a message: sequence, timestamp and payload. A rest that is no whole ms is dropped."""
        payload = sound.payload
        ms = len(payload) // self._per_ms
        if sound.number is not None and 0 < ms <= LONGEST_MS and self._frame_ms in (0, ms):
            self._frame_ms = ms
            if self._offset is None:
                self._offset = sound.number
            place = sound.number - self._offset
            yield self._packet(place, place * ms, payload[: ms * self._per_ms])
            return
        if sound.number is not None:
            self._offset, self._frame_ms = None, -1  # they are not of one length: as they come, from here on
        step = PACKET_MS if ms > LONGEST_MS else max(1, ms)
        for at in range(0, ms, step):
            piece = payload[at * self._per_ms : min(at + step, ms) * self._per_ms]
            yield self._packet(self._sequence, self._timestamp, piece)

    def _packet(self, sequence: int, at_ms: int, payload: bytes) -> tuple[int, int, bytes]:
        if sequence >= self._sequence:
            self._sequence = sequence + 1
            self._timestamp = at_ms + len(payload) // self._per_ms
        return sequence & 0xFFFF, at_ms * self._ticks_per_ms & 0xFFFF_FFFF, payload
