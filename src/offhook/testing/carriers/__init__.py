"""Fakes of managed services, for tests of agents and of ourselves: each speaks its service's own words.

async with FakeTwilio(agent) as phone:
    caller = await phone.call()
    await caller.hears("good evening")
    await caller.says("a table for two")
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from offhook.testing.carriers.jambonz import FakeJambonz
from offhook.testing.carriers.service import FakeService
from offhook.testing.carriers.twilio import FakeTwilio
from offhook.testing.carriers.vonage import FakeVonage

FAKES: Final[Mapping[str, type[FakeService]]] = {
    "twilio": FakeTwilio,
    "vonage": FakeVonage,
    "jambonz": FakeJambonz,
}
"""The fakes whose calls carry audio, by the service's name."""

__all__ = ["FAKES", "FakeJambonz", "FakeService", "FakeTwilio", "FakeVonage"]
