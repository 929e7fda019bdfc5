"""What calls with real peers need: free ports, patience, speech-like sound and a comparison of two sounds."""

from __future__ import annotations

import random
import socket
import struct
import sys
import time
import wave
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

PATIENCE_S = 30.0

OFFHOOK = str(Path(sys.executable).with_name("offhook"))


def until(what: str, check: Callable[[], Any], patience_s: float = PATIENCE_S) -> Any:
    """Wait for something of another process, at most so long; give what the check gave."""
    deadline = time.monotonic() + patience_s
    while not (found := check()):
        assert time.monotonic() < deadline, f"waited {patience_s:.0f} s for {what}"
        time.sleep(0.02)
    return found


@contextmanager
def ended_if_it_fails(stop: Callable[[], None]) -> Generator[None]:
    """End what was started where the rest of its beginning fails: nobody else has hold of it yet."""
    try:
        yield
    except BaseException:
        stop()
        raise


def free_port(taken: set[int] | None = None) -> int:
    """Give a port that is free for UDP and TCP, outside the range from which the system gives ports to others."""
    for _ in range(1000):
        port = random.randrange(20_000, 32_000, 2)
        try:
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                for offset in (0, 1):
                    with socket.socket(socket.AF_INET, kind) as probe:
                        probe.bind(("127.0.0.1", port + offset))
        except OSError:
            continue
        if taken is None or port not in taken:
            return port
    raise AssertionError("no free port")


def sound(seconds: float, seed: int = 1) -> np.ndarray:
    """Make something with the spectrum and the unevenness of speech, the same for the same seed."""
    chance = np.random.default_rng(seed)
    count = int(8000 * seconds)
    at = np.arange(count) / 8000
    noise = np.convolve(chance.normal(size=count), np.hanning(9), "same")
    syllables = 0.55 + 0.45 * np.sin(2 * np.pi * 3.1 * at + 2 * np.sin(2 * np.pi * 0.7 * at))
    return (noise / np.abs(noise).max() * syllables * 16_000).astype("<i2")


def write_wav(path: Path, samples: np.ndarray) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(samples.astype("<i2").tobytes())


class Search:
    """Looks for sounds in a longer one, whose transform it keeps."""

    def __init__(self, heard: np.ndarray) -> None:
        self.heard = heard.astype(float)
        self._size = 0
        self._transform = np.zeros(0)

    def best(self, said: np.ndarray) -> float:
        """Give how alike a sound is to the stretch of the longer one where it fits best (−1 to 1)."""
        said = said.astype(float)
        size = 1 << int(np.ceil(np.log2(len(self.heard) + len(said))))
        if size != self._size:
            self._size, self._transform = size, np.fft.rfft(self.heard, size)
        alike = np.fft.irfft(self._transform * np.conj(np.fft.rfft(said, size)), size)
        lag = int(np.argmax(alike[: len(self.heard)]))
        a, b = self.heard[lag:], said
        length = min(len(a), len(b))
        if length < 0.8 * len(said):
            return 0.0  # only its beginning came
        a, b = a[:length], b[:length]
        return float(np.dot(a, b) / np.sqrt(np.dot(a, a) * np.dot(b, b)))


def growing(path: Path, rate_hz: int = 8000) -> np.ndarray:
    """Read a file that is still being written as mono at 8 kHz; `rate_hz` is for who (`.raw`) has not said it yet.

    Of a higher rate every so many samples are left: what is said here has next to nothing above 4 kHz.
    """
    data = path.read_bytes() if path.exists() else b""
    step = rate_hz // 8000
    if path.suffix != ".raw":
        channels, rate = struct.unpack_from("<HI", data, 22) if len(data) >= 44 else (0, 0)
        data, step = data[44:], channels * rate // 8000 or step
    return np.frombuffer(data[: len(data) // 2 * 2], "<i2")[::step]


def through(
    heard: Callable[[], np.ndarray], said: Search, seconds: float = 1.5, alike: float = 0.9
) -> Callable[[], bool]:
    """Say, whenever asked, whether some stretch of what is heard from now on is a stretch of what is said.

    `alike` is how much it is to be that: what a codec leaves of a wave depends on the codec.

    A real phone's clock is late on a busy machine, and its jitter buffer then adds or drops a frame: what lies on both
    sides of that is no longer one stretch.
    """
    length, looked = int(8000 * seconds), len(heard())

    def check() -> bool:
        nonlocal looked
        now = heard()
        while looked + length <= len(now):
            piece = now[looked : looked + length]
            if np.abs(piece).max() > 1000 and said.best(piece) > alike:
                return True
            looked += length // 3
        return False

    return check


def endless(seed: int, path: Path) -> Search:
    """Write two minutes of a sound that comes again every 15 s, and give that sound to be looked for."""
    said = sound(15.0, seed)
    write_wav(path, np.tile(said, 8))
    return Search(said)
