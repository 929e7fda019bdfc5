"""Codecs against other people's: bit by bit against spandsp and ffmpeg, where they are installed."""

from __future__ import annotations

import ctypes
import math
import random
import struct
from array import array
from bisect import bisect_right
from collections.abc import Callable

import pytest

from offhook import _native as native


@pytest.fixture
def spandsp(peer_library: Callable[[str, str], ctypes.CDLL]) -> ctypes.CDLL:
    library = peer_library("libspandsp.so.2", "libspandsp2")
    for name in ("g722_encode_init", "g722_decode_init", "g711_init"):
        getattr(library, name).restype = ctypes.c_void_p
    return library


def sounds(seed: int) -> list[array[int]]:
    """Make a second each of noise, of a swept tone, and of what overloads."""
    rng = random.Random(seed)
    noise = array("h", [rng.randrange(-12000, 12000) for _ in range(16000)])
    sweep = array("h", [round(9000 * math.sin(n * n / 4e4)) for n in range(16000)])
    square = array("h", [32767 if n // 37 % 2 else -32768 for n in range(16000)])
    return [noise, sweep, square]


def their_g722(library: ctypes.CDLL, pcm: bytes) -> bytes:
    """Encode by spandsp."""
    state = ctypes.c_void_p(library.g722_encode_init(None, 64000, 0))
    out = ctypes.create_string_buffer(len(pcm) // 4)
    assert library.g722_encode(state, out, pcm, len(pcm) // 2) == len(pcm) // 4
    return out.raw


@pytest.mark.parametrize("seed", range(3))
def test_g722_is_encoded_as_spandsp_does_it_bit_by_bit(spandsp, seed):
    for pcm in sounds(seed):
        assert native.encode("G722", pcm.tobytes()) == their_g722(spandsp, pcm.tobytes())


@pytest.mark.parametrize("seed", range(3))
def test_any_bytes_are_decoded_as_g722_as_ffmpeg_does_it_bit_by_bit(seed):
    av = pytest.importorskip("av")
    payload = random.Random(seed).randbytes(40_000)
    decoder = av.CodecContext.create("g722", "r")
    decoder.sample_rate, decoder.layout = 16000, "mono"
    theirs = b"".join(bytes(frame.to_ndarray().tobytes()) for frame in decoder.decode(av.Packet(payload)))
    assert native.decode("G722", payload) == theirs


@pytest.mark.parametrize("seed", range(3))
def test_any_bytes_are_decoded_as_g722_as_spandsp_does_it_where_that_does_not_wrap(spandsp, seed):
    payload = random.Random(seed).randbytes(40_000)
    state = ctypes.c_void_p(spandsp.g722_decode_init(None, 64000, 0))
    out = ctypes.create_string_buffer(4 * len(payload))
    assert spandsp.g722_decode(state, out, payload, len(payload)) == 2 * len(payload)
    ours = native.decode("G722", payload)
    both = zip(struct.iter_unpack("<h", ours), struct.iter_unpack("<h", out.raw), strict=True)
    apart = [one for (one,), (other,) in both if one != other]
    # Where a sample does not fit 16 bits the standard saturates; spandsp 0.0.6 lets it wrap.
    assert set(apart) <= {32767, -32768}


def test_every_g711_code_and_sample_is_what_the_standard_says():
    # G.711 by its own words: segments of 16 steps, each twice as wide as the one before.
    def mu(code: int) -> int:
        code ^= 0xFF
        size = (((code & 15) * 2 + 33) << (code >> 4 & 7)) - 33
        return 4 * (-size if code & 0x80 else size)

    def a_law(code: int) -> int:
        code ^= 0x55
        segment, step = code >> 4 & 7, (code & 15) * 2
        size = step + 1 if segment == 0 else (step + 33) << (segment - 1)
        return 8 * (size if code & 0x80 else -size)

    codes = bytes(range(256))
    assert list(array("h", native.decode("PCMU", codes))) == [mu(code) for code in codes]
    assert list(array("h", native.decode("PCMA", codes))) == [a_law(code) for code in codes]


def decision_values(first: list[int], segments: int, width: int) -> list[int]:
    """Count on from the first segment's decision values: in each segment 16 steps, twice as wide as the one before."""
    values = list(first)
    for segment in range(segments):
        values += [values[-1] + step * (width << segment) for step in range(1, 17)]
    return values


MU_VALUES = decision_values([0, *range(1, 32, 2)], 7, 4)
"""G.711 table 2a, column 4: 0, 1, 3 … 31, 35 … 95 … 4063 … 8159, of samples of 14 bits."""
A_VALUES = decision_values(list(range(0, 65, 2)), 6, 4)
"""G.711 table 1a, column 4: 0, 2, 4 … 64, 68 … 128 … 2048 … 4096, of samples of 13 bits."""


def test_g711_encodes_all_65536_samples_as_the_decision_values_of_its_tables_say():
    assert (len(MU_VALUES), MU_VALUES[16:18], MU_VALUES[-17], MU_VALUES[-1]) == (129, [31, 35], 4063, 8159)
    assert (len(A_VALUES), A_VALUES[32:34], A_VALUES[-17], A_VALUES[-1]) == (129, [64, 68], 2048, 4096)

    def mu(sample: int) -> int:
        # The character signal of interval n, counted from zero, is all ones less n; the sign is its first bit.
        size = abs(sample >> 2)
        interval = min(bisect_right(MU_VALUES, size) - 1, 127)
        return (0xFF if sample >= 0 else 0x7F) - interval

    def a_law(sample: int) -> int:
        # Here it is n, with every second bit inverted. A negative sample on a decision value is of the inner interval.
        size = sample >> 3 if sample >= 0 else ~(sample >> 3)
        interval = min(bisect_right(A_VALUES, size) - 1, 127)
        return ((0x80 if sample >= 0 else 0) | interval) ^ 0x55

    samples = range(-32768, 32768)
    pcm = array("h", samples).tobytes()
    assert native.encode("PCMU", pcm) == bytes(map(mu, samples))
    assert native.encode("PCMA", pcm) == bytes(map(a_law, samples))


def test_spandsp_encodes_g711_alike_where_the_standard_decides(spandsp):
    pcm = array("h", range(-32768, 32768))
    apart: dict[str, list[int]] = {}
    for law, mode in (("PCMA", 0), ("PCMU", 1)):
        out = ctypes.create_string_buffer(len(pcm))
        assert spandsp.g711_encode(ctypes.c_void_p(spandsp.g711_init(None, mode)), out, pcm.tobytes(), len(pcm))
        codes = zip(pcm, native.encode(law, pcm.tobytes()), out.raw, strict=True)
        apart[law] = [sample for sample, ours, theirs in codes if ours != theirs]
    assert apart["PCMA"] == []
    # µ-law has 14 bits. Of 16, we drop the last two first; spandsp turns negative samples round first: what is less
    # than one of those 14 bits away from a decision value may lie on either side of it.
    nearest = [min(abs(-sample / 4 - value) for value in MU_VALUES) for sample in apart["PCMU"]]
    assert len(nearest) == 381 and max(nearest) < 1
    assert all(sample < 0 and sample % 4 for sample in apart["PCMU"])
