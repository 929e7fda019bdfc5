"""Extended reports, one-way audio and the score of an interval, seen from outside a Port in virtual time."""

from __future__ import annotations

import struct

import pytest

from offhook import _native as native

MS = 1_000_000
FAR = ("192.0.2.1", 4000)
REPORTS_FROM = (FAR[0], FAR[1] + 1)
OURS = 0x0FF


def packets(compound: bytes) -> list[tuple[int, int, bytes]]:
    """Take a compound apart: type, count and body of each packet."""
    found: list[tuple[int, int, bytes]] = []
    at = 0
    while at < len(compound):
        first, kind, words = struct.unpack_from("!BBH", compound, at)
        assert first >> 6 == 2
        found.append((kind, first & 31, compound[at + 4 : at + 4 + 4 * words]))
        at += 4 + 4 * words
    return found


def reports(rig, ms: float) -> list[bytes]:
    """Let time pass; give the reports that left."""
    rig.reports.clear()
    rig.run(ms)
    return [data for data, to, rtcp in rig.reports if (to, rtcp) == (REPORTS_FROM, True)]


def receiver_report(ssrc: int, *blocks: tuple[int, int, int]) -> bytes:
    """Make an RR with blocks of (source, fraction lost, highest sequence)."""
    body = b"".join(struct.pack("!IIIIII", source, lost << 24, highest, 0, 0, 0) for source, lost, highest in blocks)
    return struct.pack("!BBHI", 0x80 | len(blocks), 201, 1 + len(body) // 4, ssrc) + body


def metrics(compound: bytes) -> tuple[int, ...] | None:
    """Give the VoIP metrics of a compound, field by field (RFC 3611 section 4.7), None where there are none."""
    for kind, _, body in packets(compound):
        if kind == 207:
            assert struct.unpack_from("!I", body)[0] == OURS
            at = 4
            while at < len(body):
                block, _, words = struct.unpack_from("!BBH", body, at)
                if block == 7:
                    assert words == 8
                    return struct.unpack_from("!I4B4H2b2B4BBx3H", body, at + 4)
                at += 4 + 4 * words
    return None


def test_metrics_leave_only_where_they_were_agreed(rig, sounds):
    tone, _ = sounds
    rig.speak(tone(8000))
    assert rig.reports
    assert all(metrics(data) is None for data, _, _ in rig.reports)
    rig.configure(2, rtcp_extended=True)
    rig.speak(tone(2000))
    told = [metrics(report) for report in reports(rig, 7000)]
    assert told
    assert all(told)


def test_metrics_say_what_was_lost_and_how_loud_it_was(rig, sounds):
    """Of 500 packets every 50th is lost alone, and one row of four and a single two later make a burst of 7."""
    tone, _ = sounds
    rig.configure(2, rtcp_extended=True)
    pcm = tone(20, level=8000)
    code = native.encode("PCMU", pcm)
    gone = {49, 99, 149, 199, 249, 299, 349, 399, 449, *range(420, 424), 426}
    rig.reports.clear()
    for n in range(500):
        rig.run(20)
        packet = rig.next(code)
        if n not in gone:
            rig.give(packet)
    rig.run(7000)
    told = metrics(rig.reports[-1][0])
    assert told is not None
    source, loss, discard, burst, gap, burst_ms, gap_ms, trip, system, signal, noise, echo, gmin, *scores = told
    assert (source, discard, gmin, echo, trip, system) == (rig.ssrc, 0, 16, 127, 0, 20)
    assert loss == 14 * 256 // 500
    assert (burst, burst_ms) == (5 * 256 // 7, 7 * 20)
    assert (gap, gap_ms) == (9 * 256 // 493, 493 * 20 // 2)
    rating, external, listening, conversing, config, nominal, most, ever = scores
    assert (rating, external, conversing) == (127, 127, 127), "no round trip is known"
    runs = 11
    ratio = 14 / runs * (1 - 14 / 500)
    assert listening == round(10 * native.mos(native.rating(0, 14 / 500, ratio)))
    assert config >> 4 == 0b1111, "standard concealment, a buffer that adapts"
    assert nominal == 0
    assert 0 < most <= ever <= 40
    # A sine of 8000 is 12.2 dB below full scale, which is 3.17 dBm0.
    loud = signal if signal != 127 else noise
    assert abs(loud - (3.17 - 12.25)) <= 1


def test_who_is_asked_for_the_round_trip_answers_once(rig):
    """RFC 3611 sections 4.4 and 4.5: LRR and DLRR of the asking side's last reference time."""
    rig.configure(2, rtcp_extended=True)
    rig.give(rig.next(bytes(160)))
    ask = struct.pack("!BBHIBBHQ", 0x80, 207, 4, rig.ssrc, 4, 0, 2, 0x1122334455667788)
    rig.give(receiver_report(rig.ssrc) + ask, REPORTS_FROM, rtcp=True)
    asked = rig.now
    answers: list[tuple[int, int, int]] = []
    for _ in range(20_000):
        for report in reports(rig, 1):
            for kind, _, body in packets(report):
                if kind == 207 and body[4] == 5:
                    source, last, since = struct.unpack_from("!III", body, 8)
                    assert abs(since / 65536 - (rig.now - asked) / 1e9) < 0.002
                    answers.append((source, last, kind))
    assert answers == [(rig.ssrc, 0x33445566, 207)]


def test_a_held_port_learns_the_round_trip_without_sending(rig):
    rig.configure(2, sending=False, rtcp_extended=True)
    trip_ms = 70
    for _ in range(3):
        rig.reports.clear()
        rig.run(6500)
        for data, _, _ in rig.reports:
            for kind, _, body in packets(data):
                if kind == 207 and body[4] == 4:
                    (ntp,) = struct.unpack_from("!Q", body, 8)
                    held = (rig.now - trip_ms * MS << 16) // 1_000_000_000 - (ntp >> 16)
                    answer = struct.pack(
                        "!BBHIBBHIII", 0x80, 207, 5, rig.ssrc, 5, 0, 3, OURS, ntp >> 16 & 0xFFFFFFFF, held
                    )
                    rig.give(receiver_report(rig.ssrc) + answer, REPORTS_FROM, rtcp=True)
        rig.give(rig.next(bytes(160)))
    assert any(abs((told.round_trip_ms or 0) - trip_ms) < 2 for told in rig.events(native.Quality))


def test_reduced_size_is_taken_and_sent_only_as_agreed(rig):
    goodbye = struct.pack("!BBHI", 0x81, 203, 1, rig.ssrc)
    rig.give(goodbye, REPORTS_FROM, rtcp=True)
    assert rig.add_up()["dropped_rtcp_malformed"] == 1
    rig.configure(2, rtcp_reduced=True)
    rig.give(goodbye, REPORTS_FROM, rtcp=True)
    assert rig.add_up()["received_rtcp"] == 1


def test_an_interval_has_its_score(rig):
    rig.run(20)
    for n in range(1000):
        packet = rig.next(bytes(160))
        if n % 20:
            rig.give(packet)
        rig.run(20)
    told = [quality for quality in rig.events(native.Quality) if quality.expected > 100]
    assert told
    for quality in told:
        assert quality.mos == pytest.approx(native.mos(native.rating(0, 0.05, quality.burst_ratio)), abs=0.05)
        assert quality.concealed_ms == pytest.approx(quality.lost * 20, abs=40)
        assert (quality.late, quality.far_mos) == (0, None)


def test_what_comes_too_late_is_told_as_late_and_not_as_lost(rig):
    rig.run(20)
    kept = []
    for n in range(700):
        packet = rig.next(bytes(160))
        if n % 50 == 7:
            kept.append(packet)
        else:
            rig.give(packet)
        rig.run(20)
        if n % 50 == 17:
            rig.give(kept.pop())
    told = rig.events(native.Quality)
    assert sum(quality.late for quality in told) >= 10
    assert sum(quality.lost for quality in told) <= 1
    assert min(quality.mos for quality in told if quality.late) < 4.35


def test_a_line_that_falls_dead_is_the_worst_there_is(rig):
    for _ in range(300):
        rig.give(rig.next(bytes(160)))
        rig.run(20)
    rig.run(15_000)
    assert [quality.mos for quality in rig.events(native.Quality)][-1] == 1.0


@pytest.mark.parametrize("blocks", [[(OURS, 255, 900)], []])
def test_their_reports_say_that_they_hear_nothing(rig, blocks):
    rig.give(rig.next(bytes(160)))
    rig.run(2000)
    rig.give(receiver_report(rig.ssrc, *blocks), REPORTS_FROM, rtcp=True)
    assert [(told.fault, told.on) for told in rig.events(native.OneWay)] == [("unheard", True)]
    rig.run(2000)
    rig.give(receiver_report(rig.ssrc, (OURS, 10, 1000)), REPORTS_FROM, rtcp=True)
    assert [(told.fault, told.on) for told in rig.events(native.OneWay)][1:] == [("unheard", False)]


def test_a_sequence_that_stands_still_in_their_reports_is_a_dead_line(rig):
    rig.give(rig.next(bytes(160)))
    for highest in (100, 200, 200):
        rig.run(2000)
        rig.give(receiver_report(rig.ssrc, (OURS, 0, highest)), REPORTS_FROM, rtcp=True)
    assert [(told.fault, told.on) for told in rig.events(native.OneWay)] == [("unheard", True)]


def test_a_report_about_somebody_else_says_nothing_of_us(rig):
    rig.run(5000)
    rig.give(receiver_report(rig.ssrc, (0xABC, 255, 100)), REPORTS_FROM, rtcp=True)
    assert rig.events(native.OneWay) == []


def test_who_is_not_spoken_to_is_not_missed(rig):
    rig.configure(2, sending=False)
    rig.run(10_000)
    rig.give(receiver_report(rig.ssrc), REPORTS_FROM, rtcp=True)
    rig.configure(3)
    rig.run(700)
    rig.give(receiver_report(rig.ssrc), REPORTS_FROM, rtcp=True)
    assert rig.events(native.OneWay) == []


@pytest.mark.parametrize(("codec", "number", "zero"), [("PCMU", 0, b"\xff"), ("PCMA", 8, b"\xd5")])
def test_digital_silence_is_told_and_the_first_sound_after_it(rig, sounds, codec, number, zero):
    tone, _ = sounds
    began = rig.now
    for _ in range(150):
        rig.give(rig.next(zero * 160, number))
        rig.run(20)
    (told,) = rig.events(native.OneWay)
    assert (told.fault, told.on) == ("silent", True)
    assert 2000 * MS <= told.at - began <= 2040 * MS
    rig.give(rig.next(native.encode(codec, tone(20)), number))
    assert [(told.fault, told.on) for told in rig.events(native.OneWay)][1:] == [("silent", False)]


def test_comfort_noise_is_no_dead_line(rig):
    rig.give(rig.next(b"\xff" * 160))
    for _ in range(200):
        rig.run(20)
        rig.give(rig.next(b"\x40", 13, step=160))
    assert rig.events(native.OneWay) == []
