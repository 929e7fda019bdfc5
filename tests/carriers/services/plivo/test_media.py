"""Plivo's audio streams: its own library's messages, ours, and whatever else may come."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carriers.services.oddities import listen, nearly
from offhook.carriers.services.plivo.media import PlivoStream
from offhook.carriers.services.stream import Cleared, Encoding, Odd, Passed, Pressed, Sound, Started, Stopped

START: dict[str, Any] = {
    "sequenceNumber": 0,
    "event": "start",
    "start": {
        "callId": "97ceeb52",
        "streamId": "b77e037d",
        "accountId": "MAXXXX",
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000},
    },
    "extra_headers": '{"a":"b"}',
}
MEDIA: dict[str, Any] = {
    "sequenceNumber": 2,
    "streamId": "b77e037d",
    "event": "media",
    "media": {"track": "inbound", "timestamp": "1664536500", "chunk": 1, "payload": b64encode(b"\xff" * 160).decode()},
}
DTMF = {"track": "inbound", "digit": "2", "timestamp": "1664536500"}
ALL: list[dict[str, Any]] = [
    START,
    MEDIA,
    {"event": "dtmf", "sequenceNumber": 3, "streamId": "b77e037d", "dtmf": DTMF},
    {"event": "playedStream", "sequenceNumber": "4", "streamId": "b77e037d", "name": "9"},
    {"sequenceNumber": 5, "event": "clearedAudio", "streamId": "b77e037d"},
    {"event": "playFailed", "streamId": "b77e037d"},
    {"event": "error", "error": "x"},
    {"event": "stop", "streamId": "b77e037d"},
]


def test_a_stream_from_its_beginning_to_its_end():
    dialect = PlivoStream()
    assert [one for message in ALL for one in dialect.hear(json.dumps(message))] == [
        Started("b77e037d", "97ceeb52", params={"a": "b"}),
        Sound(b"\xff" * 160, 1, 1664536500),
        Pressed("2"),
        Passed("9"),
        Cleared(),
        Odd("play_failed"),
        Odd("error"),
        Stopped(),
    ]


@pytest.mark.parametrize("event", ["playedStream", "clearedAudio"])
def test_nothing_comes_back_before_the_start(event):
    assert [*PlivoStream().hear(json.dumps({"event": event, "name": "1"}))] == [Odd("out_of_turn")]


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("a=b;c=d", {"a": "b", "c": "d"}),
        ("{a=b; c=d}", {"a": "b", "c": "d"}),
        ('{"a":"b","c":7}', {"a": "b"}),
        ("", {}),
        ("=;b;=c", {}),
        ("[" * 100_000, {}),
        ("[1]", {}),
    ],
    ids=lambda value: str(value)[:12],
)
def test_what_the_document_sent_along_is_read_however_it_is_written(said, read):
    (started,) = PlivoStream().hear(json.dumps({**START, "extra_headers": said}))
    assert isinstance(started, Started)
    assert started.params == read


def test_what_we_send_is_what_its_library_sends():
    dialect = PlivoStream()
    assert [*dialect.sound(b"\xff"), *dialect.mark("3"), *dialect.clear(), *dialect.press("1")] == []
    dialect.hear(json.dumps(START))
    sent = [*dialect.sound(b"\xff"), *dialect.mark("3"), *dialect.clear(), *dialect.press("12"), *dialect.press("")]
    assert [json.loads(frame) for frame in sent] == [
        {"event": "playAudio", "media": {"contentType": "audio/x-mulaw", "sampleRate": 8000, "payload": "/w=="}},
        {"event": "checkpoint", "streamId": "b77e037d", "name": "3"},
        {"event": "clearAudio", "streamId": "b77e037d"},
        {"event": "sendDTMF", "dtmf": "12"},
    ]


@pytest.mark.parametrize(("little", "wire"), [(True, b"\x02\x01"), (False, b"\x01\x02")])
def test_linear_audio_is_laid_as_the_account_says(little, wire):
    dialect = PlivoStream(little_endian=little)
    wide = {"encoding": "audio/x-l16", "sampleRate": 16000}
    (started,) = dialect.hear(json.dumps({**START, "start": {**START["start"], "mediaFormat": wide}}))
    assert isinstance(started, Started)
    assert started.ours == Encoding("L16", 16000)
    (frame,) = dialect.sound(b"\x01\x02")
    media = json.loads(frame)["media"]
    assert media == {"contentType": "audio/x-l16", "sampleRate": 16000, "payload": b64encode(wire).decode()}


@pytest.mark.parametrize("wrong", [{"encoding": "audio/x-alaw"}, {"encoding": 7, "sampleRate": 1}])
def test_an_encoding_that_there_is_not_is_none(wrong):
    assert [*PlivoStream().hear(json.dumps({**START, "start": {**START["start"], "mediaFormat": wrong}}))] == [
        Odd("encoding")
    ]


@given(st.lists(nearly(ALL), max_size=12), st.booleans())
def test_whatever_comes_nothing_raises(frames, begun):
    listen(PlivoStream(), [*([json.dumps(START)] if begun else []), *frames])
