"""Real speech for benches: the recorded prompts of Debian's asterisk-core-sounds-en-wav, at one level.

They are split by a sum of their names, so that what is tuned on one half is reported on the other.
"""

from __future__ import annotations

import hashlib
import random
import wave
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from offhook.core.errors import OffhookError

Sound = npt.NDArray[np.float32]

PACKAGE = "asterisk-core-sounds-en-wav"
HZ = 8000
NORMAL_DBOV = -21.0
"""The level of speech while somebody speaks, over full scale."""

_FOLDER = Path("/usr/share/asterisk/sounds/en")
_STEP = 80
_NO_SPEECH = ("beep", "tone", "silence")


@cache
def prompts(half: int) -> tuple[Sound, ...]:
    """Give the prompts of one half (0 or 1), each from its first sound to its last; OffhookError without the package."""
    found: list[Sound] = []
    for path in sorted(_FOLDER.rglob("*.wav")):
        name = path.relative_to(_FOLDER).as_posix()
        if hashlib.sha256(name.encode()).digest()[0] % 2 != half or any(word in name for word in _NO_SPEECH):
            continue
        with wave.open(str(path)) as file:
            sound = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32)
        spoken = trimmed(sound)
        if len(spoken) >= HZ // 2:
            found.append(spoken)
    if not found:
        raise OffhookError(f"{_FOLDER} has no speech: install {PACKAGE}")
    return tuple(found)


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
    spoken = sound[loud[0] * _STEP : (loud[-1] + 1) * _STEP]
    return (spoken * 10 ** ((NORMAL_DBOV - level) / 20)).astype(np.float32)


def talk(rng: random.Random, half: int, seconds: float) -> Sound:
    """Give at least so much speech: prompts that follow each other, with a breath between them."""
    pieces: list[Sound] = []
    while sum(map(len, pieces)) < seconds * HZ:
        pieces.append(rng.choice(prompts(half)))
        pieces.append(np.zeros(round(rng.uniform(0.1, 0.5) * HZ), np.float32))
    return np.concatenate(pieces[:-1])


def another_voice(sound: Sound, ratio: float) -> Sound:
    """Give the sound of a longer throat (above 1) or a shorter one: the same words, lower and slower."""
    at = np.arange(0, len(sound) - 1, 1 / ratio)
    return np.interp(at, np.arange(len(sound)), sound).astype(np.float32)
