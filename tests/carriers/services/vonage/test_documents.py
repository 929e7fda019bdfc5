"""Every control document is one that Vonage's own models take, whatever its fields hold."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from vonage_voice.models import ncco as models
from vonage_voice.models import requests

from carriers.services.hostile import TEXTS
from carriers.services.vonage.test_signature import ACCOUNT
from offhook.carriers.services.service import Links, Offered, Placement
from offhook.carriers.services.vonage import Vonage, documents

LINKS = Links("wss://offhook.example/services/vonage/media/t0ken", "https://offhook.example/services/vonage/k3y")
OFFERED = Offered("aaaaaaaa-bbbb-cccc-dddd-0123456789ab", "+447700900000", "+447700900001")
MODELS = {
    "record": models.Record,
    "conversation": models.Conversation,
    "connect": models.Connect,
    "talk": models.Talk,
    "stream": models.Stream,
    "input": models.Input,
    "notify": models.Notify,
    "wait": models.Wait,
    "transfer": models.Transfer,
}
ALIASES = {"content-type": "contentType", "from": "from_"}


def renamed(value: Any) -> Any:
    """Write a document as the models are called in Python: their names on the wire are for writing alone."""
    if isinstance(value, dict):
        return {ALIASES.get(name, name): renamed(one) for name, one in value.items()}
    return [renamed(one) for one in value] if isinstance(value, list) else value


def check(document: bytes) -> list[dict[str, Any]]:
    """Read a document as Vonage would: each action by its model, nothing lost on the way."""
    actions = json.loads(document)
    for action in actions:
        model = MODELS[action["action"]].model_validate(renamed(action))
        written = json.loads(model.model_dump_json(by_alias=True, exclude_unset=True))
        assert written | {"action": action["action"]} == action
    return actions


def endpoint(target: str = "+447700900002") -> documents.Action:
    return documents.called(target)


def every_action(text: str) -> list[documents.Action]:
    return [
        documents.record(text, format="mp3", beep=True),
        *documents.talk(text, language=text, style=2, barge_in=True),
        documents.take_in(text, keys=4, speech=text, hints=[text, text]),
        documents.take_in(text, keys=4),
        documents.take_in(text, speech="en-GB"),
        documents.stream(text, level=-3, loop=-1),
        documents.connect(documents.websocket(text, 16000, {"call": text, text: text}), text, text),
        documents.connect(endpoint(), "447700900000", text, detect={"behavior": "continue", "mode": "detect"}),
        documents.connect(endpoint("sip:agent@pbx.example;transport=tls"), text, text, ring_s=900),
        documents.conversation(text, end=True, record=True, mute=True),
        documents.notify({"mark": text, text: text}, text),
        documents.wait(1e9),
        documents.transfer(text),
    ]


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_every_action_is_one_of_vonages_with_whatever_text(text):
    actions = check(documents.document(*every_action(text)))
    assert {action["action"] for action in actions} >= set(MODELS) - ({"talk"} if not text else set())


def test_a_text_that_is_too_long_is_said_in_pieces_and_all_of_it():
    text = " ".join(f"word{number}" for number in range(1000))
    actions = check(documents.document(*documents.talk(text)))
    assert len(actions) > 1
    assert " ".join(action["text"] for action in actions) == text
    assert "".join(action["text"] for action in documents.talk("x" * 4000)) == "x" * 4000


@pytest.mark.parametrize("rate_hz", [8000, 16000, 24000])
def test_a_call_is_joined_to_our_socket_at_each_rate(rate_hz):
    answer = Vonage(replace(ACCOUNT, rate_hz=rate_hz)).connect(OFFERED, LINKS)
    [action] = check(answer.response.body)
    [socket] = action["endpoint"]
    assert answer.response.content_type == "application/json"
    assert socket["content-type"] == f"audio/l16;rate={rate_hz}"
    assert socket["uri"] == LINKS.media
    assert socket["authorization"] == {"type": "vonage"}
    assert socket["headers"] == {"call": OFFERED.call, "caller": OFFERED.caller, "called": OFFERED.called}
    assert action["eventUrl"] == [f"{LINKS.hook}/after"]
    assert action["from"] == "447700900001"


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_the_headers_of_a_socket_keep_to_their_limit(text):
    for offered in (Offered(text, text, text), Offered("call-1", text, text)):
        [action] = check(Vonage(ACCOUNT).connect(offered, LINKS).response.body)
        [socket] = action["endpoint"]
        assert len(json.dumps(socket["headers"])) <= documents.HEADERS_LIMIT
    assert socket["headers"]["call"] == "call-1"


def test_a_call_that_is_refused_has_nothing_to_do():
    assert check(Vonage(ACCOUNT).refuse(OFFERED, 486).response.body) == []


def test_an_event_is_answered_with_nothing():
    response = Vonage(ACCOUNT).heed(None)
    assert (response.status, response.body) == (200, b"")


@pytest.mark.parametrize("target", ["+447700900002", "sip:desk@pbx.example"])
def test_a_transfer_is_another_document_for_the_leg(target):
    [asked] = Vonage(ACCOUNT).transfer(OFFERED.call, target, OFFERED.called, LINKS)
    told = json.loads(asked.body)
    assert (asked.method, asked.url) == ("PUT", f"https://api.nexmo.com/v1/calls/{OFFERED.call}")
    assert (told["action"], told["destination"]["type"]) == ("transfer", "ncco")
    [action] = check(json.dumps(told["destination"]["ncco"]).encode())
    assert action["eventUrl"] == [f"{LINKS.hook}/transfer"]
    assert action["eventType"] == "synchronous"


@pytest.mark.parametrize("caller", ["+447700900000", ""])
@pytest.mark.parametrize("detect", ["", "sync", "async"])
def test_a_call_that_we_place_is_one_that_vonage_takes(caller, detect):
    asked = Vonage(ACCOUNT).dial(Placement("+447700900002", caller, 30, detect), LINKS)
    told = json.loads(asked.body)
    assert (asked.method, asked.url) == ("POST", "https://api.nexmo.com/v1/calls")
    model = requests.CreateCallRequest.model_validate(renamed(told))
    written = json.loads(model.model_dump_json(by_alias=True, exclude_unset=True))
    assert written == told | {"to": written["to"]}
    assert told["to"] == [{"type": "phone", "number": "447700900002"}]
    modes = {"": None, "sync": "detect", "async": "default"}
    assert told.get("advanced_machine_detection", {}).get("mode") == modes[detect]


@pytest.mark.parametrize("text", [one for one in TEXTS if one], ids=str)
def test_what_stands_in_a_path_stays_in_its_place(text):
    [asked] = Vonage(ACCOUNT).hang_up(text[:200])
    assert urlsplit(asked.url).netloc == "api.nexmo.com"
    assert asked.url.count("/") == 5
    assert urlsplit(asked.url).query == ""
    assert json.loads(asked.body) == {"action": "hangup"}


def test_the_region_is_asked_where_one_is_named():
    [asked] = Vonage(replace(ACCOUNT, api="https://api-eu.vonage.com/")).hang_up("1")
    assert asked.url == "https://api-eu.vonage.com/v1/calls/1"
