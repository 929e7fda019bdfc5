"""Fakes of managed services, for tests of agents and of ourselves: each speaks its service's own words.

async with FakeTwilio(agent) as phone:
    await phone.call()
    await phone.hear("good evening")
    await phone.say("a table for two")

`phone.call` gives the caller, who can do more, and be one of several.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from offhook.testing.carriers.ari import FakeAri
from offhook.testing.carriers.direct import FakeAsterisk, FakeAudioSocket, FakeFreeSwitch, FakeGenesys
from offhook.testing.carriers.exotel import FakeExotel
from offhook.testing.carriers.jambonz import FakeJambonz
from offhook.testing.carriers.openai import FakeOpenAi
from offhook.testing.carriers.plivo import FakePlivo
from offhook.testing.carriers.service import FakeService
from offhook.testing.carriers.signalwire import FakeSignalWire
from offhook.testing.carriers.telnyx import FakeTelnyx
from offhook.testing.carriers.texml import FakeTexml
from offhook.testing.carriers.twilio import FakeTwilio
from offhook.testing.carriers.vonage import FakeVonage

FAKES: Final[Mapping[str, type[FakeService]]] = {
    "exotel": FakeExotel,
    "plivo": FakePlivo,
    "signalwire": FakeSignalWire,
    "telnyx": FakeTelnyx,
    "texml": FakeTexml,
    "twilio": FakeTwilio,
    "vonage": FakeVonage,
    "jambonz": FakeJambonz,
    "genesys": FakeGenesys,
    "freeswitch": FakeFreeSwitch,
    "asterisk": FakeAsterisk,
    "ari": FakeAri,
    "audiosocket": FakeAudioSocket,
}
"""The fakes whose calls carry audio, by the service's name; Telnyx and Asterisk have two ways."""

__all__ = [
    "FAKES",
    "FakeAri",
    "FakeExotel",
    "FakeJambonz",
    "FakeOpenAi",
    "FakePlivo",
    "FakeService",
    "FakeSignalWire",
    "FakeTelnyx",
    "FakeTexml",
    "FakeTwilio",
    "FakeVonage",
]
