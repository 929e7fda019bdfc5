"""What sounds under a call: an office, or music while one waits.

    a WAV file, a built-in ─► one `native.Sound` for all calls ─► under the voice, and through silence

An agent has one, or the host gives it one, or the author does. It is no speech of ours: it is not in the history, and
nobody can interrupt it. It is on the tape.
"""

from __future__ import annotations

import asyncio
import random
import sys
import wave
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from offhook import _native as native
from offhook.call.leg import AudioLeg
from offhook.core.errors import ConfigError

SOUNDS: Final = 32
"""Recordings that are kept: some 6 MB each at most."""
ROOM_HZ: Final = 8000
ROOM_LEVEL: Final = 1000.0
"""Makes a room of some -31 dBov."""


@dataclass(frozen=True, slots=True)
class Ambience:
    """A WAV file of 16-bit mono PCM, 0.1 to 120 s long, that goes round under a call; or `room`, a quiet room's sound.

    `level_db` is its level (-60 to 0), `duck_db` by how much it is lower while we or the caller speak (0 to 60).
    """

    sound: str | Path
    level_db: float = -12.0
    duck_db: float = 10.0


def read_wav(path: Path) -> tuple[bytes, int]:
    """Read 16-bit mono PCM and its rate. ConfigError for a file of another kind, OSError where there is none."""
    try:
        with wave.open(str(path), "rb") as file:
            if file.getnchannels() != 1 or file.getsampwidth() != 2:
                raise ConfigError(f"{path} must be 16-bit mono PCM: convert it, as by sox {path} -b 16 -c 1 new.wav")
            return file.readframes(file.getnframes()), file.getframerate()
    except (wave.Error, EOFError) as error:
        raise ConfigError(f"{path} is no WAV file of PCM: {error or 'it ends too early'}") from None


def _room() -> tuple[bytes, int]:
    """Make a quiet room: 8 s of noise that is the softer the higher it is, and ends as it begins."""
    rng, low, high = random.Random(8), 0.0, 0.0
    white = [rng.gauss(0.0, 1.0) for _ in range(8 * ROOM_HZ)]
    pcm = array("h")
    for x in (*white, *white):  # the first time round is forgotten, so that the second begins as it ends
        low += 0.02 * (x - low)
        high += 0.3 * (x - high)
        pcm.append(round(ROOM_LEVEL * (6.0 * low + high)))
    if sys.byteorder == "big":
        pcm.byteswap()
    return pcm[len(white) :].tobytes(), ROOM_HZ


BUILT_IN: Final[Mapping[str, Callable[[], tuple[bytes, int]]]] = {"room": _room}
"""What needs no file."""


@lru_cache(maxsize=SOUNDS)
def load(path: str) -> native.Sound:
    """Give a recording for any number of calls. ConfigError where it can't be looped, OSError where it is not there."""
    pcm, rate_hz = BUILT_IN[path]() if path in BUILT_IN else read_wav(Path(path))
    try:
        return native.Sound(pcm, rate_hz)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None


class Bed:
    """What sounds under one call: its ambience, and in the place of that music while it is on hold."""

    def __init__(self, leg: AudioLeg, usual: Ambience | None) -> None:
        self._leg = leg
        self._usual = usual
        self._music: Ambience | None = None
        self._laid: Ambience | None = None

    async def turn(self, usual: Ambience | None) -> None:
        """Let this sound from here on, but for music. Raises as `load`."""
        self._usual = usual
        await self._lay()

    async def wait(self, music: Ambience | None) -> None:
        """Let music sound, or end it. Raises as `load`."""
        self._music = music
        await self._lay()

    async def _lay(self) -> None:
        under = self._music or self._usual
        if under == self._laid:
            return
        sound = None
        if under is not None:
            sound = await asyncio.get_running_loop().run_in_executor(None, load, str(under.sound))
        if under != (self._music or self._usual):
            return  # it was changed meanwhile
        self._laid = under
        self._leg.bed(sound, under.level_db if under else 0.0, under.duck_db if under else 0.0)
