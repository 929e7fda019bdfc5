"""A turn of ours is a document that Vonage takes, and what it tells of the caller's turn is read."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from carriers.services.hostile import TEXTS
from carriers.services.vonage.test_documents import LINKS, OFFERED, check
from carriers.services.vonage.test_signature import ACCOUNT
from offhook.agent.orders import Wait
from offhook.carriers.services.http import Request
from offhook.carriers.services.service import Said, Speaking
from offhook.carriers.services.turn import Again, Connect, Leave, Turn
from offhook.carriers.services.vonage import vonage
from offhook.carriers.services.vonage.words import VonageWords

SERVICE = VonageWords(replace(ACCOUNT, way="turns"))
WORDS, KEYS = Wait(True, 0, "", 8000), Wait(False, 4, "#", 90_000)


def spoken(turn: Turn) -> list[Any]:
    answered = SERVICE.speak(turn, LINKS)
    assert answered.content_type == "application/json"
    return check(answered.body)


def test_it_is_a_service_that_speaks() -> None:
    assert isinstance(SERVICE, Speaking)
    assert SERVICE.way == "turns"
    assert isinstance(vonage(SERVICE.account), Speaking)
    assert not isinstance(vonage(ACCOUNT), Speaking)


def test_the_caller_may_speak_or_press_and_so_stop_us() -> None:
    talk, take_in = spoken(Turn(("At what time?",), WORDS))
    assert (talk["text"], talk["bargeIn"]) == ("At what time?", True)
    assert (take_in["type"], take_in["eventUrl"]) == (["dtmf", "speech"], [f"{LINKS.hook}/said"])
    assert take_in["speech"]["startTimeout"] == 8


def test_keys_that_are_gathered_are_gathered_alone() -> None:
    _, take_in = spoken(Turn(("Your PIN?",), KEYS))
    assert take_in["type"] == ["dtmf"]
    assert take_in["dtmf"] == {"maxDigits": 4, "timeOut": 10, "submitOnHash": True}


def test_the_end_a_transfer_and_more_to_come() -> None:
    assert [one["action"] for one in spoken(Turn(("Bye.",), Leave()))] == ["talk"]
    assert spoken(Turn((), Leave())) == []
    assert spoken(Turn((), Connect("+447700900002")))[0]["eventUrl"] == [f"{LINKS.hook}/transfer"]
    assert spoken(Turn(("Wait.",), Again()))[1]["eventUrl"] == [f"{LINKS.hook}/again"]
    assert json.loads(SERVICE.connect(OFFERED, LINKS).response.body)[0]["action"] == "notify"


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_whatever_is_said_the_document_is_one_of_vonages(text: str) -> None:
    for then in (WORDS, KEYS, Leave(), Again()):
        spoken(Turn((text, text), then))


def test_what_the_caller_said_and_pressed_comes_back() -> None:
    told = {"uuid": "u", "speech": {"results": [{"text": "at eight", "confidence": "0.9"}]}, "dtmf": {"digits": None}}
    request = Request("POST", "/said", {"content-type": "application/json"}, json.dumps(told).encode())
    assert SERVICE.hook("said", request) == (Said("u", "at eight"),)
    silent = {"uuid": "u", "speech": {"timeout_reason": "start_timeout"}, "dtmf": {"digits": "", "timed_out": True}}
    request = Request("POST", "/said", {"content-type": "application/json"}, json.dumps(silent).encode())
    assert SERVICE.hook("said", request) == (Said("u"),)
