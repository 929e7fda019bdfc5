"""What sounds under a call: an office, or music while one waits.

    Agent(ambience="office.wav") ─► one `native.Sound` for all calls ─► under the voice, and through silence

It is no speech of ours: it is not in the history, and nobody can interrupt it. It is on the tape.
"""

from __future__ import annotations

import asyncio
import wave
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from offhook import _native as native
from offhook.call.leg import AudioLeg
from offhook.core.errors import ConfigError

SOUNDS: Final = 32
"""Recordings that are kept: some 6 MB each at most."""


@dataclass(frozen=True, slots=True)
class Ambience:
    """A WAV file of 16-bit mono PCM, 0.1 to 120 s long, that goes round under a call.

    `level_db` is its level (-60 to 0), `duck_db` by how much it is lower while we or the caller speak (0 to 60).
    """

    sound: str | Path
    level_db: float = -12.0
    duck_db: float = 10.0


def read_wav(path: Path) -> tuple[bytes, int]:
    """Read 16-bit mono PCM and its rate. ConfigError for a WAV file of another kind."""
    with wave.open(str(path), "rb") as file:
        if file.getnchannels() != 1 or file.getsampwidth() != 2:
            raise ConfigError(f"{path} must be 16-bit mono PCM")
        return file.readframes(file.getnframes()), file.getframerate()


@lru_cache(maxsize=SOUNDS)
def load(path: str) -> native.Sound:
    """Give a recording for any number of calls. ConfigError where it can't be looped, OSError where it is not there."""
    pcm, rate_hz = read_wav(Path(path))
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
