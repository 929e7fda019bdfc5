"""Networks that lose, turn round, repeat and drift: what of it the ear and the tape notice."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Sequence

import pytest

from offhook import _native as native
from offhook.testing.bench.traces import losses

MS = 1_000_000
FRAME = 160
PACKETS = 6000


def frames(pcm: bytes) -> list[bytes]:
    """Cut PCM into packets of 20 ms of µ-law."""
    return [native.encode("PCMU", pcm[at : at + 2 * FRAME]) for at in range(0, len(pcm), 2 * FRAME)]


def speak(rig, payloads: Sequence[bytes], lost: Sequence[bool]) -> None:
    """Send a packet every 20 ms, and not those that are lost."""
    for payload, gone in zip(payloads, lost, strict=True):
        rig.run(20)
        packet = rig.next(payload)
        if not gone:
            rig.give(packet)


def level(pcm: bytes) -> float:
    samples = struct.unpack(f"<{len(pcm) // 2}h", pcm)
    return math.sqrt(sum(sample * sample for sample in samples) / len(samples))


def taped(rig) -> list[int]:
    """Give the far end's side of the tape."""
    rig.port.tape(False)
    rig.collect()
    pcm = b"".join(event.pcm for event in rig.events(native.Taped))
    return list(struct.unpack(f"<{len(pcm) // 2}h", pcm)[::2])


@pytest.mark.survives(20)
@pytest.mark.parametrize(
    "change",
    [
        {"ssrc": 0xBEEF},
        {"ssrc": 0xBEEF, "sequence": 9, "timestamp": 77},
        {"sequence": 65535},
        {"sequence": 40_000},
        {"timestamp": (5000 + 25 * FRAME + 2**31) % 2**32},
        {"timestamp": 0},
        {"sequence": 3, "timestamp": 2**32 - 50},
    ],
    ids=lambda change: " and ".join(change),
)
def test_a_stream_that_begins_anew_is_missed_for_sixty_milliseconds_at_most(rig, sounds, change):
    _, voice = sounds
    payloads = frames(voice(1000))
    for n, payload in enumerate(payloads):
        if n == 25:
            for name, value in change.items():
                setattr(rig, name, value)
        rig.run(20)
        rig.give(rig.next(payload, marker=n % 3 == 0))
        if n >= 25 + 3:
            last = rig.events(native.Heard)[-1]
            assert last.pcm == native.decode("PCMU", payload), "nothing is stuck"
            assert abs(last.at + 20 * MS - rig.now) <= 2 * MS
    whole = [event for event in rig.events(native.Heard) if not event.concealed]
    assert len(payloads) - len(whole) <= 3
    assert rig.add_up()["concealed"] <= 3


@pytest.mark.survives(20)
def test_a_wrapped_sequence_and_marks_anywhere_are_nothing_to_notice(rig, sounds):
    _, voice = sounds
    rig.sequence, rig.timestamp = 65_530, 2**32 - 3 * FRAME
    payloads = frames(voice(400))
    for n, payload in enumerate(payloads):
        rig.run(20)
        rig.give(rig.next(payload, marker=n % 2 == 0))
        assert rig.events(native.Heard)[-1].pcm == native.decode("PCMU", payload)
    assert rig.add_up()["jumps"] == 0


@pytest.mark.survives(21)
@pytest.mark.parametrize(("share", "burst"), [(0.05, 1.5), (0.1, 1.5), (0.2, 1.5), (0.1, 5.0), (0.1, 10.0)])
def test_every_lost_frame_is_made_up_and_nothing_runs_dry(rig, sounds, share, burst):
    tone, voice = sounds
    payloads = frames(voice(2000) * 10)
    lost = losses(random.Random(f"{share} {burst}"), len(payloads), share, burst)
    for n in range(len(lost)):  # more than half a second is no hole but an outage, and is followed as a jump
        lost[n] &= 0 < n < len(lost) - 1 and not all(lost[max(0, n - 25) : n])
    rig.port.play(rig.now, 1, tone(1900), 8000)
    rig.port.end(rig.now, 1)
    speak(rig, payloads, lost)
    rig.run(40)
    counters = rig.add_up()
    assert counters["concealed"] == counters["lost"] == sum(lost)
    assert counters["underruns"] == 0
    heard = rig.events(native.Heard)
    assert len(heard) == len(payloads)
    assert [event.concealed for event in heard] == lost
    assert all(
        event.pcm == native.decode("PCMU", payload)
        for event, payload in zip(heard, payloads, strict=True)
        if not event.concealed
    ), "what came is left as it came"
    singles = [n for n in range(1, len(lost) - 1) if lost[n - 1 : n + 2] == [False, True, False]]
    clear = [n for n in singles if 0.7 < level(heard[n].pcm) / level(native.decode("PCMU", payloads[n])) < 1.4]
    assert len(clear) >= 0.9 * len(singles), "a single frame is as loud as what was lost"


@pytest.mark.survives(22)
@pytest.mark.parametrize("seed", range(3))
def test_jitter_order_and_repetition_cost_the_ear_less_than_one_frame_in_a_hundred(rig, sounds, seed):
    """Jitter of 60 ms, every twentieth packet overtaken by its successor, every twentieth sent twice."""
    _, voice = sounds
    rng, payloads = random.Random(seed), frames(voice(2000) * 10)
    arrivals, clear = list[tuple[float, int]](), 0.0
    for n in range(len(payloads)):
        clear = max(clear, n * 20 + rng.uniform(0, 60))
        arrivals.append((clear, n))
    for n in range(1, len(payloads)):
        if rng.random() < 0.05:
            arrivals[n - 1] = (arrivals[n][0] + rng.uniform(0.1, 10), n - 1)
        if rng.random() < 0.05:
            arrivals.append((arrivals[n][0] + rng.uniform(0, 60), n))
    packets = [rig.next(payload) for payload in payloads]
    start, before = rig.now, 0
    for at, n in sorted(arrivals):
        rig.run((start + round(at * MS) - rig.now) / MS)
        rig.give(packets[n])
        heard = rig.events(native.Heard)
        for event in heard[before:]:
            assert rig.now - (event.at + 20 * MS) < 120 * MS
        before = len(heard)
    counters = rig.add_up()
    assert counters["dropped_duplicate"] > 30
    assert counters["concealed"] < 0.01 * len(payloads)


def test_where_nothing_is_ever_out_of_order_a_hole_is_given_up_at_once(rig, sounds):
    _, voice = sounds
    payloads = frames(voice(8000))
    lost = [n % 10 == 5 for n in range(len(payloads))]
    speak(rig, payloads[:300], lost[:300])
    assert len(rig.events(native.Heard)) == 300
    rig.run(20)
    missed = rig.next(payloads[300])
    rig.run(20)
    rig.give(rig.next(payloads[301]))
    assert [event.concealed for event in rig.events(native.Heard)[300:]] == [True, False]
    # A packet that came after all shows that waiting pays; the next one that is overtaken is waited for.
    rig.run(5)
    rig.give(missed)
    for payload in payloads[302:]:
        rig.run(20)
        late = rig.next(payload)
        rig.run(15)
        rig.give(rig.next(payload))
        rig.run(5)
        rig.give(late)
    counters = rig.add_up()
    assert counters["dropped_late"] == 1
    assert counters["concealed"] == sum(lost[:300]) + 1


def test_what_comes_too_late_for_the_ear_is_on_the_tape(rig, sounds):
    _, voice = sounds
    rig.port.tape(True)
    payloads = frames(voice(1000))
    packets = [rig.next(payload) for payload in payloads]
    for n, packet in enumerate(packets):
        rig.run(20)
        if n != 20:
            rig.give(packet)
        if n == 30:
            rig.give(packets[20])
    rig.run(500)
    counters = rig.add_up()
    assert (counters["concealed"], counters["dropped_late"], counters["mended"]) == (1, 1, 1)
    original = b"".join(native.decode("PCMU", payload) for payload in payloads)
    tape = struct.pack(f"<{len(taped_ := taped(rig))}h", *taped_)
    assert original in tape


@pytest.mark.parametrize("ppm", [-200, 200])
@pytest.mark.parametrize("pauses", [False, True], ids=["always", "with pauses"])
def test_a_drifting_clock_is_followed_without_a_click(rig, ppm, pauses):
    """Two minutes of a tone from a clock that is off by 24 ms in the end, which is more than a packet."""
    rig.port.listen("none")
    rig.port.tape(True)
    tick = 20 * MS * (1_000_000 + ppm) // 1_000_000
    step = math.tau * 210 / 8000  # 4.2 periods a packet: one that is left out or laid over another is a step
    tone = [round(8000 * math.sin(step * k)) for k in range(5 * FRAME)]
    payloads = frames(struct.pack(f"<{len(tone)}h", *tone))
    start = rig.now
    for n in range(PACKETS):
        rig.run((start + n * tick - rig.now) / MS)
        packet = rig.next(payloads[n % 5])
        if pauses and n % 250 >= 200:
            rig.sequence -= 1  # silence that is not sent takes no number
        else:
            rig.give(packet)
    tape = taped(rig)
    assert abs(len(tape) / 8 - PACKETS * tick / MS) < 60
    loud = [n for n, sample in enumerate(tape) if abs(sample) > 4000]
    assert abs((loud[-1] - loud[0]) / 8 - (PACKETS - (51 if pauses else 0)) * tick / MS) < 25, (
        "it lies where it was said"
    )
    steps = [abs(after - before) for before, after in zip(tape, tape[1:], strict=False)]
    limit = 8000 * step * 1.5
    clicks = [n for n, found in enumerate(steps) if found > limit]
    # A pause may begin and end anywhere in the tone.
    assert len(clicks) <= (2 * PACKETS // 250 if pauses else 0)
