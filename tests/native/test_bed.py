"""What sounds under a call: in virtual time, on a bare Port."""

from __future__ import annotations

import math
import struct

import pytest

from offhook import _native as native
from tests.native.conftest import tone, voice


def samples(rig) -> list[int]:
    """What the far end got since the last time that was asked."""
    codes = b"".join(packet.payload for _, packet in rig.sent if packet.payload_type == 0)
    rig.sent.clear()
    return list(struct.unpack(f"<{len(codes)}h", native.decode("PCMU", codes)))


def level(pcm: list[int]) -> float:
    return math.sqrt(sum(x * x for x in pcm) / max(1, len(pcm)))


@pytest.fixture
def hum() -> native.Sound:
    return native.Sound(tone(500, 200, 8000), 8000)


def test_it_goes_round_in_silence_and_is_nothing_that_we_said(rig, hum):
    rig.port.bed(hum)
    rig.run(3000)
    heard = samples(rig)
    for at in range(8000, 24000, 800):
        assert level(heard[at : at + 800]) == pytest.approx(8000 / math.sqrt(2), rel=0.1)
    rig.port.arm(20.0)
    rig.speak(voice(600))
    assert not rig.events(native.Ducked), "there is no voice of ours to lower"
    assert not rig.events(native.Played)
    assert rig.port.counters()["underruns"] == 0


def test_it_is_lower_while_we_speak_and_while_the_far_end_does(rig, hum):
    rig.port.bed(hum, 0.0, 20.0)
    rig.run(1000)
    loud = level(samples(rig)[-1600:])
    rig.port.play(rig.now, 1, bytes(16000), 8000)
    rig.port.end(rig.now, 1)
    rig.run(900)
    assert level(samples(rig)[-1600:]) == pytest.approx(loud / 10, rel=0.15)
    rig.run(1500)
    assert level(samples(rig)[-1600:]) == pytest.approx(loud, rel=0.05)
    rig.speak(voice(1000))
    assert level(samples(rig)[-1600:]) == pytest.approx(loud / 10, rel=0.15)


def test_it_fades_out_and_silence_is_silence_again(rig, hum):
    rig.port.bed(hum)
    rig.run(1000)
    rig.port.bed(None)
    rig.run(500)
    heard = samples(rig)
    assert set(heard[-1600:]) == {0}
    steps = [abs(b - a) for a, b in zip(heard[160:], heard[161:], strict=False)]
    assert max(steps) < 8000 * 0.157 * 1.2 + 300, "no click"


def test_it_is_on_the_tape(rig, hum):
    rig.port.tape(True)
    rig.port.bed(hum)
    rig.run(2100)
    taped = b"".join(event.pcm for event in rig.events(native.Taped))
    ours = list(struct.unpack(f"<{len(taped) // 2}h", taped))[1::2]
    assert level(ours[4000:8000]) == pytest.approx(8000 / math.sqrt(2), rel=0.1)


def test_what_cannot_be_looped_is_refused(rig, hum):
    for pcm, rate_hz in ((bytes(100), 8000), (bytes(8000), 11025), (bytes(2 * 8000 * 121), 8000)):
        with pytest.raises(ValueError, match=r"Hz|lasts"):
            native.Sound(pcm, rate_hz)
    with pytest.raises(ValueError, match="bed"):
        rig.port.bed(hum, 6.0, 0.0)
