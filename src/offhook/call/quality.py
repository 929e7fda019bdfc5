"""How the line of a call was, interval by interval, and in all.

    Quality (every 5 s or so) ─► Line ─┬─► intervals: the last hour          ─► timeline, report
    OneWay ───────────────────────────►└─► summary: score, loss, round trip  ─► `ended`

The score is a mean opinion score (ITU-T P.800.1), made by the E-model from what was measured, not heard by anybody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from offhook import _native as native
from offhook.core.signals import Fault, OneWay

INTERVALS: Final = 720
"""Intervals that are kept: an hour of them. The summary knows of all."""

FAULTS: Final = 100
"""Signals of one-way audio that are kept."""

PLAIN: Final[dict[Fault, str]] = {
    "nothing_comes": "we send, and nothing comes from the far end",
    "unheard": "the far end reports that it hears nothing of us",
    "silent": "packets come from the far end, and only silence is in them",
}
"""The faults in plain words."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A whole call: the mean score of what we heard and of what they heard, 1 to 4.5; the share lost or late.

    None: it was never told. `round_trip_ms` is the median. `one_way` names the faults that there were, in order.
    """

    mos: float | None = None
    far_mos: float | None = None
    loss: float | None = None
    round_trip_ms: float | None = None
    one_way: tuple[Fault, ...] = ()


class Line:
    """Keeps the quality of one call."""

    def __init__(self) -> None:
        self.intervals: deque[native.Quality] = deque(maxlen=INTERVALS)
        self.faults: deque[OneWay] = deque(maxlen=FAULTS)
        self._scores = _Mean()
        self._far_scores = _Mean()
        self._expected = 0
        self._gone = 0
        self._one_way: dict[Fault, None] = {}

    def interval(self, told: native.Quality) -> None:
        """Take an interval."""
        self.intervals.append(told)
        self._expected += told.expected
        self._gone += told.lost + told.late
        self._scores.add(told.mos)
        self._far_scores.add(told.far_mos)

    def one_way(self, told: OneWay) -> None:
        """Take a fault, or its end."""
        self.faults.append(told)
        if told.on:
            self._one_way[told.fault] = None

    def summary(self) -> Summary:
        """Give what may be said of the whole call so far."""
        return Summary(
            self._scores.value,
            self._far_scores.value,
            round(min(1.0, self._gone / self._expected), 4) if self._expected else None,
            _median([told.round_trip_ms for told in self.intervals if told.round_trip_ms is not None]),
            tuple(self._one_way),
        )


class _Mean:
    """A mean of what is known."""

    __slots__ = ("_many", "_sum")

    def __init__(self) -> None:
        self._sum = 0.0
        self._many = 0

    def add(self, value: float | None) -> None:
        if value is not None:
            self._sum += value
            self._many += 1

    @property
    def value(self) -> float | None:
        return round(self._sum / self._many, 2) if self._many else None


def _median(values: Sequence[float]) -> float | None:
    return round(sorted(values)[len(values) // 2], 1) if values else None
