"""RTCP as bytes: every field of our reports, read here by RFC 3550 and worked out anew from what was sent and lost."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass

from offhook import _native as native

MS = 1_000_000
FAR = ("192.0.2.1", 4000)
REPORTS_FROM = (FAR[0], FAR[1] + 1)


@dataclass(frozen=True, slots=True)
class Report:
    """An SR or RR with at most one block, and the CNAME behind it (sections 6.4 and 6.5)."""

    at: int
    ssrc: int
    sender: tuple[int, int, int, int, int] | None
    block: tuple[int, int, int, int, int, int, int] | None
    name: bytes

    @staticmethod
    def parse(at: int, data: bytes) -> Report:
        first, kind, words, ssrc = struct.unpack_from("!BBHI", data)
        assert (first >> 6, kind in (200, 201)) == (2, True)
        sender = struct.unpack_from("!IIIII", data, 8) if kind == 200 else None
        place = 28 if sender else 8
        block = None
        if first & 31:
            source, lost, highest, jitter, last, since = struct.unpack_from("!IIIIII", data, place)
            block = (source, lost >> 24, lost & 0xFFFFFF, highest, jitter, last, since)
            place += 24
        assert place == 4 * (words + 1)
        described, chunks, _, source, item, length = struct.unpack_from("!BBHIBB", data, place)
        assert (described, chunks, source, item) == (0x81, 202, ssrc, 1)
        return Report(at, ssrc, sender, block, data[place + 10 : place + 10 + length])


def ntp(now: int) -> int:
    return (now << 32) // 1_000_000_000


def collect(rig, ms: float) -> list[Report]:
    """Let time pass in steps; give the reports that were made, with their times."""
    reports: list[Report] = []
    until = rig.now + round(ms * MS)
    while rig.now < until:
        rig.run(1)
        reports += [Report.parse(rig.now, data) for data, to, rtcp in rig.reports if (to, rtcp) == (REPORTS_FROM, True)]
        rig.reports.clear()
    return reports


def test_a_sender_report_tells_what_was_sent(rig):
    began = rig.now
    first, second, *_ = collect(rig, 20_000)
    for report in (first, second):
        assert (report.ssrc, report.name, report.block) == (0x0FF, b"us", None)
        assert (report.at - began) % (20 * MS) == 0, "it leaves with a packet"
        assert report.sender is not None
        seconds, fraction, timestamp, packets, octets = report.sender
        assert abs(ntp(report.at) - (seconds << 32 | fraction)) <= 1
        left = [packet for at, packet in rig.sent if at <= report.at]
        assert (packets, octets) == (len(left), sum(len(packet.payload) for packet in left))
        # Section 6.4.1: the timestamp of the same instant, on the clock of the stream; a packet time is not yet over.
        spoken = (report.at - began) // 125_000
        assert 0 <= (timestamp - 0xFFFFFF00 - spoken) & 0xFFFFFFFF <= 160


def test_who_sends_nothing_makes_a_receiver_report(rig):
    rig.configure(2, sending=False)
    rig.give(rig.next(bytes(160)))
    report, *_ = collect(rig, 8000)
    assert report.sender is None
    assert report.block is not None


def test_a_block_tells_loss_jitter_and_the_sender_report_that_it_answers(rig):
    """Appendices A.1, A.3 and A.8, over a wrap of the sequence, with loss, jitter, duplicates and sender reports."""
    rng = random.Random(7)
    rig.sequence = 65_400
    base, highest, expected, came = rig.sequence, 0, 0, 0
    expected_before = came_before = 0
    jitter, transit, told, answered = 0.0, None, None, 0
    middle, middle_at = 0, 0
    for n in range(1000):
        for report in collect(rig, 20 + rng.choice((-4, 0, 0, 6)) - (1 if n % 2 else 0)):
            assert report.block is not None
            source, fraction, lost, highest, told, last, since = report.block
            assert source == rig.ssrc
            assert highest == base + expected - 1
            assert lost == (expected - came) & 0xFFFFFF
            new, heard = expected - expected_before, came - came_before
            assert fraction == max(0, new - heard) * 256 // new
            assert abs(told - jitter) <= max(2, jitter * 0.1)
            assert last == middle
            assert abs(since / 65536 - (report.at - middle_at) / 1e9 * bool(middle)) <= 0.002
            expected_before, came_before, answered = expected, came, answered + 1
        packet = rig.next(bytes(160))
        if n and rng.random() < 0.1:
            continue
        expected = n + 1
        for _ in range(rng.choice((1, 1, 1, 1, 1, 1, 1, 2))):
            came += 1
            rig.give(packet)
            passed = rig.now / 125_000 - packet.timestamp
            jitter += (abs(passed - (passed if transit is None else transit)) - jitter) / 16
            transit = passed
        if n % 200 == 50:
            stamp = rng.getrandbits(64)
            middle, middle_at = stamp >> 16 & 0xFFFFFFFF, rig.now
            report = struct.pack("!BBHIQIII", 0x80, 200, 6, rig.ssrc, stamp, packet.timestamp, came, came * 160)
            rig.give(report, REPORTS_FROM, rtcp=True)
    assert highest > 0xFFFF, "the sequence wrapped"
    assert answered >= 3
    rig.add_up()


def test_the_round_trip_is_what_their_block_says(rig):
    """Section 6.4.1: A - LSR - DLSR."""
    rig.give(rig.next(bytes(160)))
    *_, report = collect(rig, 8000)
    assert report.sender is not None
    seconds, fraction, *_ = report.sender
    last = (seconds << 32 | fraction) >> 16 & 0xFFFFFFFF
    trip_ms = 90
    held = (rig.now - report.at - trip_ms * MS << 16) // 1_000_000_000
    block = struct.pack("!IIIIII", 0x0FF, 64 << 24 | 5, 100, 80, last, held)
    rig.give(struct.pack("!BBHI", 0x81, 201, 7, rig.ssrc) + block, REPORTS_FROM, rtcp=True)
    rig.told.clear()
    collect(rig, 8000)
    told, *_ = rig.events(native.Quality)
    assert abs(told.round_trip_ms - trip_ms) <= 2
    assert (told.far_lost_fraction, told.far_jitter_ms) == (0.25, 10.0)
