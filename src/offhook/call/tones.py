"""Call progress tones (ITU-T E.180, supplement 2), special information tones (Q.35) and fax tones (T.30), by country.

tones.toml ─┬─► tone("busy", 5, "gb") ─► PCM, to be played                await call.early(tones.ringback(10))
└─► listened({"busy"}, "gb") ─► what the media plane is to listen for ─► Tone("busy")
"""

from __future__ import annotations

import math
import struct
import tomllib
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Final

from offhook import _native as native
from offhook.core.errors import ConfigError

RATE_HZ: Final = 8000
LEVEL: Final = 0.1
"""Amplitude of each frequency: -20 dBm0 and some, as exchanges send it."""

HANGUP: Final = frozenset({"busy", "reorder"})
"""What a line sounds whose far end has gone."""

SPECIAL: Final = frozenset({"sit", "sit_intercept", "sit_vacant", "sit_reorder", "sit_no_circuit"})
"""What comes before an announcement that says why a call did not come about."""

PROGRESS: Final = frozenset({"dial", "ringback", *HANGUP, *SPECIAL})
"""What is heard before an answer."""

CALLING_FAX: Final = "fax_cng"
ANSWERING_FAX: Final = "fax_ced"

BEEP: Final = "beep"
"""An answering machine has said its words, and records."""

_SHORT_MS = 300
_Segments = tuple[tuple[tuple[int, ...], int], ...]


def countries() -> list[str]:
    """Give the countries whose tones are known, as ISO 3166 codes in small letters, and `eu`."""
    return [name for name in _table() if name != "every"]


def ringback(seconds: float, country: str = "eu") -> bytes:
    """Give a ringing tone: 16-bit mono PCM at 8 kHz. ConfigError for a country that is not in the table."""
    return tone("ringback", seconds, country)


def tone(kind: str, seconds: float, country: str = "eu") -> bytes:
    """Give a tone: 16-bit mono PCM at 8 kHz. ConfigError for a kind or a country that is not in the table.

    Kinds: `dial`, `ringback`, `busy`, `reorder`, `waiting`, `sit_…`, `fax_cng`, `fax_ced`.
    """
    known = _tones(country)
    if kind == "reorder" and kind not in known:
        kind = "busy"
    if kind not in known:
        raise ConfigError(f"there is no tone {kind!r}: take one of {', '.join(known)}")
    wanted = round(seconds * RATE_HZ)
    out = bytearray()
    while len(out) < 2 * wanted:
        for frequencies, ms in known[kind]:
            samples = round(ms * RATE_HZ / 1000) if ms else wanted
            out += _sound(frequencies, samples) if frequencies else bytes(2 * samples)
    return bytes(out[: 2 * wanted])


def listened(kinds: Collection[str], country: str = "") -> list[native.WatchedTone]:
    """Give what the media plane has to listen for to hear these kinds.

    Where a country is not known, its tones may be those of Europe or of North America.
    """
    name = _named(country)
    tables = [_tones(one) for one in ([name] if name in countries() else ["eu", "us"])]
    found = {(kind, segments): None for known in tables for kind, segments in known.items() if kind in kinds}
    return [(kind, segments, _runs(segments)) for kind, segments in found]


def _runs(segments: _Segments) -> int:
    """Say how many segments make a tone known: a cadence must come again, and the faster it is the more often."""
    repeats = len(segments) > 1 and any(not frequencies for frequencies, _ in segments)
    longest = max(ms for _, ms in segments)
    if not repeats or longest >= 1000:
        return len(segments)  # it is said once, or its long pause says enough
    least = 7 if len(segments) == 2 and longest <= _SHORT_MS else 5
    return max(least, len(segments))


def _tones(country: str) -> dict[str, _Segments]:
    table, name = _table(), _named(country)
    if name not in countries():
        raise ConfigError(f"there are no tones for {country!r}: take one of {', '.join(countries())}")
    return {**table[name], **table["every"]}


def _named(country: str) -> str:
    return {"uk": "gb"}.get(country.lower(), country.lower())


@cache
def _table() -> dict[str, dict[str, _Segments]]:
    text = (Path(__file__).parent / "tones.toml").read_text()
    return {
        country: {kind: _parsed(written) for kind, written in tones.items()}
        for country, tones in tomllib.loads(text).items()
    }


def _parsed(written: str) -> _Segments:
    segments: list[tuple[tuple[int, ...], int]] = []
    for part in written.split():
        frequencies, _, ms = part.partition("/")
        segments.append((tuple(int(hz) for hz in frequencies.split("+") if hz != "0"), int(ms or 0)))
    return tuple(segments)


def _sound(frequencies: tuple[int, ...], count: int) -> bytes:
    scale = round(LEVEL * 32767)
    samples = [round(sum(scale * math.sin(2 * math.pi * hz * n / RATE_HZ) for hz in frequencies)) for n in range(count)]
    return struct.pack(f"<{len(samples)}h", *samples)
