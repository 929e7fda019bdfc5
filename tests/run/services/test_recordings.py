"""Recordings that services make when they are told to: begun, paused, ended, told of, looked up and erased."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, cast
from urllib.parse import urlsplit

import pytest

import offhook
from offhook.call import events
from offhook.carriers.services.recording import Recording
from offhook.core.errors import CallEnded, NotAllowed, ProviderError
from offhook.run.services import Switchboard
from offhook.run.services.recordings import record, recorded
from offhook.testing.carriers import FAKES, FakeTwilio
from offhook.testing.loop import VirtualLoop

RECORDING: Final = ("twilio", "signalwire", "texml", "telnyx", "plivo")


class Office:
    """A host at which a call is up."""

    def __init__(self, phone: Any) -> None:
        self.phone = phone
        self.board = cast("Switchboard", phone.board)
        self.name = phone.service().name

    async def does(self, step: Any) -> None:
        (call,) = self.board.host.conversations.calls
        await record(self.board, call, step)

    @property
    def states(self) -> list[str]:
        return list(self.phone.recordings.values())

    async def told(self) -> events.Recorded:
        await asyncio.sleep(1)
        (event,) = [event for event in self.phone.events if isinstance(event, events.Recorded)]
        return event


async def talker(call: offhook.Call) -> None:
    await call.say("good evening")
    await asyncio.Event().wait()


def story(name: str, main: Callable[[Office], Coroutine[Any, Any, None]], **options: Any) -> None:
    async def run() -> None:
        async with FAKES[name](talker, **options) as phone:
            words = options.get("way")
            caller = await (cast("FakeTwilio", phone).call_in_words() if words else phone.call())
            await caller.hears("good evening")
            office = Office(phone)
            await main(office)
            if not caller.over:
                await caller.hangs_up()
            asked = {urlsplit(order.url).netloc for order in phone.asked}
            assert asked <= {urlsplit(cast("Any", phone.service()).api).netloc}, "no address of a webhook's is asked"

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(limit_s=600.0)) as runner:
        runner.run(run())


async def records(office: Office, *, pauses: bool) -> None:
    await office.does("start")
    assert office.states == ["in-progress"]
    for step, state in (("pause", "paused"), ("resume", "in-progress"), ("pause", "paused")):
        if pauses:
            await office.does(step)
            assert office.states == [state]
        else:
            with pytest.raises(NotAllowed, match=f"{step} a recording"):
                await office.does(step)
    await office.does("stop")
    assert office.states == ["stopped"]
    told = await office.told()
    assert told.url.startswith("https://elsewhere.example/")
    assert list(office.phone.recordings) == [told.recording]
    assert told.recording in str(await recorded(office.board, office.name, told.recording))
    for _ in range(2):  # once it is gone, that it is gone is as good
        await recorded(office.board, office.name, told.recording, erase=True)
        assert office.phone.recordings == {}
    with pytest.raises(ProviderError, match="404"):
        await recorded(office.board, office.name, told.recording)


@pytest.mark.parametrize("name", RECORDING)
def test_a_call_is_recorded_by_its_service_from_one_word_to_another(name: str) -> None:
    story(name, lambda office: records(office, pauses=name != "plivo"))


@pytest.mark.parametrize("name", ["twilio", "texml"])
@pytest.mark.parametrize("way", ["relay", "turns"])
def test_so_is_one_whose_sound_never_comes_here(name: str, way: str) -> None:
    story(name, lambda office: records(office, pauses=True), way=way)


def test_these_are_the_services_that_record() -> None:
    def whole(name: str) -> bool:
        return isinstance(FAKES[name](None).service(), Recording)

    assert {name for name in FAKES if whole(name)} == set(RECORDING)


@pytest.mark.parametrize("name", ["vonage", "jambonz", "exotel"])
def test_who_has_no_such_api_says_so(name: str) -> None:
    async def main(office: Office) -> None:
        with pytest.raises(NotAllowed, match=name):
            await office.does("start")
        with pytest.raises(NotAllowed, match=name):
            await recorded(office.board, office.name, "r-1", erase=True)

    story(name, main)


@pytest.mark.parametrize("name", RECORDING)
def test_what_is_over_is_not_recorded(name: str) -> None:
    async def main(office: Office) -> None:
        (call,) = office.board.host.conversations.calls
        await office.board.host.conversations.calls[call].hangup()
        await asyncio.sleep(2)
        with pytest.raises(CallEnded):
            await record(office.board, call, "start")
        with pytest.raises(NotAllowed):
            await recorded(office.board, office.name, "")

    story(name, main)


def test_a_recording_that_the_service_began_itself_is_paused_where_it_has_a_word_for_that() -> None:
    async def main(office: Office) -> None:
        if office.name == "twilio":
            with pytest.raises(CallEnded):  # it does not know of one
                await office.does("pause")
        else:
            with pytest.raises(NotAllowed):
                await office.does("pause")

    story("twilio", main)
    story("signalwire", main)
