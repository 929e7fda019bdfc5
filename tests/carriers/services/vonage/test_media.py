"""Vonage's media socket: L16 in frames of exactly 20 ms, and what is said beside them."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest

from carriers.services.hostile import FRAMES, endure
from offhook.carriers.services.stream import Cleared, Encoding, Odd, Passed, Pressed, Sound, Started, Told
from offhook.carriers.services.vonage.media import CARRIAGE, VonageDialect

CONNECTED = {"event": "websocket:connected", "content-type": "audio/l16;rate=16000", "call": "c-1", "caller": "+44"}
FIRST = json.dumps({**CONNECTED, "called": "+45", "language": "en-GB"})


def begun(rate_hz: int = 16000) -> VonageDialect:
    dialect = VonageDialect()
    dialect.hear(json.dumps({**CONNECTED, "content-type": f"audio/l16;rate={rate_hz}"}))
    return dialect


def hear(dialect: VonageDialect, **told: Any) -> list[Told]:
    return list(dialect.hear(json.dumps(told)))


def test_the_first_message_says_whose_call_it_is():
    wide = Encoding("L16", 16000)
    sent = {"language": "en-GB"}
    assert VonageDialect().hear(FIRST) == (Started("c-1", "c-1", "+44", "+45", wide, wide, sent),)


@pytest.mark.parametrize(("rate_hz", "size"), [(8000, 320), (16000, 640), (24000, 960)])
def test_audio_goes_in_frames_of_exactly_twenty_milliseconds(rate_hz, size):
    dialect = begun(rate_hz)
    samples = [1, -2, 300] * size
    network = struct.pack(f">{len(samples)}h", *samples)
    frames = dialect.sound(network)
    assert {len(frame) for frame in frames} == {size}
    joined = b"".join(frame for frame in frames if isinstance(frame, bytes))
    assert struct.unpack(f"<{len(samples)}h", joined[: 2 * len(samples)]) == tuple(samples)
    assert set(joined[2 * len(samples) :]) <= {0}
    assert list(dialect.sound(b"")) == []


def test_audio_comes_in_the_other_order_and_is_turned():
    assert begun().hear(struct.pack("<3h", 1, -2, 300)) == (Sound(struct.pack(">3h", 1, -2, 300)),)


@pytest.mark.parametrize("digit", list("0123456789*#"))
def test_a_key_is_told(digit):
    told = hear(begun(), event="websocket:dtmf", digit=digit, duration=260)
    assert told == [Pressed(digit, 260)]
    assert hear(begun(), event="websocket:dtmf", dtmf={"digit": digit, "duration": 260}) == told
    assert hear(begun(), event="websocket:dtmf", digit=digit * 2) == [Odd("key")]


def test_a_mark_that_comes_back_was_played():
    dialect = begun()
    assert [json.loads(frame) for frame in dialect.mark("7")] == [{"action": "notify", "payload": {"name": "7"}}]
    assert hear(dialect, event="websocket:notify", payload={"name": "7"}) == [Passed("7", cleared=False)]
    assert hear(dialect, event="websocket:notify", payload={"name": "7"}) == [Odd("mark")]


def test_marks_before_a_clear_are_told_to_be_dropped_and_those_behind_it_are_not():
    dialect = begun()
    dialect.mark("1")
    dialect.mark("2")
    assert [json.loads(frame) for frame in dialect.clear()] == [{"action": "clear"}]
    dialect.mark("3")
    assert hear(dialect, event="websocket:notify", payload={"name": "1"}) == [Passed("1", cleared=False)]
    assert hear(dialect, event="websocket:cleared") == [Passed("2", cleared=True), Cleared()]
    assert hear(dialect, event="websocket:notify", payload={"name": "3"}) == [Passed("3", cleared=False)]
    assert hear(dialect, event="websocket:cleared") == [Cleared()]


def test_a_second_start_and_sound_before_the_first_are_odd():
    dialect = VonageDialect()
    assert dialect.hear(bytes(640)) == (Odd("early_sound"),)
    assert isinstance(dialect.hear(FIRST)[0], Started)
    assert dialect.hear(FIRST) == (Odd("started_again"),)
    assert dialect.hear(bytes(640)) == (Sound(bytes(640)),)


@pytest.mark.parametrize("format", ["audio/l16;rate=44100", "audio/x-mulaw;rate=8000", None, 7, {}, "", "x" * 5000])
def test_audio_of_another_kind_does_not_start(format):
    assert hear(VonageDialect(), **{**CONNECTED, "content-type": format}) == [Odd("format")]


@pytest.mark.parametrize("frame", FRAMES, ids=range(len(FRAMES)))
def test_what_makes_no_sense_is_odd(frame):
    for dialect in (VonageDialect(), begun()):
        assert all(isinstance(told, Odd | Sound) for told in dialect.hear(frame))


def test_a_frame_of_a_second_is_taken_and_a_longer_one_is_not():
    assert isinstance(begun().hear(bytes(32_000))[0], Sound)
    assert begun().hear(bytes(32_002)) == (Odd("size"),)


@pytest.mark.parametrize("seed", range(20))
def test_it_endures_whatever_is_sent(seed):
    others = [{"event": "websocket:dtmf", "digit": "5", "duration": 260}, {"event": "websocket:cleared"}]
    notify = {"event": "websocket:notify", "payload": {"name": "3"}}
    good = [FIRST, bytes(640), *(json.dumps(one) for one in [*others, notify])]
    assert endure(VonageDialect, good, seed) > 0


def test_what_vonage_can_do_is_data():
    assert (CARRIAGE.least_ms, CARRIAGE.most_ms, CARRIAGE.marks, CARRIAGE.clear) == (20, 20, "told", "acknowledged")
    assert CARRIAGE.buffer_ms > 60_000
    assert list(begun().press("1")) == []
    assert list(begun().close()) == []
