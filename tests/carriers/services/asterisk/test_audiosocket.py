"""AudioSocket: frames over TCP, cut anywhere; audio that we pace; keys that come in."""

from __future__ import annotations

import struct
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carriers.services.hostile import FRAMES, endure
from offhook.carriers.services.asterisk import AudioSocketDialect, Splitter
from offhook.carriers.services.asterisk.audiosocket import CARRIAGE, SOUNDS, framed
from offhook.carriers.services.stream import Encoding, Odd, Pressed, Sound, Started, Stopped

CALL = UUID("40325ec2-5efd-4bd3-805f-53576e581d13")
FIRST = framed(0x01, CALL.bytes)
GOOD = (FIRST, framed(0x10, bytes(320)), framed(0x03, b"5"), framed(0x00), framed(0xFF, b"\x02"))


def begun(rate_hz: int = 8000) -> AudioSocketDialect:
    dialect = AudioSocketDialect(rate_hz)
    dialect.hear(FIRST)
    return dialect


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=700)), max_size=8), st.data())
def test_however_the_stream_is_cut_the_same_frames_come_out(frames, data):
    stream = b"".join(framed(kind, payload) for kind, payload in frames)
    splitter, out, at = Splitter(), [], 0
    while at < len(stream):
        step = data.draw(st.integers(1, 400))
        out += splitter.push(stream[at : at + step])
        at += step
    assert out == [framed(kind, payload) for kind, payload in frames]
    assert not splitter.cut


def test_a_stream_that_ends_in_a_frame_says_so_and_holds_no_more_than_one():
    splitter = Splitter()
    assert splitter.push(FIRST + b"\x10\xff\xff" + bytes(65_534)) == [FIRST]
    assert splitter.cut
    assert splitter.push(b"\0") == [framed(0x10, bytes(65_535))]
    assert not splitter.cut


def test_the_first_frame_is_the_name_of_the_call():
    narrow = Encoding("L16", 8000)
    assert AudioSocketDialect().hear(FIRST) == (Started(str(CALL), str(CALL), heard=narrow, ours=narrow),)


def test_a_frame_is_written_as_asterisk_writes_it():
    # res_audiosocket.c: kind, length in network order, then what it is.
    assert b"\x01\x00\x10" + CALL.bytes == FIRST
    assert framed(0x00) == b"\x00\x00\x00"


@pytest.mark.parametrize("rate_hz", sorted(SOUNDS))
def test_audio_goes_and_comes_in_frames_of_twenty_milliseconds(rate_hz):
    dialect = begun(rate_hz)
    samples = [1, -2, 300, 400] * (rate_hz // 100)
    network, little = struct.pack(f">{len(samples)}h", *samples), struct.pack(f"<{len(samples)}h", *samples)
    frames = [frame for frame in dialect.sound(network + b"\1\2") if isinstance(frame, bytes)]
    assert {(frame[0], len(frame)) for frame in frames} == {(SOUNDS[rate_hz], 3 + rate_hz // 25)}
    joined = b"".join(frame[3:] for frame in frames)
    assert joined.rstrip(b"\0") == little.rstrip(b"\0") + b"\2\1"
    assert next(dialect.hear(frame) for frame in frames) == (Sound(network[: rate_hz // 25]),)


@pytest.mark.parametrize("digit", list("0123456789*#"))
def test_a_key_is_told(digit):
    assert begun().hear(framed(0x03, digit.encode())) == (Pressed(digit),)


def test_the_end_is_told_and_said():
    assert begun().hear(framed(0x00)) == (Stopped("hangup"),)
    assert list(begun().close()) == [framed(0x00)]


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (framed(0x01, CALL.bytes), "started_again"),
        (framed(0x12, bytes(640)), "format"),
        (framed(0x10, b""), "size"),
        (framed(0x10, bytes(321)), "size"),
        (framed(0x10, bytes(16_002)), "size"),
        (framed(0x03, b""), "key"),
        (framed(0x03, b"\xff"), "key"),
        (framed(0x02, b""), "kind"),
        (framed(0xFF, b""), "error_unsaid"),
        (framed(0xFF, b"\x04"), "error_04"),
        (b"\x10\x00\x05abc", "frame"),
    ],
)
def test_what_makes_no_sense_is_odd(frame, why):
    assert begun().hear(frame) == (Odd(why),)


def test_before_its_name_nothing_is_heard():
    assert AudioSocketDialect().hear(framed(0x10, bytes(320))) == (Odd("early_sound"),)
    assert AudioSocketDialect().hear(framed(0x01, b"short")) == (Odd("name"),)


@pytest.mark.parametrize("frame", FRAMES, ids=range(len(FRAMES)))
def test_whatever_it_is_told_it_does_not_break(frame):
    assert all(isinstance(told, Odd | Stopped) for told in begun().hear(frame))


@pytest.mark.parametrize("seed", range(20))
def test_it_endures_whatever_is_sent(seed):
    assert endure(AudioSocketDialect, GOOD, seed) > 0


def test_what_it_lacks_is_data():
    dialect = begun()
    assert (CARRIAGE.paced_by, CARRIAGE.marks, CARRIAGE.clear, CARRIAGE.keys) == ("us", "none", "none", False)
    assert [*dialect.mark("1"), *dialect.clear(), *dialect.press("1")] == []
