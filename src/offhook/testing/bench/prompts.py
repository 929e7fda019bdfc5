"""Human speech of a telephone: the English prompts that Debian packages for Asterisk, 8 kHz, and their halves.

What is tuned on and what is reported on never meet: a prompt belongs to the half that the first bit of its audio's
SHA-256 says. There is one speaker; the benches that compare voices say so.
"""

from __future__ import annotations

import hashlib
import random
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from offhook import _native as native
from offhook.testing.bench.machine import BenchFailed

SOUNDS = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
PACKAGE = "asterisk-core-sounds-en-wav"
RATE, FRAME = 8000, 160
_QUIETEST = 2000
"""A prompt without a sample louder than this is silence."""

Pcm = NDArray[np.int16]
Half = Literal["tuning", "reporting"]


@dataclass(frozen=True, slots=True)
class Prompt:
    """One recording, as µ-law brings it, in whole frames of 20 ms."""

    name: str
    pcm: Pcm

    @property
    def frames(self) -> int:
        """Say how many frames it has."""
        return len(self.pcm) // FRAME

    @property
    def seconds(self) -> float:
        """Say how long it is."""
        return len(self.pcm) / RATE


def prompts(half: Half, *, seconds: float, seed: int, shortest_s: float = 4.0, longest_s: float = 12.0) -> list[Prompt]:
    """Give prompts of one half, shuffled by the seed, until there are `seconds` of them.

    BenchFailed where the package is missing or has not enough.
    """
    found = every(half, shortest_s=shortest_s, longest_s=longest_s)
    random.Random(seed).shuffle(found)
    chosen: list[Prompt] = []
    while sum(prompt.seconds for prompt in chosen) < seconds:
        if not found:
            raise BenchFailed(f"there are less than {seconds:g} s of prompts to report on in {SOUNDS}")
        chosen.append(found.pop())
    return chosen


def every(half: Half, *, shortest_s: float, longest_s: float) -> list[Prompt]:
    """Give all prompts of one half, by name. BenchFailed where the package is missing."""
    if not SOUNDS.is_dir():
        raise BenchFailed(f"the recorded prompts are not installed: apt install {PACKAGE}")
    return [
        Prompt(path.name, pcm)
        for path in sorted(SOUNDS.glob("*.wav"))
        for pcm in [_read(path)]
        if pcm is not None and shortest_s <= len(pcm) / RATE <= longest_s and _half(pcm) == half
    ]


def _read(path: Path) -> Pcm | None:
    with wave.open(str(path)) as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (RATE, 1, 2):
            return None
        raw = file.readframes(file.getnframes() // FRAME * FRAME)
    pcm = np.frombuffer(native.decode("PCMU", native.encode("PCMU", raw)), "<i2")
    return pcm if len(pcm) and np.abs(pcm).max() >= _QUIETEST else None


def _half(pcm: Pcm) -> Half:
    return "reporting" if hashlib.sha256(pcm.tobytes()).digest()[0] & 1 else "tuning"
