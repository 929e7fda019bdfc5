"""The Port as a machine: repeatable, bounded, and with both sides on its tape."""

from __future__ import annotations

import itertools
import random
import struct

from offhook import _native as native

MS = 1_000_000


def act(rig, seed: int, sounds) -> bytes:
    """Do a bit of everything, as the seed says; give all that came of it."""
    tone, voice = sounds
    rng = random.Random(seed)
    rig.configure()
    rig.port.listen("speech")
    rig.port.tape(True)
    speech = native.encode("PCMU", voice(2000))
    for n in range(600):
        rig.run(rng.choice((0, 10, 20, 20, 45)))
        match rng.randrange(12):
            case 0:
                rig.port.play(rig.now, n, tone(rng.randint(1, 900)), 8000)
            case 1:
                rig.port.play(rig.now, n, tone(300, rate=22050), 22050)
                rig.port.mark(rig.now, n, n)
                rig.port.end(rig.now, n)
            case 2:
                rig.port.hush(rig.now)
            case 3:
                rig.port.press(rig.now, rng.choice("0123456789*#"))
            case 4:
                rig.port.arm(rng.choice((None, 20)))
                rig.port.restore(rig.now)
            case 5:
                rig.configure(n, send=rng.choice(((0, "PCMU"), (8, "PCMA"))), sending=rng.random() < 0.9)
            case _:
                packet = rig.next(speech[n % 90 * 160 :][:160])
                if rng.random() > 0.1:
                    rig.give(packet)
    rig.run(2000)
    return repr((rig.told, rig.sent, rig.reports, rig.add_up())).encode()


def test_the_same_inputs_make_the_same_bytes_and_events(make_rig, sounds):
    first, second, other = (act(make_rig(), seed, sounds) for seed in (1, 1, 2))
    assert first == second
    assert first != other


def test_a_port_with_nothing_to_do_has_no_deadline(make_rig):
    rig = make_rig()
    assert rig.port.deadline() is None
    rig.port.tick(rig.now)
    assert rig.port.packets() == []
    assert rig.port.events() == []


def test_before_a_plan_nothing_is_heard(make_rig):
    rig = make_rig()
    rig.give(b"\x80")
    rig.give(rig.next(bytes(160)))
    assert rig.add_up()["dropped_unconfigured"] == 2


def test_both_sides_are_on_the_tape_where_they_were(rig, sounds):
    tone, _ = sounds
    rig.port.tape(True)
    begun = rig.now
    rig.run(300)
    rig.port.play(rig.now, 1, tone(100, hz=800), 8000)
    rig.run(300)
    rig.speak(tone(200, hz=300))
    rig.run(2000)
    rig.port.tape(False)
    rig.collect()
    taped = rig.events(native.Taped)
    assert taped[0].at == begun
    assert all(b.at - a.at == len(a.pcm) // 4 * 125_000 for a, b in itertools.pairwise(taped))
    samples = struct.unpack(f"<{sum(len(one.pcm) for one in taped) // 2}h", b"".join(one.pcm for one in taped))
    left, right = samples[::2], samples[1::2]

    def span(side: tuple[int, ...]) -> tuple[int, int]:
        loud = [n for n, sample in enumerate(side) if abs(sample) > 500]
        return loud[0] // 8, loud[-1] // 8

    # Ours from the packet that left at 320 ms (the one at 300 was gone); theirs spoken for 20 ms before it arrived.
    assert abs(span(right)[0] - 320) <= 1
    assert abs(span(right)[1] - 420) <= 1
    assert abs(span(left)[0] - 600) <= 1
    assert abs(span(left)[1] - 800) <= 1


def test_events_are_values():
    one, same = native.Digit(1, 2, 3, "5", 40), native.Digit(port=1, seq=2, at=3, key="5", duration_ms=40)
    assert one == same
    assert hash(one) == hash(same)
    assert one != native.Digit(1, 2, 3, "6", 40)
    assert (
        repr(native.Heard(1, 2, 3, b"\0\0"))
        == "Heard(port=1, seq=2, at=3, pcm=b'\\x00\\x00', concealed=False, rate_hz=8000)"
    )
    match native.Cut(1, 2, 3, 4, 5, 6, 7):
        case native.Cut(utterance=utterance, heard_ms=heard_ms, exact=exact):
            assert (utterance, heard_ms, exact) == (4, 7, False)


def test_wrong_numbers_are_python_errors(make_rig):
    rig = make_rig()
    for wrong in (
        lambda: native.Port(ssrc=-1, sequence=0, timestamp=0),
        lambda: native.Port(ssrc=1, sequence=70000, timestamp=0),
    ):
        try:
            wrong()
        except (ValueError, OverflowError):
            continue
        raise AssertionError(wrong)
    try:
        rig.port.datagram(0, b"", ("somewhere", 1))
    except ValueError:
        return
    raise AssertionError
