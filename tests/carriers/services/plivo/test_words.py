"""A turn of ours is a document that Plivo's own library can build, and what came of the caller's turn is read."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from carriers.services.oddities import HOSTILE
from carriers.services.plivo.test_service import LINKS, rebuild
from offhook.agent.orders import Wait
from offhook.carriers.services.http import Request
from offhook.carriers.services.plivo import PlivoAccount
from offhook.carriers.services.plivo.words import PlivoWords
from offhook.carriers.services.service import Offered, Said, Speaking
from offhook.carriers.services.turn import Again, Connect, Leave, Turn
from offhook.core.errors import ProtocolError

SERVICE = PlivoWords(PlivoAccount("MAXX", "tok"))
WORDS, KEYS = Wait(True, 0, "", 8000), Wait(False, 4, "#", 1000)


def spoken(turn: Turn) -> Any:
    return rebuild(SERVICE.speak(turn, LINKS).body)


def came(kind: str, **said: str) -> Any:
    return SERVICE.hook(kind, Request("POST", "/", {}, urlencode(said).encode()))


def test_it_is_a_service_that_speaks() -> None:
    assert isinstance(SERVICE, Speaking)


def test_the_caller_may_speak_or_press_while_we_speak_and_silence_is_told() -> None:
    get_input, silence = spoken(Turn(("At what time?",), WORDS))
    assert (get_input.tag, get_input.attrib["inputType"], get_input[0].text) == (
        "GetInput",
        "dtmf speech",
        "At what time?",
    )
    assert silence.text == get_input.attrib["action"] == f"{LINKS.hook}/said"


def test_keys_that_are_gathered_are_gathered_alone() -> None:
    get_input, _ = spoken(Turn(("Your PIN?",), KEYS))
    given = [get_input.attrib[name] for name in ("inputType", "numDigits", "finishOnKey", "executionTimeout")]
    assert given == ["dtmf", "4", "#", "5"]


def test_the_end_a_transfer_and_more_to_come() -> None:
    def tags(turn: Turn) -> list[str]:
        return [element.tag for element in spoken(turn)]

    assert tags(Turn(("Bye.",), Leave())) == ["Speak", "Hangup"]
    assert tags(Turn((), Connect("+15550000001"))) == ["Dial"]
    assert tags(Turn(("Wait.",), Again())) == ["Speak", "Redirect"]
    assert [element.tag for element in rebuild(SERVICE.connect(Offered("u"), LINKS).response.body)] == ["Redirect"]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_whatever_is_said_the_document_is_one_of_plivos(text: str) -> None:
    for then in (WORDS, KEYS, Leave(), Again()):
        spoken(Turn((text, text), then))


def test_what_the_caller_said_and_pressed_comes_back() -> None:
    assert came("said", CallUUID="u", InputType="speech", Speech="at eight") == (Said("u", "at eight"),)
    assert came("said", CallUUID="u", InputType="dtmf", Digits="1234") == (Said("u", keys="1234"),)
    assert came("said", CallUUID="u") == (Said("u"),)
    assert came("again", CallUUID="u") == ()
    with pytest.raises(ProtocolError):
        came("said", Speech="whose?")
