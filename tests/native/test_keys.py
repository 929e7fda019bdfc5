"""Keys in the audio (ITU-T Q.23, Q.24): what is one, what is none, and what is left of it for whoever listens."""

from __future__ import annotations

import itertools
import math
import random
import struct

import pytest

from offhook import _native as native
from tests.native.conftest import tone
from tests.native.test_bridge import Pair

MS = 1_000_000
LOW, HIGH = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
PAD = ("123A", "456B", "789C", "*0#D")
KEYS = "".join(PAD)
PHONE = "1234567890*#"
IN_BAND: dict[str, object] = {"dtmf_send": None, "dtmf_receive": None}


def key(
    name: str, ms: float = 100, *, low: float = -10, high: float = -8, off: float = 0, seed: int = 0
) -> list[float]:
    """Sound a key: levels in dBm0, `off` as a share of the frequency."""
    row = next(row for row in range(4) if name in PAD[row])
    rng = random.Random(f"{name}{seed}")
    sines = (
        (22656 * 10 ** (level / 20), math.tau * hz * (1 + off) / 8000, rng.uniform(0, math.tau))
        for level, hz in ((low, LOW[row]), (high, HIGH[PAD[row].index(name)]))
    )
    parts = list(sines)
    return [sum(size * math.sin(turn * n + phase) for size, turn, phase in parts) for n in range(round(ms * 8))]


def silence(ms: float) -> list[float]:
    return [0.0] * round(ms * 8)


def pcm(*parts: list[float]) -> bytes:
    samples = [max(-32768, min(32767, round(sample))) for part in parts for sample in part]
    return struct.pack(f"<{len(samples)}h", *samples)


def through(law: str, sound: bytes) -> bytes:
    return native.decode(law, native.encode(law, sound))


def heard(sound: bytes, law: str = "PCMU") -> str:
    """Give the keys that are heard in packets of 20 ms."""
    ear, sound = native.Keypad(), through(law, sound)
    return "".join(key for at in range(0, len(sound), 320) for key, _ in ear.push(sound[at : at + 320]))


def alone(ms: float, **how: float) -> set[str]:
    """Sound each key alone, at several places in the packet; give what was heard of each."""
    return {
        f"{name}:{heard(pcm(silence(40 + shift), key(name, ms, **how), silence(80)))}"  # type: ignore[arg-type]
        for shift, name in itertools.product((0, 3, 7, 11, 17), KEYS)
    }


ALL = {f"{name}:{name}" for name in KEYS}
NONE = {f"{name}:" for name in KEYS}


@pytest.mark.parametrize(
    "how",
    [
        {"ms": 40},
        {"ms": 40, "off": 0.015},
        {"ms": 40, "off": -0.015},
        {"ms": 40, "low": -24, "high": -20},
        {"ms": 40, "low": -20, "high": -28},
        {"ms": 40, "low": -3.2, "high": -3.2},
        {"ms": 40, "low": -40, "high": -40},
    ],
)
def test_what_a_receiver_must_take_is_taken(how: dict[str, float]) -> None:
    assert alone(**how) == ALL


@pytest.mark.parametrize("how", [{"ms": 20}, {"ms": 23}, {"ms": 100, "off": 0.035}, {"ms": 100, "off": -0.035}])
def test_what_a_receiver_must_refuse_is_refused(how: dict[str, float]) -> None:
    assert alone(**how) == NONE


@pytest.mark.parametrize(("gap", "times"), [(5, 1), (10, 1), (40, 2)])
def test_an_interruption_is_bridged_and_a_pause_is_not(gap: float, times: int) -> None:
    for shift, name in itertools.product((0, 6, 13), KEYS):
        twice = pcm(silence(30 + shift), key(name, 45), silence(gap), key(name, 45), silence(80))
        assert heard(twice) == name * times


def test_a_row_of_keys_is_heard_as_fast_as_it_may_be_dialled() -> None:
    row = pcm(*itertools.chain.from_iterable((key(name, 40), silence(40)) for name in KEYS), silence(60))
    assert heard(row) == heard(row, "PCMA") == KEYS


def test_a_key_under_noise_is_heard() -> None:
    rng = random.Random(3)
    noise = [rng.gauss(0, 22656 * 10 ** (-24 / 20)) for _ in range(100 * 8)]
    for name in KEYS:
        noisy = [a + b for a, b in zip(key(name, 100), noise, strict=True)]
        assert heard(pcm(silence(40), noisy, silence(60))) == name


@pytest.mark.survives(9)
@pytest.mark.parametrize("law", ["PCMU", "PCMA"])
@pytest.mark.parametrize("loss", [0.0, 0.05])
def test_twelve_keys_in_the_audio_are_told_once_each(rig, law: str, loss: float) -> None:
    """What must survive 9, in-band: 12 of 12 through the law and 5 % of packet loss."""
    for seed in range(12):
        rng = random.Random(seed)
        rig.told.clear()
        rig.configure(seed + 2, **IN_BAND)
        number = 0 if law == "PCMU" else 8
        sound = pcm(silence(rng.uniform(20, 60)), *(part for name in PHONE for part in (key(name), silence(100))))
        for at in range(0, len(sound) - 319, 320):
            rig.run(20)
            packet = rig.next(native.encode(law, sound[at : at + 320]), number)
            if rng.random() >= loss:
                rig.give(packet)
        rig.run(200)
        digits = rig.events(native.Digit)
        assert "".join(digit.key for digit in digits) == PHONE, seed
        assert all(digit.in_band for digit in digits)


def test_a_key_is_told_where_it_began(rig) -> None:
    rig.configure(2, **IN_BAND)
    rig.run(500)
    begun = rig.now
    rig.speak(pcm(silence(307), key("7"), silence(200)))
    (digit,) = rig.events(native.Digit)
    assert abs(digit.at - begun - 307 * MS) < 12 * MS
    assert 25 <= digit.duration_ms <= 60


@pytest.mark.parametrize("law", ["PCMU", "PCMA"])
def test_the_sound_of_a_key_is_kept_from_others(law: str) -> None:
    """It is passed on as a key: whoever counts keys at the other end would have it twice."""
    pair = Pair()
    one, other = pair.ends
    one.configure(**IN_BAND)
    other.configure()
    pair.join()
    spoken = tone(400, 300)
    row = pcm(*(part for name in PHONE for part in (key(name), silence(100))))
    pair.say(0, pcm(silence(500)) + spoken + row + spoken + pcm(silence(200)), codec=law)
    pair.run(300)
    assert "".join(digit.key for digit in one.events(native.Digit)) == PHONE
    passed = b"".join(native.decode("PCMU", packet.payload) for _, packet in other.sent if packet.payload_type == 0)
    assert heard(passed) == ""
    loud = sum(energy(passed[at : at + 80]) > 40 * 500**2 for at in range(0, len(passed), 80))
    words_ms, keys_ms = 2 * 400, len(PHONE) * 100
    assert words_ms <= 5 * loud <= words_ms + 0.2 * keys_ms, "all of the words, and of each key next to nothing"


def energy(sound: bytes) -> float:
    samples = struct.unpack(f"<{len(sound) // 2}h", sound)
    return sum(sample * sample for sample in samples)


def test_of_a_key_in_the_audio_at_most_forty_milliseconds_are_heard_and_nothing_is_taped(rig, sounds) -> None:
    _, voice = sounds
    rig.configure(2, **IN_BAND)
    rig.port.tape(True)
    rig.speak(pcm(silence(600), key("7", 300), silence(600)))
    loud = [event for event in rig.events(native.Heard) if energy(event.pcm) > 0]
    assert len(loud) <= 2
    rig.run(1100)
    rig.port.tape(False)
    rig.collect()
    left = b"".join(b"".join(e.pcm[n : n + 2] for n in range(0, len(e.pcm), 4)) for e in rig.events(native.Taped))
    assert energy(left) < 0.01 * energy(pcm(key("7", 10)))
    assert not rig.events(native.SpeechBegan), "a key is no speech"
    rig.speak(voice(600))
    assert rig.events(native.SpeechBegan), "who speaks afterwards is heard"


def test_what_leaks_of_a_key_beside_its_event_is_not_heard_either(rig) -> None:
    """A gateway makes an event of a tone once it has heard it: the first 40 ms of it are through by then."""
    rig.port.tape(True)
    rig.port.listen("speech")
    leak = pcm(key("5", 60))
    rig.speak(pcm(silence(600)) + leak[:640])
    start = rig.timestamp
    for n in range(1, 6):
        rig.run(20)
        event = struct.pack("!BBH", 5, 10 | (0x80 if n == 5 else 0), 160 * n)
        packet = rig.next(event, 101, step=160)
        rig.give(type(packet)(n == 1, 101, packet.sequence, start, packet.ssrc, event))
    rig.speak(leak[640:] + pcm(silence(600)))
    rig.run(1100)
    rig.port.tape(False)
    rig.collect()
    assert [digit.key for digit in rig.events(native.Digit)] == ["5"]
    left = b"".join(b"".join(e.pcm[n : n + 2] for n in range(0, len(e.pcm), 4)) for e in rig.events(native.Taped))
    assert energy(left) < 0.01 * energy(leak)
    assert energy(rig.heard()) < 0.01 * energy(leak)


def test_keys_that_were_agreed_as_events_are_not_told_from_the_audio(rig) -> None:
    rig.speak(pcm(silence(40), key("5"), silence(100)))
    assert not rig.events(native.Digit)


def test_our_keys_sound_where_no_events_were_agreed(rig) -> None:
    rig.configure(2, **IN_BAND)
    rig.port.press(rig.now, KEYS)
    rig.run(16 * 210)
    sound = b"".join(native.decode("PCMU", packet.payload) for _, packet in rig.sent)
    assert heard(sound) == KEYS
    ear = native.Keypad()
    began = [at for _, at in ear.push(sound)]
    assert all(abs(after - before - 1600) <= 160 for before, after in itertools.pairwise(began)), "100 ms and 100 ms"
    assert rig.port.counters()["keys_sent"] == 16
    level = math.sqrt(energy(sound[began[3] * 2 + 160 : began[3] * 2 + 800]) / 320)
    assert -6.0 < 20 * math.log10(level * math.sqrt(2) / 22656) < -4.0


def test_our_own_keys_that_come_back_are_not_the_callers(rig) -> None:
    rig.configure(2, **IN_BAND)
    rig.port.press(rig.now, "5")
    rig.speak(pcm(silence(100), key("5", low=-25, high=-23), silence(100)))
    assert not rig.events(native.Digit)
    rig.speak(pcm(silence(800), key("5"), silence(100)))
    assert [digit.key for digit in rig.events(native.Digit)] == ["5"]
