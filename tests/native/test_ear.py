"""What the ear makes of what the network does."""

from __future__ import annotations

import random

import pytest

from offhook import _native as native

MS = 1_000_000


def frames(count: int) -> list[bytes]:
    rng = random.Random(count)
    return [rng.randbytes(160) for _ in range(count)]


def test_what_comes_in_order_is_heard_at_once_and_whole(rig):
    rig.sequence = 65500
    payloads = frames(100)
    for n, payload in enumerate(payloads):
        rig.run(20)
        rig.give(rig.next(payload))
        assert len(rig.events(native.Heard)) == n + 1
    assert rig.heard() == b"".join(native.decode("PCMU", payload) for payload in payloads)
    heard = rig.events(native.Heard)
    assert [event.at - heard[0].at for event in heard] == [n * 20 * MS for n in range(100)]
    assert heard[0].at == 1000 * MS
    assert rig.add_up()["received_audio"] == 100


def test_either_law_is_heard_whatever_we_send(rig):
    a, mu = frames(2)
    rig.configure(2, receive=((96, "PCMU"),))
    rig.give(rig.next(a, 8))
    rig.give(rig.next(mu, 96))
    rig.give(rig.next(mu, 0))
    assert rig.heard() == native.decode("PCMA", a) + native.decode("PCMU", mu) * 2


def test_behind_a_hole_the_ear_waits_twenty_milliseconds_and_no_longer(rig):
    packets = [rig.next(payload) for payload in frames(6)]
    rig.give(packets[0])
    rig.run(20)
    rig.give(packets[2])
    rig.run(19)
    assert len(rig.events(native.Heard)) == 1
    rig.run(1)
    assert [event.concealed for event in rig.events(native.Heard)] == [False, True, False]
    rig.give(packets[1])
    rig.run(20)
    rig.give(packets[4])
    rig.run(5)
    rig.give(packets[3])
    assert [event.concealed for event in rig.events(native.Heard)] == [False, True, False, False, False]
    counters = rig.add_up()
    assert (counters["dropped_late"], counters["concealed"], counters["lost"]) == (1, 1, 1)


def test_duplicates_are_heard_once(rig):
    for payload in frames(10):
        packet = rig.next(payload)
        rig.give(packet)
        rig.give(packet)
    assert len(rig.events(native.Heard)) == 10
    assert rig.add_up()["dropped_duplicate"] == 10


@pytest.mark.parametrize("jump", [400, 2000, 20000, 60000])
def test_a_jump_of_the_sequence_is_followed(rig, jump):
    for payload in frames(5):
        rig.run(20)
        rig.give(rig.next(payload))
    rig.sequence = (rig.sequence + jump) & 0xFFFF
    rig.timestamp = (rig.timestamp + 7_777_777) & 0xFFFFFFFF
    for payload in frames(5):
        rig.run(20)
        rig.give(rig.next(payload))
    # One packet may be spent on the proof.
    assert len(rig.events(native.Heard)) >= 9
    assert rig.add_up()["jumps"] == 1


def test_a_new_stream_is_heard_within_sixty_milliseconds(rig):
    for payload in frames(5):
        rig.run(20)
        rig.give(rig.next(payload))
    rig.ssrc, rig.sequence, rig.timestamp = 77, 9, 123456
    before = rig.now
    for payload in frames(5):
        rig.run(20)
        rig.give(rig.next(payload))
    later = rig.events(native.Heard)[5:]
    assert len(later) == 4
    assert later[0].at + 20 * MS - before <= 60 * MS
    assert rig.add_up()["ssrc_changes"] == 1


def test_heard_order_survives_any_shuffle_within_the_hole_timer(rig):
    """Jitter of up to 15 ms reorders packets; each is still heard, in order, at most 20 ms late."""
    rng = random.Random(5)
    payloads = frames(300)
    arrivals = sorted((n * 10 + rng.uniform(0, 15), rig.next(payload)) for n, payload in enumerate(payloads))
    start = rig.now
    for at, packet in arrivals:
        rig.run((start + round(at * MS) - rig.now) / MS)
        rig.give(packet)
    rig.run(20)
    assert rig.heard() == b"".join(native.decode("PCMU", payload) for payload in payloads)


def test_no_packet_for_a_second_is_a_stall_and_told_once(rig):
    rig.give(rig.next(frames(1)[0]))
    rig.run(3500)
    assert len(rig.events(native.Flowing)) == 1
    (stalled,) = rig.events(native.Stalled)
    assert stalled.at == 2000 * MS
    rig.timestamp += 8 * 3500
    rig.give(rig.next(frames(1)[0]))
    assert len(rig.events(native.Flowing)) == 2


def test_speech_is_told_by_its_edges_with_its_pre_roll(rig, sounds):
    _, voice = sounds
    rig.port.listen("speech")
    rig.speak(bytes(16000))
    assert not rig.events(native.Heard)
    onset = rig.now
    rig.speak(voice(800))
    offset = rig.now
    rig.speak(bytes(8000))
    (began,) = rig.events(native.SpeechBegan)
    (ended,) = rig.events(native.SpeechEnded)
    assert abs(began.at - onset) <= 60 * MS
    assert abs(ended.at - offset) <= 60 * MS
    assert ended.silence_ms == 200
    heard = rig.events(native.Heard)
    assert onset - 500 * MS <= heard[0].at <= onset - 380 * MS
    assert began.seq < heard[0].seq
    assert heard[-1].seq < ended.seq
    assert heard[-1].at + 20 * MS >= ended.at + 200 * MS


def test_silence_that_never_came_ends_no_speech(rig, sounds):
    _, voice = sounds
    rig.speak(bytes(8000))
    rig.speak(voice(500))
    rig.run(5000)
    assert rig.events(native.SpeechBegan)
    assert rig.events(native.Stalled)
    assert not rig.events(native.SpeechEnded)


def test_comfort_noise_is_silence_that_came(rig, sounds):
    _, voice = sounds
    rig.speak(bytes(8000))
    rig.speak(voice(500))
    rig.run(20)
    rig.give(rig.next(b"\x40", 13, step=160))
    rig.run(300)
    (ended,) = rig.events(native.SpeechEnded)
    assert ended.silence_ms >= 200
    assert rig.add_up()["received_noise"] == 1


def test_on_hold_nothing_is_heard_and_nothing_stalls(rig):
    rig.give(rig.next(frames(1)[0]))
    rig.configure(2, receiving=False)
    rig.give(rig.next(frames(1)[0]))
    rig.run(3000)
    assert len(rig.events(native.Heard)) == 1
    assert not rig.events(native.Stalled)
    assert rig.add_up()["dropped_held"] == 1
