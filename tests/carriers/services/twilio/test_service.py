"""The service as the host uses it: what a call is answered with, and what the API is asked."""

from __future__ import annotations

import json
from base64 import b64encode
from urllib.parse import parse_qsl
from xml.etree import ElementTree

import pytest

from carriers.services.oddities import HOSTILE
from carriers.services.twilio.builder import rebuild
from offhook.carriers.services.http import ApiReply
from offhook.carriers.services.service import Carried, Detected, Handed, Left, Links, Offered, Placement
from offhook.carriers.services.twilio import TwilioAccount, twilio
from offhook.core.errors import ConfigError, DialFailed

LINKS = Links("wss://a.example/twilio/media/tok", "https://a.example/twilio/hook/tok")
CALL = Offered("CA1", "+15550001111", "+15550002222")
OURS = Offered("CA1", "+15550001111", "+15550002222", direction="outbound")


def service(**account) -> Carried:
    return twilio(TwilioAccount("AC1", "tok", **account))


def document(response):
    rebuild(response.body)
    return ElementTree.fromstring(response.body)


def fields(call):
    return parse_qsl(call.body.decode(), keep_blank_values=True)


def test_a_call_is_brought_to_our_socket():
    answer = service().connect(CALL, LINKS)
    (connect,) = document(answer.response)
    assert connect.attrib == {"action": f"{LINKS.hook}/after", "method": "POST"}
    (stream,) = connect
    assert stream.attrib == {"url": LINKS.media, "statusCallback": f"{LINKS.hook}/stream"}
    assert list(answer.calls) == []


def test_a_call_is_recorded_there_where_the_account_says_so():
    start, connect = document(service(records=True).connect(CALL, LINKS).response)
    assert (start[0].tag, connect.tag) == ("Recording", "Connect")
    assert start[0].get("recordingStatusCallback") == f"{LINKS.hook}/recording"


@pytest.mark.parametrize(("code", "reason"), [(486, "busy"), (600, "busy"), (603, "rejected"), (503, "rejected")])
def test_a_call_is_refused_unanswered(code, reason):
    (reject,) = document(service().refuse(CALL, code).response)
    assert (reject.tag, reject.get("reason")) == ("Reject", reason)


def test_a_call_of_ours_is_ended_since_it_is_answered():
    assert [tag.tag for tag in document(service().refuse(OURS, 486).response)] == ["Hangup"]


@pytest.mark.parametrize("news", [None, Detected("CA1", "human")])
def test_news_that_asks_for_nothing_is_answered_with_nothing(news):
    assert list(document(service().heed(news))) == []


@pytest.mark.parametrize("news", [Left("CA1"), Handed("CA1", 200, over=True)])
def test_where_nothing_is_left_of_a_call_it_is_ended(news):
    assert [tag.tag for tag in document(service().heed(news))] == ["Hangup"]


def test_a_call_is_ended():
    (call,) = service().hang_up("CA1")
    assert (call.method, call.url) == ("POST", "https://api.twilio.com/2010-04-01/Accounts/AC1/Calls/CA1.json")
    assert fields(call) == [("Status", "completed")]
    assert call.headers["authorization"] == "Basic " + b64encode(b"AC1:tok").decode()
    assert 404 in call.gone


def test_a_calls_name_stays_in_its_place():
    (call,) = service().hang_up("../../x?y#z")
    assert call.url.endswith("/Calls/%2E%2E%2F%2E%2E%2Fx%3Fy%23z.json")


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:12]))
def test_a_hostile_text_stays_a_text(text):
    """What a form can't hold becomes `?`, what XML can't hold is left out; nothing else of it is lost."""
    (call,) = service().transfer(text, f"+1{text}", text, LINKS)
    assert call.url.count("/") == 7
    ((_, twiml),) = fields(call)
    rebuild(twiml.encode())
    (dial,) = ElementTree.fromstring(twiml)
    assert [one.tag for one in dial] == ["Number"]
    asked = dict(fields(service().dial(Placement(text, "+2"), LINKS)))
    assert asked["To"] == text.encode("utf-8", "replace").decode()
    rebuild(service().connect(CALL, Links(f"wss://a/{text}", text)).response.body)


@pytest.mark.parametrize(
    ("target", "tag"), [("+15557654321", "Number"), ("sip:a@b.example", "Sip"), ("SIPS:a@b.example", "Sip")]
)
def test_a_call_is_handed_on_by_a_new_document(target, tag):
    (call,) = service().transfer("CA1", target, "+15550000000", LINKS)
    ((name, twiml),) = fields(call)
    assert name == "Twiml"
    rebuild(twiml.encode())
    (dial,) = ElementTree.fromstring(twiml)
    news = f"{LINKS.hook}/transfer"
    assert dial.attrib == {"action": news, "method": "POST", "callerId": "+15550000000", "answerOnBridge": "true"}
    assert (dial[0].tag, dial[0].text) == (tag, target)
    assert dial[0].attrib == {"statusCallback": news, "statusCallbackEvent": "answered"}


def test_a_call_that_came_by_sip_is_handed_on_by_refer():
    (call,) = service(refers=True).transfer("CA1", "sip:a@b.example", "", LINKS)
    (refer,) = ElementTree.fromstring(dict(fields(call))["Twiml"])
    assert (refer.tag, refer.get("action"), refer[0].text) == ("Refer", f"{LINKS.hook}/transfer", "sip:a@b.example")
    (call,) = service(refers=True).transfer("CA1", "+15550002222", "", LINKS)
    assert ElementTree.fromstring(dict(fields(call))["Twiml"])[0].tag == "Dial"


def test_a_call_is_placed():
    call = service().dial(Placement("+15557654321", "+15550000000", 30), LINKS)
    assert (call.method, call.url) == ("POST", "https://api.twilio.com/2010-04-01/Accounts/AC1/Calls.json")
    asked = fields(call)
    assert [value for name, value in asked if name == "StatusCallbackEvent"] == ["ringing", "answered", "completed"]
    assert {name: value for name, value in asked if name != "StatusCallbackEvent"} == {
        "To": "+15557654321",
        "From": "+15550000000",
        "Url": f"{LINKS.hook}/voice",
        "Method": "POST",
        "Timeout": "30",
        "StatusCallback": f"{LINKS.hook}/status",
        "StatusCallbackMethod": "POST",
    }


def test_what_answers_is_found_out_before_or_meanwhile():
    sync = dict(fields(service().dial(Placement("+1", "+2", detect="sync"), LINKS)))
    assert (sync["MachineDetection"], "AsyncAmd" in sync) == ("Enable", False)
    later = dict(fields(service().dial(Placement("+1", "+2", detect="async"), LINKS)))
    assert (later["MachineDetection"], later["AsyncAmd"]) == ("DetectMessageEnd", "true")
    assert later["AsyncAmdStatusCallback"] == f"{LINKS.hook}/machine"


def test_a_call_that_was_placed_has_a_name():
    assert service().placed(ApiReply(201, json.dumps({"sid": "CA7", "status": "queued"}).encode())) == "CA7"


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (400, {"code": 21211, "message": "Invalid 'To' Phone Number"}, 404),
        (400, {"code": 21215}, 403),
        (400, {"code": "21217"}, 484),
        (400, {}, 500),
        (401, {"code": 20003}, 403),
        (429, {"code": 20429}, 503),
        (500, {}, 503),
        (201, {}, 500),
        (201, {"sid": 7}, 500),
        (201, [], 500),
    ],
)
def test_a_call_that_was_not_placed_says_why(status, body, code):
    with pytest.raises(DialFailed) as error:
        service().placed(ApiReply(status, json.dumps(body).encode()))
    assert error.value.code == code


def test_the_api_is_where_the_account_says():
    assert service().api == "https://api.twilio.com"
    assert service(edge="dublin", region="ie1").api == "https://api.dublin.ie1.twilio.com"
    (call,) = service(api="http://127.0.0.1:9/").hang_up("CA1")
    assert call.url == "http://127.0.0.1:9/2010-04-01/Accounts/AC1/Calls/CA1.json"
    (call,) = service(key="SK1", key_secret="s").hang_up("CA1")
    assert call.headers["authorization"] == "Basic " + b64encode(b"SK1:s").decode()


@pytest.mark.parametrize("wrong", [{"edge": "dublin"}, {"region": "ie1"}, {"key": "SK1"}])
def test_an_account_that_can_not_work_is_none(wrong):
    with pytest.raises(ConfigError):
        service(**wrong)


def test_no_secret_is_shown():
    account = TwilioAccount("AC1", "s3cret", key="SK1", key_secret="s3cret")
    assert "s3cret" not in repr(account) + repr(twilio(account))
