"""What we send: pace, speech, cuts, keys, the duck."""

from __future__ import annotations

import itertools
import struct

import pytest

from offhook import _native as native

MS = 1_000_000
SILENCE = b"\xff" * 160


def decoded(rig) -> bytes:
    return b"".join(native.decode("PCMU", packet.payload) for _, packet in rig.sent if packet.payload_type == 0)


def test_packets_leave_on_the_grid_without_pause(rig):
    rig.run(1000)
    assert [at for at, _ in rig.sent] == [1000 * MS + n * 20 * MS for n in range(51)]
    packets = [packet for _, packet in rig.sent]
    assert {packet.payload for packet in packets} == {SILENCE}
    assert [packet.marker for packet in packets] == [True] + [False] * 50
    for before, after in itertools.pairwise(packets):
        assert (after.sequence - before.sequence) & 0xFFFF == 1
        assert (after.timestamp - before.timestamp) & 0xFFFFFFFF == 160


def test_a_late_tick_catches_up_and_does_not_drift(rig):
    rig.run(100)
    rig.now += 70 * MS
    rig.port.tick(rig.now)
    rig.collect()
    rig.run(100)
    times = [at for at, _ in rig.sent]
    assert times[-1] == 1000 * MS + 260 * MS
    assert len(times) == 14
    stamps = [packet.timestamp for _, packet in rig.sent]
    assert all((b - a) & 0xFFFFFFFF == 160 for a, b in itertools.pairwise(stamps))
    assert rig.port.counters()["late_ticks"] == 2


def test_a_clock_that_stood_still_is_not_made_up_for(rig):
    rig.run(100)
    rig.now += 10_000 * MS
    rig.port.tick(rig.now)
    rig.collect()
    assert len(rig.sent) == 7
    (_, before), (_, after) = rig.sent[-2:]
    assert (after.sequence - before.sequence) & 0xFFFF == 1
    assert (after.timestamp - before.timestamp) & 0xFFFFFFFF == 160 * 500
    assert after.marker


def test_what_is_played_is_what_is_sent(rig, sounds):
    tone, _ = sounds
    pcm = tone(1000)
    assert rig.port.play(rig.now, 1, pcm, 8000) == len(pcm)
    rig.port.end(rig.now, 1)
    rig.run(1200)
    assert decoded(rig)[: len(pcm)] == native.decode("PCMU", native.encode("PCMU", pcm))
    (played,) = rig.events(native.Played)
    # The last of fifty packets leaves at 980 ms, and is heard 60 ms later.
    assert (played.utterance, played.sent_ms, played.at) == (1, 1000, 1000 * MS + 1040 * MS)
    assert rig.port.counters()["underruns"] == 0


@pytest.mark.parametrize("rate", [16000, 22050, 24000])
def test_other_rates_keep_their_length_and_pitch(rig, sounds, rate):
    tone, _ = sounds
    pcm = tone(500, hz=1000, rate=rate)
    for at in range(0, len(pcm), 1000):
        assert rig.port.play(rig.now, 1, pcm[at : at + 1000], rate) == len(pcm[at : at + 1000])
    rig.port.end(rig.now, 1)
    rig.run(1000)
    assert rig.events(native.Played)[0].sent_ms == 500
    sent = struct.unpack("<4000h", decoded(rig)[:8000])
    wanted = struct.unpack("<4000h", tone(500, hz=1000))
    assert max(abs(a - b) for a, b in zip(sent[100:3900], wanted[100:3900], strict=True)) < 400


def test_the_queue_holds_two_seconds_and_tells_of_room(rig):
    pcm = bytes(50_000)
    assert rig.port.play(rig.now, 1, pcm, 8000) == 32_000
    assert rig.port.play(rig.now, 1, pcm, 8000) == 0
    rig.run(900)
    assert not rig.events(native.Room)
    rig.run(200)
    (room,) = rig.events(native.Room)
    assert 900 <= room.queued_ms < 1000
    assert rig.port.play(rig.now, 1, pcm, 24000) > 40_000


def test_a_cut_tells_what_left_and_what_was_heard(rig, sounds):
    tone, _ = sounds
    rig.port.play(rig.now, 7, tone(1000), 8000)
    rig.port.play(rig.now, 8, tone(500), 8000)
    rig.run(290)
    rig.configure(5)
    rig.port.hush(rig.now)
    rig.collect()
    first, second = rig.events(native.Cut)
    # Packets left at 0, 20 … 280 ms; those up to 230 ms ago were heard.
    assert (first.utterance, first.generation, first.sent_ms, first.heard_ms, first.exact) == (7, 5, 300, 240, False)
    assert (second.utterance, second.sent_ms, second.heard_ms) == (8, 0, 0)
    before = len(rig.sent)
    rig.run(100)
    fade, *after = [packet.payload for _, packet in rig.sent[before:]]
    assert fade != SILENCE
    assert native.decode("PCMU", fade)[200:] == bytes(120)
    assert set(after) == {SILENCE}
    rig.run(2000)
    assert not rig.events(native.Played)


def test_each_utterance_ends_in_one_played_or_one_cut(rig, sounds):
    tone, _ = sounds
    for number in range(1, 6):
        rig.port.play(rig.now, number, tone(100), 8000)
        rig.port.end(rig.now, number)
    rig.run(250)
    rig.port.hush(rig.now)
    assert rig.port.play(rig.now, 5, tone(100), 8000) == 1600
    rig.port.end(rig.now, 5)
    rig.run(1000)
    over = [event.utterance for event in rig.told if isinstance(event, native.Played | native.Cut)]
    assert sorted(over) == [1, 2, 3, 4, 5]
    assert [event.utterance for event in rig.events(native.Played)] == [1, 2]
    assert rig.port.counters()["stale_audio"] == 1


def test_marks_come_when_what_is_before_them_was_heard(rig, sounds):
    tone, _ = sounds
    rig.port.play(rig.now, 1, tone(100), 8000)
    rig.port.mark(rig.now, 1, 11)
    rig.port.play(rig.now, 1, tone(100), 8000)
    rig.port.mark(rig.now, 1, 12)
    rig.run(500)
    assert [(event.mark, (event.at - 1000 * MS) // MS) for event in rig.events(native.Marked)] == [(11, 140), (12, 240)]


def test_only_an_utterance_that_did_not_end_runs_dry(rig, sounds):
    tone, _ = sounds
    rig.port.play(rig.now, 1, tone(100), 8000)
    rig.run(300)
    assert rig.port.counters()["underruns"] == 1
    rig.port.play(rig.now, 1, tone(100), 8000)
    rig.port.end(rig.now, 1)
    rig.run(300)
    assert rig.port.counters()["underruns"] == 1


def test_keys_leave_as_events_and_the_audio_resumes(rig, sounds):
    tone, _ = sounds
    rig.port.play(rig.now, 1, tone(100), 8000)
    rig.port.end(rig.now, 1)
    rig.port.press(rig.now, "5#", duration_ms=60, gap_ms=80)
    rig.port.play(rig.now, 2, tone(100), 8000)
    rig.port.end(rig.now, 2)
    rig.run(800)
    events = [packet for _, packet in rig.sent if packet.payload_type == 101]
    first = [packet for packet in events if packet.payload[0] == 5]
    second = [packet for packet in events if packet.payload[0] == 11]
    for packets in (first, second):
        assert [packet.marker for packet in packets] == [True, False, False, False, False]
        assert len({packet.timestamp for packet in packets}) == 1
        assert [packet.payload[2:] for packet in packets] == [struct.pack("!H", n) for n in (160, 320, 480, 480, 480)]
        assert [packet.payload[1] >> 7 for packet in packets] == [0, 0, 1, 1, 1]
    sequences = [packet.sequence for _, packet in rig.sent]
    assert all((b - a) & 0xFFFF == 1 for a, b in itertools.pairwise(sequences))
    # The audio before is whole, the audio behind too, and time ran on below the keys.
    speech = [packet.payload for _, packet in rig.sent if packet.payload_type == 0 and packet.payload != SILENCE]
    assert b"".join(speech) == native.encode("PCMU", tone(100)) * 2
    resumed = next(packet for _, packet in rig.sent if packet.sequence == (second[-1].sequence + 1) & 0xFFFF)
    assert (resumed.timestamp - second[0].timestamp) & 0xFFFFFFFF == 5 * 160
    assert [event.utterance for event in rig.events(native.Played)] == [1, 2]


def test_keys_that_are_none_are_refused(rig):
    for keys in ("x", "1 2", "٣"):
        with pytest.raises(ValueError, match="is not a key"):
            rig.port.press(rig.now, keys)
    with pytest.raises(ValueError, match="20 to"):
        rig.port.press(rig.now, "1", duration_ms=9000)


def test_the_reflex_ducks_within_120_ms_and_comes_back(rig, sounds):
    tone, voice = sounds
    rig.speak(bytes(16000))
    rig.port.arm(20)
    rig.port.play(rig.now, 1, tone(1900, level=16000), 8000)
    rig.run(100)
    onset = rig.now
    rig.timestamp += 800
    rig.speak(voice(400))
    (ducked,) = rig.events(native.Ducked)
    assert ducked.at - onset <= 120 * MS

    def peak(at: int) -> int:
        payload = next(packet.payload for when, packet in rig.sent if when >= at)
        return max(struct.unpack("<160h", native.decode("PCMU", payload)))

    assert peak(onset) > 15000
    assert peak(ducked.at + 40 * MS) < 1700
    rig.port.restore(rig.now)
    restored = rig.now
    rig.run(100)
    assert peak(restored + 40 * MS) > 15000


def test_a_plan_that_changes_keeps_the_stream(rig, sounds):
    tone, _ = sounds
    rig.port.play(rig.now, 1, tone(1000), 8000)
    rig.run(190)
    rig.configure(2, send=(8, "PCMA"))
    rig.run(200)
    rig.configure(3, sending=False)
    rig.run(1000)
    rig.configure(4)
    rig.run(100)
    packets = [packet for _, packet in rig.sent]
    assert [packet.payload_type for packet in packets] == [0] * 10 + [8] * 10 + [0] * 6
    assert len({packet.ssrc for packet in packets}) == 1
    assert all((b.sequence - a.sequence) & 0xFFFF == 1 for a, b in itertools.pairwise(packets))
    # The clock ran on while nothing was sent.
    assert (packets[20].timestamp - packets[19].timestamp) & 0xFFFFFFFF == 160 * 50
    assert packets[20].marker


def test_what_is_said_to_a_port_is_checked(rig):
    for wrong in (
        {"send": (0, "G723")},
        {"send": (200, "PCMU")},
        {"remote": ("far.example", 4000)},
        {"ptime_ms": 0},
        {"receive": ((0, "AMR"),)},
    ):
        with pytest.raises(ValueError, match=r"codec|payload|address|ptime"):
            rig.configure(2, **wrong)
    with pytest.raises(ValueError, match="listen"):
        rig.port.listen("some")
    with pytest.raises(ValueError, match="two bytes"):
        rig.port.play(rig.now, 1, b"\0", 8000)
    with pytest.raises(ValueError, match="44100"):
        rig.port.play(rig.now, 1, b"", 44100)
    with pytest.raises(ValueError, match="dB"):
        rig.port.arm(-3)
