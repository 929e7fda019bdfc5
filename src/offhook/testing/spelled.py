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
_BASIS: Final = np.exp(-2j * np.pi * np.outer(np.arange(_FRAME) / RATE_HZ, _HARMONICS)) * (2 / _FRAME)


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
    """Reads spelled speech from audio that comes in pieces of any size."""

    def __init__(self) -> None:
        self._rest = b""
        self._code = -1
        self._count = 0
        self._taken = False
        self._quiet = 0
        self._place = -1
        self._letters: list[str] = []

    @property
    def text(self) -> str:
        """All that was heard so far."""
        return "".join(self._letters).strip()

    def push(self, pcm: bytes) -> str:
        """Hear a piece; give the text that it completed (letters and the spaces between words)."""
        before = len(self._letters)
        data = self._rest + pcm
        whole = len(data) // (2 * _FRAME) * 2 * _FRAME
        self._rest = data[whole:]
        if whole:
            for code in _codes(data[:whole]):
                self._frame(int(code))
        return "".join(self._letters[before:])

    def finish(self) -> str:
        """End the hearing; give all of it."""
        return self.text

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
    frames = np.frombuffer(pcm, dtype="<i2").reshape(-1, _FRAME).astype(np.float64)
    strengths: _Float = np.abs(frames @ _BASIS)
    one, two = strengths[:, 2:8], strengths[:, 8:15]
    three = strengths[:, [19, 23, 27]]
    symbol = two.argmax(axis=1) * 6 + one.argmax(axis=1)
    clear = (symbol < len(_SYMBOLS)) & (strengths.max(axis=1) > 100.0)
    for band in (one, two, three):
        ordered = np.sort(band, axis=1)
        clear &= ordered[:, -1] > 1.7 * ordered[:, -2]
    return np.where(clear, symbol * 3 + three.argmax(axis=1), -1)
