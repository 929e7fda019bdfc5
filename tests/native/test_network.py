"""Who may speak to us, what reports say, and what garbage does."""

from __future__ import annotations

import random
import struct
from typing import Any

import pytest

from offhook import _native as native

MS = 1_000_000
FAR = ("192.0.2.1", 4000)
NAT = ("198.51.100.7", 61234)
EVIL = ("203.0.113.66", 7)


@pytest.mark.survives(24)
def test_the_agreed_address_is_heard_from_its_first_packet_and_nobody_else_is(rig, rtp):
    rig.give(rig.next(bytes(160)))
    for n in range(50):
        rig.give(rtp(False, 0, 500 + n, 160 * n, 666, bytes(160)), EVIL)
        rig.give(rtp(False, 0, rig.sequence + n, rig.timestamp + 160 * n, rig.ssrc, bytes(160)), EVIL)
    rig.run(100)
    assert len(rig.events(native.Heard)) == 1
    assert rig.add_up()["dropped_source"] == 100
    assert all(packet.ssrc == 0x0FF for _, packet in rig.sent)


def test_a_peer_behind_a_nat_is_found_and_answered(rig):
    for _ in range(5):
        rig.give(rig.next(bytes(160)), NAT)
    rig.run(100)
    counters = rig.add_up()
    assert (counters["received_audio"], counters["dropped_probation"], counters["latched"]) == (4, 1, 1)
    rig.port.tick(rig.now + 20 * MS)
    assert {to for _, to, rtcp in rig.port.packets() if not rtcp} == {NAT}


@pytest.mark.survives(24)
def test_a_third_address_is_not_heard_and_gets_nothing_beside_a_peer_behind_a_nat_either(rig, rtp):
    for _ in range(5):
        rig.run(20)
        rig.give(rig.next(bytes(160)), NAT)
    heard = len(rig.events(native.Heard))
    for n in range(100):
        rig.run(10)
        # With numbers of its own, and with those of the stream that it has overheard.
        rig.give(rtp(False, 0, 500 + n, 160 * n, 666, b"\x11" * 160), EVIL)
        rig.give(rtp(False, 0, rig.sequence + n, rig.timestamp + 160 * n, rig.ssrc, b"\x11" * 160), EVIL)
        rig.port.tick(rig.now)
        assert {to for _, to, rtcp in rig.port.packets() if not rtcp} <= {NAT}
    assert len(rig.events(native.Heard)) == heard
    assert rig.add_up()["dropped_source"] == 200


@pytest.mark.survives(25)
def test_the_agreed_address_is_preferred_to_whoever_was_first(rig, rtp):
    for n in range(20):
        rig.run(20)
        rig.give(rtp(False, 0, 500 + n, 160 * n, 666, b"\x11" * 160), EVIL)
    rig.run(20)
    rig.give(rig.next(bytes(160)))
    heard = len(rig.events(native.Heard))
    for n in range(20, 70):
        rig.run(20)
        rig.give(rtp(False, 0, 500 + n, 160 * n, 666, b"\x11" * 160), EVIL)
        rig.give(rig.next(bytes(160)))
        rig.port.tick(rig.now)
        assert {to for _, to, rtcp in rig.port.packets() if not rtcp} <= {FAR}
    later = rig.events(native.Heard)[heard:]
    assert len(later) == 50
    assert all(event.pcm == native.decode("PCMU", bytes(160)) for event in later[3:])
    assert rig.add_up()["dropped_source"] == 50


def test_a_nat_that_forgets_is_found_again_after_two_seconds(rig):
    for _ in range(5):
        rig.run(20)
        rig.give(rig.next(bytes(160)), NAT)
    moved = (NAT[0], 55555)
    heard = len(rig.events(native.Heard))
    lost = 0
    while len(rig.events(native.Heard)) == heard:
        rig.run(20)
        rig.give(rig.next(bytes(160)), moved)
        lost += 1
        assert lost < 110
    assert lost >= 99
    rig.run(20)
    rig.give(rig.next(bytes(160)), NAT)
    assert rig.add_up()["dropped_source"] >= 99


def test_a_new_address_in_the_plan_opens_the_latch(rig):
    rig.give(rig.next(bytes(160)))
    elsewhere = ("192.0.2.2", 5000)
    rig.configure(2, remote=elsewhere, remote_rtcp=None)
    rig.ssrc, rig.sequence = 5, 7
    for _ in range(4):
        rig.run(20)
        rig.give(rig.next(bytes(160)), elsewhere)
    assert len(rig.events(native.Heard)) == 4
    assert rig.add_up()["latched"] == 2


def test_keys_are_told_once_each_under_loss(rig):
    rng = random.Random(4)
    wanted: list[str] = []
    for n, key in enumerate("0123456789*#ABCD" * 20):
        code = "0123456789*#ABCD".index(key)
        packets: list[object] = []
        for duration, end in [(160, 0), (320, 0), (480, 0), (640, 1), (640, 1), (640, 1)]:
            packets.append(
                rig.next(struct.pack("!BBH", code, end << 7 | 10, duration), 101, step=0, marker=not packets)
            )
        rig.timestamp += 1600
        arriving = [packet for packet in packets if rng.random() >= 0.3]
        if arriving:
            wanted.append(key)
        for packet in arriving:
            rig.run(20)
            rig.give(packet)
        rig.run(20)
        if n % 3 == 0:
            rig.give(rig.next(bytes(160)))
    assert "".join(event.key for event in rig.events(native.Digit)) == "".join(wanted)
    rig.run(20)
    rig.add_up()


def test_the_audio_of_a_key_is_silence(rig):
    rig.give(rig.next(b"\x20" * 160))
    for duration, end in [(160, 0), (320, 0), (480, 1), (480, 1), (480, 1)]:
        rig.run(20)
        rig.give(rig.next(struct.pack("!BBH", 1, end << 7, duration), 101, step=0))
    rig.timestamp += 480
    rig.give(rig.next(b"\x20" * 160))
    loud = native.decode("PCMU", b"\x20" * 160)
    assert rig.heard() == loud + bytes(960) + loud


def test_reports_measure_loss_jitter_and_the_round_trip(make_rig):
    us, them = make_rig(1), make_rig(2)
    us.configure(remote=FAR)
    them.configure(remote=FAR)
    delay = 40 * MS
    flights: list[tuple[int, Any, bytes, bool]] = []
    rng = random.Random(1)
    while us.now < 30_000 * MS:
        for side, other in ((us, them), (them, us)):
            side.run(5)
            for _, packet in side.sent:
                if rng.random() >= 0.1:
                    flights.append((side.now + delay, other, bytes(packet), False))
            flights.extend((side.now + delay, other, data, True) for data, _, _ in side.reports)
            side.sent.clear()
            side.reports.clear()
        for flight in [flight for flight in flights if flight[0] <= us.now]:
            flights.remove(flight)
            flight[1].give(flight[2], (FAR[0], FAR[1] + flight[3]), flight[3])
    for side in (us, them):
        reports = side.events(native.Quality)
        assert len(reports) >= 3
        lost, expected = sum(one.lost for one in reports), sum(one.expected for one in reports)
        assert 0.07 <= lost / expected <= 0.13
        assert abs(reports[-1].round_trip_ms - 80) <= 6
        assert 0.03 <= reports[-1].far_lost_fraction <= 0.2
        assert reports[-1].jitter_ms <= 3
        side.add_up()


def test_reports_from_elsewhere_are_refused(rig):
    rig.give(rig.next(bytes(160)))
    report = struct.pack("!BBHI", 0x80, 201, 1, 9)
    rig.give(report, EVIL, rtcp=True)
    rig.give(report, (FAR[0], 4001), rtcp=True)
    rig.give(report[:-1], (FAR[0], 4001), rtcp=True)
    counters = rig.add_up()
    assert counters["dropped_rtcp_source"] == counters["received_rtcp"] == counters["dropped_rtcp_malformed"] == 1


def test_with_rtcp_mux_reports_come_and_go_by_one_port(rig):
    rig.configure(2, rtcp_mux=True)
    rig.give(rig.next(bytes(160)))
    rig.give(struct.pack("!BBHI", 0x80, 201, 1, 9))
    assert rig.add_up()["received_rtcp"] == 1
    rig.run(8000)
    assert rig.reports
    assert all(to == FAR and not rtcp for _, to, rtcp in rig.reports)


def mutate(rng: random.Random, data: bytes) -> bytes:
    """Flip, cut, double or replace, as wires and fools do."""
    bytes_ = bytearray(data)
    for _ in range(rng.randint(0, 4)):
        match rng.randrange(5):
            case 0 if bytes_:
                bytes_[rng.randrange(len(bytes_))] ^= 1 << rng.randrange(8)
            case 1:
                del bytes_[rng.randint(0, len(bytes_)) :]
            case 2 if bytes_:
                at = rng.randrange(len(bytes_))
                bytes_[at:at] = bytes_[at : at + rng.randint(0, 40)]
            case 3 if bytes_:
                bytes_[rng.randrange(min(16, len(bytes_)))] = rng.randrange(256)
            case _:
                bytes_ += rng.randbytes(rng.randint(0, 2000))
    return bytes(bytes_)


def test_ten_thousand_mutated_packets_are_counted_and_valid_ones_heard(rig, rtp):
    rng = random.Random(99)
    valid = 0
    for n in range(10_000):
        rig.run(rng.choice((0, 0, 5, 20)))
        kind = rng.randrange(4)
        if kind == 0:
            event = struct.pack("!BBH", rng.randrange(20), 0, 400)
            rig.give(mutate(rng, bytes(rtp(False, 101, n & 0xFFFF, n * 160 & 0xFFFFFFFF, 3, event))))
        elif kind == 1:
            report = struct.pack("!BBHIIIIII", 0x81, 201, 7, 3, rig.port.counters()["sent"], 1, 2, 3, 4) + bytes(8)
            rig.give(mutate(rng, report), (FAR[0], 4001), rtcp=True)
        else:
            source = rng.choice((FAR, FAR, NAT))
            rig.give(mutate(rng, bytes(rtp(False, 0, n & 0xFFFF, n * 160 & 0xFFFFFFFF, 3, bytes(160)))), source)
        if n % 500 == 0:
            before = rig.port.counters()["received_audio"]
            for _ in range(3):
                rig.give(rig.next(bytes(160)))
            valid += rig.port.counters()["received_audio"] - before
    assert rig.add_up()["given"] == 10_000 + 3 * 20
    # A stream that returns after another was heard must prove itself with one packet.
    assert valid >= 2 * 20
    rig.run(200)
    assert [event.seq for event in rig.told] == list(range(1, len(rig.told) + 1))
