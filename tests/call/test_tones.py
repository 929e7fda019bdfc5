"""Call progress tones: their cadence, their length, their level, and that each is heard for what it is."""

from __future__ import annotations

import struct

import pytest

from offhook import _native as native
from offhook.call import tones
from offhook.call.tones import RATE_HZ, ringback
from offhook.core.errors import ConfigError


@pytest.mark.parametrize(("country", "parts"), [("us", (2, 4)), ("uk", (0.4, 0.2, 0.4, 2)), ("eu", (1, 4))])
def test_a_ringing_tone_sounds_and_pauses_as_its_country_has_it(country: str, parts: tuple[float, ...]) -> None:
    pcm = ringback(10.0, country)
    samples = struct.unpack(f"<{len(pcm) // 2}h", pcm)
    assert len(samples) == 10 * RATE_HZ
    at = 0
    for number, part in enumerate(parts):
        piece = samples[at : at + round(part * RATE_HZ)]
        at += len(piece)
        assert (max(map(abs, piece)) > 1000) is (number % 2 == 0)
    assert max(map(abs, samples)) < 8000


def heard(pcm: bytes, country: str, *, beep: bool = False) -> list[str]:
    """Give what is heard behind the law, by an ear that listens for everything."""
    everything = tones.PROGRESS | {tones.CALLING_FAX, tones.ANSWERING_FAX}
    ear = native.Watch(tones.listened(everything, country), beep)
    sound = native.decode("PCMA", native.encode("PCMA", bytes(6400) + pcm + bytes(11200)))
    return [kind for at in range(0, len(sound), 320) for kind, _ in ear.push(sound[at : at + 320])]


@pytest.mark.parametrize("country", tones.countries())
def test_each_tone_of_a_country_is_heard_for_what_it_is(country: str) -> None:
    for kind in ("dial", "ringback", "busy", "reorder"):
        expected = "busy" if tones.tone("reorder", 9, country) == tones.tone("busy", 9, country) else kind
        told = heard(tones.tone(kind, 9.0, country), country)
        assert told == [expected if kind == "reorder" else kind] or (country, kind) == ("es", "busy"), kind


@pytest.mark.parametrize(
    ("kind", "seconds"),
    [
        ("sit_intercept", 0.928), ("sit_vacant", 1.034), ("sit_reorder", 1.034), ("sit_no_circuit", 1.14),
        ("sit", 0.99), ("fax_cng", 7.0), ("fax_ced", 3.0),
    ],
)  # fmt: skip
def test_special_information_and_fax_tones_are_heard_anywhere(kind: str, seconds: float) -> None:
    for country in ("us", "de", "gb", ""):
        assert heard(tones.tone(kind, seconds), country) == [kind]


def test_where_the_country_is_not_known_its_tones_may_be_either_continents() -> None:
    assert heard(tones.tone("busy", 6, "us"), "") == heard(tones.tone("busy", 6, "de"), "zz") == ["busy"]


def test_a_tone_that_goes_on_is_told_once() -> None:
    assert heard(tones.tone("ringback", 40, "de"), "de") == ["ringback"]


def test_what_does_not_exist_is_an_error() -> None:
    with pytest.raises(ConfigError, match="eu"):
        ringback(1, "mars")
    with pytest.raises(ConfigError, match="busy"):
        tones.tone("moo", 1, "de")
