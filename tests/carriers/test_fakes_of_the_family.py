"""Calls that come through fakes of SignalWire, Telnyx, Plivo and Exotel, in virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import offhook
from carriers.clerk import Clerk, busy, live
from offhook.call.events import Ended
from offhook.carriers.services.stream import Encoding
from offhook.core.errors import CallEnded, DialFailed, TransferFailed
from offhook.testing.carriers import FakeExotel, FakePlivo, FakeService, FakeSignalWire, FakeTelnyx, FakeTexml

HANDING: list[type[Any]] = [FakeSignalWire, FakeTelnyx, FakeTexml, FakePlivo]
ALL: list[type[Any]] = [*HANDING, FakeExotel]
NAMES: dict[type[FakeService], dict[str, str]] = {
    FakeTelnyx: {"busy": "user_busy"},
}
"""How a service calls what becomes of a call, where it is not called so."""


WIDE: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "signalwire at 16 kHz": (FakeSignalWire, {"codec": "L16@16000h"}),
    "signalwire at 24 kHz": (FakeSignalWire, {"codec": "L16@24000h"}),
    "plivo at 8 kHz": (FakePlivo, {"codec": "L16/8000"}),
    "plivo at 16 kHz": (FakePlivo, {"codec": "L16/16000"}),
    "telnyx in µ-law": (FakeTelnyx, {"heard": Encoding()}),
}


@pytest.mark.parametrize("how", WIDE)
def test_a_caller_is_heard_in_each_encoding(how: str) -> None:
    fake, options = WIDE[how]

    async def greeter(call: offhook.Call) -> None:
        heard = await call.ask("how many people", timeout_s=10)
        await call.hangup(f"a table for {heard} goodbye")

    async def main() -> None:
        async with fake(greeter, **options) as phone:
            caller = await phone.call()
            await caller.hears("how many people")
            await caller.says("four")
            await caller.hears("a table for four goodbye")
            await caller.gone()

    live(main)


@pytest.mark.parametrize("fake", ALL)
def test_a_caller_is_greeted_and_let_go(fake: type[Any]) -> None:
    async def greeter(call: offhook.Call) -> None:
        assert call.caller == "+15550001111"
        digit = await call.gather("press a key", digits=1, timeout_s=8)
        await call.hangup(f"you pressed {digit} goodbye")

    async def main() -> None:
        async with fake(greeter) as phone:
            caller = await phone.call()
            await caller.hears("press a key")
            await caller.waits(0.5)
            caller.presses("7")
            await caller.hears("you pressed 7 goodbye")
            await caller.gone()
            assert phone.board.refused == {}

    live(main)


@pytest.mark.parametrize("fake", ALL)
def test_a_caller_who_hangs_up_is_gone(fake: type[Any]) -> None:
    ended: list[str] = []

    async def greeter(call: offhook.Call) -> None:
        await call.say("good evening")
        await call.ask("anything else", timeout_s=60)

    async def main() -> None:
        async with fake(greeter) as phone:
            caller = await phone.call()
            await caller.hears("good evening")
            await caller.hangs_up()
            await asyncio.sleep(5)
            ended.extend(event.reason for event in phone.events if type(event).__name__ == "Ended")
            hangups = [order for order in phone.asked if order.method == "DELETE" or b"completed" in order.body]
            assert not hangups
            assert not [order for order in phone.asked if order.url.endswith("/hangup")]

    live(main)
    assert ended == ["remote_hangup"]


@pytest.mark.parametrize("comes", [True, False])
def test_a_call_whose_audio_ends_or_never_comes_is_ended_at_the_service(comes: bool) -> None:
    """Telnyx goes on with a call that it streams no more: nobody would be there, and the minutes be paid."""

    class Lossy(FakeTelnyx):
        def dial_socket(self, name: str, tongue: Any, request: Any) -> Any:
            end = super().dial_socket(name, tongue, request)
            asyncio.get_running_loop().call_later(3.0 if comes else 0.0, self.close_socket, end)
            return end

    async def greeter(call: offhook.Call) -> None:
        await call.ask("good evening", timeout_s=60)

    async def main() -> None:
        async with Lossy(greeter) as phone:
            await phone.call()
            await asyncio.sleep(20)
            assert [order.url.rpartition("/")[2] for order in phone.asked] == ["answer", "hangup"]
            assert all(end.over for end in phone.ends.values())

    live(main)


@pytest.mark.parametrize(("fake", "code"), [*((fake, 486) for fake in HANDING), (FakeExotel, 480)])
def test_a_busy_agent_is_busy(fake: type[Any], code: int) -> None:
    async def main() -> None:
        async with fake(busy) as phone:
            with pytest.raises(DialFailed) as failed:
                await phone.call()
            assert failed.value.code == code

    live(main)


@pytest.mark.parametrize("line", ["answers", "busy"])
@pytest.mark.parametrize("fake", HANDING)
def test_a_transfer_is_the_services_and_a_failed_one_brings_the_caller_back(fake: type[Any], line: str) -> None:
    clerk = Clerk()

    async def main() -> None:
        async with fake(clerk) as phone:
            phone.lines["+15559990000"] = NAMES.get(fake, {}).get(line, line)
            caller = await phone.call()
            await caller.hears("one moment")
            if line == "busy":
                await caller.hears("nobody is there goodbye")
            await caller.gone()
            assert phone.board.refused == {}

    live(main)
    assert clerk.outcomes == (["done"] if line == "answers" else [486])


@pytest.mark.parametrize("line", ["answers", "busy"])
@pytest.mark.parametrize("fake", ALL)
def test_a_call_of_ours_is_placed(fake: type[Any], line: str) -> None:
    async def seller(call: offhook.Call) -> None:
        await call.hangup("hello there goodbye")

    async def main() -> None:
        async with fake(seller) as phone:
            phone.lines["+15559990000"] = NAMES.get(fake, {}).get(line, line)
            name = phone.service().name
            dialling = asyncio.ensure_future(phone.board.dial(name, "+15559990000", seller, caller="+15550001111"))
            if line == "busy":
                with pytest.raises(DialFailed) as failed:
                    await dialling
                assert failed.value.code == 486
                return
            await asyncio.sleep(2.5)  # it rings for two seconds
            caller = phone.caller(next(iter(phone.ends.values())))
            await caller.hears("hello there goodbye")
            await caller.gone()
            await dialling

    live(main)


def test_a_webhook_that_is_sent_again_asks_the_api_nothing_again() -> None:
    async def waits(call: offhook.Call) -> None:
        await call.say("Good evening.")
        await asyncio.sleep(5)

    async def main() -> None:
        async with FakeTelnyx(waits) as phone:
            await phone.call()
            before = [order.url for order in phone.asked]
            (call,) = phone.ends
            reply = await phone.hook(phone.event("call.initiated", call))
            assert (reply.status, [order.url for order in phone.asked]) == (200, before)

    live(main)


# Exotel hands calls on by its flow


def exotel_hands_on(target: str, **options: Any) -> tuple[list[object], list[str], list[str]]:
    """Give what the agent was told, whom the flow has called, and how the call ended."""
    outcomes: list[object] = []
    ended: list[str] = []
    connected: list[str] = []

    async def clerk(call: offhook.Call) -> None:
        await call.say("one moment")
        try:
            await call.transfer(target)
            outcomes.append("done")
        except TransferFailed as failed:
            outcomes.append(failed.code)
            await call.hangup("nobody is there goodbye")

    async def main() -> None:
        async with FakeExotel(clerk, dial=("+", "sip:*@pbx.example"), **options) as phone:
            caller = await phone.call()
            await caller.hears("one moment")
            await caller.gone()
            await asyncio.sleep(2)
            ended.extend(event.reason for event in phone.events if isinstance(event, Ended))
            connected.extend(phone.connected)
            board: Any = phone.board
            assert board.refused == {}
            assert board.waiting == 0

    live(main)
    return outcomes, connected, ended


def test_the_flow_of_exotel_asks_whom_to_call_and_is_told() -> None:
    told = exotel_hands_on("+919876543210", connects=True)
    assert told == (["done"], ["+919876543210"], ["transferred"])


def test_nobody_is_called_whom_exotels_flow_can_not_call() -> None:
    outcomes, connected, ended = exotel_hands_on("sip:desk@pbx.example", connects=True)
    assert outcomes != ["done"]
    assert (connected, ended) == ([], ["hangup"])


def test_a_flow_that_asks_nothing_has_lost_the_caller_and_the_call_is_over() -> None:
    raised: list[str] = []

    async def main() -> None:
        async def clerk(call: offhook.Call) -> None:
            try:
                await call.transfer("+919876543210")
            except CallEnded as error:
                raised.append(str(error))

        async with FakeExotel(clerk, connects=True) as phone:
            await phone.call()
            phone.connects = False  # somebody has taken the applet out of the flow
            await asyncio.sleep(60)
            assert [event.reason for event in phone.events if isinstance(event, Ended)] == ["stalled"]

    live(main)
    assert raised == ["the service's flow has not asked whom to call"]


def test_a_flow_that_asks_though_nobody_was_wanted_is_told_so() -> None:
    async def main() -> None:
        async def brief(call: offhook.Call) -> None:
            await call.hangup("goodbye")

        async with FakeExotel(brief, connects=True) as phone:
            caller = await phone.call()
            await caller.hears("goodbye")
            await caller.gone()
            assert phone.connected == []

    live(main)
