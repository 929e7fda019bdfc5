"""`resample`: what conversion between rates does to a sound: ripple, images and aliases, delay. Exact, without a clock.

Tones go through the media plane's own resampler one by one, for every pair of rates that it converts. Of what comes out
at the tone's own frequency the level is held against what went in (`ripple_db`, up to 0.85 of the lower rate's Nyquist
frequency); all the rest, and all of a tone that the lower rate can't carry, is what should not be there
(`rejection_db`, up to the input's Nyquist frequency). Between packets the filter's delay stays (`delay_ms`).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from importlib import import_module
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offhook import _native as native
from offhook.testing.bench.budgets import RESAMPLED_HZ, Figure
from offhook.testing.bench.result import NOT_RUN, Result

Pcm = NDArray[np.int16]
Floats = NDArray[np.float64]
Method = Callable[[Pcm, int, int], Pcm]

PASSED = 0.85
"""Where the band ends that must pass, as a share of the lower rate's Nyquist frequency: 3.4 kHz at 8 kHz."""
_LEVEL = 28_000.0
_SECONDS = 0.16
_EDGE_S = 0.02
_TONES = 60


def ours(pcm: Pcm, from_hz: int, to_hz: int) -> Pcm:
    """Convert as a stretch of speech is converted."""
    resampler = native.Resampler(from_hz, to_hz)
    return np.frombuffer(resampler.push(pcm.tobytes()) + resampler.finish(), "<i2")


def linear(pcm: Pcm, from_hz: int, to_hz: int) -> Pcm:
    """Convert by a straight line from sample to sample: what comes of no filter."""
    at = np.arange(len(pcm) * to_hz // from_hz) * (from_hz / to_hz)
    return np.rint(np.interp(at, np.arange(len(pcm)), pcm)).astype(np.int16)


def scipy(pcm: Pcm, from_hz: int, to_hz: int) -> Pcm:
    """Convert by scipy's `resample_poly`, as it is when asked for nothing. ImportError where it is not installed."""
    signal: Any = import_module("scipy.signal")
    out: Floats = signal.resample_poly(pcm.astype(np.float64), to_hz, from_hz)
    return np.clip(np.rint(out), -32768, 32767).astype(np.int16)


def run(*, seed: int = 1, calls: int | None = None, seconds: float | None = None) -> Result:
    """Run the bench. The seed moves the tones a little, so that nothing hides between them."""
    del calls, seconds
    figures: dict[str, Figure] = {}
    for pair in permutations(RESAMPLED_HZ, 2):
        ripple, rejection = judged(ours, *pair, seed)
        name = "{}_{}".format(*pair)
        figures |= {f"{name}_ripple_db": ripple, f"{name}_rejection_db": rejection, f"{name}_delay_ms": delay_ms(*pair)}
    figures["pieces_differ"] = sum(pieces_differ(*pair, seed) for pair in permutations(RESAMPLED_HZ, 2))
    return Result(
        bench="resample",
        figures=figures,
        floor={f"linear: {name}": figure for name, figure in _worst(linear, seed).items()},
        peers={"scipy": _peer(seed)},
        seed=seed,
        shape={"rates_hz": list(RESAMPLED_HZ), "passed": PASSED, "level_dbov": -1.4, "tones": _TONES, "bits": 16},
    )


def _peer(seed: int) -> dict[str, Figure] | str:
    try:
        return _worst(scipy, seed)
    except ImportError:
        return NOT_RUN  # make bench-tools


def _worst(method: Method, seed: int) -> dict[str, Figure]:
    found = [judged(method, *pair, seed) for pair in permutations(RESAMPLED_HZ, 2)]
    return {"worst_ripple_db": max(one for one, _ in found), "worst_rejection_db": min(other for _, other in found)}


def judged(method: Method, from_hz: int, to_hz: int, seed: int) -> tuple[float, float]:
    """Give the most that a tone in the band is moved by, and how far below it the loudest of the rest stays, dB."""
    rng = random.Random(f"resample {seed} {from_hz} {to_hz}")
    lower, top = min(from_hz, to_hz) / 2, from_hz / 2 * 0.985
    ripple, rejection = 0.0, 200.0
    for number in range(_TONES):
        hz = lower * PASSED * (number + 1 - rng.random() * 0.5) / _TONES
        level, rest = _through(method, hz, from_hz, to_hz)
        ripple, rejection = max(ripple, abs(level)), min(rejection, -rest)
    for number in range(_TONES):
        # The rest of the band, and above it what the lower rate can't carry: most of them where it is hardest.
        hz = lower * PASSED + (top - lower * PASSED) * ((number + rng.random() * 0.5) / _TONES) ** 1.5
        _, rest = _through(method, hz, from_hz, to_hz)
        rejection = min(rejection, -rest)
    return ripple, rejection


def _through(method: Method, hz: float, from_hz: int, to_hz: int) -> tuple[float, float]:
    """Give the level of what came out at this frequency, and of all that came out beside it, dB of what went in."""
    went = np.rint(_LEVEL * np.sin(2 * np.pi * hz * np.arange(round(from_hz * _SECONDS)) / from_hz)).astype(np.int16)
    came = method(went, from_hz, to_hz)
    edge = round(to_hz * _EDGE_S)
    inner = came[edge : len(came) - edge].astype(np.float64)
    at = 2 * np.pi * hz * (np.arange(len(inner)) + edge) / to_hz
    whole = np.hanning(len(inner))
    if hz >= min(from_hz, to_hz) / 2:
        return 0.0, _db(inner * whole, whole)
    base = np.stack([np.sin(at), np.cos(at)])
    fit: Any = np.linalg.lstsq(base.T * whole[:, None], inner * whole)[0]
    gain = float(np.hypot(fit[0], fit[1])) / _LEVEL
    return 20 * float(np.log10(gain)), _db((inner - fit @ base) * whole, whole)


def _db(rest: Floats, window: Floats) -> float:
    power = float(np.sum(rest**2) / np.sum(window**2))
    return 10 * float(np.log10(max(power, 1e-9) / (_LEVEL**2 / 2)))


def delay_ms(from_hz: int, to_hz: int) -> float:
    """How much later what goes into a stream of packets comes out."""
    resampler = native.Resampler(from_hz, to_hz, steady=True)
    click = np.zeros(from_hz // 5, "<i2")
    click[from_hz // 10] = 30_000
    out = np.abs(np.frombuffer(resampler.push(click.tobytes()), "<i2").astype(np.float64))
    # The middle of what came of the click lies between two samples.
    middle = float(np.sum(out**2 * np.arange(len(out))) / np.sum(out**2))
    return (middle / to_hz - 0.1) * 1000


def pieces_differ(from_hz: int, to_hz: int, seed: int) -> int:
    """How many samples are others where the same noise comes in pieces of any length."""
    rng = random.Random(f"pieces {seed} {from_hz} {to_hz}")
    noise = np.random.default_rng(rng.getrandbits(32)).integers(-32768, 32768, from_hz // 5).astype("<i2")
    resampler, out, at = native.Resampler(from_hz, to_hz), b"", 0
    while at < len(noise):
        length = rng.choice((1, 7, from_hz // 100, from_hz // 50, rng.randint(1, 999)))
        out += resampler.push(noise[at : at + length].tobytes())
        at += length
    pieces, whole = np.frombuffer(out + resampler.finish(), "<i2"), ours(noise, from_hz, to_hz)
    return abs(len(pieces) - len(whole)) or int(np.count_nonzero(pieces != whole))
