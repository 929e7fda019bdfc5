"""Exotel: its published messages and webhooks, its proof, and whatever else may come."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carriers.services.oddities import HOSTILE, listen, nearly, one_byte_changes, refused
from offhook.carriers.services.exotel import CARRIAGE, Exotel, ExotelAccount, ExotelStream, exotel, proof
from offhook.carriers.services.http import ApiReply, Request, Unsigned
from offhook.carriers.services.service import Asked, Left, Links, Offered, Placement, Progressed, Recorded
from offhook.carriers.services.stream import Encoding, Odd, Passed, Pressed, Sound, Started, Stopped
from offhook.core.errors import ConfigError, DialFailed, ProtocolError

LINKS = Links("wss://a.example/services/exotel/media/tok", "https://a.example/services/exotel/key")
ACCOUNT = ExotelAccount("sid1", "key1", "t0ken", "us er", "p@ss:w/rd")
SERVICE = exotel(ACCOUNT)
BASE = "https://a.example"
CALL = {"CallSid": "c1", "CallFrom": "09876543210", "CallTo": "08047491899", "Direction": "incoming"}


# Who it is


def proved(method: str = "GET", target: str = "/services/exotel/voice?CallSid=c1", **more: Any) -> Request:
    return Request(method, target, {"authorization": proof(ACCOUNT)}, peer=more.get("peer", "203.0.113.7"))


def test_our_password_is_its_proof_and_each_change_of_it_is_refused():
    SERVICE.verify(proved(), BASE, 0.0)
    for changed in one_byte_changes(proof(ACCOUNT).encode()):
        headers = {"authorization": changed.decode("latin-1")}
        assert refused(SERVICE, Request("GET", "/", headers), BASE), changed


def test_without_it_a_request_is_401():
    with pytest.raises(Unsigned) as error:
        SERVICE.verify(Request("GET", "/"), BASE, 0.0)
    assert error.value.code == 401


def test_a_request_from_its_networks_needs_no_password():
    service = exotel(ExotelAccount("s", "k", "t", networks=("182.76.143.0/24", "2001:db8::/32")))
    for peer in ("182.76.143.9", "2001:db8::1"):
        service.verify(Request("GET", "/", peer=peer), BASE, 0.0)
    for peer in ("182.76.144.9", "::1", "", "unix:", "182.76.143.9 "):
        assert refused(service, Request("GET", "/", {"x-forwarded-for": "182.76.143.9"}, peer=peer), BASE), peer
    empty = {"authorization": "Basic " + b64encode(b"exotel:").decode()}
    assert refused(service, Request("GET", "/", empty), BASE)


@pytest.mark.parametrize(
    "wrong", [{}, {"password": "x", "user": "a:b"}, {"networks": ("x",)}, {"password": "x", "rate_hz": 44100}]
)
def test_an_account_that_can_not_work_is_none(wrong):
    with pytest.raises(ConfigError):
        ExotelAccount("s", "k", "t", **wrong)


def test_no_secret_is_shown():
    assert not [secret for secret in ("t0ken", "p@ss") if secret in repr(SERVICE)]


# Its webhooks


def hook(kind: str, said: dict[str, str], content_type: str = "application/json") -> list[Any]:
    body = json.dumps(said) if content_type == "application/json" else urlencode(said)
    return [*SERVICE.hook(kind, Request("POST", "/", {"content-type": content_type}, body.encode()))]


def test_a_connect_applet_asks_whom_to_call():
    (asked,) = SERVICE.hook("dial", Request("GET", "/services/exotel/dial?" + urlencode(CALL)))
    assert asked == Asked("c1", "", "", "")
    assert json.loads(SERVICE.heed(asked).body)["destination"] == {"numbers": []}
    told = json.loads(SERVICE.heed(Asked("c1", "+919876543210", "08047491899", "")).body)
    assert told == {
        "fetch_after_attempt": False,
        "destination": {"numbers": ["+919876543210"]},
        "outgoing_phone_number": "08047491899",
    }


@pytest.mark.parametrize("target", ["+919876543210", "sip:a@b", "", "+", "+1;x", "09876543210", "+" + "1" * 30])
def test_a_flow_calls_numbers_where_there_is_one(target):
    assert not SERVICE.flows(target)
    assert exotel(replace(ACCOUNT, transfers=True)).flows(target) == (target == "+919876543210")


def test_the_applet_asks_where_to_bring_a_call():
    request = Request("GET", "/services/exotel/voice?" + urlencode(CALL))
    (offered,) = SERVICE.hook("voice", request)
    assert offered == Offered("c1", "09876543210", "08047491899")
    response = SERVICE.connect(Offered("c1"), LINKS).response
    assert (response.status, response.content_type) == (200, "application/json")
    assert json.loads(response.body) == {
        "url": "wss://us%20er:p%40ss%3Aw%2Frd@a.example/services/exotel/media/tok",
    }
    assert SERVICE.refuse(Offered("c1"), 486).response.status == 404


@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded"])
def test_how_a_call_goes_on(content_type):
    def told(**said: str) -> list[Any]:
        return hook("status", {"CallSid": "c1", **said}, content_type)

    assert told(EventType="answered", Status="in-progress") == [Progressed("c1", "answered")]
    assert told(EventType="terminal", Status="completed") == [Left("c1", 200, "completed")]
    assert told(EventType="terminal", Status="busy") == [Left("c1", 486, "busy")]
    assert told(EventType="terminal", Status="no-answer") == [Left("c1", 480, "no-answer")]
    assert told(Status="ringing") == []
    assert told(Status="completed", RecordingUrl="https://x/1.mp3", ConversationDuration="9") == [
        Recorded("c1", "https://x/1.mp3", 9),
        Left("c1", 200, "completed"),
    ]


@given(
    st.sampled_from(["voice", "status", "x"]),
    st.binary(max_size=80),
    st.sampled_from(["application/json", "", "text/x"]),
)
def test_whatever_comes_is_news_or_a_typed_error(kind, body, content_type):
    try:
        assert all(one.call for one in SERVICE.hook(kind, Request("POST", "/", {"content-type": content_type}, body)))
    except ProtocolError:
        return


@pytest.mark.parametrize(
    ("kind", "said", "code"), [("voice", {}, 400), ("status", {}, 400), ("dial", {}, 400), ("x", CALL, 404)]
)
def test_what_makes_no_sense_is_a_typed_error(kind, said, code):
    with pytest.raises(ProtocolError) as error:
        hook(kind, said)
    assert error.value.code == code


# Its API


def test_a_call_is_placed_with_our_socket():
    wide = Exotel(ExotelAccount("sid1", "key1", "t0ken", password="p", rate_hz=16000))
    call = wide.dial(Placement("+919876543210", "08047491899", 30), LINKS)
    assert call.url == "https://api.exotel.com/v1/Accounts/sid1/Calls/connect.json"
    assert call.headers["authorization"] == "Basic " + b64encode(b"key1:t0ken").decode()
    asked = dict(parse_qsl(call.body.decode()))
    assert (asked["From"], asked["CallerId"], asked["TimeOut"]) == ("+919876543210", "08047491899", "30")
    assert asked["StreamUrl"] == "wss://exotel:p@a.example/services/exotel/media/tok?sample-rate=16000"
    assert asked["StatusCallback"] == "https://exotel:p@a.example/services/exotel/key/status"
    assert SERVICE.hang_up("c1") == SERVICE.transfer("c1", "+1", "", LINKS) == ()


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:12]))
def test_a_hostile_text_stays_a_text(text):
    asked = dict(parse_qsl(SERVICE.dial(Placement(text, text), LINKS).body.decode(), keep_blank_values=True))
    assert asked["From"] == text.encode("utf-8", "replace").decode()
    assert json.loads(SERVICE.connect(Offered(text), Links(f"wss://a/{text}", "")).response.body)["url"].endswith(text)


def test_a_call_that_was_placed_has_a_name_or_says_why_not():
    assert SERVICE.placed(ApiReply(200, b'{"Call":{"Sid":"c7"}}')) == "c7"
    for status, code in ((403, 403), (400, 404), (429, 503), (500, 503), (200, 500)):
        with pytest.raises(DialFailed) as error:
            SERVICE.placed(ApiReply(status, b'{"RestException":{"Status":403,"Message":"x"}}'))
        assert error.value.code == code


# Its socket

START: dict[str, Any] = {
    "event": "start",
    "sequence_number": "1",
    "stream_sid": "MZ1",
    "start": {
        "stream_sid": "MZ1",
        "call_sid": "CA1",
        "account_sid": "AC1",
        "from": "+919876543210",
        "to": "+918047491899",
        "custom_parameters": {"key1": "value1"},
        "media_format": {"encoding": "audio/x-raw", "sample_rate": "8000", "bit_rate": "16"},
    },
}
MEDIA: dict[str, Any] = {
    "event": "media",
    "sequence_number": 3,
    "stream_sid": "MZ1",
    "media": {"chunk": "2", "timestamp": "200", "payload": b64encode(b"\x01\x02" * 800).decode()},
}
ALL: list[dict[str, Any]] = [
    {"event": "connected"},
    START,
    MEDIA,
    {"event": "dtmf", "sequence_number": "7", "stream_sid": "MZ1", "dtmf": {"digit": "5", "duration": "100"}},
    {"event": "mark", "sequence_number": "15", "stream_sid": "MZ1", "mark": {"name": "9"}},
    {"event": "stop", "sequence_number": "9", "stream_sid": "MZ1", "stop": {"call_sid": "CA1", "reason": "stopped"}},
]


def test_a_stream_from_its_beginning_to_its_end():
    dialect, narrow = ExotelStream(), Encoding("L16", 8000)
    assert [one for message in ALL for one in dialect.hear(json.dumps(message))] == [
        Started("MZ1", "CA1", "+919876543210", "+918047491899", narrow, narrow, {"key1": "value1"}),
        Sound(b"\x02\x01" * 800, 2, 200),
        Pressed("5", 100),
        Passed("9"),
        Stopped(),
    ]


def test_what_we_send_is_little_endian_and_as_long_as_it_must_be():
    dialect = ExotelStream()
    dialect.hear(json.dumps(START))
    least = bytes([1, 2]) * (CARRIAGE.least_ms * 8)
    assert len(least) == 3200
    sent = [json.loads(frame) for frame in (*dialect.sound(least), *dialect.mark("3"), *dialect.clear())]
    assert sent == [
        {"event": "media", "stream_sid": "MZ1", "media": {"payload": b64encode(bytes([2, 1]) * 1600).decode()}},
        {"event": "mark", "stream_sid": "MZ1", "mark": {"name": "3"}},
        {"event": "clear", "stream_sid": "MZ1"},
    ]


@pytest.mark.parametrize("rate_hz", [8000, 16000, 24000])
def test_each_message_is_a_multiple_of_320_bytes_and_at_most_100_kb(rate_hz):
    per_ms = Encoding("L16", rate_hz).bytes_per_ms
    assert CARRIAGE.frame_ms * per_ms % 320 == 0
    assert 3200 <= CARRIAGE.least_ms * per_ms <= CARRIAGE.most_ms * per_ms <= 100_000


@pytest.mark.parametrize("wrong", ["44100", 0, None, "wide"])
def test_a_rate_that_there_is_not_is_none(wrong):
    start = {**START, "start": {**START["start"], "media_format": {"sample_rate": wrong}}}
    assert [*ExotelStream().hear(json.dumps(start))] == [Odd("encoding")]
    assert [*ExotelStream().hear('{"event":"start","start":{}}')] == [Odd("nameless")]


@given(st.lists(nearly(ALL), max_size=12), st.booleans())
def test_whatever_comes_nothing_raises(frames, begun):
    listen(ExotelStream(), [*([json.dumps(START)] if begun else []), *frames])
