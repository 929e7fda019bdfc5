"""What is no speech and no key: a machine's beep, and that people's voices are never taken for any tone."""

from __future__ import annotations

import itertools
import math
import random
import struct
import wave
from collections.abc import Callable
from pathlib import Path

import pytest

from offhook import _native as native
from offhook.call import tones

PROMPTS = "/usr/share/asterisk/sounds/en"
CHIMES = ("beep", "tone", "confbridge-leave", "confbridge-join")
EVERYTHING = tones.PROGRESS | {tones.CALLING_FAX, tones.ANSWERING_FAX}


def pcm(*parts: list[float]) -> bytes:
    samples = [max(-32768, min(32767, round(sample))) for part in parts for sample in part]
    return struct.pack(f"<{len(samples)}h", *samples)


def silence(ms: float) -> list[float]:
    return [0.0] * round(ms * 8)


def sine(hz: float, ms: float, dbm0: float = -15) -> list[float]:
    size = 22656 * 10 ** (dbm0 / 20)
    return [size * math.sin(math.tau * hz * n / 8000) for n in range(round(ms * 8))]


def told(rig) -> list[str]:
    return [tone.kind for tone in rig.events(native.Tone)]


@pytest.mark.parametrize(("hz", "ms"), [*itertools.product((400, 440, 1000, 1400, 2000), (100, 300, 1500))])
def test_a_beep_after_speech_is_told_where_it_ends(rig, sounds, hz: int, ms: int) -> None:
    _, voice = sounds
    for level in (-10, -35):
        rig.told.clear()
        rig.port.watch([], beep=True)
        rig.speak(voice(1500) + pcm(silence(400), sine(hz, ms, level)))
        end = rig.now
        rig.speak(pcm(silence(500)))
        (beep,) = rig.events(native.Tone)
        assert beep.kind == "beep"
        assert abs(beep.at - end) < 60_000_000


def test_a_tune_is_no_beep(rig, sounds) -> None:
    _, voice = sounds
    rig.port.watch([], beep=True)
    rng = random.Random(2)
    notes = [sine(440 * 2 ** (rng.randint(0, 24) / 12), rng.choice((125, 250, 500))) for _ in range(60)]
    rig.speak(voice(1000) + pcm(*notes))
    assert told(rig) == []


def test_what_is_too_short_too_long_or_before_any_speech_is_no_beep(rig, sounds) -> None:
    _, voice = sounds
    rig.port.watch([], beep=True)
    rig.speak(pcm(silence(200), [*sine(1000, 40)], silence(600)))
    assert told(rig) == []
    rig.speak(voice(1000) + pcm(silence(300), sine(1000, 2000), silence(600)))
    assert told(rig) == []


def test_nothing_is_told_that_was_not_asked_for(rig) -> None:
    rig.speak(pcm(sine(1100, 500), silence(3000)))
    rig.port.watch(tones.listened({tones.CALLING_FAX}))
    rig.port.watch([])
    rig.speak(pcm(sine(1100, 500), silence(3000)))
    assert told(rig) == []
    rig.port.watch(tones.listened({tones.CALLING_FAX}))
    rig.speak(pcm(silence(100), sine(1100, 500), silence(3000)))
    assert told(rig) == ["fax_cng"]


@pytest.mark.parametrize(
    "tone",
    [
        ("x", (), 1),
        ("x", (((), 100),), 1),
        ("x", (((100,), 100),), 1),
        ("x", (((4000,), 100),), 1),
        ("x", (((400,), 10_001),), 1),
        ("x", (((400,), 100),) * 9, 1),
        ("x", (((400, 500, 600, 700, 800), 100),), 1),
        ("x", (((400,), 100),), 0),
        ("x", (((400,), 100),), 9),
    ],
)
def test_what_is_out_of_bounds_is_refused(rig, tone) -> None:
    with pytest.raises(ValueError, match="tone"):
        rig.port.watch([tone])
    with pytest.raises(ValueError, match="too many"):
        rig.port.watch([("x", (((400,), 100),), 1)] * 25)


def test_twenty_minutes_of_a_human_voice_are_no_tone(peer_file: Callable[[str, str], Path]) -> None:
    minutes = 0.0
    for path in sorted(peer_file(PROMPTS, "asterisk-core-sounds-en-wav").rglob("*.wav")):
        if any(word in path.name for word in CHIMES):
            continue
        with wave.open(str(path)) as file:
            sound = native.decode("PCMU", native.encode("PCMU", file.readframes(file.getnframes()))) + bytes(8000)
        minutes += len(sound) / 16000 / 60
        for country in ("us", "gb", "de"):
            ear = native.Watch(tones.listened(EVERYTHING, country), beep=True)
            ear.push(bytes(1600))
            assert ear.push(sound + sound) == [], path
    assert minutes > 20
