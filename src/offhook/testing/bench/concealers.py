"""What fills a hole: ours, and what stands beside it in `bench plc`. Each takes PCM and what is lost of it, by frame.

The control is written here after the description of ITU-T G.711 Appendix I (1999), for the bench alone: the last pitch
period repeated, from 10 and 20 ms on the last two and three, a fifth softer every 10 ms, silence after 60 ms, and
crossfades of a quarter of the period; it delays the line by 3.75 ms, which is taken out before it is judged.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from offhook import _native as native
from offhook.testing.bench.prompts import FRAME, Pcm

Concealer = Callable[[Pcm, Sequence[bool]], Pcm]
_Wave = NDArray[np.float64]

_STEP = 80
_REMEMBERED = 390
_SHORTEST, _LONGEST = 40, 120
_DELAY = 30


def ours(pcm: Pcm, lost: Sequence[bool]) -> Pcm:
    """Conceal as a loudspeaker needs it: with nothing known of what comes."""
    loss = native.Loss()
    return _joined(loss.push(None if gone else frame) for frame, gone in zip(_frames(pcm), lost, strict=True))


def ahead(pcm: Pcm, lost: Sequence[bool]) -> Pcm:
    """Conceal as the ear does: with the packet behind the hole at hand."""
    return _joined(_ahead(list(_frames(pcm)), lost))


def _ahead(frames: Sequence[bytes], lost: Sequence[bool]) -> Iterator[bytes]:
    loss, missing = native.Loss(), 0
    for frame, gone in zip(frames, lost, strict=True):
        if gone:
            missing += 1
            continue
        if missing:
            yield loss.between(missing, frame)
        missing = 0
        yield loss.push(frame)
    yield from (loss.push(None) for _ in range(missing))


def nothing(pcm: Pcm, lost: Sequence[bool]) -> Pcm:
    """Fill with zeros."""
    return np.where(np.repeat(lost, FRAME), 0, pcm).astype(np.int16)


def repeated(pcm: Pcm, lost: Sequence[bool]) -> Pcm:
    """Fill with the last packet that came."""
    frames, kept = pcm.reshape(-1, FRAME).copy(), np.zeros(FRAME, np.int16)
    for number, gone in enumerate(lost):
        if gone:
            frames[number] = kept
        kept = frames[number]
    return frames.reshape(-1)


def spandsp() -> Concealer | None:
    """Give the concealment of libspandsp, from the system; None where it is not installed."""
    name = ctypes.util.find_library("spandsp")
    if name is None:
        return None
    library = ctypes.CDLL(name)
    library.plc_init.restype = ctypes.c_void_p
    for verb in (library.plc_rx, library.plc_fillin):
        verb.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int]
    library.plc_free.argtypes = [ctypes.c_void_p]

    def conceal(pcm: Pcm, lost: Sequence[bool]) -> Pcm:
        frames = pcm.reshape(-1, FRAME).copy()
        state = library.plc_init(None)
        for number, gone in enumerate(lost):
            verb = library.plc_fillin if gone else library.plc_rx
            verb(state, frames[number].ctypes.data, FRAME)
        library.plc_free(state)
        return frames.reshape(-1)

    return conceal


def appendix_i(pcm: Pcm, lost: Sequence[bool]) -> Pcm:
    """Conceal in the manner of G.711 Appendix I."""
    control, made = _AppendixI(), list[_Wave]()
    for number, gone in enumerate(np.repeat(lost, FRAME // _STEP)):
        good = pcm[number * _STEP : (number + 1) * _STEP].astype(np.float64)
        made.append(control.lose() if gone else control.hear(good))
    made.append(control.history[-_DELAY:])
    return np.clip(np.rint(np.concatenate(made)[_DELAY:]), -32768, 32767).astype(np.int16)


class _AppendixI:
    """The control's state. Both verbs give what leaves, 3.75 ms behind what came."""

    def __init__(self) -> None:
        self.history: _Wave = np.zeros(_REMEMBERED)
        self._steps = 0
        """Pieces of 10 ms lost in a row."""
        self._pitch, self._wide, self._at = _SHORTEST, _SHORTEST, 0
        self._past: _Wave = self.history
        self._last_quarter: _Wave = self.history[:0]

    def hear(self, good: _Wave) -> _Wave:
        if self._steps:
            length = min(self._pitch // 4 + (self._steps - 1) * 32, _STEP)
            tail = self._next(length) * max(0.0, 1.0 - 0.2 * (self._steps - 1))
            good = np.concatenate([_fade(tail, good[:length]), good[length:]])
            self._steps = 0
        return self._give(good)

    def lose(self) -> _Wave:
        if self._steps == 0:
            self._begin()
            made = self._next(_STEP)
        elif self._steps in (1, 2):
            made = self._widen()
        else:
            made = self._next(_STEP)
        if self._steps > 5:
            made = np.zeros(_STEP)
        elif self._steps:
            first = 1.0 - 0.2 * (self._steps - 1)
            made = made * np.maximum(0.0, first - 0.2 * np.arange(_STEP) / _STEP)
        self._steps += 1
        return self._give(made)

    def _begin(self) -> None:
        self._past = self.history.copy()
        self._pitch = self._wide = _pitch(self._past)
        self._at = 0
        quarter = self._pitch // 4
        self._last_quarter = self._past[-quarter:].copy()
        self._blend()
        self.history[-quarter:] = self._past[-quarter:]

    def _widen(self) -> _Wave:
        quarter, at = self._pitch // 4, self._at
        old = self._next(quarter)
        self._wide += self._pitch
        self._blend()
        self._at = at % self._pitch
        made = self._next(_STEP)
        return np.concatenate([_fade(old, made[:quarter]), made[quarter:]])

    def _blend(self) -> None:
        """Let the end of what is repeated run into its beginning."""
        quarter, end = self._pitch // 4, _REMEMBERED - self._wide
        self._past[-quarter:] = _fade(self._last_quarter, self._past[end - quarter : end])

    def _next(self, samples: int) -> _Wave:
        places = (self._at + np.arange(samples)) % self._wide
        self._at = (self._at + samples) % self._wide
        return self._past[_REMEMBERED - self._wide + places]

    def _give(self, piece: _Wave) -> _Wave:
        leaving = np.concatenate([self.history[-_DELAY:], piece[:-_DELAY]])
        self.history = np.concatenate([self.history[len(piece) :], piece])
        return leaving


def _pitch(past: _Wave) -> int:
    """Find the lag of the best normalised correlation: every second sample first, then all around the best."""
    newest = past[-2 * _STEP :]

    def likeness(lag: int, step: int) -> float:
        before = past[-2 * _STEP - lag : -lag]
        energy = max(float(before[::step] @ before[::step]), 250.0)
        return float(newest[::step] @ before[::step]) / energy**0.5

    rough = max(range(_SHORTEST, _LONGEST + 1, 2), key=lambda lag: likeness(lag, 2))
    near = range(max(_SHORTEST, rough - 1), min(_LONGEST, rough + 1) + 1)
    return max(near, key=lambda lag: likeness(lag, 1))


def _fade(old: _Wave, new: _Wave) -> _Wave:
    weights = np.arange(1, len(old) + 1) / len(old)
    return old * (1.0 - weights) + new * weights


def _frames(pcm: Pcm) -> Iterator[bytes]:
    return (frame.tobytes() for frame in pcm.reshape(-1, FRAME))


def _joined(pieces: Iterator[bytes]) -> Pcm:
    return np.frombuffer(b"".join(pieces), "<i2")


def controls() -> Mapping[str, Concealer | None]:
    """Give what stands beside ours, by name; None for what this machine does not have."""
    return {
        "appendix_i": appendix_i,
        "spandsp": spandsp(),
        "repeat": repeated,
        "zero": nothing,
    }
