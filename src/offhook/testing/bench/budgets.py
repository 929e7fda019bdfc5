"""What each bench must reach: the one table, and the one place where a figure is held against it.

A must is never absolute where the machine would decide it: it is a ratio to the floor of the same run, or a distance
from the bare sleeper of the same run. A figure that was not measured is not met.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import Literal, assert_never

Figure = float | int | None


@dataclass(frozen=True, slots=True)
class Must:
    """A bound on one figure. `stretch` is what we should like to reach."""

    bound: Literal["at most", "at least", "exactly"]
    limit: float
    unit: str
    stretch: float | None = None

    def met(self, figure: Figure) -> bool:
        """Say whether `figure` keeps the bound; what was not measured does not."""
        if figure is None:
            return False
        match self.bound:
            case "exactly":
                return figure == self.limit
            case "at most":
                return figure <= self.limit
            case "at least":
                return figure >= self.limit
            case _:
                assert_never(self.bound)


def _most(limit: float, unit: str, stretch: float | None = None) -> Must:
    return Must("at most", limit, unit, stretch)


def _least(limit: float, unit: str, stretch: float | None = None) -> Must:
    return Must("at least", limit, unit, stretch)


def _just(limit: float, unit: str) -> Must:
    return Must("exactly", limit, unit)


_TRACES = ("lan", "wan", "wifi", "lte")
PLC_LOSSES: tuple[int, ...] = (1, 2, 5, 10, 20)
"""Shares of packets that `plc` loses, in percent."""
RESAMPLED_HZ: tuple[int, ...] = (8000, 16_000, 22_050, 24_000, 48_000)
"""The rates that `resample` converts between, each to each."""
_SCORES = ("pesq", "stoi", "plcmos")

MUSTS: Mapping[str, Mapping[str, Must]] = {
    "ear": {
        **{f"{trace}_p50_ms": _just(0.0, "ms") for trace in _TRACES},
        **{f"{trace}_mean_ms": _most(0.5, "ms") for trace in _TRACES},
        **{f"{trace}_p99_ms": _most(20.0, "ms") for trace in _TRACES},
        **{f"{trace}_dropped": _just(0, "packets") for trace in _TRACES},
    },
    "jitter": {
        "geomean": _most(1.35, "× oracle", 1.20),
        **{f"{trace}_late": _most(0.01, "of the packets") for trace in _TRACES},
        "step_up_late": _most(0.02, "of the packets"),
        "step_down_ms": _most(3000.0, "ms"),
        "step_down_skipped": _just(0, "samples"),
    },
    "plc": {
        "pesq_10": _least(2.75, "", 2.90),
        "stoi_10": _least(0.958, ""),
        "plcmos_10": _least(4.00, "", 4.15),
        "ahead_plcmos_10": _least(4.20, ""),
        **{f"over_appendix_i_{score}_{loss}": _least(0.0, "") for loss in PLC_LOSSES for score in _SCORES},
        "cpu_ms_per_audio_s": _most(0.3, "CPU-ms"),
        "ahead_cpu_ms_per_audio_s": _most(0.3, "CPU-ms"),
    },
    "resample": {
        **{f"{a}_{b}_ripple_db": _most(0.5, "dB") for a, b in permutations(RESAMPLED_HZ, 2)},
        **{f"{a}_{b}_rejection_db": _least(60.0, "dB") for a, b in permutations(RESAMPLED_HZ, 2)},
        "pieces_differ": _just(0, "samples"),
    },
    "echo": {
        "self_interruptions_percent": _most(1.0, "% of calls"),
        "double_talk_yields_percent": _least(97.0, "% of calls"),
        "plain_yields_percent": _least(97.0, "% of calls"),
        "plain_ducked_p50_ms": _most(120.0, "ms"),
        "plain_ducked_p95_ms": _most(200.0, "ms"),
    },
    "media": {
        "ratio_200": _most(1.9, "× floor", 1.4),
        "ratio_500": _most(1.9, "× floor", 1.4),
        "frames_lost_200": _just(0, "frames"),
        "frames_lost_500": _just(0, "frames"),
        "srtp_frames_lost": _just(0, "frames"),
        "srtp_gcm_frames_lost": _just(0, "frames"),
        "g722_frames_lost": _just(0, "frames"),
        "opus_frames_lost": _just(0, "frames"),
        "frames_lost_1000": _just(0, "frames"),
        "growth_100_to_1000": _most(1.10, "×"),
    },
    "memory": {
        "media_kib_per_call": _most(64.0, "KiB", 40.0),
        "session_kib_per_call": _most(192.0, "KiB"),
    },
    "signalling": {
        "cpu_ms_per_call": _most(0.45, "CPU-ms", 0.25),
        "failed": _just(0, "calls"),
    },
    "setup": {
        "p99_ms": _most(10.0, "ms", 5.0),
        "failed": _just(0, "calls"),
    },
    "pacing": {
        "p99_over_sleeper_ms": _most(2.0, "ms"),
        "p999_over_sleeper_ms": _most(2.0, "ms"),
        "blocked_p99_over_sleeper_ms": _most(2.0, "ms"),
        "blocked_p999_over_sleeper_ms": _most(2.0, "ms"),
        "few_blocked_p99_over_sleeper_ms": _most(2.0, "ms"),
        "few_blocked_p999_over_sleeper_ms": _most(2.0, "ms"),
        "churn_p99_over_sleeper_ms": _most(2.0, "ms"),
        "churn_p999_over_sleeper_ms": _most(2.0, "ms"),
        "underruns": _just(0, "frames"),
        "blocked_underruns": _just(0, "frames"),
        "few_blocked_underruns": _just(0, "frames"),
        "churn_underruns": _just(0, "frames"),
    },
    "carriers": {
        "cms_200": _most(2.5, "cms", 2.0),
        "clear_p99_ms": _most(5.0, "ms"),
    },
    "turn": {
        "p50_ms": _most(0.15, "ms"),
        "p99_ms": _most(3.0, "ms"),
        "function_model_p50_ms": _most(3.0, "ms"),
        "function_model_cpu_ms_per_reply": _most(6.0, "CPU-ms"),
    },
}

NAMES: tuple[str, ...] = (
    "media",
    "memory",
    "ear",
    "jitter",
    "plc",
    "resample",
    "echo",
    "signalling",
    "setup",
    "pacing",
    "carriers",
    "turn",
)
"""What `offhook bench` runs."""


def meets(bench: str, figures: Mapping[str, Figure]) -> dict[str, bool]:
    """Hold the figures of one bench against its musts: a verdict for every must, measured or not."""
    return {name: must.met(figures.get(name)) for name, must in MUSTS[bench].items()}
