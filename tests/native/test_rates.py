"""A Port whose codec is wideband: its audio runs at 16 kHz, its RTP clock at whatever the codec says."""

from __future__ import annotations

import math
import struct
from itertools import pairwise

from offhook import _native as native

MS = 1_000_000
WIDE = {"send": (97, "L16/16000"), "receive": ((97, "L16/16000"), (0, "PCMU")), "dtmf_hz": 16000}


def tone(rate_hz: int, count: int, start: int = 0, hz: float = 440.0) -> bytes:
    """A tone, little-endian."""
    wave = [round(8000 * math.sin(math.tau * hz * n / rate_hz)) for n in range(start, start + count)]
    return struct.pack(f"<{count}h", *wave)


def swapped(pcm: bytes) -> bytes:
    """Samples in the other order of bytes."""
    count = len(pcm) // 2
    return struct.pack(f">{count}h", *struct.unpack(f"<{count}h", pcm))


def off(one: bytes, other: bytes) -> int:
    """How far two stretches stand apart at most."""
    pairs = zip(struct.iter_unpack("<h", one), struct.iter_unpack("<h", other), strict=True)
    return max(abs(left - right) for (left,), (right,) in pairs)


def hear_wide(rig, packets: int, samples: int = 320) -> list[native.Heard]:
    """Let the far end send a tone as L16/16000."""
    for number in range(packets):
        rig.run(20)
        rig.give(rig.next(swapped(tone(16000, samples, number * samples)), 97, step=samples))
    return rig.events(native.Heard)


def test_what_is_heard_is_told_at_16_khz_bit_by_bit(rig):
    rig.configure(**WIDE)
    rig.port.listen("all")
    heard = hear_wide(rig, 5)
    assert rig.port.rate_hz == 16000
    assert {piece.rate_hz for piece in heard} == {16000}
    assert b"".join(piece.pcm for piece in heard) == tone(16000, 1600)
    assert [after.at - before.at for before, after in pairwise(heard)] == [20 * MS] * 4


def test_what_is_played_leaves_on_the_codecs_clock_at_the_codecs_rate(rig):
    rig.configure(**WIDE)
    rig.port.play(rig.now, 1, tone(16000, 3200), 16000)
    rig.run(220)
    audio = [packet for _, packet in rig.sent if packet.payload_type == 97]
    assert {len(packet.payload) for packet in audio} == {640}
    assert {(after.timestamp - before.timestamp) % 2**32 for before, after in pairwise(audio)} == {320}
    assert swapped(b"".join(packet.payload for packet in audio[:10])) == tone(16000, 3200)


def test_a_narrow_payload_in_a_wide_call_is_converted_at_the_edge(rig):
    rig.configure(**WIDE)
    rig.port.listen("all")
    for number in range(10):
        rig.run(20)
        rig.give(rig.next(native.encode("PCMU", tone(8000, 160, number * 160))))
    heard = rig.events(native.Heard)
    assert {(piece.rate_hz, len(piece.pcm)) for piece in heard} == {(16000, 640)}
    # What goes in comes out 2.9 ms later: half of the filter.
    pcm = b"".join(piece.pcm for piece in heard)
    assert off(pcm[2 * 640 : 2 * 2560], tone(16000, 1920, 640 - 46)) < 250


def test_a_hole_in_a_wide_stream_is_filled_to_the_sample(rig):
    rig.configure(**WIDE)
    rig.port.listen("all")
    hear_wide(rig, 5)
    rig.sequence += 1
    rig.timestamp += 320
    hear_wide(rig, 2)
    rig.run(40)
    heard = rig.events(native.Heard)
    assert [piece.concealed for piece in heard].count(True) == 1
    assert {len(piece.pcm) for piece in heard} == {640}
    assert rig.port.counters()["lost"] == 1


def test_the_gate_opens_on_a_wide_voice_where_it_opens_on_a_narrow_one(rig):
    rig.configure(**WIDE)
    rig.port.listen("speech")
    for _ in range(30):
        rig.run(20)
        rig.give(rig.next(bytes(640), 97, step=320))
    began = rig.now
    hear_wide(rig, 15)
    (speech,) = rig.events(native.SpeechBegan)
    assert abs(speech.at - began) <= 20 * MS
    heard = rig.events(native.Heard)
    assert {piece.rate_hz for piece in heard} == {16000}
    assert heard[0].at <= speech.at - 400 * MS, "the pre-roll comes with it"


def test_a_change_of_rate_keeps_what_was_queued_and_how_long_it_is(rig):
    rig.configure()
    rig.port.play(rig.now, 1, tone(8000, 8000), 8000)
    rig.port.end(rig.now, 1)
    rig.run(200)
    rig.configure(2, **WIDE)
    rig.run(1200)
    (played,) = rig.events(native.Played)
    assert played.sent_ms == 1000
    wide = [packet for _, packet in rig.sent if packet.payload_type == 97]
    narrow = [packet for _, packet in rig.sent if packet.payload_type == 0]
    pcm = swapped(b"".join(packet.payload for packet in wide[: 50 - len(narrow)]))
    assert off(pcm[640:-640], tone(16000, len(pcm) // 2, 320 * len(narrow))[640:-640]) < 100


def test_keys_are_counted_on_the_clock_that_was_agreed(rig):
    rig.configure(**{**WIDE, "dtmf_hz": 48000})
    rig.port.press(rig.now, "5", 2000, 100)
    rig.run(2300)
    events = [packet for _, packet in rig.sent if packet.payload_type == 101]
    ends = [packet for packet in events if packet.payload[1] & 0x80]
    assert len(ends) == 3
    # 96 000 ticks are more than 16 bits hold: RFC 4733 section 2.5.1.3 goes on in a second segment.
    stamps = sorted({packet.timestamp for packet in events}, key=lambda stamp: (stamp - events[0].timestamp) % 2**32)
    assert [(stamp - stamps[0]) % 2**32 for stamp in stamps] == [0, 65535]
    assert struct.unpack("!H", ends[0].payload[2:4])[0] == 96000 - 65535


def test_the_tape_says_its_rate_and_is_as_long_as_the_call(rig):
    rig.port.tape(True)
    rig.configure()
    rig.run(300)
    rig.configure(2, **WIDE)
    rig.run(1300)
    taped = rig.events(native.Taped)
    assert {(stretch.rate_hz, len(stretch.pcm)) for stretch in taped} == {(16000, 32000)}


def test_two_ports_of_different_rates_hear_each_other(rig, make_rig):
    rig.configure(**WIDE)
    narrow = make_rig(2, 2)
    narrow.configure()
    rig.port.relay(True)
    narrow.port.mix([(1, "far", 0.0)])
    for number in range(20):
        rig.run(20)
        rig.give(rig.next(swapped(tone(16000, 320, number * 320)), 97, step=320))
        since, ms = narrow.port.wants(narrow.now + 20 * MS) or (0, 0)
        narrow.port.feed(narrow.now, 1, rig.port.pull(since, ms), rig.port.rate_hz)
        narrow.run(20)
    codes = b"".join(packet.payload for _, packet in narrow.sent if packet.payload_type == 0)
    pcm = struct.unpack(f"<{len(codes)}h", native.decode("PCMU", codes))
    assert max(pcm[1600:]) > 7000


def test_a_payload_that_is_none_of_its_codec_is_counted(rig):
    rig.configure(**WIDE)
    rig.give(rig.next(bytes(640), 97, step=320))
    rig.give(rig.next(bytes(641), 97, step=320))
    assert rig.add_up()["dropped_payload"] == 1
