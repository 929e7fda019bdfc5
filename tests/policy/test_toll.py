"""What calling out may cost: calls at a time, calls a second, minutes a day."""

from __future__ import annotations

import pytest

from offhook.core.instants import SECOND
from offhook.policy.toll import HOUR, Caps, Meter

MINUTE = 60 * SECOND


def test_without_caps_all_goes():
    meter = Meter("main", Caps())
    for call in range(100):
        assert meter.why_not(0) is None
        meter.begin(0, call)
    assert meter.left_s(10 * HOUR) == float("inf")


@pytest.mark.survives(34)
def test_as_many_calls_as_allowed_are_up_at_a_time():
    meter = Meter("main", Caps(calls=2))
    meter.begin(0, 1)
    meter.came(2)
    assert meter.full
    assert meter.why_not(0) == "main carries 2 calls at a time"
    meter.end(1, 2, answered=True)
    assert meter.why_not(1) is None


@pytest.mark.survives(34)
def test_calls_a_second_are_let_through_at_that_pace():
    meter = Meter("main", Caps(calls_a_second=2))
    taken = 0
    for tick in range(100):  # ten seconds, ten tries a second
        if meter.why_not(tick * SECOND // 10) is None:
            meter.begin(tick * SECOND // 10, tick)
            taken += 1
    assert 20 <= taken <= 22


@pytest.mark.survives(34)
def test_minutes_are_used_up_by_calls_that_go_on_and_come_back_after_a_day():
    meter = Meter("main", Caps(minutes_a_day=10))
    meter.begin(0, 1)
    assert meter.left_s(6 * MINUTE) == 240
    meter.end(6 * MINUTE, 1)
    meter.begin(6 * MINUTE, 2)
    assert meter.left_s(9 * MINUTE) == 60
    meter.end(10 * MINUTE, 2)
    assert meter.why_not(10 * MINUTE) == "main has used up its 10 minutes a day"
    assert meter.why_not(23 * HOUR) is not None
    assert meter.why_not(25 * HOUR) is None
    assert meter.left_s(25 * HOUR) == 600


def test_what_was_not_answered_and_what_came_in_costs_no_minute():
    meter = Meter("main", Caps(minutes_a_day=1))
    meter.begin(0, 1)
    meter.end(HOUR, 1, answered=False)
    meter.came(2)
    assert meter.left_s(2 * HOUR) == 60
    meter.end(2 * HOUR, 2)
    assert meter.left_s(2 * HOUR) == 60


def test_a_day_of_calls_is_kept_in_a_few_numbers():
    meter = Meter("main", Caps(minutes_a_day=1e6))
    for call in range(10_000):
        now = call * MINUTE
        meter.begin(now, call)
        meter.end(now + MINUTE // 2, call)
    assert len(meter._hours) <= 26
    assert 1e6 * 60 - meter.left_s(10_000 * MINUTE) == pytest.approx(24 * 60 * 30, rel=0.05)
