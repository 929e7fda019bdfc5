"""What has answered a call that a service places for us: told by each service that finds out, and dealt with alike."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Coroutine
from math import pi, sin
from typing import Any, Literal, cast

import pytest

import offhook
from offhook.call import events
from offhook.carriers.services.service import Links, Placement
from offhook.run.services import Switchboard
from offhook.testing.callers import Caller
from offhook.testing.carriers import FAKES
from offhook.testing.carriers.service import LISTEN_S
from offhook.testing.loop import VirtualLoop

TO, OURS = "+15557770001", "+15552223333"
What = Literal["human", "machine", "unknown"]
Detect = Literal["sync", "async"]
WORDS: dict[str, dict[What, str]] = {
    "twilio": {"human": "human", "machine": "machine_end_beep", "unknown": "unknown"},
    "signalwire": {"human": "human", "machine": "machine_end_other", "unknown": "unknown"},
    "texml": {"human": "human", "machine": "machine", "unknown": "not_sure"},
    "telnyx": {"human": "human", "machine": "machine", "unknown": "not_sure"},
    "plivo": {"human": "false", "machine": "true"},
    "vonage": {"human": "human", "machine": "machine"},
    "jambonz": {"human": "amd_human_detected", "machine": "amd_machine_detected", "unknown": "amd_decision_timeout"},
}
"""What each service says of who has answered."""
ALWAYS_MEANWHILE = {"jambonz"}
"""Who tells while the call goes on, whatever is asked for."""
CASES: list[tuple[str, What]] = [(name, what) for name, words in WORDS.items() for what in words]
MODES: list[Detect] = ["sync", "async"]


class Office:
    """A host that has calls placed by a service, and who is called."""

    def __init__(self, phone: Any) -> None:
        self.phone = phone
        self._callees: dict[str, Caller] = {}

    async def dial(self, agent: Any, detect: Detect) -> offhook.Call:
        board = cast("Switchboard", self.phone.board)
        return await board.dial(self.phone.service().name, TO, agent, caller=OURS, detect=detect)

    @property
    def callee(self) -> Caller:
        name, end = list(self.phone.ends.items())[-1]
        if name not in self._callees:
            self._callees[name] = self.phone.caller(end)
        return self._callees[name]

    def told(self, kind: type) -> list[Any]:
        return [event for event in self.phone.events if isinstance(event, kind)]


async def nobody(call: offhook.Call) -> None:
    await call.hangup()


def story(name: str, what: What, main: Callable[[Office], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        async with FAKES[name](nobody) as phone:
            phone.answerers[TO] = WORDS[name][what]
            await main(Office(phone))
            assert cast("Switchboard", phone.board).refused == {}

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(limit_s=600.0)) as runner:
        runner.run(run())


def test_every_service_that_says_what_has_answered_is_here() -> None:
    def finds_out(name: str) -> bool:
        service: Any = FAKES[name](None).service()
        if not hasattr(service, "dial"):
            return False
        links = Links("wss://a.example/media/t", "https://a.example/services/x/k")
        return service.dial(Placement(TO, OURS, 30, "async"), links) != service.dial(Placement(TO, OURS, 30), links)

    assert {name for name in FAKES if finds_out(name)} == set(WORDS)


@pytest.mark.parametrize("detect", MODES)
@pytest.mark.parametrize(("name", "what"), [case for case in CASES if case[1] != "machine"])
def test_a_human_and_who_may_be_one_is_spoken_to(name: str, what: What, detect: Detect) -> None:
    found: list[str] = []

    async def curious(call: offhook.Call) -> None:
        found.append(call.answered_by)
        if await call.who_answered(timeout_s=10) != "machine":
            heard = await call.ask("will you come", timeout_s=10)
            await call.hangup(f"you said {heard} goodbye")
        found.append(call.answered_by)

    async def main(office: Office) -> None:
        await office.dial(curious, detect)
        await office.callee.hears("will you come")
        await office.callee.says("four")
        await office.callee.hears("you said four goodbye")
        await office.callee.gone()

    story(name, what, main)
    known_first = detect == "sync" and name not in ALWAYS_MEANWHILE
    assert found == [what if known_first else "", what]


def beep() -> bytes:
    """Make what a machine says and its beep: somebody speaks, one tone alone, silence."""
    voice = [9000 * (sin(2 * pi * 180 * at / 8000) + sin(2 * pi * 410 * at / 8000)) for at in range(8000)]
    tone = [12000 * sin(2 * pi * 1000 * at / 8000) for at in range(3200)]
    return array("h", [round(one) for one in (*voice, *([0] * 1600), *tone, *([0] * 4000))]).tobytes()


@pytest.mark.parametrize("detect", MODES)
@pytest.mark.parametrize("name", WORDS)
def test_a_machine_is_left_a_message_behind_its_beep(name: str, detect: Detect) -> None:
    found: list[object] = []

    async def leaves_a_message(call: offhook.Call) -> None:
        found.append(await call.who_answered(timeout_s=10))
        found.append(await call.beep(timeout_s=20))
        await call.hangup("your table is booked")

    async def main(office: Office) -> None:
        await office.dial(leaves_a_message, detect)
        await asyncio.sleep(2 * LISTEN_S + 1)
        if "machine_beep" not in [event.what for event in office.told(events.AnsweredBy)]:
            office.callee.leg.play(1, beep(), 8000)  # the service has only said that it is a machine
        await office.callee.hears("your table is booked")
        await office.callee.gone()

    story(name, "machine", main)
    assert found == ["machine", True]


@pytest.mark.parametrize("name", WORDS)
def test_a_verdict_that_comes_late_cuts_no_word(name: str) -> None:
    known: list[str] = []

    async def talks(call: offhook.Call) -> None:
        await call.say("one two three four five six seven eight nine ten eleven twelve")
        known.append(call.answered_by)
        await call.hangup("goodbye")

    async def main(office: Office) -> None:
        await office.dial(talks, "async")
        await office.callee.hears("twelve")
        assert len(office.told(events.AnsweredBy)) == 1, "it came while the agent spoke"
        await office.callee.hears("goodbye")
        await office.callee.gone()
        assert office.told(events.Cut) == []
        assert [event.whole for event in office.told(events.Said)] == [True, True]

    story(name, "human", main)
    assert known == ["human"]


@pytest.mark.parametrize("name", WORDS)
def test_a_verdict_behind_the_end_changes_nothing(name: str) -> None:
    async def main(office: Office) -> None:
        await office.dial(nobody, "async")
        await asyncio.sleep(3 * LISTEN_S)
        assert office.told(events.AnsweredBy) == []
        assert len(office.told(events.Ended)) == 1

    story(name, "machine", main)
