"""Call progress tones (ITU-T E.180, supplement 2): what a caller hears before the answer, as PCM for `call.early`.

await call.early(tones.ringback(10))
"""

from __future__ import annotations

import math
import struct
from typing import Final

from offhook.core.errors import ConfigError

RATE_HZ: Final = 8000
LEVEL: Final = 0.1
"""Amplitude of each frequency: -20 dBm0 and some, as exchanges send it."""

RINGBACK: Final[dict[str, tuple[tuple[int, ...], tuple[float, ...]]]] = {
    "us": ((440, 480), (2.0, 4.0)),
    "uk": ((400, 450), (0.4, 0.2, 0.4, 2.0)),
    "eu": ((425,), (1.0, 4.0)),
}
"""Ringing tones: their frequencies, and seconds of sound and silence in turn."""


def ringback(seconds: float, country: str = "eu") -> bytes:
    """Give a ringing tone: 16-bit mono PCM at 8 kHz. ConfigError for a country that is not in the table."""
    if country not in RINGBACK:
        raise ConfigError(f"there is no ringing tone for {country!r}: take one of {', '.join(RINGBACK)}")
    frequencies, cadence = RINGBACK[country]
    wanted = round(seconds * RATE_HZ)
    out = bytearray()
    sounding = True
    while len(out) < 2 * wanted:
        for part in cadence:
            out += _tone(frequencies, part) if sounding else bytes(2 * round(part * RATE_HZ))
            sounding = not sounding
    return bytes(out[: 2 * wanted])


def _tone(frequencies: tuple[int, ...], seconds: float) -> bytes:
    scale = round(LEVEL * 32767)
    samples = [
        round(sum(scale * math.sin(2 * math.pi * hz * n / RATE_HZ) for hz in frequencies))
        for n in range(round(seconds * RATE_HZ))
    ]
    return struct.pack(f"<{len(samples)}h", *samples)
