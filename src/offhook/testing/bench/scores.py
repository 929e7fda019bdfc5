"""How close to the original, how clear, how good to hear: PESQ (narrow band), STOI and PLCMOS v2.

The three are packages of their own, which `make bench` installs from requirements/bench.txt: PESQ is compiled on the
spot, and nobody who only runs offhook needs them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from offhook import _native as native
from offhook.testing.bench.machine import BenchFailed
from offhook.testing.bench.prompts import RATE, Pcm

_ROUNDS = 5
"""Raters that PLCMOS imagines; it ships with 15, which moves no mean of a bench by 0.01."""


@dataclass(frozen=True, slots=True)
class Score:
    """One recording judged. PESQ and PLCMOS from 1 to 5, STOI from 0 to 1."""

    pesq: float
    stoi: float
    plcmos: float


def score(original: Pcm, heard: Pcm) -> Score:
    """Judge what was heard of an original. The same two give the same score. BenchFailed without the packages."""
    one, other = original.astype(np.float32) / 32768, heard.astype(np.float32) / 32768
    return Score(
        pesq=float(_package("pesq").pesq(RATE, one, other, "nb")),
        stoi=float(_package("pystoi").stoi(one.astype(np.float64), other.astype(np.float64), RATE)),
        plcmos=_plcmos(heard),
    )


def require() -> None:
    """Find the packages. BenchFailed where one is missing."""
    for name in ("pesq", "pystoi", "speechmos.plcmos"):
        _package(name)


def _plcmos(heard: Pcm) -> float:
    resampler = native.Resampler(RATE, 16_000)
    wide = np.frombuffer(resampler.push(heard.tobytes()) + resampler.finish(), "<i2").astype(np.float64) / 32768
    np.random.seed(0)  # its raters are drawn from here
    return float(_raters()(wide)["plcmos"])


@cache
def _raters() -> Any:
    onnxruntime = _package("onnxruntime")
    onnxruntime.set_default_logger_severity(3)
    raters = _package("speechmos.plcmos").PLCMOS(embed_rounds=_ROUNDS)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # one process a core does better
    raters.session = onnxruntime.InferenceSession(raters.model_path, options)
    return raters


def _package(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise BenchFailed(f"{name} is not installed; `make bench-tools` installs what benches measure with") from None
