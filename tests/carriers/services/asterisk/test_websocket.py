"""Asterisk's websocket channel, in JSON and in plain text, by the examples of its documentation."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest

from carriers.services.hostile import FRAMES, endure
from offhook.carriers.services.asterisk import WebSocketDialect
from offhook.carriers.services.asterisk.websocket import CARRIAGE
from offhook.carriers.services.stream import Encoding, Flow, Odd, Passed, Pressed, Reply, Sound, Started

CONNECTION = "e226e283-c90a-4ea9-9e37-389000b9ef47"
START = {
    "event": "MEDIA_START",
    "connection_id": CONNECTION,
    "channel": "WebSocket/connectionid",
    "channel_id": "pbx1-123456789.999",
    "format": "ulaw",
    "optimal_frame_size": 160,
    "ptime": 20,
    "channel_variables": {"SOME_CHANNEL_VARIABLE": "some value", "ANOTHER_CHANNEL_VARIABLE": "some other value"},
}
PLAIN = (
    f"MEDIA_START connection_id:{CONNECTION} channel:WebSocket/connectionid "
    "channel_id:pbx1-123456789.999 format:ulaw optimal_frame_size:160 ptime:20"
)


def begun(**more: Any) -> WebSocketDialect:
    dialect = WebSocketDialect()
    dialect.hear(json.dumps({**START, **more}))
    return dialect


def plain() -> WebSocketDialect:
    dialect = WebSocketDialect()
    dialect.hear(PLAIN)
    return dialect


def commands(frames: Any) -> list[Any]:
    return [json.loads(frame) for frame in frames]


def test_a_start_is_read_in_json_and_in_plain_text():
    assert WebSocketDialect().hear(json.dumps(START, indent=4)) == (
        Started(
            CONNECTION, params={"SOME_CHANNEL_VARIABLE": "some value", "ANOTHER_CHANNEL_VARIABLE": "some other value"}
        ),
    )
    assert WebSocketDialect().hear(PLAIN) == (Started(CONNECTION),)


@pytest.mark.parametrize(
    ("format", "encoding"),
    [
        ("ulaw", Encoding("PCMU", 8000)),
        ("alaw", Encoding("PCMA", 8000)),
        ("slin", Encoding("L16", 8000)),
        ("slin16", Encoding("L16", 16000)),
        ("slin24", Encoding("L16", 24000)),
    ],
)
def test_each_format_has_its_encoding(format, encoding):
    [started] = WebSocketDialect().hear(json.dumps({**START, "format": format}))
    assert isinstance(started, Started)
    assert (started.heard, started.ours) == (encoding, encoding)


@pytest.mark.parametrize("format", ["opus", "g729", "SLIN16", "", None, 7, ["ulaw"]])
def test_a_format_that_we_do_not_speak_does_not_start(format):
    assert WebSocketDialect().hear(json.dumps({**START, "format": format})) == (Odd("format"),)


def test_linear_audio_is_turned_and_the_other_is_not():
    samples = (1, -2, 300)
    little, network = struct.pack("<3h", *samples), struct.pack(">3h", *samples)
    dialect = begun(format="slin16", optimal_frame_size=640)
    assert dialect.hear(little) == (Sound(network),)
    assert list(dialect.sound(network)) == [little]
    assert begun().hear(b"\xff" * 160) == (Sound(b"\xff" * 160),)
    assert list(begun().sound(b"\xff" * 480)) == [b"\xff" * 480]
    assert list(begun().sound(b"")) == []


def test_a_mark_is_asked_for_and_comes_back():
    assert commands(begun().mark("7")) == [{"command": "MARK_MEDIA", "correlation_id": "7"}]
    told = {"event": "MEDIA_MARK_PROCESSED", "channel_id": "1", "correlation_id": "7"}
    assert begun().hear(json.dumps(told)) == (Passed("7", cleared=False),)
    assert list(plain().mark("7")) == ["MARK_MEDIA 7"]
    for line in ("MEDIA_MARK_PROCESSED 7", "MEDIA_MARK_PROCESSED correlation_id:7"):
        assert plain().hear(line) == (Passed("7", cleared=False),)


def test_a_mark_without_a_name_is_odd():
    assert plain().hear("MEDIA_MARK_PROCESSED") == (Odd("mark"),)


def test_the_buffer_is_flushed_and_the_call_hung_up():
    assert commands(begun().clear()) == [{"command": "FLUSH_MEDIA"}]
    assert commands(begun().close()) == [{"command": "HANGUP"}]
    assert (list(plain().clear()), list(plain().close())) == (["FLUSH_MEDIA"], ["HANGUP"])


@pytest.mark.parametrize(("event", "on"), [("MEDIA_XOFF", False), ("MEDIA_XON", True)])
def test_a_full_buffer_is_heeded(event, on):
    assert begun().hear(json.dumps({"event": event, "channel_id": "1"})) == (Flow(on),)
    assert plain().hear(event) == (Flow(on),)


def test_frames_that_are_not_ours_in_length_are_put_together_there():
    dialect = WebSocketDialect()
    _, reply = dialect.hear(json.dumps({**START, "optimal_frame_size": 240, "ptime": 30}))
    start, stop = {"command": "START_MEDIA_BUFFERING"}, {"command": "STOP_MEDIA_BUFFERING"}
    assert isinstance(reply, Reply)
    assert commands([reply.frame]) == [start]
    assert commands(dialect.mark("7")) == [stop, {"command": "MARK_MEDIA", "correlation_id": "7"}, start]
    assert commands(dialect.clear()) == [{"command": "FLUSH_MEDIA"}, start]
    assert len(WebSocketDialect().hear(json.dumps({**START, "optimal_frame_size": 80, "ptime": 10}))) == 1


@pytest.mark.parametrize("digit", list("0123456789*#ABCD"))
def test_a_key_is_told(digit):
    assert begun().hear(json.dumps({"event": "DTMF_END", "channel_id": "1", "digit": digit})) == (Pressed(digit),)
    assert plain().hear(f"DTMF_END digit:{digit}") == (Pressed(digit),)


@pytest.mark.parametrize("event", ["STATUS", "MEDIA_BUFFERING_COMPLETED", "QUEUE_DRAINED"])
def test_what_is_none_of_ours_is_passed_over(event):
    assert list(begun().hear(json.dumps({"event": event, "queue_length": 43, "queue_full": False}))) == []
    assert list(plain().hear(f"{event} 61ea9311-d501-46e5-8825-017b342b39f2")) == []


def test_a_second_start_and_early_sound_are_odd():
    dialect = WebSocketDialect()
    assert dialect.hear(bytes(160)) == (Odd("early_sound"),)
    dialect.hear(PLAIN)
    assert dialect.hear(json.dumps(START)) == (Odd("started_again"),)
    assert list(dialect.clear()) == ["FLUSH_MEDIA"]


@pytest.mark.parametrize("frame", FRAMES, ids=range(len(FRAMES)))
def test_what_makes_no_sense_is_odd(frame):
    for dialect in (WebSocketDialect(), begun(), plain()):
        assert all(isinstance(told, Odd | Sound) for told in dialect.hear(frame))


@pytest.mark.parametrize("seed", range(20))
def test_it_endures_whatever_is_sent(seed):
    mark = {"event": "MEDIA_MARK_PROCESSED", "correlation_id": "7"}
    good = [PLAIN, json.dumps(START), bytes(160), json.dumps(mark), "MEDIA_XOFF", "MEDIA_XON", "DTMF_END digit:1"]
    assert endure(WebSocketDialect, good, seed) > 0


def test_no_message_is_longer_than_asterisk_takes():
    assert CARRIAGE.most_ms * Encoding("L16", 48000).bytes_per_ms < 65_500
    assert (CARRIAGE.paced_by, CARRIAGE.clear, CARRIAGE.buffer_ms) == ("carrier", "silent", 18_000)
    assert list(begun().press("1")) == []
