"""Media Streams: Twilio's published messages, ours, and whatever else may come."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carriers.services.oddities import listen, nearly
from offhook.carriers.services.stream import Dialect, Odd, Passed, Pressed, Sound, Started, Stopped
from offhook.carriers.services.twilio.media import MediaStream

CONNECTED: dict[str, Any] = {"event": "connected", "protocol": "Call", "version": "1.0.0"}
START: dict[str, Any] = {
    "event": "start",
    "sequenceNumber": "1",
    "start": {
        "accountSid": "AC1",
        "streamSid": "MZ1",
        "callSid": "CA1",
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"FirstName": "Jane"},
    },
    "streamSid": "MZ1",
}
SOUND = bytes(range(160))
MEDIA: dict[str, Any] = {
    "event": "media",
    "sequenceNumber": "4",
    "media": {"track": "inbound", "chunk": "2", "timestamp": "5", "payload": b64encode(SOUND).decode()},
    "streamSid": "MZ1",
}
DTMF: dict[str, Any] = {
    "event": "dtmf",
    "streamSid": "MZ1",
    "sequenceNumber": "5",
    "dtmf": {"track": "inbound_track", "digit": "1"},
}
MARK: dict[str, Any] = {"event": "mark", "sequenceNumber": "4", "streamSid": "MZ1", "mark": {"name": "17"}}
STOP: dict[str, Any] = {
    "event": "stop",
    "sequenceNumber": "5",
    "stop": {"accountSid": "AC1", "callSid": "CA1"},
    "streamSid": "MZ1",
}
ALL: list[dict[str, Any]] = [CONNECTED, START, MEDIA, DTMF, MARK, STOP]


def heard(dialect: Dialect, *messages: dict[str, Any]) -> list[Any]:
    return [told for message in messages for told in dialect.hear(json.dumps(message))]


def test_a_stream_from_its_beginning_to_its_end():
    started, sound, pressed, passed, stopped = heard(MediaStream(), *ALL)
    assert started == Started("MZ1", "CA1", params={"FirstName": "Jane"})
    assert (started.heard.label, started.ours.label) == ("PCMU", "PCMU")
    assert sound == Sound(SOUND, 2, 5)
    assert (pressed, passed, stopped) == (Pressed("1"), Passed("17", None), Stopped())


def test_what_we_send_names_the_stream():
    dialect = MediaStream()
    heard(dialect, START)
    sent = [json.loads(frame) for frame in (*dialect.sound(SOUND), *dialect.mark("3"), *dialect.clear())]
    assert sent == [
        {"event": "media", "streamSid": "MZ1", "media": {"payload": b64encode(SOUND).decode()}},
        {"event": "mark", "streamSid": "MZ1", "mark": {"name": "3"}},
        {"event": "clear", "streamSid": "MZ1"},
    ]
    assert [*dialect.press("1"), *dialect.close()] == []


def test_before_it_has_begun_and_after_it_has_ended_nothing_is_sent():
    dialect = MediaStream()
    assert [*dialect.sound(SOUND), *dialect.mark("3"), *dialect.clear()] == []
    heard(dialect, START, STOP)
    assert [*dialect.sound(SOUND), *dialect.mark("3"), *dialect.clear()] == []


@pytest.mark.parametrize("message", [MEDIA, DTMF, MARK, STOP])
def test_nothing_counts_before_the_start_and_behind_the_stop(message):
    assert heard(MediaStream(), message) == [Odd("out_of_turn")]
    dialect = MediaStream()
    heard(dialect, START, STOP)
    assert heard(dialect, message) == [Odd("out_of_turn")]


def test_a_second_start_changes_nothing():
    dialect = MediaStream()
    other = {**START, "streamSid": "MZ2", "start": {**START["start"], "streamSid": "MZ2"}}
    assert heard(dialect, START, other)[1:] == [Odd("started_again")]
    assert json.loads(dialect.clear()[0])["streamSid"] == "MZ1"
    heard(dialect, STOP)
    assert heard(dialect, START) == [Odd("started_again")]


def test_numbers_may_be_numbers():
    media = {**MEDIA, "sequenceNumber": 4, "media": {**MEDIA["media"], "chunk": 2, "timestamp": 5}}
    assert heard(MediaStream(), START, media)[1] == Sound(SOUND, 2, 5)


@pytest.mark.parametrize("chunk", ["-1", "1e3", "", " 2", "２", None, True, 2.0, [2], -1, "9" * 5000, 10**30])
def test_a_number_that_is_none_is_left_out(chunk):
    media = {**MEDIA, "media": {**MEDIA["media"], "chunk": chunk}}
    assert heard(MediaStream(), START, media)[1] == Sound(SOUND, None, 5)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"payload": "?"}, "no_base64"),
        ({"payload": "AAA"}, "no_base64"),
        ({"payload": "é"}, "no_base64"),
        ({"payload": 7}, "no_base64"),
        ({"payload": None}, "no_base64"),
        ({"payload": ""}, "empty"),
    ],
)
def test_sound_that_is_none_is_counted(change, why):
    assert heard(MediaStream(), START, {**MEDIA, "media": {**MEDIA["media"], **change}})[1:] == [Odd(why)]


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (b'{"event":"stop"}', "binary"),
        ("", "no_json"),
        ("{", "no_json"),
        ("[" * 100_000, "no_json"),
        ("1" * 10_000, "no_json"),
        ("[]", "no_object"),
        ('"start"', "no_object"),
        ("{}", "mistyped"),
        ('{"event":7}', "mistyped"),
        ('{"event":"news"}', "unknown"),
        ('{"event":"mark","mark":{}}', "mistyped"),
        ('{"event":"mark"}', "mistyped"),
        ('{"event":"dtmf","dtmf":{"digit":"11"}}', "no_key"),
        ('{"event":"dtmf","dtmf":7}', "no_key"),
        ('{"event":"media"}', "mistyped"),
        ('{"event":"media","media":[]}', "mistyped"),
        ('{"event":"media","streamSid":"MZ2","media":{"payload":"AAAA"}}', "foreign"),
        ('{"event":"dtmf","streamSid":"MZ2","dtmf":{"digit":"1"}}', "foreign"),
        ('{"event":"mark","streamSid":"MZ2","mark":{"name":"1"}}', "foreign"),
        ('{"event":"stop","streamSid":"MZ2","stop":{}}', "foreign"),
        (json.dumps({**MEDIA, "media": {"payload": "A" * 1_000_000}}), "long"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_what_makes_no_sense_is_counted(frame, why):
    dialect = MediaStream()
    heard(dialect, START)
    assert list(dialect.hear(frame)) == [Odd(why)]
    assert heard(dialect, MEDIA) == [Sound(SOUND, 2, 5)]  # and harms nothing


def test_our_own_sound_is_not_heard():
    assert heard(MediaStream(), START, {**MEDIA, "media": {**MEDIA["media"], "track": "outbound"}})[1:] == []


@pytest.mark.parametrize(
    ("start", "why"),
    [
        ({"callSid": "CA1"}, "nameless"),
        ({"streamSid": 7}, "nameless"),
        ({"streamSid": "MZ1", "mediaFormat": {"encoding": "audio/opus"}}, "encoding"),
        ({"streamSid": "MZ1", "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 16000}}, "encoding"),
        ({"streamSid": "MZ1", "mediaFormat": {"channels": 2}}, "encoding"),
    ],
)
def test_a_start_that_can_not_be_is_none(start, why):
    dialect = MediaStream()
    assert heard(dialect, {"event": "start", "start": start}) == [Odd(why)]
    assert isinstance(heard(dialect, START)[0], Started)


@given(st.lists(nearly(ALL), max_size=12), st.booleans())
def test_whatever_comes_nothing_raises(frames, begun):
    listen(MediaStream(), [*([json.dumps(START)] if begun else []), *frames])
