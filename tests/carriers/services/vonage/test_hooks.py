"""Vonage's webhooks, by the payloads of its documentation."""

from __future__ import annotations

import contextlib
import json
from random import Random
from typing import Any

import pytest
from vonage_voice.models.webhooks import AnswerWebhook

from carriers.services.hostile import mangled
from carriers.services.vonage.test_signature import ACCOUNT
from offhook.carriers.services.http import ApiReply, Request
from offhook.carriers.services.service import Detected, Handed, Left, News, Offered, Progressed, Recorded, Said
from offhook.carriers.services.vonage import Vonage
from offhook.core.errors import DialFailed, ProtocolError

CALL = "aaaaaaaa-bbbb-cccc-dddd-0123456789ab"
ROOM = "CON-aaaaaaaa-bbbb-cccc-dddd-0123456789ab"
ANSWER = {"to": "442079460000", "from": "447700900000", "uuid": CALL, "conversation_uuid": ROOM}
EVENT = {**ANSWER, "direction": "outbound", "timestamp": "2020-01-01T12:00:00.000Z"}
ENDED = {"rate": "0.00450000", "price": "0.00015000", "duration": "2", "network": "GB-FIXED"}


def read(kind: str, told: dict[str, Any]) -> list[News]:
    return list(Vonage(ACCOUNT).hook(kind, Request("POST", f"/services/vonage/{kind}", {}, json.dumps(told).encode())))


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_call_comes_by_get_and_by_post(method):
    query = "&".join(f"{name}={one}" for name, one in ANSWER.items()) + "&SipHeader_X-UserId=1938ND9&SipHeader_X-Blank="
    told = {**ANSWER, "SipHeader_X-UserId": "1938ND9", "SipHeader_X-Blank": ""}
    request = Request("POST", "/services/vonage/voice", {}, json.dumps(told).encode())
    if method == "GET":
        request = Request("GET", f"/services/vonage/voice?{query}")
    assert Vonage(ACCOUNT).hook("voice", request) == (
        Offered(CALL, "+447700900000", "+442079460000", headers={"X-UserId": "1938ND9", "X-Blank": ""}),
    )


def test_the_fields_of_vonages_own_model_are_read():
    known = AnswerWebhook.model_validate({**ANSWER, "SipHeader_User-to-User": "31;encoding=hex", "from_user": "ann"})
    assert known.sipheader_user_to_user == "31;encoding=hex"
    [offered] = read("voice", known.model_dump(by_alias=True, exclude_none=True))
    assert offered == Offered(CALL, "+447700900000", "+442079460000", headers={"User-to-User": "31;encoding=hex"})
    [offered] = read("voice", {"from_user": "ann", "to": "442079460000", "uuid": CALL})
    assert offered == Offered(CALL, "ann", "+442079460000")


def test_a_call_without_a_name_is_none():
    with pytest.raises(ProtocolError):
        read("voice", {"from": "1"})


@pytest.mark.parametrize(
    ("told", "news"),
    [
        ({"status": "started"}, []),
        ({"status": "ringing"}, [Progressed(CALL, "ringing")]),
        ({"status": "answered", "start_time": None}, [Progressed(CALL, "answered")]),
        ({"status": "completed", **ENDED}, [Left(CALL, 200, "completed")]),
        ({"status": "busy"}, [Left(CALL, 486, "busy")]),
        ({"status": "cancelled"}, [Left(CALL, 487, "cancelled")]),
        ({"status": "unanswered", "detail": ""}, [Left(CALL, 480, "unanswered", "no_answer")]),
        ({"status": "timeout"}, [Left(CALL, 480, "timeout", "no_answer")]),
        ({"status": "rejected", "detail": "restricted"}, [Left(CALL, 603, "restricted")]),
        ({"status": "failed", "detail": "cannot_route"}, [Left(CALL, 404, "cannot_route")]),
        ({"status": "failed"}, [Left(CALL, 480, "failed")]),
        ({"status": "disconnected"}, []),
        ({"status": "something new"}, []),
        ({"status": None}, []),
        ({"status": "transfer", "conversation_uuid_from": "CON-1", "conversation_uuid_to": "CON-2"}, []),
        ({"reason": "Syntax error in NCCO. Invalid value type or action."}, []),
    ],
)
def test_each_event_is_news_or_none(told, news):
    assert read("status", {**EVENT, **told}) == news


@pytest.mark.parametrize(
    ("told", "what"),
    [
        ({"status": "human"}, "human"),
        ({"status": "machine"}, "machine"),
        ({"status": "machine", "sub_state": "beep_start"}, "machine_beep"),
        ({"status": "machine", "sub_state": "beep_timeout"}, "machine"),
    ],
)
def test_what_has_answered_is_told_by_the_name_of_its_call(told, what):
    event = {"from": "1", "to": "2", "call_uuid": CALL, "conversation_uuid": ROOM, **told}
    assert read("status", event) == [Detected(CALL, what)]


def test_a_recording_is_told_with_its_length():
    url = "https://api.nexmo.com/v1/files/bbbbbbbb-aaaa-cccc-dddd-0123456789ab"
    told = {
        "start_time": "2020-01-01T12:00:00Z",
        "end_time": "2020-01-01T12:00:02Z",
        "recording_url": url,
        "size": 12222,
        "recording_uuid": "r-1",
        "conversation_uuid": ROOM,
    }
    assert read("recording", told) == [Recorded(ROOM, url, 2, "r-1")]
    assert read("recording", {**told, "end_time": "soon"}) == [Recorded(ROOM, url, 0, "r-1")]


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"dtmf": {"digits": "42", "timed_out": True}}, Said(CALL, "", "42")),
        ({"dtmf": {"digits": None, "timed_out": True}}, Said(CALL)),
        ({"dtmf": "42", "timed_out": False}, Said(CALL, "", "42")),
        (
            {"speech": {"results": [{"text": "a table", "confidence": "0.9"}, {"text": "a cable"}]}},
            Said(CALL, "a table"),
        ),
        ({"speech": {"timeout_reason": "start_timeout"}}, Said(CALL)),
        ({"speech": {"error": "x"}, "dtmf": {"digits": ""}}, Said(CALL)),
    ],
)
def test_what_was_keyed_and_said_is_told(told, said):
    assert read("input", {"uuid": CALL, "conversation_uuid": ROOM, **told}) == [said]


@pytest.mark.parametrize(
    ("told", "news"),
    [
        ({"status": "ringing"}, []),
        ({"status": "answered"}, [Handed("b-leg", 200)]),
        ({"status": "busy"}, [Handed("b-leg", 486)]),
        ({"status": "unanswered"}, [Handed("b-leg", 480)]),
        ({"status": "failed", "detail": "number_out_of_service"}, [Handed("b-leg", 404)]),
        ({"status": "completed"}, [Handed("b-leg", 200, over=True)]),
    ],
)
def test_what_became_of_a_transfer_is_told(told, news):
    assert read("transfer", {**EVENT, "uuid": "b-leg", **told}) == news


@pytest.mark.parametrize(
    ("status", "news"),
    [("answered", []), ("completed", []), ("disconnected", []), ("failed", [Left(CALL, 503, "media_failed")])],
)
def test_a_socket_that_could_not_be_opened_ends_its_call(status, news):
    assert read("after", {**EVENT, "status": status}) == news


@pytest.mark.parametrize("kind", ["voice", "status", "transfer", "recording", "input", "after", "nonsense", ""])
def test_whatever_a_webhook_holds_it_is_read_or_refused(kind):
    speech = {"results": [{"text": "x"}]}
    full = {**EVENT, **ENDED, "status": "completed", "dtmf": {"digits": "1"}, "speech": speech, "SipHeader_X": "1"}
    bare = {**EVENT, "status": "machine", "sub_state": "beep_start", "call_uuid": CALL}
    chance = Random(1)
    for told in (full, bare, {**EVENT, "recording_url": "https://x", "start_time": "x", "end_time": "y"}):
        for _ in range(300):
            with contextlib.suppress(ProtocolError):
                read(kind, mangled(told, chance))


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b"null", b"{", b"a=b"])
def test_a_body_that_is_none_is_refused(body):
    with pytest.raises(ProtocolError):
        Vonage(ACCOUNT).hook("status", Request("POST", "/", {}, body))


def test_a_call_that_was_placed_has_a_name():
    reply = ApiReply(201, json.dumps({"uuid": CALL, "status": "started", "direction": "outbound"}).encode())
    assert Vonage(ACCOUNT).placed(reply) == CALL


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (ApiReply(400, b'{"title":"Bad Request","detail":"invalid number"}'), 404),
        (ApiReply(401, b""), 403),
        (ApiReply(429, b"<html>"), 503),
        (ApiReply(500, b"[]"), 500),
        (ApiReply(201, b"{}"), 500),
        (ApiReply(201, b'{"uuid":7.5}'), 500),
    ],
)
def test_a_call_that_was_not_placed_says_why(reply, code):
    with pytest.raises(DialFailed) as failed:
        Vonage(ACCOUNT).placed(reply)
    assert failed.value.code == code
