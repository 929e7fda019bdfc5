"""Services that hear and speak themselves, chosen in their accounts: each is the same service but for its words."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest

from carriers.services.hostile import TEXTS
from offhook.agent.orders import Wait
from offhook.carriers.services.plivo import PlivoAccount, plivo
from offhook.carriers.services.service import Links, Offered, Speaking
from offhook.carriers.services.signalwire import SignalWireAccount, signalwire
from offhook.carriers.services.telnyx import TelnyxAccount, telnyx
from offhook.carriers.services.turn import Again, Connect, Leave, Turn
from offhook.carriers.services.twilio import TwilioAccount, twilio
from offhook.core.errors import ConfigError

LINKS = Links("wss://a.example/services/x/media/tok", "https://a.example/services/x/key")
ACCOUNTS: dict[str, tuple[Any, Any]] = {
    "twilio": (twilio, TwilioAccount("AC1", "tok")),
    "telnyx": (telnyx, TelnyxAccount("KEY", b64encode(bytes(32)).decode(), "conn", texml=True, account="acc")),
    "signalwire": (signalwire, SignalWireAccount("a.example", "proj", "tok", "PSK_1")),
    "plivo": (plivo, PlivoAccount("MAXX", "tok")),
}
WAYS = [("twilio", "relay"), ("telnyx", "relay"), *((name, "turns") for name in ACCOUNTS)]


def service(name: str, way: str) -> Any:
    make, account = ACCOUNTS[name]
    return make(replace(account, way=way))


def tags(document: bytes) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(document))


@pytest.mark.parametrize(("name", "way"), WAYS)
def test_words_are_a_way_of_the_same_account(name: str, way: str) -> None:
    ours = service(name, way)
    assert (ours.name, ours.way) == (name, way)
    assert isinstance(ours, Speaking)
    assert not isinstance(service(name, "stream"), Speaking)


@pytest.mark.parametrize("name", ["twilio", "telnyx"])
def test_relayed_words_come_to_the_socket(name: str) -> None:
    (connect,) = tags(service(name, "relay").connect(Offered("c"), LINKS).response.body)
    (relay,) = connect
    assert (relay.tag, relay.attrib["url"]) == ("ConversationRelay", LINKS.media)
    assert relay.attrib.get("events") == ("tokens-played" if name == "twilio" else None)


def test_relayed_words_are_recorded_where_each_call_is() -> None:
    ours = twilio(TwilioAccount("AC1", "tok", records=True, way="relay"))
    start, connect = tags(ours.connect(Offered("c"), LINKS).response.body)
    assert start[0].attrib["recordingStatusCallback"] == f"{LINKS.hook}/recording"
    assert connect[0].tag == "ConversationRelay"


@pytest.mark.parametrize("name", ACCOUNTS)
def test_turns_are_documents_that_end_where_the_caller_goes_on(name: str) -> None:
    def spoken(turn: Turn) -> list[ElementTree.Element]:
        return tags(service(name, "turns").speak(turn, LINKS).body)

    hears, silence = spoken(Turn(("At what time?",), Wait(True, 0, "", 8000)))
    assert (hears.tag in {"Gather", "GetInput"}, silence.tag) == (True, "Redirect")
    assert hears.attrib["action"] == silence.text == f"{LINKS.hook}/said"
    assert [one.tag for one in spoken(Turn(("Bye.",), Leave()))][-1] == "Hangup"
    assert spoken(Turn((), Again()))[0].text == f"{LINKS.hook}/again"
    assert spoken(Turn((), Connect("+15550000001")))[0].tag == "Dial"
    for text in TEXTS:
        spoken(Turn((text,), Wait(False, 4, "#", 1000)))


def test_telnyx_has_words_where_documents_rule() -> None:
    with pytest.raises(ConfigError, match="texml"):
        TelnyxAccount("KEY", b64encode(bytes(32)).decode(), way="turns")
