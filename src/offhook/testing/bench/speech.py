"""People who talk, for benches: the recorded prompts at one level, one behind the other, in another voice."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from offhook.testing.bench.prompts import RATE, Half, every

Sound = npt.NDArray[np.float32]

NORMAL_DBOV = -21.0
"""The level of speech while somebody speaks, over full scale."""

_STEP = 80
_NO_SPEECH = ("beep", "tone")


@cache
def spoken(half: Half) -> tuple[Sound, ...]:
    """Give the prompts of one half, each from its first sound to its last. BenchFailed without the package."""
    found = every(half, shortest_s=0.5, longest_s=12.0)
    return tuple(
        trimmed(one.pcm.astype(np.float32)) for one in found if not any(word in one.name for word in _NO_SPEECH)
    )


def levels_db(sound: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Give the level of every 10 ms, dB over full scale."""
    steps = sound[: len(sound) // _STEP * _STEP].reshape(-1, _STEP).astype(np.float64)
    return 10 * np.log10(np.mean(steps * steps, axis=1) + 1e-3) - 20 * np.log10(32768)


def trimmed(sound: Sound) -> Sound:
    """Give the sound at the normal level, without the quiet before and behind it."""
    levels = levels_db(sound)
    if not len(levels):
        return sound[:0]
    active = levels[levels > levels.max() - 25]
    level = 10 * np.log10(np.mean(10 ** (active / 10)))
    loud = np.flatnonzero(levels > level - 20)
    voice = sound[loud[0] * _STEP : (loud[-1] + 1) * _STEP]
    return (voice * 10 ** ((NORMAL_DBOV - level) / 20)).astype(np.float32)


def talk(rng: random.Random, half: Half, seconds: float) -> Sound:
    """Give at least so much speech: prompts that follow each other, with a breath between them."""
    pieces: list[Sound] = []
    while sum(map(len, pieces)) < seconds * RATE:
        pieces.append(rng.choice(spoken(half)))
        pieces.append(np.zeros(round(rng.uniform(0.1, 0.5) * RATE), np.float32))
    return np.concatenate(pieces[:-1])


def another_voice(sound: Sound, ratio: float) -> Sound:
    """Give the sound of a longer throat (above 1) or a shorter one: the same words, lower and slower."""
    at = np.arange(0, len(sound) - 1, 1 / ratio)
    return np.interp(at, np.arange(len(sound)), sound).astype(np.float32)
