"""OpenAI's SIP way in, judged by OpenAI's own library; whatever was changed of what it signs is refused.

| of a webhook             | signed | what covers it otherwise |
|--------------------------|--------|--------------------------|
| id, instant, body        | yes    |                          |
| method, URL, the others  | no     | the window of 300 s      |
"""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import replace
from random import Random
from typing import Any

import openai
import pytest

from carriers.services.hostile import TEXTS, mangled, one_byte_changes
from offhook.carriers.services.http import Request, Unsigned
from offhook.carriers.services.openai_sip import OpenAiAccount, OpenAiSip, sign
from offhook.carriers.services.service import Links, Offered
from offhook.core.errors import ConfigError, ProtocolError

NOW_S = 1_800_000_000
SECRET = "whsec_" + "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0"
ACCOUNT = OpenAiAccount("the api key", SECRET, "gpt-realtime", language="de")
SERVICE = OpenAiSip(ACCOUNT)
LINKS = Links("", "https://offhook.example/services/openai/k3y")
HEADERS = {
    "From": '"Ann" <sip:+15550100123@carrier.example>;tag=1',
    "To": "sip:+15550111123@sip.api.openai.com",
    "Call-ID": "abc",
}
EVENT = {
    "id": "evt_685343a1381c819085d44c354e1b330e",
    "object": "event",
    "type": "realtime.call.incoming",
    "created_at": 1_750_287_018,
    "data": {"call_id": "rtc_1", "sip_headers": [{"name": name, "value": value} for name, value in HEADERS.items()]},
}
BODY = json.dumps(EVENT).encode()


def webhook(body: bytes = BODY, name: str = "wh_1", at: str = str(NOW_S), signature: str = "") -> Request:
    signature = signature or sign(SECRET, "wh_1", NOW_S, BODY)
    headers = {"webhook-id": name, "webhook-timestamp": at, "webhook-signature": signature}
    return Request("POST", "/services/openai/voice", headers, body)


def refused(request: Request, service: OpenAiSip = SERVICE) -> Unsigned:
    with pytest.raises(Unsigned) as error:
        service.verify(request, "https://offhook.example", NOW_S)
    assert error.value.code in (401, 403)
    return error.value


def test_openai_takes_what_we_sign_as_openai_does():
    now_s = int(time.time())
    signature = sign(SECRET, "wh_1", now_s, BODY)
    request = webhook(at=str(now_s), signature=signature)
    client = openai.OpenAI(api_key="x", webhook_secret=SECRET)
    event = client.webhooks.unwrap(BODY, dict(request.headers))
    assert event.type == "realtime.call.incoming"
    SERVICE.verify(request, "", now_s)
    with pytest.raises(openai.InvalidWebhookSignatureError):
        client.webhooks.verify_signature(BODY + b" ", dict(request.headers))


def test_one_of_several_signatures_is_enough():
    SERVICE.verify(webhook(signature="v1,bm90IGl0 " + sign(SECRET, "wh_1", NOW_S, BODY)), "", NOW_S)


def test_every_change_to_what_is_signed_is_refused():
    for changed in one_byte_changes(BODY):
        if changed != BODY:
            refused(webhook(changed))
    headers = webhook().headers
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        for changed in one_byte_changes(headers[name].encode()):
            if changed != headers[name].encode():
                refused(replace(webhook(), headers={**headers, name: changed.decode("latin-1")}))


@pytest.mark.parametrize("at_s", [NOW_S - 301, NOW_S + 301])
def test_a_signature_is_of_now(at_s):
    stale = webhook(at=str(at_s), signature=sign(SECRET, "wh_1", at_s, BODY))
    assert "clock" in refused(stale).hint


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_what_is_missing_is_refused(missing):
    request = webhook()
    headers = {name: one for name, one in request.headers.items() if name != missing}
    assert refused(replace(request, headers=headers)).code == 401


def test_a_secret_that_is_none_checks_nothing():
    for secret in ("", "whsec_"):
        empty = webhook(signature=sign(secret, "wh_1", NOW_S, BODY))
        refused(empty, OpenAiSip(replace(ACCOUNT, webhook_secret=secret)))
    with pytest.raises(ConfigError):
        replace(ACCOUNT, webhook_secret="whsec_no base64!")
    assert "secret" not in repr(ACCOUNT)
    assert "the api key" not in repr(ACCOUNT)


def test_a_call_is_offered_with_its_headers():
    expected = Offered("rtc_1", "+15550100123", "+15550111123", caller_name="Ann", headers=HEADERS)
    assert SERVICE.hook("voice", webhook()) == (expected,)
    other = json.dumps({**EVENT, "type": "response.completed"}).encode()
    assert SERVICE.hook("voice", webhook(other)) == ()


@pytest.mark.parametrize("value", ["", "<<<", "anonymous", "<sip:anonymous@anonymous.invalid>", "\x00"])
def test_a_caller_that_can_not_be_read_is_nobody_or_a_name(value):
    event = {**EVENT, "data": {"call_id": "rtc_1", "sip_headers": [{"name": "From", "value": value}]}}
    [offered] = SERVICE.hook("voice", webhook(json.dumps(event).encode()))
    assert isinstance(offered, Offered)
    assert offered.caller in ("", "anonymous")


def asked(order: Any) -> tuple[str, str, Any]:
    assert order.headers["authorization"] == "Bearer the api key"
    return order.method, order.url.removeprefix("https://api.openai.com/v1/realtime/calls/"), json.loads(order.body)


def test_a_call_is_taken_refused_handed_on_and_ended():
    offered = Offered("rtc_1")
    [accept] = SERVICE.connect(offered, LINKS).calls
    method, path, session = asked(accept)
    assert (method, path) == ("POST", "rtc_1/accept")
    assert (session["type"], session["model"]) == ("realtime", "gpt-realtime")
    assert session["audio"]["input"]["transcription"] == {"model": "gpt-transcribe", "language": "de"}
    [reject] = SERVICE.refuse(offered, 486).calls
    assert asked(reject) == ("POST", "rtc_1/reject", {"status_code": 486})
    assert [asked(one) for one in SERVICE.hang_up("rtc_1")] == [("POST", "rtc_1/hangup", {})]
    for target, uri in (("+15550122", "tel:+15550122"), ("sip:desk@pbx.example", "sip:desk@pbx.example")):
        [refer] = SERVICE.transfer("rtc_1", target, "", LINKS)
        assert asked(refer) == ("POST", "rtc_1/refer", {"target_uri": uri})


def test_the_socket_of_a_call_is_where_its_key_is_in_no_address():
    order = SERVICE.control("rtc_1&x=2")
    assert order.url == "wss://api.openai.com/v1/realtime?call_id=rtc_1%26x%3D2"
    assert order.headers == {"authorization": "Bearer the api key"}
    assert SERVICE.probe().url == "https://api.openai.com/v1/models/gpt-realtime"


@pytest.mark.parametrize("text", [text[:300] for text in TEXTS if text], ids=range(len(TEXTS) - 1))
def test_whatever_a_name_holds_it_stays_in_its_place(text):
    for order in (*SERVICE.hang_up(text), *SERVICE.transfer(text, text, text, LINKS)):
        assert order.url.startswith("https://api.openai.com/v1/realtime/calls/")
        assert order.url.count("/") == 7
        assert order.url.isascii()


def test_whatever_a_webhook_holds_it_is_read_or_refused():
    chance = Random(1)
    for _ in range(2000):
        body = json.dumps(mangled(EVENT, chance)).encode()
        with contextlib.suppress(ProtocolError):
            SERVICE.hook("voice", webhook(body))
