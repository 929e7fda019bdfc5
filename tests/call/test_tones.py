"""Call progress tones: their cadence, their length, their level."""

from __future__ import annotations

import struct

import pytest

from offhook.call.tones import RATE_HZ, RINGBACK, ringback
from offhook.core.errors import ConfigError


@pytest.mark.parametrize("country", RINGBACK)
def test_a_ringing_tone_sounds_and_pauses_as_its_country_has_it(country: str) -> None:
    pcm = ringback(10.0, country)
    samples = struct.unpack(f"<{len(pcm) // 2}h", pcm)
    assert len(samples) == 10 * RATE_HZ
    at = 0
    _, cadence = RINGBACK[country]
    for number, part in enumerate(cadence):
        piece = samples[at : at + round(part * RATE_HZ)]
        at += len(piece)
        assert (max(map(abs, piece)) > 1000) is (number % 2 == 0)
    assert max(map(abs, samples)) < 8000


def test_a_country_that_is_not_known_is_an_error() -> None:
    with pytest.raises(ConfigError, match="eu"):
        ringback(1, "mars")
