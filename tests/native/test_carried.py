"""A port whose far end is brought by a carrier: ahead of play-out by a lead, and honest about what was heard."""

from __future__ import annotations

import random
from typing import Any

import pytest

from offhook import _native as native

MS = 1_000_000
NOWHERE = ("0.0.0.0", 1)
TONE = native.decode("PCMU", bytes(160)) * 1  # 20 ms that are as loud as can be


class Carrier:
    """Plays what leaves, in real time, half a round trip away."""

    def __init__(self, rtt_ms: int = 80, codec: str = "PCMU", **terms: Any) -> None:
        self.terms: dict[str, Any] = {"lead_ms": 400, "least_ms": 20, "most_ms": 100, "fences": True, "clears": True} | terms
        self.port = native.Port(ssrc=0, sequence=0, timestamp=0, number=1)
        self.port.carry(**self.terms)
        self.port.configure(0, 1, remote=NOWHERE, remote_rtcp=None, send=(96, codec), receive=((97, codec),))
        self.now = 1_000 * MS
        self.way = rtt_ms * MS // 2
        self.until = 0
        """When all that came there will have sounded."""
        self.sent: list[tuple[int, bytes]] = []
        self.gaps_ms: list[int] = []
        self.fences: list[tuple[int, int]] = []
        self.told: list[Any] = []
        self.dropped_ms = 0

    def run(self, ms: int, every_ms: int = 20) -> None:
        for _ in range(ms // every_ms):
            self.step()
            self.now += every_ms * MS

    def step(self) -> None:
        for at, number in [one for one in self.fences if one[0] <= self.now]:
            self.fences.remove((at, number))
            self.port.passed(self.now, number)
        self.port.tick(self.now)
        self.take()

    def take(self) -> None:
        for event in self.port.events():
            there = self.now + self.way
            match event:
                case native.Leaving():
                    self.sent.append((self.now, event.codes))
                    if self.until and there > self.until:
                        self.gaps_ms.append((there - self.until) // MS)
                    self.until = max(self.until, there) + len(event.codes) // 8 * MS
                case native.Fence():
                    self.fences.append((max(self.until, there) + self.way, event.number))
                case native.Emptied():
                    self.dropped_ms += max(0, self.until - there) // MS
                    self.until = min(self.until, there)
                    self.fences.clear()
                case _:
                    self.told.append(event)

    def of(self, kind: Any) -> list[Any]:
        return [event for event in self.told if isinstance(event, kind)]


def test_it_is_ahead_by_the_lead_and_no_more() -> None:
    carrier = Carrier()
    carrier.run(200)
    assert carrier.port.play(carrier.now, 1, TONE * 100, 8000) == 32_000
    carrier.port.end(carrier.now, 1)
    begun = carrier.now
    most = 0
    for _ in range(120):
        carrier.step()
        most = max(most, (carrier.until - carrier.now - carrier.way) // MS)
        carrier.now += 20 * MS
    assert 300 <= most <= 400
    assert sum(len(codes) for _, codes in carrier.sent) == 16_000
    assert {len(codes) for _, codes in carrier.sent} == {800}
    assert carrier.gaps_ms == []
    [played] = carrier.of(native.Played)
    assert played.sent_ms == 2000
    assert (played.at - begun) // MS == pytest.approx(2000 + 80, abs=25)


def test_where_nothing_is_buffered_a_packet_leaves_at_each_tick_however_ticks_jitter() -> None:
    carrier = Carrier(lead_ms=0, most_ms=20, fences=False, clears=False)
    carrier.run(200)
    grid, rng = carrier.now, random.Random(5)
    carrier.port.play(carrier.now, 1, TONE * 50, 8000)
    carrier.port.end(carrier.now, 1)
    for tick in range(60):
        carrier.now = grid + tick * 20 * MS + rng.randrange(2 * MS)
        carrier.step()
    assert [len(codes) for _, codes in carrier.sent] == [160] * 50
    assert carrier.sent[-1][0] - carrier.sent[0][0] <= (49 * 20 + 2) * MS


def test_silence_does_not_leave() -> None:
    carrier = Carrier()
    carrier.run(1000)
    assert carrier.sent == []


@pytest.mark.parametrize("rtt_ms", [10, 150])
@pytest.mark.parametrize("after_ms", [60, 500, 1100])
def test_a_hush_says_what_has_sounded(rtt_ms: int, after_ms: int) -> None:
    carrier = Carrier(rtt_ms)
    carrier.run(400)
    carrier.port.play(carrier.now, 1, TONE * 100, 8000)
    begun = carrier.now
    carrier.run(after_ms)
    carrier.port.hush(carrier.now)
    carrier.take()
    [cut] = carrier.of(native.Cut)
    truly_ms = sum(len(codes) for _, codes in carrier.sent) // 8 - carrier.dropped_ms
    assert truly_ms == pytest.approx((carrier.now - begun) // MS, abs=20)
    assert cut.heard_ms == pytest.approx(truly_ms, abs=20)
    assert cut.heard_ms <= cut.sent_ms
    carrier.run(1000)
    assert carrier.of(native.Played) == []


def test_a_carrier_that_is_late_is_believed() -> None:
    carrier = Carrier()
    carrier.run(200)
    carrier.port.play(carrier.now, 1, TONE * 10, 8000)
    carrier.port.mark(carrier.now, 1, 5)
    carrier.port.play(carrier.now, 1, TONE * 90, 8000)
    carrier.step()
    carrier.until += 300 * MS  # something else sounds there first
    carrier.fences = [(at + 300 * MS, number) for at, number in carrier.fences]
    carrier.now += 20 * MS
    carrier.run(1000)
    carrier.port.hush(carrier.now)
    carrier.take()
    [cut] = carrier.of(native.Cut)
    assert cut.heard_ms == pytest.approx(1020 - 300, abs=40)


def test_a_fence_that_is_lost_is_waited_for_half_a_second() -> None:
    carrier = Carrier()
    carrier.run(200)
    carrier.port.play(carrier.now, 1, TONE * 10, 8000)
    carrier.port.end(carrier.now, 1)
    begun = carrier.now
    carrier.step()
    carrier.fences.clear()
    carrier.run(1200)
    [played] = carrier.of(native.Played)
    assert 200 + 500 <= (played.at - begun) // MS <= 200 + 500 + 80


def test_messages_are_filled_up_where_a_carrier_wants_them_long() -> None:
    carrier = Carrier(least_ms=200, most_ms=200)
    carrier.port.play(carrier.now, 1, TONE * 13, 8000)
    carrier.port.end(carrier.now, 1)
    carrier.run(600)
    assert [len(codes) for _, codes in carrier.sent] == [1600, 1600]
    assert carrier.sent[1][1].count(0xFF) == 7 * 160


@pytest.mark.parametrize("fences", [False, True])
def test_a_mark_in_mid_utterance_tears_nothing_where_messages_are_long(fences: bool) -> None:
    carrier = Carrier(least_ms=200, most_ms=200, fences=fences)
    carrier.port.play(carrier.now, 1, TONE * 3, 8000)
    carrier.port.mark(carrier.now, 1, 1)
    carrier.port.play(carrier.now, 1, TONE * 17, 8000)
    carrier.port.end(carrier.now, 1)
    carrier.run(1500)
    assert b"".join(codes for _, codes in carrier.sent).count(0xFF) == 0
    assert [one.mark for one in carrier.of(native.Marked)] == [1]


def test_an_underrun_is_counted_where_the_voice_is_slow() -> None:
    carrier = Carrier()
    for _ in range(3):
        carrier.port.play(carrier.now, 1, TONE * 5, 8000)
        carrier.run(600)
    assert carrier.port.counters()["underruns"] >= 2


def test_a_voice_that_speaks_over_ours_lowers_what_is_buffered_too() -> None:
    carrier = Carrier(rtt_ms=40)
    carrier.port.listen("speech")
    carrier.port.arm(20.0)
    quiet, loud = bytes([0xFF]) * 160, native.encode("PCMU", _voice())
    sequence = 0
    for _ in range(50):
        carrier.port.bring(carrier.now, sequence, 160 * sequence, quiet)
        carrier.step()
        sequence += 1
        carrier.now += 20 * MS
    carrier.port.play(carrier.now, 1, TONE * 90, 8000)
    ducked_at = sent_at_full = 0
    for step in range(40):
        piece = loud[160 * (step % 50) :][:160] if step > 10 else quiet
        carrier.port.bring(carrier.now, sequence, 160 * sequence, piece)
        carrier.step()
        sequence += 1
        if not ducked_at and carrier.of(native.Ducked):
            ducked_at, sent_at_full = carrier.now, len(carrier.sent)
            carrier.sent = [one for one in carrier.sent if one[0] == carrier.now]
        carrier.now += 20 * MS
    assert ducked_at, "the reflex is armed"
    assert sent_at_full > 0
    assert carrier.dropped_ms >= 100  # what was buffered was called back
    lowered = native.decode("PCMU", carrier.sent[-1][1])
    peak = max(abs(int.from_bytes(lowered[at : at + 2], "little", signed=True)) for at in range(0, len(lowered), 2))
    assert peak <= 32_124 // 9
    before = sum(len(codes) for _, codes in carrier.sent)
    carrier.port.restore(carrier.now)
    carrier.take()
    carrier.run(100)
    raised = native.decode("PCMU", carrier.sent[-1][1])
    assert max(abs(int.from_bytes(raised[at : at + 2], "little", signed=True)) for at in range(0, 320, 2)) > 30_000
    assert sum(len(codes) for _, codes in carrier.sent) > before


def _voice() -> bytes:
    import math
    import struct

    rows = [
        int(9000 * (0.3 + abs(math.sin(n / 900))) * math.sin(n * 0.12) * math.sin(n * 0.031 + 1)) for n in range(8000)
    ]
    return struct.pack(f"<{len(rows)}h", *rows)
