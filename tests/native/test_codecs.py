"""Codecs against other people's: bit by bit against spandsp and ffmpeg, where they are installed."""

from __future__ import annotations

import ctypes
import math
import random
import struct
from array import array

import pytest

from offhook import _native as native


def spandsp() -> ctypes.CDLL:
    """Load Debian's libspandsp2, or skip."""
    try:
        library = ctypes.CDLL("libspandsp.so.2")
    except OSError:
        pytest.skip("no spandsp: apt-get install libspandsp2")
    for name in ("g722_encode_init", "g722_decode_init"):
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
def test_g722_is_encoded_as_spandsp_does_it_bit_by_bit(seed):
    library = spandsp()
    for pcm in sounds(seed):
        assert native.encode("G722", pcm.tobytes()) == their_g722(library, pcm.tobytes())


@pytest.mark.parametrize("seed", range(3))
def test_any_bytes_are_decoded_as_g722_as_ffmpeg_does_it_bit_by_bit(seed):
    av = pytest.importorskip("av")
    payload = random.Random(seed).randbytes(40_000)
    decoder = av.CodecContext.create("g722", "r")
    decoder.sample_rate, decoder.layout = 16000, "mono"
    theirs = b"".join(bytes(frame.to_ndarray().tobytes()) for frame in decoder.decode(av.Packet(payload)))
    assert native.decode("G722", payload) == theirs


@pytest.mark.parametrize("seed", range(3))
def test_any_bytes_are_decoded_as_g722_as_spandsp_does_it_where_that_does_not_wrap(seed):
    library = spandsp()
    payload = random.Random(seed).randbytes(40_000)
    state = ctypes.c_void_p(library.g722_decode_init(None, 64000, 0))
    out = ctypes.create_string_buffer(4 * len(payload))
    assert library.g722_decode(state, out, payload, len(payload)) == 2 * len(payload)
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


def test_g711_encodes_all_samples_to_the_nearest_code():
    pcm = array("h", range(-32768, 32768))
    for law in ("PCMU", "PCMA"):
        values = sorted(array("h", native.decode(law, bytes(range(256)))))
        heard = array("h", native.decode(law, native.encode(law, pcm.tobytes())))
        # A step is at most 2048 wide in the loudest segment, so nothing stands further off than half of one.
        for sample, value in zip(pcm, heard, strict=True):
            step = max(16, 1 << max(0, (abs(value) + 132).bit_length() - 5))
            assert abs(sample - value) <= step or abs(sample) >= values[-1]
