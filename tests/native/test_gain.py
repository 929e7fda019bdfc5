"""Gain for quiet callers: what is told of them is louder; everything else is as it was."""

from __future__ import annotations

import math
import random
import struct
import wave
from functools import cache

import pytest

from offhook import _native as native

PROMPTS = "/usr/share/asterisk/sounds/en"
WIDE = {"send": (97, "L16/16000"), "receive": ((97, "L16/16000"), (0, "PCMU"))}


def samples(pcm: bytes) -> list[int]:
    return [one for (one,) in struct.iter_unpack("<h", pcm)]


def packed(pcm: list[float]) -> bytes:
    return struct.pack(f"<{len(pcm)}h", *(max(-32768, min(32767, round(one))) for one in pcm))


def dbov(pcm: list[int]) -> float:
    """Level below that of a full-scale square wave."""
    power = sum(one * one for one in pcm) / max(1, len(pcm))
    return 10 * math.log10(max(power, 1e-3) / 32768**2)


def spoken(pcm: list[int]) -> list[int]:
    """The louder half of the pieces of 20 ms: speech without its pauses."""
    pieces = sorted((pcm[at : at + 160] for at in range(0, len(pcm) - 160, 160)), key=dbov)
    return [one for piece in pieces[len(pieces) // 2 :] for one in piece]


@cache
def talk(ms: int, level_dbov: float, noise_dbov: float = -70.0, rate_hz: int = 8000, seed: int = 1) -> bytes:
    """A voice at this level for all of the time, over a noise."""
    rng = random.Random(seed)
    wave: list[float] = []
    for n in range(ms * rate_hz // 1000):
        t = n / rate_hz
        buzz = sum(math.sin(math.tau * 130 * k * t) / k for k in range(1, 15))
        wave.append(buzz * (0.6 + 0.4 * math.sin(math.tau * 4 * t)))
    scale = 10 ** (level_dbov / 20) * 32768 / math.sqrt(sum(one * one for one in wave) / len(wave))
    hiss = 10 ** (noise_dbov / 20) * 32768
    return packed([one * scale + rng.gauss(0, hiss) for one in wave])


def noise(ms: int, level_dbov: float, rate_hz: int = 8000, seed: int = 2) -> bytes:
    rng = random.Random(seed)
    return packed([rng.gauss(0, 10 ** (level_dbov / 20) * 32768) for _ in range(ms * rate_hz // 1000)])


def say(rig, pcm: bytes, *, wide: bool = False) -> None:
    """Let the far end send this as L16, so that no code of G.711 rounds what is quiet."""
    rate_hz, kind = (16_000, 97) if wide else (8000, 96)
    for at in range(0, len(pcm), rate_hz // 25):
        piece = samples(pcm[at : at + rate_hz // 25])
        rig.run(20)
        rig.give(rig.next(struct.pack(f">{len(piece)}h", *piece), kind, step=rate_hz // 50))


@pytest.fixture
def narrow(rig):
    """A Port that listens for speech and helps those who are quiet."""
    rig.configure(send=(0, "PCMU"), receive=((0, "PCMU"), (96, "L16/8000")))
    rig.port.listen("speech", gain_control=True)
    return rig


@pytest.mark.parametrize("wide", [False, True])
def test_a_talker_at_40_below_is_told_at_23_below_within_two_seconds_of_speech(rig, wide):
    rate_hz = 16_000 if wide else 8000
    rig.configure(**(WIDE if wide else {"receive": ((0, "PCMU"), (96, "L16/8000"))}))
    rig.port.listen("speech", gain_control=True)
    say(rig, noise(1000, -70, rate_hz), wide=wide)
    say(rig, talk(4000, -40, rate_hz=rate_hz), wide=wide)
    told = samples(rig.heard())
    end = len(told)
    second = told[end - 2 * rate_hz : end - rate_hz]
    assert dbov(told[end - rate_hz :]) == pytest.approx(-23, abs=1.5)
    assert dbov(second) == pytest.approx(-23, abs=1.5)
    assert max(map(abs, told)) < 32767


@pytest.mark.parametrize("level_dbov", [-22.0, -15.0, -9.0])
def test_a_loud_talker_is_told_bit_by_bit(make_rig, level_dbov):
    told = []
    for gain_control in (False, True):
        rig = make_rig()
        rig.configure(receive=((0, "PCMU"), (96, "L16/8000")))
        rig.port.listen("speech", gain_control)
        say(rig, noise(500, -70) + talk(3000, level_dbov))
        told.append(rig.heard())
    assert told[0] == told[1] != b""


@pytest.mark.parametrize("quieter_db", [10.0, 15.0, 20.0, 24.0])
def test_a_human_voice_far_off_is_told_as_loud_as_one_near_by(narrow, peer_file, quieter_db):
    """Recorded prompts, each word of them: as loud as they may become, and no louder anywhere than the 20 dB allow."""
    prompts = sorted(peer_file(PROMPTS, "asterisk-core-sounds-en-wav").glob("*.wav"))
    sound: list[int] = []
    for path in prompts[:: len(prompts) // 20]:
        with wave.open(str(path)) as file:
            sound += samples(file.readframes(file.getnframes()))
    near = dbov(spoken(sound))
    scale = 10 ** ((-23 - quieter_db - near) / 20)
    far = [one * scale for one in sound]
    narrow.port.listen("all", gain_control=True)
    say(narrow, noise(500, -75) + packed(far))
    told = samples(narrow.heard())[4000:]
    assert len(told) > 30 * 8000
    half = len(told) // 2
    assert dbov(spoken(told[half:])) == pytest.approx(-23 - max(0.0, quieter_db - 20), abs=3)
    assert all(abs(out) <= 10 * abs(came) + 16 for out, came in zip(told, far, strict=False))


def test_noise_alone_is_not_turned_up(narrow):
    narrow.port.listen("all", gain_control=True)
    hiss = noise(6000, -55)
    say(narrow, hiss)
    assert narrow.heard() == hiss


def test_behind_a_quiet_talker_the_noise_is_what_it_was_and_the_next_word_is_loud_at_once(narrow):
    narrow.port.listen("all", gain_control=True)
    first = talk(4000, -40) + noise(2000, -70) + talk(500, -40)
    say(narrow, first)
    told, came = samples(narrow.heard()), samples(first)
    assert told[36_000:48_000] == came[36_000:48_000], "from half a second behind the last word on"
    assert dbov(told[50_400:52_000]) == pytest.approx(-23, abs=2)


def test_the_pre_roll_is_quiet_up_to_the_word_and_loud_in_it(narrow):
    say(narrow, noise(1000, -70) + talk(3000, -40) + noise(1500, -70))
    narrow.told.clear()
    say(narrow, talk(400, -40))
    (began,) = narrow.events(native.SpeechBegan)
    first = narrow.events(native.Heard)
    before = [one for piece in first if piece.at + 60_000_000 < began.at for one in samples(piece.pcm)]
    within = [one for piece in first if piece.at > began.at + 20_000_000 for one in samples(piece.pcm)]
    assert dbov(before) < -68
    assert dbov(within) == pytest.approx(-23, abs=2.5)


def test_a_shout_behind_quiet_words_does_not_clip(narrow):
    say(narrow, noise(500, -70) + talk(4000, -43))
    narrow.told.clear()
    shout = talk(1500, -9)
    say(narrow, shout)
    told = samples(narrow.heard())
    flat = sum(told[n] == told[n + 1] == told[n + 2] and abs(told[n]) > 32000 for n in range(len(told) - 2))
    assert flat == 0
    assert dbov(told[-4000:]) == pytest.approx(dbov(samples(shout)[-4000:]), abs=0.5)


def test_edges_keys_and_the_tape_are_the_same_with_and_without(make_rig):
    seen = []
    for gain_control in (False, True):
        rig = make_rig()
        rig.configure(receive=((0, "PCMU"), (96, "L16/8000")), dtmf_send=None, dtmf_receive=None)
        rig.port.listen("speech", gain_control)
        rig.port.tape(True)
        say(rig, noise(500, -70) + talk(3000, -40) + noise(600, -70))
        key = [3000 * (math.sin(math.tau * 770 * n / 8000) + math.sin(math.tau * 1336 * n / 8000)) for n in range(1600)]
        say(rig, packed(key) + noise(600, -70) + talk(1000, -40) + noise(500, -70))
        rig.run(2000)
        seen.append([event for event in rig.told if not isinstance(event, native.Heard | native.Quality)])
    plain, lifted = ([repr(event) for event in told] for told in seen)
    assert plain == lifted
    kinds = {type(event) for event in seen[0]}
    assert {native.SpeechBegan, native.SpeechEnded, native.Digit, native.Taped} <= kinds


def test_it_is_off_unless_asked_for_and_the_way_of_the_audio_names_it(rig):
    rig.port.listen("speech")
    assert "gain" not in rig.port.describe()[0]
    rig.port.listen("speech", gain_control=True)
    assert rig.port.describe()[0].endswith("→ listening (speech, 8 kHz) → gain (speech to -23 dBov, at most +20 dB)")
