"""Call Control: what its events say, and that each command has what Telnyx's own library says it may have."""

from __future__ import annotations

import importlib.util
import json
import re
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from carriers.services.oddities import HOSTILE, nearly
from carriers.services.telnyx.test_signature import PUBLIC
from offhook.carriers.services.http import ApiCall, ApiReply, Request
from offhook.carriers.services.service import (
    Answer,
    Detected,
    Handed,
    Left,
    Links,
    Offered,
    Placement,
    Progressed,
    Recorded,
)
from offhook.carriers.services.telnyx import TelnyxAccount, telnyx
from offhook.carriers.services.telnyx.hooks import state
from offhook.core.errors import DialFailed, ProtocolError

LINKS = Links("wss://a.example/services/telnyx/media/tok", "https://a.example/services/telnyx/key")
SERVICE = telnyx(TelnyxAccount("KEY1", PUBLIC, "conn"))
CALL = "v3:MdI91X4lWFEs7IgbBEOT9M4AigoY08M0WWZFISt1Yw2axZ_IiE4pqg"
PAYLOAD: dict[str, Any] = {
    "call_control_id": CALL,
    "call_leg_id": "428c31b6-7af4-4bcb-b7f5-5013ef9657c1",
    "client_state": None,
    "connection_id": "7267xxxxxxxxxxxxxx",
    "direction": "incoming",
    "from": "+18005550199",
    "to": "+18005550100",
    "state": "parked",
}


def event(kind: str, **payload: Any) -> dict[str, Any]:
    data = {"event_type": kind, "id": "0ccc7b54", "record_type": "event", "payload": {**PAYLOAD, **payload}}
    return {"data": data, "meta": {"attempt": 1, "delivered_to": "https://a.example"}}


def told(kind: str, **payload: Any) -> list[Any]:
    return [*SERVICE.hook("voice", Request("POST", "/", {}, json.dumps(event(kind, **payload)).encode()))]


def body(call: ApiCall) -> dict[str, Any]:
    assert call.headers == {"authorization": "Bearer KEY1", "content-type": "application/json"}
    return json.loads(call.body)


def known(module: str) -> set[str]:
    """The parameters that the library has for a request."""
    package = importlib.util.find_spec("telnyx")
    assert package is not None
    assert package.origin is not None
    text = (Path(package.origin).parent / "types" / f"{module}.py").read_text().replace("from_:", "from:")
    return set(re.findall(r"^    (\w+):", text, re.MULTILINE))


def commands(answer: Answer) -> list[tuple[str, dict[str, Any]]]:
    assert answer.response.status == 200
    return [(call.url.rpartition("/")[2], body(call)) for call in answer.calls]


# What is told


def test_a_call_comes():
    (offered,) = told(
        "call.initiated",
        caller_id_name="Jané",
        custom_headers=[{"name": "X-Account", "value": "7"}, {"name": 7}, "x"],
        sip_headers=[{"name": "User-to-User", "value": "00"}],
        shaken_stir_attestation="A",
        shaken_stir_validated=True,
    )
    assert offered == Offered(
        CALL,
        "+18005550199",
        "+18005550100",
        caller_name="Jané",
        headers={"X-Account": "7", "User-to-User": "00"},
        verstat="TN-Validation-Passed-A",
    )
    assert told("call.initiated", direction="outgoing") == []


def test_a_call_of_ours_is_offered_once_it_is_answered():
    (offered,) = told("call.answered", client_state=state("out"), direction="outgoing")
    assert (offered.call, offered.direction, offered.machine) == (CALL, "outbound", "")
    assert told("call.answered") == [Progressed(CALL, "answered")]


def test_or_once_it_is_known_what_has_answered():
    first = state("first")
    assert told("call.answered", client_state=first) == [Progressed(CALL, "answered")]
    (offered,) = told("call.machine.detection.ended", client_state=first, result="machine")
    assert (offered.direction, offered.machine) == ("outbound", "machine")


@pytest.mark.parametrize(
    ("kind", "result", "what"),
    [
        ("call.machine.detection.ended", "human", "human"),
        ("call.machine.detection.ended", "not_sure", "unknown"),
        ("call.machine.premium.detection.ended", "human_business", "human"),
        ("call.machine.premium.detection.ended", "fax_detected", "fax"),
        ("call.machine.premium.detection.ended", "silence", "unknown"),
        ("call.machine.greeting.ended", "beep_detected", "machine_beep"),
        ("call.machine.premium.greeting.ended", "no_beep_detected", "machine_beep"),
    ],
)
def test_what_has_answered(kind, result, what):
    assert told(kind, result=result, client_state=state("out")) == [Detected(CALL, what)]


@pytest.mark.parametrize(
    ("cause", "sip", "code"),
    [
        ("normal_clearing", "200", 200),
        ("time_limit", "unspecified", 200),
        ("user_busy", "486", 486),
        ("call_rejected", "403", 603),
        ("not_found", "404", 404),
        ("no_answer", None, 480),
        ("originator_cancel", None, 487),
        ("unspecified", "503", 503),
        ("unspecified", "unspecified", 480),
        (None, "999", 480),
    ],
)
def test_why_a_call_is_over(cause, sip, code):
    (left,) = told("call.hangup", hangup_cause=cause, sip_hangup_cause=sip)
    assert (left.call, left.code) == (CALL, code)
    assert isinstance(left, Left)


def test_what_became_of_a_transfer_its_targets_leg_tells():
    (order,) = SERVICE.transfer(CALL, "+15557654321", "+18005550100", LINKS)
    leg = {"client_state": body(order)["target_leg_client_state"], "call_control_id": "v3:other"}
    assert told("call.initiated", direction="outgoing", **leg) == []
    assert told("call.answered", **leg) == [Handed(CALL, 200)]
    assert told("call.hangup", hangup_cause="user_busy", **leg) == [Handed(CALL, 486)]
    assert told("call.hangup", hangup_cause="normal_clearing", **leg) == [Handed(CALL, 200, over=True)]


def test_a_recording_is_told_of():
    assert told(
        "call.recording.saved",
        recording_id="r-1",
        recording_urls={"wav": "https://x/1.wav"},
        recording_started_at="2026-01-01T00:00:00.0Z",
        recording_ended_at="2026-01-01T00:00:12.4Z",
    ) == [Recorded(CALL, "https://x/1.wav", 12, "r-1")]
    assert told("call.recording.saved", recording_started_at="then") == [Recorded(CALL, "", 0)]


@pytest.mark.parametrize("kind", ["call.bridged", "streaming.started", "call.dtmf.received", "call.dances"])
def test_the_rest_is_no_news(kind):
    assert told(kind) == []


@pytest.mark.parametrize("wrong", [b"", b"[]", b"{", b"{}", b'{"data":7}', b'{"data":{"event_type":7}}', b"\xff"])
def test_what_is_no_event_is_a_typed_error(wrong):
    with pytest.raises(ProtocolError):
        SERVICE.hook("voice", Request("POST", "/", {}, wrong))


EVENTS = [
    event("call.initiated", custom_headers=[{"name": "a", "value": "b"}]),
    event("call.answered", client_state=state("out")),
    event("call.hangup", hangup_cause="timeout", client_state=state("to:v3:x")),
    event("call.machine.detection.ended", result="human"),
    event(
        "call.recording.saved", recording_started_at="2026-01-01T00:00:00Z", recording_ended_at="2026-01-01T00:00:01Z"
    ),
]


@given(nearly(EVENTS))
def test_whatever_comes_is_news_or_a_typed_error(frame):
    data = frame if isinstance(frame, bytes) else frame.encode("utf-8", "replace")
    try:
        news = SERVICE.hook("voice", Request("POST", "/", {}, data))
    except ProtocolError:
        return
    assert all(one.call for one in news)
    repr(news).encode()


# What is asked


def test_a_call_is_answered_with_its_audio_at_our_socket():
    ((verb, asked),) = commands(SERVICE.connect(Offered(CALL), LINKS))
    assert verb == "answer"
    assert set(asked) <= known("calls/action_answer_params")
    assert (asked["stream_url"], asked["stream_bidirectional_mode"]) == (LINKS.media, "rtp")
    assert (asked["stream_bidirectional_codec"], asked["stream_track"]) == ("PCMU", "inbound_track")


def test_a_call_of_ours_has_its_audio_brought_once_it_is_answered():
    ((verb, asked),) = commands(SERVICE.connect(Offered(CALL, direction="outbound"), LINKS))
    assert verb == "streaming_start"
    assert set(asked) <= known("calls/action_start_streaming_params")


@pytest.mark.parametrize(
    ("code", "cause"),
    [(486, "USER_BUSY"), (404, "NOT_FOUND"), (480, "TEMPORARILY_UNAVAILABLE"), (603, "CALL_REJECTED")],
)
def test_a_call_is_refused(code, cause):
    ((verb, asked),) = commands(SERVICE.refuse(Offered(CALL), code))
    assert (verb, asked["cause"]) == ("reject", cause)
    assert set(asked) <= known("calls/action_reject_params")
    ((verb, _),) = commands(SERVICE.refuse(Offered(CALL, direction="outbound"), code))
    assert verb == "hangup"


def test_a_call_is_ended_and_one_that_is_over_is_ended():
    (call,) = SERVICE.hang_up("v3:a/b?c")
    assert call.url == "https://api.telnyx.com/v2/calls/v3%3Aa%2Fb%3Fc/actions/hangup"
    assert set(body(call)) <= known("calls/action_hangup_params")
    assert set(call.gone) == {404, 422}


def test_a_call_is_handed_on():
    (call,) = SERVICE.transfer(CALL, "sip:a@b.example", "+18005550100", LINKS)
    asked = body(call)
    assert set(asked) <= known("calls/action_transfer_params")
    assert (asked["to"], asked["from"]) == ("sip:a@b.example", "+18005550100")
    assert b64decode(asked["target_leg_client_state"]).decode() == f"to:{CALL}"


@pytest.mark.parametrize(
    ("detect", "mode", "word"), [("", None, "out"), ("sync", "detect", "first"), ("async", "greeting_end", "out")]
)
def test_a_call_is_placed(detect, mode, word):
    call = SERVICE.dial(Placement("+1", "+2", 30, detect), LINKS)
    asked = body(call)
    assert call.url == "https://api.telnyx.com/v2/calls"
    assert set(asked) <= known("call_dial_params")
    assert (asked["connection_id"], asked["to"], asked["from"], asked["timeout_secs"]) == ("conn", "+1", "+2", 30)
    assert asked.get("answering_machine_detection") == mode
    assert asked["webhook_url"] == f"{LINKS.hook}/voice"
    assert b64decode(asked["client_state"]).decode() == word


def test_a_command_that_is_sent_again_has_its_name_again():
    def names(links: Links) -> list[str]:
        orders = [
            *SERVICE.hang_up(CALL),
            *SERVICE.transfer(CALL, "+1", "", links),
            SERVICE.dial(Placement("+1", "+2"), links),
        ]
        return [body(order)["command_id"] for order in orders]

    assert names(LINKS) == names(LINKS)
    assert len(set(names(LINKS))) == 3
    again = Links(LINKS.media + "2", LINKS.hook + "2")  # another transfer, another call
    assert [one == other for one, other in zip(names(LINKS), names(again), strict=True)] == [True, False, False]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:12]))
def test_a_hostile_text_stays_a_text(text):
    (call,) = SERVICE.transfer(text, text, text, LINKS)
    assert body(call)["to"] == text
    assert call.url.startswith("https://api.telnyx.com/v2/calls/")
    assert call.url.endswith("/actions/transfer")
    assert call.url.count("/") == 7
    assert body(SERVICE.dial(Placement(text, text), LINKS))["to"] == text


def test_a_call_that_was_placed_has_a_name():
    assert SERVICE.placed(ApiReply(200, b'{"data":{"call_control_id":"v3:1"}}')) == "v3:1"


@pytest.mark.parametrize(
    ("status", "code"), [(422, 404), (403, 403), (401, 403), (429, 503), (500, 503), (200, 500), (400, 500)]
)
def test_a_call_that_was_not_placed_says_why(status, code):
    with pytest.raises(DialFailed) as error:
        SERVICE.placed(ApiReply(status, b'{"errors":[{"code":"10010"}]}'))
    assert error.value.code == code


def test_a_call_is_recorded_where_the_account_says_so():
    recording = telnyx(TelnyxAccount("KEY1", PUBLIC, "conn", records=True))
    ((_, asked),) = commands(recording.connect(Offered(CALL), LINKS))
    assert (asked["record"], asked["record_channels"]) == ("record-from-answer", "dual")
    assert set(asked) <= known("calls/action_answer_params")
