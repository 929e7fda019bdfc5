"""Comfort noise both ways (RFC 3389): what a far end leaves out is heard as it said, and so is what we leave out."""

from __future__ import annotations

import math
import random
from array import array

import pytest

from offhook import _native as native

MS = 1_000_000


def dbov(pcm: bytes) -> float:
    """Give the level of some audio."""
    samples = array("h", pcm)
    return 10 * math.log10(max(1e-9, sum(sample * sample for sample in samples) / len(samples) / 32768**2))


@pytest.mark.parametrize("level", [40, 55, 70])
def test_what_is_left_out_is_heard_as_noise_at_its_level(rig, level):
    for _ in range(5):
        rig.run(20)
        rig.give(rig.next(native.encode("PCMU", bytes(320))))
    silent = len(rig.told)
    for _ in range(10):
        rig.run(20)
        rig.give(rig.next(bytes([level]), 13, step=160 * 10))
        rig.run(180)
    heard = [event for event in rig.told[silent:] if isinstance(event, native.Heard)]
    pcm = b"".join(event.pcm for event in heard)
    # Each packet of noise stands until the next comes.
    assert len(pcm) == 2 * 160 * (9 * 10 + 1)
    assert abs(dbov(pcm) + level) < 1
    assert not rig.events(native.SpeechBegan)
    assert not rig.events(native.Stalled)


def test_what_is_lost_behind_noise_is_heard_once_as_noise(rig):
    for payload, number in ((native.encode("PCMU", bytes(320)), 0), (bytes([50]), 13)):
        rig.run(20)
        rig.give(rig.next(payload, number, step=160))
    before = len(rig.heard())
    rig.next(bytes(160))
    rig.run(60)
    rig.give(rig.next(native.encode("PCMU", bytes(320))))
    rig.run(60)
    assert rig.port.counters()["lost"] == 1
    assert len(rig.heard()) - before == 2 * (160 + 160)


def test_noise_with_a_spectrum_and_any_bytes_stays_in_bounds(rig):
    rng = random.Random(3)
    rig.give(rig.next(native.encode("PCMU", bytes(320))))
    for _ in range(200):
        rig.run(20)
        rig.give(rig.next(rng.randbytes(rng.randrange(1, 40)), 13, step=rng.randrange(0, 100_000)))
    # Half a second of a gap at most, and the packet's own 20 ms.
    assert all(len(event.pcm) <= 2 * 8 * 500 for event in rig.events(native.Heard))
    assert rig.add_up()["received_noise"] > 150


def test_silence_is_sent_as_audio_unless_it_is_to_be_left_out(rig):
    rig.run(1000)
    assert len(rig.sent) == 51
    assert {packet.payload_type for _, packet in rig.sent} == {0}


def test_silence_is_left_out_behind_a_hangover_with_noise_in_its_place(rig, sounds):
    tone, _ = sounds
    rig.configure(noise_send=13)
    rig.run(2000)
    audio = [packet for _, packet in rig.sent if packet.payload_type == 0]
    noise = [(at, packet) for at, packet in rig.sent if packet.payload_type == 13]
    assert len(audio) == 10
    assert [len(packet.payload) for _, packet in noise] == [1] * len(noise)
    assert [(later - sooner) // MS for (sooner, _), (later, _) in zip(noise, noise[1:], strict=False)] == [400] * 4
    before = len(rig.sent)
    rig.port.play(rig.now, 1, tone(400), 8000)
    rig.run(500)
    spurt = [packet for _, packet in rig.sent[before:] if packet.payload_type == 0]
    assert spurt[0].marker
    assert not any(packet.marker for packet in spurt[1:])
    assert len(spurt) >= 20
    packets = [packet for _, packet in rig.sent]
    assert all((after.sequence - b.sequence) % 2**16 == 1 for b, after in zip(packets, packets[1:], strict=False))
    # The clock went on: one step for each 20 ms.
    assert (spurt[0].timestamp - audio[0].timestamp) % 2**32 == 160 * ((2000 // 20) + 1)


def test_a_room_behind_a_voice_is_described_by_its_level(rig):
    rng = random.Random(1)
    rig.configure(noise_send=13)
    room = array("h", [round(rng.gauss(0, 20)) for _ in range(8 * 1000)]).tobytes()
    rig.port.play(rig.now, 1, room, 8000)
    rig.run(500)
    told = [packet.payload for _, packet in rig.sent if packet.payload_type == 13]
    assert told
    assert all(abs(payload[0] - 64) <= 1 for payload in told)
