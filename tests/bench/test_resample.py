"""Conversion between rates, each to each: what `offhook bench resample` holds, with another seed."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from offhook.testing.bench.budgets import MUSTS, RESAMPLED_HZ
from offhook.testing.bench.resample import delay_ms, judged, linear, ours, pieces_differ

PAIRS = list(permutations(RESAMPLED_HZ, 2))


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
def test_a_pair_keeps_the_band_and_adds_nothing(from_hz: int, to_hz: int) -> None:
    ripple, rejection = judged(ours, from_hz, to_hz, seed=7)
    assert MUSTS["resample"][f"{from_hz}_{to_hz}_ripple_db"].met(ripple), ripple
    assert MUSTS["resample"][f"{from_hz}_{to_hz}_rejection_db"].met(rejection), rejection


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
def test_pieces_of_any_length_are_the_whole_bit_by_bit_and_as_long(from_hz: int, to_hz: int) -> None:
    assert pieces_differ(from_hz, to_hz, seed=7) == 0
    assert len(ours(np.zeros(from_hz // 50, np.int16), from_hz, to_hz)) == to_hz // 50


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
def test_between_packets_it_is_late_by_23_to_26_samples_of_the_lower_rate(from_hz: int, to_hz: int) -> None:
    assert 22.99 <= delay_ms(from_hz, to_hz) * min(from_hz, to_hz) / 1000 < 26


def test_the_judge_hears_what_no_filter_lets_through() -> None:
    ripple, rejection = judged(linear, 8000, 16_000, seed=7)
    assert ripple > 3
    assert rejection < 12
