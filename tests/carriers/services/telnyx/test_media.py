"""Telnyx's media streaming, by its published messages, and whatever else may come."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carriers.services.oddities import listen, nearly
from offhook.carriers.services.stream import Encoding, Odd, Passed, Pressed, Sound, Started, Stopped
from offhook.carriers.services.telnyx.media import TelnyxStream

PCMA = Encoding("PCMA")
START: dict[str, Any] = {
    "event": "start",
    "sequence_number": "1",
    "start": {
        "user_id": "3E6F995F",
        "call_control_id": "v2:T02ll",
        "call_session_id": "ff55a038",
        "from": "+13122010094",
        "to": "+13122123456",
        "tags": ["t"],
        "client_state": "aGF2ZQ==",
        "custom_parameters": {"a": "b"},
        "media_format": {"encoding": "PCMA", "sample_rate": 8000, "channels": 1},
    },
    "stream_id": "32DE0DEA",
}
MEDIA: dict[str, Any] = {
    "event": "media",
    "sequence_number": "4",
    "media": {"track": "inbound", "chunk": "2", "timestamp": "5", "payload": b64encode(b"\xd5" * 160).decode()},
    "stream_id": "32DE0DEA",
}
ERROR: dict[str, Any] = {
    "event": "error",
    "stream_id": "32DE0DEA",
    "payload": {"code": 100002, "title": "unknown_error", "detail": "Unknown error"},
}
ALL: list[dict[str, Any]] = [
    {"event": "connected", "version": "1.0.0"},
    START,
    MEDIA,
    {"event": "dtmf", "stream_id": "32DE0DEA", "sequence_number": "5", "dtmf": {"digit": "1"}},
    {"event": "mark", "sequence_number": "6", "stream_id": "32DE0DEA", "mark": {"name": "7"}},
    ERROR,
    {"event": "stop", "sequence_number": "7", "stop": {"call_control_id": "v2:T02ll"}, "stream_id": "32DE0DEA"},
]


def test_a_stream_from_its_beginning_to_its_end():
    dialect = TelnyxStream(Encoding())
    assert [one for message in ALL for one in dialect.hear(json.dumps(message))] == [
        Started("32DE0DEA", "v2:T02ll", "+13122010094", "+13122123456", PCMA, Encoding(), {"a": "b"}),
        Sound(b"\xd5" * 160, 2, 5),
        Pressed("1"),
        Passed("7"),
        Odd("error"),
        Stopped(),
    ]


def test_each_direction_has_its_own_encoding():
    (started,) = TelnyxStream(Encoding()).hear(json.dumps(START))
    assert isinstance(started, Started)
    assert (started.heard.label, started.ours.label) == ("PCMA", "PCMU")


def test_chunks_out_of_order_keep_their_numbers():
    dialect = TelnyxStream(Encoding())
    dialect.hear(json.dumps(START))
    chunks = [{**MEDIA, "media": {**MEDIA["media"], "chunk": str(chunk)}} for chunk in (3, 1, 2, 2)]
    told: list[Any] = [dialect.hear(json.dumps(chunk))[0] for chunk in chunks]
    assert [sound.number for sound in told] == [3, 1, 2, 2]


def test_half_a_minute_may_come_at_once():
    dialect = TelnyxStream(Encoding())
    dialect.hear(json.dumps(START))
    payload = b64encode(bytes(30 * 8000)).decode()
    (sound,) = dialect.hear(json.dumps({**MEDIA, "media": {**MEDIA["media"], "payload": payload}}))
    assert isinstance(sound, Sound)
    assert len(sound.payload) == 240_000


def test_what_we_send_does_not_name_the_stream():
    dialect = TelnyxStream(PCMA)
    dialect.hear(json.dumps(START))
    sent = [json.loads(frame) for frame in (*dialect.sound(b"\xd5"), *dialect.mark("3"), *dialect.clear())]
    assert sent == [
        {"event": "media", "media": {"payload": "1Q=="}},
        {"event": "mark", "mark": {"name": "3"}},
        {"event": "clear"},
    ]
    assert [*dialect.press("1")] == []


@pytest.mark.parametrize("wrong", [{"encoding": "G722"}, {"encoding": "PCMU", "sample_rate": 16000}])
def test_an_encoding_that_we_can_not_is_none(wrong):
    start = {**START, "start": {**START["start"], "media_format": wrong}}
    assert [*TelnyxStream(Encoding()).hear(json.dumps(start))] == [Odd("encoding")]
    assert [*TelnyxStream(Encoding()).hear('{"event":"start"}')] == [Odd("nameless")]


@given(st.lists(nearly(ALL), max_size=12), st.booleans())
def test_whatever_comes_nothing_raises(frames, begun):
    listen(TelnyxStream(Encoding()), [*([json.dumps(START)] if begun else []), *frames])
