"""What Twilio's webhooks say, by the fields that it documents."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.carriers.services.http import Request
from offhook.carriers.services.service import Detected, Handed, Left, Offered, Progressed, Recorded, Said
from offhook.carriers.services.twilio import TwilioAccount, twilio
from offhook.core.errors import ProtocolError

KINDS = ("voice", "status", "machine", "transfer", "after", "said", "recording", "stream")
CALL = {
    "CallSid": "CA1",
    "AccountSid": "AC1",
    "From": "+15550001111",
    "To": "+15550002222",
    "CallStatus": "ringing",
    "Direction": "inbound",
    "ApiVersion": "2010-04-01",
}
FORM = {"content-type": "application/x-www-form-urlencoded; charset=UTF-8"}
SERVICE = twilio(TwilioAccount("AC1", "12345"))


def hook(kind: str, **fields: str) -> list[Any]:
    return list(SERVICE.hook(kind, Request("POST", "/", FORM, urlencode({**CALL, **fields}).encode())))


def test_a_call_comes():
    assert hook("voice") == [Offered("CA1", "+15550001111", "+15550002222")]


def test_what_comes_with_a_call_is_told():
    (offered,) = hook(
        "voice",
        CallerName="Jané",
        ForwardedFrom="+15550003333",
        StirVerstat="TN-Validation-Passed-A",
        **{"SipHeader_X-Account": "7", "SipHeader_": "", "SipDomain": "a.sip.twilio.com"},
    )
    assert (offered.caller_name, offered.diverted_from) == ("Jané", "+15550003333")
    assert offered.verstat == "TN-Validation-Passed-A"
    assert offered.headers == {"X-Account": "7"}


def test_a_call_by_get_says_the_same():
    request = Request("GET", "/voice?" + urlencode(CALL), FORM, b"CallSid=CA2")
    assert list(SERVICE.hook("voice", request)) == [Offered("CA1", "+15550001111", "+15550002222")]


@pytest.mark.parametrize(
    ("word", "what"),
    [
        ("human", "human"),
        ("machine_start", "machine"),
        ("machine_end_beep", "machine_beep"),
        ("machine_end_silence", "machine_beep"),
        ("machine_end_other", "machine_beep"),
        ("fax", "fax"),
        ("unknown", "unknown"),
        ("robot", "unknown"),
    ],
)
def test_what_answers_a_call_of_ours_is_told_with_it_or_later(word, what):
    (offered,) = hook("voice", Direction="outbound-api", AnsweredBy=word)
    assert (offered.direction, offered.machine) == ("outbound", what)
    assert hook("machine", AnsweredBy=word, MachineDetectionDuration="3200") == [Detected("CA1", what)]


def test_nobody_has_looked_at_what_answered():
    assert hook("voice", Direction="outbound-api", AnsweredBy="")[0].machine == ""


@pytest.mark.parametrize(
    ("status", "more", "news"),
    [
        ("queued", {}, []),
        ("initiated", {}, []),
        ("ringing", {"SequenceNumber": "1"}, [Progressed("CA1", "ringing", 1)]),
        ("in-progress", {"SequenceNumber": "2"}, [Progressed("CA1", "answered", 2)]),
        ("answered", {"SequenceNumber": "x"}, [Progressed("CA1", "answered", None)]),
        ("completed", {"SipResponseCode": "200", "CallDuration": "9"}, [Left("CA1", 200, "completed")]),
        ("completed", {"SipResponseCode": "487"}, [Left("CA1", 200, "completed")]),
        ("busy", {}, [Left("CA1", 486, "busy")]),
        ("busy", {"SipResponseCode": "600"}, [Left("CA1", 600, "busy")]),
        ("no-answer", {}, [Left("CA1", 480, "no-answer", "no_answer")]),
        ("no-answer", {"SipResponseCode": "487"}, [Left("CA1", 480, "no-answer", "no_answer")]),
        ("failed", {}, [Left("CA1", 404, "failed")]),
        ("failed", {"SipResponseCode": "603"}, [Left("CA1", 603, "failed")]),
        ("failed", {"SipResponseCode": "200"}, [Left("CA1", 404, "failed")]),
        ("canceled", {}, [Left("CA1", 487, "canceled")]),
        ("resting", {}, []),
    ],
)
def test_how_a_call_goes_on(status, more, news):
    assert hook("status", CallStatus=status, **more) == news


@pytest.mark.parametrize(
    ("fields", "news"),
    [
        ({"DialCallStatus": "completed", "CallStatus": "in-progress"}, [Handed("CA1", 200, over=True)]),
        ({"DialCallStatus": "answered", "CallStatus": "completed"}, [Handed("CA1", 200, over=True)]),
        ({"DialCallStatus": "busy", "CallStatus": "in-progress"}, [Handed("CA1", 486)]),
        ({"DialCallStatus": "no-answer", "CallStatus": "in-progress"}, [Handed("CA1", 480)]),
        ({"DialCallStatus": "failed", "DialSipResponseCode": "603"}, [Handed("CA1", 603)]),
        ({"DialCallStatus": "canceled", "CallStatus": "completed"}, [Handed("CA1", 487, over=True)]),
        # The leg of the target, which is a call of its own:
        ({"CallSid": "CA9", "ParentCallSid": "CA1", "CallStatus": "in-progress"}, [Handed("CA1", 200)]),
        ({"CallSid": "CA9", "ParentCallSid": "CA1", "CallStatus": "ringing"}, []),
        ({"CallSid": "CA9", "ParentCallSid": "CA1", "CallStatus": "completed"}, []),
        # A REFER:
        ({"ReferCallStatus": "completed", "ReferSipResponseCode": "202"}, [Handed("CA1", 200, over=True)]),
        ({"ReferCallStatus": "x", "ReferSipResponseCode": "202", "NotifySipResponseCode": "486"}, [Handed("CA1", 486)]),
        ({"ReferCallStatus": "failed"}, [Handed("CA1", 500)]),
        ({}, []),
    ],
)
def test_what_became_of_a_transfer(fields, news):
    assert hook("transfer", **fields) == news


def test_what_was_said_and_pressed():
    assert hook("said", SpeechResult="a table for two", Confidence="0.9") == [Said("CA1", "a table for two")]
    assert hook("said", Digits="12") == [Said("CA1", keys="12")]
    assert hook("said") == [Said("CA1")]


def test_a_recording_is_told_of_once_it_can_be_had():
    url = "https://api.twilio.com/2010-04-01/Accounts/AC1/Recordings/RE1"
    done = {"RecordingUrl": url, "RecordingDuration": "12", "RecordingSid": "RE1"}
    assert hook("recording", RecordingStatus="completed", **done) == [Recorded("CA1", url, 12, "RE1")]
    assert hook("recording", RecordingStatus="in-progress", **done) == []


def test_the_end_of_a_socket_is_the_end_of_the_call():
    assert hook("after", CallStatus="in-progress") == [Left("CA1", 200)]


def test_how_the_socket_does_it_tells_itself():
    assert hook("stream", StreamEvent="stream-error", StreamError="31920") == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_webhook_that_names_no_call_is_none(kind):
    with pytest.raises(ProtocolError) as error:
        hook(kind, CallSid="")
    assert error.value.code == 400


def test_there_is_no_other_hook():
    with pytest.raises(ProtocolError) as error:
        hook("news")
    assert error.value.code == 404


@pytest.mark.parametrize("body", [b"\xff", b"CallSid=%ff", b"&" * 2000, b"{}"])
def test_a_body_that_is_no_form_is_none(body):
    with pytest.raises(ProtocolError):
        SERVICE.hook("voice", Request("POST", "/", FORM, body))


@given(
    st.sampled_from(KINDS),
    st.dictionaries(
        st.sampled_from([*CALL, "SequenceNumber", "DialCallStatus", "AnsweredBy", "RecordingDuration", "SipHeader_X"]),
        st.text(st.characters(codec="utf-8")) | st.sampled_from(["completed", "in-progress", "9" * 99, "-1"]),
    ),
)
def test_whatever_the_fields_are_it_is_news_or_a_typed_error(kind, fields):
    request = Request("POST", "/", FORM, urlencode(fields).encode())
    try:
        news = SERVICE.hook(kind, request)
    except ProtocolError:
        return
    assert all(one.call for one in news)
