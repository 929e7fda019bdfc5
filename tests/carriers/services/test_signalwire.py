"""SignalWire: its signatures against its own library, and what it does in another way than Twilio."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any
from urllib.parse import parse_qsl, urlencode
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from signalwire.core.security.webhook_validator import validate_request, validate_webhook_signature

from carriers.services.oddities import altered, listen, nearly, refused, same_form
from carriers.services.twilio.builder import rebuild
from offhook.carriers.services.bearer import bearer
from offhook.carriers.services.http import Request, Unsigned
from offhook.carriers.services.service import Asked, Carried, Handed, Links, Offered, Placement
from offhook.carriers.services.signalwire import (
    ELDER,
    HEADER,
    SignalWireAccount,
    SignalWireStream,
    raw_signature,
    signalwire,
    signature,
)
from offhook.carriers.services.stream import Encoding, Odd, Passed, Pressed, Sound, Started, Stopped
from offhook.core.errors import ConfigError

KEY = "PSK_7TruNcSNTxp4zNrykMj4EPzF"
BASE = "https://a.example"
FORM = {"content-type": "application/x-www-form-urlencoded"}
LINKS = Links("wss://a.example/services/signalwire/media/tok", "https://a.example/services/signalwire/key")
FIELDS = [("CallSid", "b5d63b2e"), ("From", "+12135877632"), ("To", "+12089806814"), ("CallStatus", "ringing")]


def account(**more: Any) -> SignalWireAccount:
    return SignalWireAccount("example.signalwire.com", "4b7ae78a", "tok", KEY, **more)


def service(**more: Any) -> Carried:
    return signalwire(account(**more))


def form(target: str = "/voice?a=1", header: str = HEADER) -> Request:
    headers = {**FORM, header: signature(KEY, BASE + target, FIELDS)}
    return Request("POST", target, headers, urlencode(FIELDS).encode())


def raw(target: str = "/voice?a=1", body: bytes = b'{"call":{}}') -> Request:
    headers = {"content-type": "application/json", HEADER: raw_signature(KEY, BASE + target, body)}
    return Request("POST", target, headers, body)


def opening(url: str = LINKS.media) -> Request:
    headers = {"upgrade": "websocket", "authorization": "Bearer " + bearer(KEY, url)}
    return Request("GET", "/services/signalwire/media/tok", headers)


# Who it is

pairs = st.dictionaries(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=8), st.text(st.characters(codec="utf-8"))
)
targets = st.sampled_from(["/", "/voice", "/voice?a=1&b=%20", "/x/y/status"])


@given(targets, pairs)
def test_the_library_takes_the_form_that_we_sign_and_we_what_it_takes(target, fields):
    ours = signature(KEY, BASE + target, list(fields.items()))
    assert validate_request(KEY, ours, BASE + target, list(fields.items()))
    assert validate_webhook_signature(KEY, ours, BASE + target, urlencode(fields))
    service().verify(Request("POST", target, {**FORM, HEADER: ours}, urlencode(fields).encode()), BASE, 0.0)


@given(targets, st.text(st.characters(codec="utf-8")))
def test_the_library_takes_the_body_that_we_sign(target, body):
    ours = raw_signature(KEY, BASE + target, body.encode())
    assert validate_webhook_signature(KEY, ours, BASE + target, body)
    service().verify(Request("POST", target, {HEADER: ours}, body.encode()), BASE, 0.0)


@given(targets, pairs, st.binary(min_size=20, max_size=20))
def test_what_the_library_refuses_we_refuse(target, fields, chance):
    wrong = b64encode(chance).decode()
    assert not validate_webhook_signature(KEY, wrong, BASE + target, urlencode(fields))
    assert refused(service(), Request("POST", target, {**FORM, HEADER: wrong}, urlencode(fields).encode()), BASE)


def test_a_published_example_is_taken():
    assert signature("12345", "https://mycompany.com/myapp.php?foo=1&bar=2", [
        ("CallSid", "CA1234567890ABCDE"), ("Digits", "1234"), ("From", "+14158675309"), ("To", "+18005551212"),
        ("Caller", "+14158675309"),
    ]) == "RSOYDt4T1cUTdK1PDd93/VVr8B8="  # fmt: skip


@pytest.mark.parametrize(
    ("request_", "headers"), [(form(), [HEADER]), (raw(), [HEADER]), (form(header=ELDER), [ELDER])]
)
def test_every_change_of_one_byte_of_a_webhook_is_refused(request_, headers):
    service().verify(request_, BASE, 0.0)
    for changed in altered(request_, *headers):
        spelling = request_.header("content-type") in FORM.values() and changed.target == request_.target
        spelling = spelling and changed.headers == request_.headers and same_form(request_.body, changed.body)
        assert refused(service(), changed, BASE) != spelling, changed


def test_every_change_of_one_byte_of_an_opening_is_refused():
    service().verify(opening(), BASE, 0.0)
    for changed in altered(opening(), "authorization"):
        assert refused(service(), changed, BASE), changed


def test_a_bearer_is_good_for_its_own_socket():
    assert refused(service(), opening(LINKS.media + "2"), BASE)
    elsewhere = Request("GET", "/services/signalwire/media/tok2", opening().headers)
    assert refused(service(), elsewhere, BASE)


@pytest.mark.parametrize("request_", [form(), raw(), opening()])
def test_without_its_proof_a_request_is_401(request_):
    bare = {name: value for name, value in request_.headers.items() if name not in (HEADER, "authorization")}
    with pytest.raises(Unsigned) as error:
        service().verify(Request(request_.method, request_.target, bare, request_.body), BASE, 0.0)
    assert error.value.code == 401


# What its socket says

START: dict[str, Any] = {
    "event": "start",
    "sequenceNumber": "1",
    "start": {
        "streamSid": "0f0c",
        "accountSid": "4b7a",
        "callSid": "b5d6",
        "tracks": ["inbound"],
        "customParameters": {"a": "b"},
        "mediaFormat": {"encoding": "audio/x-L16", "sampleRate": 24000, "channels": 1},
    },
}
MEDIA: dict[str, Any] = {
    "event": "media",
    "sequenceNumber": "2",
    "media": {"track": "inbound", "chunk": "1", "timestamp": "5", "payload": b64encode(b"\x01\x02" * 480).decode()},
    "streamSid": "0f0c",
}
ALL: list[dict[str, Any]] = [
    {"event": "connected", "protocol": "Call", "version": "0.2.0"},
    START,
    MEDIA,
    {"event": "dtmf", "sequenceNumber": "3", "streamSid": "0f0c", "dtmf": {"duration": "160", "digit": "a"}},
    {"event": "mark", "sequenceNumber": "4", "streamSid": "0f0c", "mark": {"name": "9"}},
    {"event": "stop", "sequenceNumber": "5"},
]


def test_a_stream_from_its_beginning_to_its_end():
    dialect = SignalWireStream()
    told = [one for message in ALL for one in dialect.hear(json.dumps(message))]
    wide = Encoding("L16", 24000)
    assert told == [
        Started("0f0c", "b5d6", heard=wide, ours=wide, params={"a": "b"}),
        Sound(b"\x02\x01" * 480, 1, 5),  # in network order here
        Pressed("A", 160),
        Passed("9"),
        Stopped(),
    ]


@pytest.mark.parametrize(("little", "sent"), [(True, b"\x02\x01"), (False, b"\x01\x02")])
def test_what_we_send_is_laid_as_the_service_lays_it(little, sent):
    dialect = SignalWireStream(little_endian=little)
    dialect.hear(json.dumps(START))
    (frame,) = dialect.sound(b"\x01\x02")
    assert json.loads(frame)["media"]["payload"] == b64encode(sent).decode()


def test_keys_can_be_sent():
    dialect = SignalWireStream()
    assert [*dialect.press("1#")] == []
    dialect.hear(json.dumps(START))
    assert [json.loads(frame) for frame in dialect.press("1#")] == [
        {"event": "dtmf", "streamSid": "0f0c", "dtmf": {"digit": key}} for key in "1#"
    ]


def test_an_encoding_that_there_is_not_is_none():
    start = {**START, "start": {**START["start"], "mediaFormat": {"encoding": "opus"}}}
    assert [*SignalWireStream().hear(json.dumps(start))] == [Odd("encoding")]
    assert [*SignalWireStream().hear('{"event":"start"}')] == [Odd("nameless")]


@given(st.lists(nearly(ALL), max_size=12), st.booleans())
def test_whatever_comes_nothing_raises(frames, begun):
    listen(SignalWireStream(), [*([json.dumps(START)] if begun else []), *frames])


# What it is answered and asked


def test_the_document_gives_the_socket_its_bearer_and_encoding():
    response = service(codec="L16@24000h").connect(Offered("b5d6"), LINKS).response
    rebuild(response.body, beside={"Stream": frozenset({"codec", "authBearerToken"})})
    (stream,) = next(iter(ElementTree.fromstring(response.body)))
    assert stream.get("codec") == "L16@24000h"
    headers = {"upgrade": "websocket", "authorization": f"Bearer {stream.get('authBearerToken')}"}
    service().verify(Request("GET", "/services/signalwire/media/tok", headers), BASE, 0.0)


def test_a_transfer_is_asked_for_and_told_then():
    (call,) = service().transfer("b5d6", "+15557654321", "+15550000000", LINKS)
    assert call.url == "https://example.signalwire.com/api/laml/2010-04-01/Accounts/4b7ae78a/Calls/b5d6.json"
    asked = dict(parse_qsl(call.body.decode()))
    assert asked["Method"] == "POST"
    target = asked["Url"].removeprefix("https://a.example")
    request = Request("POST", target, FORM, urlencode(FIELDS).encode())
    (news,) = service().hook("dial", request)
    assert news == Asked("b5d63b2e", "+15557654321", "+15550000000", LINKS.hook)
    response = service().heed(news)
    rebuild(response.body)
    (dial,) = ElementTree.fromstring(response.body)
    assert (dial.get("action"), dial.get("callerId"), dial[0].text) == (
        f"{LINKS.hook}/transfer",
        "+15550000000",
        "+15557654321",
    )
    fields = [*FIELDS, ("DialCallStatus", "busy")]
    assert [*service().hook("transfer", Request("POST", "/transfer", FORM, urlencode(fields).encode()))] == [
        Handed("b5d63b2e", 486)
    ]


def test_a_call_is_placed_in_the_space():
    call = service(api="http://127.0.0.1:9/").dial(Placement("+1", "+2"), LINKS)
    assert call.url == "http://127.0.0.1:9/api/laml/2010-04-01/Accounts/4b7ae78a/Calls.json"
    assert call.headers["authorization"] == "Basic " + b64encode(b"4b7ae78a:tok").decode()


def test_an_account_that_can_not_work_is_none():
    with pytest.raises(ConfigError):
        account(codec="OPUS")
    with pytest.raises(ConfigError):
        SignalWireAccount("s", "p", "t", "")
    assert KEY not in repr(account()) + repr(service())
