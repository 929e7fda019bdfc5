"""Pieces of one stream at one rate, whatever rate each of them comes at.

A call's audio runs at 8 or 16 kHz, by what was agreed, and a re-INVITE may change that in the middle of a sentence.
"""

from __future__ import annotations

from offhook import _native as native


class SteadyRate:
    """Converts to `rate_hz`; what is at that already passes as it is."""

    __slots__ = ("_edge", "_from_hz", "rate_hz")

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self._from_hz = rate_hz
        self._edge: native.Resampler | None = None

    def push(self, pcm: bytes, rate_hz: int) -> bytes:
        """Take a piece; give what is ready. ValueError for a rate that is not converted."""
        if rate_hz != self._from_hz:
            self._from_hz = rate_hz
            self._edge = None if rate_hz == self.rate_hz else native.Resampler(rate_hz, self.rate_hz)
        return pcm if self._edge is None else self._edge.push(pcm)
