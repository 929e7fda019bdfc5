"""The stages on their own: G.711, sample rates, concealment."""

from __future__ import annotations

import struct

import pytest

from offhook import _native as native


def linear_of_mu(code: int) -> int:
    """Decode by the formula of G.711: sign, segment, step."""
    code = ~code & 0xFF
    value = ((code & 15) * 2 + 33 << (code >> 4 & 7)) - 33
    return (-value if code & 0x80 else value) * 4


def linear_of_a(code: int) -> int:
    code ^= 0x55
    step, segment = (code & 15) * 2 + 1, code >> 4 & 7
    value = step if segment == 0 else step + 32 << segment - 1
    return (value if code & 0x80 else -value) * 8


@pytest.mark.parametrize(("codec", "formula"), [("PCMU", linear_of_mu), ("PCMA", linear_of_a)])
def test_every_code_decodes_by_the_formula(codec, formula):
    codes = bytes(range(256))
    assert native.decode(codec, codes) == struct.pack("<256h", *map(formula, codes))


@pytest.mark.parametrize(("codec", "formula"), [("PCMU", linear_of_mu), ("PCMA", linear_of_a)])
def test_every_sample_encodes_to_its_step(codec, formula):
    """The steps of one segment are even, so what is decoded is off by half a step at most, and by less below."""
    samples = range(-32768, 32768)
    codes = native.encode(codec, struct.pack("<65536h", *samples))
    decoded = struct.unpack("<65536h", native.decode(codec, codes))
    assert list(decoded) == sorted(decoded)
    for sample, value in zip(samples, decoded, strict=True):
        limit = 16 + abs(sample) // 16
        assert abs(sample - value) <= limit if abs(sample) < 32124 else abs(value) > 31000, sample


def test_a_stream_in_pieces_is_the_stream_as_a_whole(sounds):
    tone, _ = sounds
    for rate in (16000, 22050, 24000):
        pcm = tone(500, rate=rate)
        whole, pieces = native.Resampler(rate, 8000), native.Resampler(rate, 8000)
        parts = [pieces.push(pcm[at : at + 322]) for at in range(0, len(pcm), 322)]
        once = whole.push(pcm) + whole.finish()
        assert b"".join(parts) + pieces.finish() == once
        assert abs(len(once) - 8000) <= 2


def test_unknown_rates_codecs_and_odd_bytes_are_refused():
    for refused in (
        lambda: native.Resampler(44100, 8000),
        lambda: native.encode("G723", b""),
        lambda: native.decode("AMR", b""),
        lambda: native.encode("PCMU", b"\0\0\0"),
    ):
        with pytest.raises(ValueError, match=r"rates|codec|bytes"):
            refused()


def test_a_hole_is_filled_and_a_long_one_fades(sounds):
    tone, _ = sounds
    loss = native.Loss()
    pcm = tone(200, hz=200)
    for at in range(0, len(pcm), 320):
        assert loss.push(pcm[at : at + 320]) == pcm[at : at + 320]
    made = [struct.unpack("<160h", loss.push(None)) for _ in range(6)]
    assert max(made[0]) > 6000
    assert max(made[2]) < 6000
    assert not any(made[5])


@pytest.mark.parametrize("rate_hz", [8000, 16000])
def test_a_hole_with_both_sides_known_is_closed_and_what_follows_stays_as_it_was(sounds, rate_hz):
    tone, _ = sounds
    loss, pcm, frame = native.Loss(rate_hz), tone(200, hz=200, rate=rate_hz), rate_hz // 25
    frames = [pcm[at : at + frame] for at in range(0, len(pcm), frame)]
    for known in frames[:4]:
        loss.push(known)
    made = loss.between(2, frames[6])
    assert loss.push(frames[6]) == frames[6]
    lost = struct.unpack(f"<{frame}h", frames[4] + frames[5])
    off = [one - other for one, other in zip(struct.unpack(f"<{frame}h", made), lost, strict=True)]
    assert sum(one * one for one in off) < 0.05 * sum(one * one for one in lost)


def test_concealment_refuses_what_it_can_not_do():
    with pytest.raises(ValueError, match="44100 Hz"):
        native.Loss(44100)
    with pytest.raises(ValueError, match="at most 500"):
        native.Loss().between(501, bytes(320))
