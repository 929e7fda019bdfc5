"""Packets of 10 to 60 ms, sent as agreed and taken as they come, and codecs that change in the middle of a sound."""

from __future__ import annotations

import math
import struct
from itertools import pairwise

import pytest

from offhook import _native as native

MS = 1_000_000
CODECS = {
    "PCMU": (0, 8000, 8000),
    "PCMA": (8, 8000, 8000),
    "G722": (9, 8000, 16_000),
    "L16/8000": (96, 8000, 8000),
    "L16/16000": (97, 16_000, 16_000),
    "L16/48000": (98, 48_000, 48_000),
    "opus": (111, 48_000, 16_000),
}
"""Payload type, clock, and the rate of what the codec takes and gives."""
HZ = 300.0
LEVEL = 8000.0


def tone(rate_hz: int, begin_ms: float, ms: float) -> bytes:
    """A stretch of one tone that goes on for good."""
    first, count = round(begin_ms * rate_hz / 1000), round(ms * rate_hz / 1000)
    wave = (LEVEL * math.sin(math.tau * HZ * n / rate_hz) for n in range(first, first + count))
    return struct.pack(f"<{count}h", *map(round, wave))


def agreed(name: str, **others: object) -> dict[str, object]:
    """A plan in which we send one codec and take all of them."""
    receive = tuple((kind, each) for each, (kind, _, _) in CODECS.items())
    return {"send": (CODECS[name][0], name), "receive": receive, **others}


class Mouth:
    """The far end's mouth: one tone without a seam, whatever it is coded by and cut into."""

    def __init__(self, rig, seconds: float = 0.0) -> None:
        self.rig, self.at_ms, self.encoders = rig, seconds * 1000, {}

    def say(self, name: str, ptime_ms: int, packets: int) -> None:
        kind, clock_hz, rate_hz = CODECS[name]
        encoder = self.encoders.setdefault(name, native.Encoder(name))
        for _ in range(packets):
            self.rig.run(ptime_ms)
            payload = encoder.push(tone(rate_hz, self.at_ms, ptime_ms))
            self.rig.give(self.rig.next(payload, kind, step=ptime_ms * clock_hz // 1000))
            self.at_ms += ptime_ms


def samples(pcm: bytes) -> list[int]:
    return [one for (one,) in struct.iter_unpack("<h", pcm)]


def steepest(pcm: list[int]) -> int:
    """The largest step from a sample to the next."""
    return max(abs(after - before) for before, after in pairwise(pcm))


def steepest_of_the_tone(rate_hz: int) -> float:
    return LEVEL * math.tau * HZ / rate_hz


LASTS = {"L16/16000": (10, 20, 30, 40), "L16/48000": (10,), "opus": (10, 20, 40, 60)}
SENT = [(name, ptime_ms) for name in CODECS for ptime_ms in LASTS.get(name, (10, 20, 30, 40, 60))]


@pytest.mark.parametrize(("name", "ptime_ms"), SENT)
def test_packets_leave_at_the_agreed_time_with_its_timestamps_and_all_of_the_sound(rig, name, ptime_ms):
    kind, clock_hz, rate_hz = CODECS[name]
    rig.configure(**agreed(name, ptime_ms=ptime_ms))
    rig.port.play(rig.now, 1, tone(16_000, 0, 960), 16_000)
    rig.port.end(rig.now, 1)
    began = rig.now
    rig.run(1200)
    sent = [(at, packet) for at, packet in rig.sent if packet.payload_type == kind]
    assert len(sent) == 1200 // ptime_ms + 1
    assert [at - began for at, _ in sent] == [number * ptime_ms * MS for number in range(len(sent))]
    assert {(b.timestamp - a.timestamp) % 2**32 for (_, a), (_, b) in pairwise(sent)} == {ptime_ms * clock_hz // 1000}
    assert {(b.sequence - a.sequence) % 2**16 for (_, a), (_, b) in pairwise(sent)} == {1}
    decoder = native.Decoder(name)
    heard = [decoder.push(packet.payload) for _, packet in sent]
    assert {len(pcm) for pcm in heard} == {ptime_ms * rate_hz // 1000 * 2}
    # All of it, once: as loud as it was, from its beginning to its end.
    whole = samples(b"".join(heard))
    loud = [n for n in range(0, len(whole), rate_hz // 100) if max(map(abs, whole[n : n + rate_hz // 100])) > LEVEL / 2]
    assert abs(len(loud) - 96) <= 2
    (played,) = rig.events(native.Played)
    assert played.sent_ms == 960


@pytest.mark.parametrize("name", ["PCMU", "PCMA", "G722", "L16/8000", "L16/16000", "opus"])
def test_packets_of_any_length_are_heard_when_they_come_even_if_it_changes_in_mid_call(rig, name):
    rig.configure(**agreed(name))
    mouth = Mouth(rig)
    times = [20, 10, 60, 40, 10, 20] if name == "opus" else [20, 10, 30, 60, 40, 10, 20]
    for ptime_ms in times:
        mouth.say(name, ptime_ms, 6)
    heard = rig.events(native.Heard)
    rate_hz = rig.port.rate_hz
    assert [len(piece.pcm) for piece in heard] == [2 * rate_hz * ms // 1000 for ms in times for _ in range(6)]
    assert not any(piece.concealed for piece in heard)
    # Each begins where the one before it ended; a stream is placed by its quickest packet, which may be one to come.
    ends = [piece.at + len(piece.pcm) * 1_000_000_000 // 2 // rate_hz for piece in heard]
    assert all(abs(piece.at - end) <= 60 * MS for piece, end in zip(heard[1:], ends, strict=False))
    assert steepest(samples(rig.heard())[rate_hz // 50 :]) <= steepest_of_the_tone(rate_hz) * 1.1
    counters = rig.add_up()
    assert (counters["lost"], counters.get("concealed", 0)) == (0, 0)


PAIRS = [(one, other) for one in CODECS for other in CODECS if one != other]


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_a_far_end_that_switches_among_what_was_agreed_makes_no_click(rig, before, after):
    rig.configure(**agreed("G722" if "16000" in before + after else "PCMU"))
    mouth = Mouth(rig)
    for name in (before, after, before):
        mouth.say(name, 10, 21)
    rate_hz = rig.port.rate_hz
    heard = samples(rig.heard())
    assert len(heard) == 3 * 21 * rate_hz // 100
    assert steepest(heard[rate_hz // 50 :]) <= steepest_of_the_tone(rate_hz) * 1.15
    assert rig.add_up()["lost"] == 0


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_another_codec_by_signalling_makes_no_click_in_what_is_heard_at_either_rate(rig, before, after):
    rig.configure(**agreed(before, ptime_ms=10))
    mouth = Mouth(rig)
    mouth.say(before, 10, 23)
    one = rig.port.rate_hz
    first = samples(rig.heard())
    rig.configure(2, **agreed(after, ptime_ms=10))
    rig.told.clear()
    mouth.say(after, 10, 23)
    other = rig.port.rate_hz
    second = samples(rig.heard())
    limit = steepest_of_the_tone(min(one, other)) * 1.15
    assert abs(second[0] - first[-1]) <= limit
    assert steepest(second) <= steepest_of_the_tone(other) * 1.15


@pytest.mark.parametrize(("before", "after"), [(a, b) for a, b in PAIRS if {a, b}.isdisjoint({"G722", "opus"})])
def test_another_codec_by_signalling_makes_no_click_in_what_is_said(rig, before, after):
    rig.configure(**agreed(before, ptime_ms=10))
    rig.port.play(rig.now, 1, tone(16_000, 0, 800), 16_000)
    rig.run(203)
    rig.configure(2, **agreed(after, ptime_ms=10))
    rig.run(300)
    said = []
    for name in (before, after):
        decoder = native.Decoder(name)
        kind = CODECS[name][0]
        said.append(
            samples(b"".join(decoder.push(packet.payload) for _, packet in rig.sent if packet.payload_type == kind))
        )
    first, second = said
    limit = steepest_of_the_tone(min(CODECS[before][2], CODECS[after][2])) * 1.15
    assert abs(second[0] - first[-1]) <= limit
    assert steepest(second) <= steepest_of_the_tone(CODECS[after][2]) * 1.15 + 40
