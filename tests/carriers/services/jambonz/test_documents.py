"""Every control document keeps to jambonz' own schema, whatever its fields hold; what its API is asked."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from jambonz_sdk.validator import JambonzValidator

from carriers.services.hostile import TEXTS
from carriers.services.jambonz.test_signature import ACCOUNT, SERVICE
from offhook.carriers.services.http import ApiReply, Request
from offhook.carriers.services.jambonz import documents
from offhook.carriers.services.service import Links, Offered, Placement
from offhook.core.errors import DialFailed, ProtocolError

LINKS = Links("wss://offhook.example/services/jambonz/media/t0ken", "https://offhook.example/services/jambonz/k3y")
VALIDATOR = JambonzValidator()


def check(document: bytes) -> list[dict[str, Any]]:
    verbs = json.loads(document)
    assert [VALIDATOR.validate_verb(verb) for verb in verbs] == [[] for _ in verbs]
    assert not verbs or VALIDATOR.validate_app(verbs) == []
    return verbs


def every_verb(text: str) -> list[documents.Verb]:
    return [
        documents.listen(text, text, 16000, text, text),
        documents.dial("+15550122", text, text),
        documents.dial("sip:" + text, "", text, ring_s=30),
        documents.say(text, language=text),
        documents.say(text),
        documents.gather(text, keys=4, prompt=text),
        documents.gather(text, speech=False),
        documents.pause(1.5),
        documents.redirect(text),
        documents.decline(486),
        documents.decline(699),
        documents.hangup(),
    ]


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_every_verb_is_one_of_jambonz_with_whatever_text(text):
    check(documents.document(*every_verb(text)))


def test_the_schema_refuses_what_is_none():
    assert VALIDATOR.validate_verb({"verb": "listen"}) != []
    assert VALIDATOR.validate_verb({"verb": "dial", "target": []}) != []


def test_a_call_is_brought_to_our_socket():
    answer = SERVICE.connect(Offered("c-1"), LINKS)
    [listen] = check(answer.response.body)
    assert answer.response.content_type == "application/json"
    assert (listen["url"], listen["actionHook"]) == (LINKS.media, f"{LINKS.hook}/after")
    assert listen["bidirectionalAudio"] == {"enabled": True, "streaming": True, "sampleRate": 16000}
    assert listen["wsAuth"] == {"username": "offhook", "password": ACCOUNT.socket_password}
    assert listen["passDtmf"] is True


def test_a_call_is_refused_with_its_status_and_one_of_ours_is_ended():
    assert check(SERVICE.refuse(Offered("c-1"), 486).response.body) == [
        {"verb": "sip:decline", "status": 486, "reason": "Busy Here"}
    ]
    assert check(SERVICE.refuse(Offered("c-1", direction="outbound"), 486).response.body) == [{"verb": "hangup"}]
    assert SERVICE.heed(None).body == b"[]"


def asked(order: Any) -> tuple[str, str, dict[str, Any]]:
    assert order.headers["authorization"] == "Bearer the api key"
    return order.method, order.url.removeprefix("https://jambonz.cloud/api/v1/Accounts/acc-1"), json.loads(order.body)


def test_a_call_is_ended():
    [order] = SERVICE.hang_up("c-1")
    assert asked(order) == ("PUT", "/Calls/c-1", {"call_status": "completed"})


def diverted(target: str, caller: str) -> str:
    [order] = SERVICE.transfer("c-1", target, caller, LINKS)
    method, where, said = asked(order)
    assert (method, where, said["call_hook"]["method"]) == ("PUT", "/Calls/c-1", "POST")
    return said["call_hook"]["url"]


@pytest.mark.parametrize("target", ["+15550122", "sip:desk@pbx.example;transport=tls"])
def test_a_transfer_is_asked_for_by_the_call_and_answered_with_its_target(target):
    url = urlsplit(diverted(target, "+15550111"))
    assert f"{url.scheme}://{url.netloc}{url.path}" == f"{LINKS.hook}/dial"
    request = Request("POST", f"{url.path}?{url.query}", {}, b'{"call_sid":"c-1"}')
    [news] = SERVICE.hook("dial", request)
    [dial] = check(SERVICE.heed(news).body)
    assert dial["target"] == [documents.called(target)]
    assert (dial["callerId"], dial["actionHook"]) == ("+15550111", f"{LINKS.hook}/transfer")


@pytest.mark.parametrize("name", ["to", "from", "hook", "proof"])
def test_nobody_else_says_whom_to_call(name):
    url = urlsplit(diverted("+15550122", "+15550111"))
    for changed in ("+19005550100", "", "x" * 64):
        said = "&".join(f"{key}={changed if key == name else value}" for key, value in parse_qsl(url.query))
        with pytest.raises(ProtocolError):
            SERVICE.hook("dial", Request("POST", f"{url.path}?{said}", {}, b'{"call_sid":"c-1"}'))


@pytest.mark.parametrize("detect", ["", "sync", "async"])
def test_a_call_is_placed(detect):
    method, where, said = asked(SERVICE.dial(Placement("+15550122", "+15550111", 30, detect), LINKS))
    assert (method, where) == ("POST", "/Calls")
    assert said["to"] == {"type": "phone", "number": "+15550122"}
    assert said["call_hook"] == {"url": f"{LINKS.hook}/voice", "method": "POST"}
    assert ("amd" in said) == bool(detect)
    assert SERVICE.placed(ApiReply(201, b'{"sid":"c-2"}')) == "c-2"


@pytest.mark.parametrize(("status", "code"), [(400, 404), (401, 403), (429, 503), (500, 500), (201, 500)])
def test_a_call_that_was_not_placed_says_why(status, code):
    with pytest.raises(DialFailed) as failed:
        SERVICE.placed(ApiReply(status, b'{"msg":"no"}'))
    assert failed.value.code == code


@pytest.mark.parametrize("text", [text[:300] for text in TEXTS if text], ids=range(len(TEXTS) - 1))
def test_whatever_a_name_holds_it_stays_in_its_place(text):
    for order in (*SERVICE.hang_up(text), *SERVICE.transfer(text, text, text, LINKS)):
        assert order.url.startswith("https://jambonz.cloud/api/v1/Accounts/acc-1/Calls/")
        assert order.url.count("/") == 8
        assert order.url.isascii()
