"""A voice that sounds like speech and can be read back from the received audio, letter by letter.

Simulated people must be heard as people are: from the audio that came through, losses and all, never through a side
door. So their words are spelled: each letter is 60 ms of a 100 Hz voice whose three formants name the letter.

      first formant   300 … 800 Hz    ┐ which letter (6 × 7 = 42 symbols)
      second formant  900 … 1500 Hz   ┘
      third formant   2000, 2400, 2800 Hz: place in the text modulo 3, so that "ll" is two letters and not a long one

All are harmonics of 100 Hz, so over any 10 ms (80 samples) they are orthogonal, wherever the frame begins: reading back
is one small matrix product. A letter survives the loss of a packet; when too much of it is lost it is missing from the
text, as a word would be from a transcript. Vowels are louder than consonants and words stand apart, which gives the
envelope the rhythm of speech. PCM is 16-bit mono at 8 kHz.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

RATE_HZ: Final = 8000
LETTER_MS: Final = 60
GAP_MS: Final = 60
"""The silence between words; `.`, `,`, `?` and `!` add another."""

_SYMBOLS: Final = "etaoinshrdlucmfwypvbgkqjxz0123456789'+@-"
_VOWELS: Final = "aeiouy"
_FRAME: Final = 80
_HARMONICS: Final = np.arange(1, 34) * 100.0
_NEEDED: Final = 2
"""So many 10 ms frames out of six must name the same letter."""

_Float = npt.NDArray[np.float64]
_READ: Final = np.array([*range(3, 9), *range(9, 16), 20, 24, 28]) * 100.0
_TURNS: Final = 2 * np.pi * np.outer(np.arange(_FRAME) / RATE_HZ, _READ)
_BASIS: Final = (np.hstack([np.cos(_TURNS), np.sin(_TURNS)]) * (2 / _FRAME)).astype(np.float32)
_AUDIBLE: Final = 100.0**2
_CLEAR: Final = 0.6
"""The named formant must have so much of the power of its band."""
_BATCH: Final = 8 * 2 * _FRAME
"""Bytes that are looked at together, 80 ms: the computing costs nearly the same for one frame as for eight."""


def fold(text: str) -> str:
    """Give the text as it is spoken: lower case, no accents, one space between words, no other signs."""
    plain = unicodedata.normalize("NFKD", text.lower()).replace("’", "'")
    kept = "".join(sign if sign in _SYMBOLS else " " if not unicodedata.combining(sign) else "" for sign in plain)
    return " ".join(kept.split())


def spell(text: str, *, level: float = 1.0) -> bytes:
    """Say a text: PCM. `level` scales the loudness (1.0 is −21 dBov, a usual voice)."""
    pieces: list[npt.NDArray[np.int16]] = []
    place = 0
    for word in fold(text).split():
        for letter in word:
            pieces.append(_letter(letter, place % 3, level))
            place += 1
        pieces.append(_gap(level))
    return b"".join(piece.tobytes() for piece in pieces)


def word_times(text: str) -> list[tuple[str, int]]:
    """Give each word of a text and where it begins in what `spell` gives, in milliseconds."""
    times: list[tuple[str, int]] = []
    at = 0
    for word in fold(text).split():
        times.append((word, at))
        at += len(word) * LETTER_MS + GAP_MS
    return times


def duration_ms(text: str) -> int:
    """Give how long `spell` takes to say a text."""
    return sum(len(word) * LETTER_MS + GAP_MS for word in fold(text).split())


def hear(pcm: bytes) -> str:
    """Read a text back from audio."""
    reader = Reader()
    reader.push(pcm)
    return reader.finish()


class Reader:
    """Reads spelled speech from audio that comes in pieces of any size.

    Audio is looked at 80 ms at a time, so `push` may tell of a letter that much later; `text` looks at all.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._code = -1
        self._count = 0
        self._taken = False
        self._quiet = 0
        self._letters: list[str] = []

    @property
    def text(self) -> str:
        """All that was heard so far."""
        self._look()
        return "".join(self._letters).strip()

    def push(self, pcm: bytes) -> str:
        """Hear a piece; give the text that it completed (letters and the spaces between words)."""
        before = len(self._letters)
        self._rest += pcm
        if len(self._rest) >= _BATCH:
            self._look()
        return "".join(self._letters[before:])

    def finish(self) -> str:
        """End the hearing; give all of it."""
        return self.text

    def _look(self) -> None:
        whole = len(self._rest) // (2 * _FRAME) * 2 * _FRAME
        if not whole:
            return
        data, self._rest = self._rest[:whole], self._rest[whole:]
        # The high bytes of samples below 256 are all 0 or 255: nobody speaks, and there is nothing to compute.
        if not data[1::2].strip(b"\x00\xff"):
            for _ in range(whole // (2 * _FRAME)):
                self._frame(-1)
            return
        for code in _codes(data).tolist():
            self._frame(code)

    def _frame(self, code: int) -> None:
        if code < 0:
            self._quiet += 1
            if self._quiet == 4 and self._letters and self._letters[-1] != " ":
                self._letters.append(" ")
                self._code = -1
            return
        self._quiet = 0
        if code != self._code:
            self._code, self._count, self._taken = code, 0, False
        self._count += 1
        if self._count >= _NEEDED and not self._taken:
            self._taken = True
            self._letters.append(_SYMBOLS[code // 3])


def _formants(symbol: int) -> tuple[int, int]:
    """Give the harmonics (numbers from 1) of a symbol's first and second formant."""
    return 3 + symbol % 6, 9 + symbol // 6


_THIRD: Final = (20, 24, 28)


@cache
def _letter(letter: str, place: int, level: float) -> npt.NDArray[np.int16]:
    """Make one letter: three strong harmonics among weak ones, soft at the edges."""
    length = RATE_HZ * LETTER_MS // 1000
    first, second = _formants(_SYMBOLS.index(letter))
    strengths: _Float = 60.0 / np.sqrt(np.arange(1, 34))
    strengths[first - 1], strengths[second - 1], strengths[_THIRD[place] - 1] = 4200.0, 3000.0, 2400.0
    angles = 2 * np.pi * np.outer(np.arange(length) / RATE_HZ, _HARMONICS)
    wave: _Float = np.sin(angles + np.arange(33) * 0.7) @ strengths
    edge = 0.5 - 0.5 * np.cos(np.pi * (np.arange(24) + 0.5) / 24)
    wave[:24] *= 0.3 + 0.7 * edge
    wave[-24:] *= (0.3 + 0.7 * edge)[::-1]
    loudness = level * (1.0 if letter in _VOWELS else 0.6)
    return (wave * loudness).astype(np.int16)


@cache
def _gap(level: float) -> npt.NDArray[np.int16]:
    """Make the space between two words: a breath, 40 dB below the voice."""
    rng = np.random.Generator(np.random.PCG64(7))
    return (rng.standard_normal(RATE_HZ * GAP_MS // 1000) * 20.0 * level).astype(np.int16)


def _codes(pcm: bytes) -> npt.NDArray[Any]:
    """Give for each 10 ms its symbol × 3 + place, or −1 where no letter sounds."""
    frames = np.frombuffer(pcm, dtype="<i2").reshape(-1, _FRAME).astype(np.float32)
    waves = frames @ _BASIS
    powers = waves[:, :16] ** 2 + waves[:, 16:] ** 2
    clear = powers.max(axis=1) > _AUDIBLE
    found: list[npt.NDArray[Any]] = []
    for band in (powers[:, 0:6], powers[:, 6:13], powers[:, 13:16]):
        found.append(band.argmax(axis=1))
        clear &= band.max(axis=1) > _CLEAR * band.sum(axis=1)
    symbol = found[1] * 6 + found[0]
    clear &= symbol < len(_SYMBOLS)
    return np.where(clear, symbol * 3 + found[2], -1)
