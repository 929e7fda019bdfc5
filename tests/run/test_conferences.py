"""Several people in one call of a whole host: who hears whom, by a tone for each, and what is left when one goes."""

from __future__ import annotations

import asyncio
import cmath
import math
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from offhook.call import Call, Participant, events
from offhook.carriers.negotiation import AudioRules
from offhook.carriers.transfers import TransferRules
from offhook.core.codecs import G722, PCMU
from offhook.core.errors import CallEnded, DialFailed, NotAllowed
from offhook.testing.callers import Caller, CallerPhone
from offhook.testing.spelled import spell
from tests.run.conftest import HOST

HERE, SUPERVISORS = f"sip:agent@{HOST}", f"sip:supervisors@{HOST}"
CLERK, BOSS = "10.2.0.9", "10.2.0.8"
DESK = f"sip:desk@{CLERK}"
DIAL = ("sip:*@10.2.0.*",)
PITCHES = {"caller": 400, "agent": 550, "clerk": 700, "boss": 1100}
"""Everybody's own, Hz: each is a whole number of periods in a window."""
WINDOW = 1600


class Ear:
    """What one far end hears, in the place of a reader of spelled words."""

    text = ""

    def __init__(self) -> None:
        self.pcm = b""
        self.found: set[str] = set()
        self.looked_at = 0

    def push(self, pcm: bytes) -> str:
        self.pcm += pcm
        return ""

    def hears(self) -> set[str]:
        """Give whose pitch there was, at any time."""
        while self.looked_at + 2 * WINDOW <= len(self.pcm):
            piece = struct.unpack_from(f"<{WINDOW}h", self.pcm, self.looked_at)
            self.looked_at += WINDOW
            if max(piece) < 300:
                continue
            for name, hz in PITCHES.items():
                turn = sum(x * cmath.exp(-2j * math.pi * hz * n / 8000) for n, x in enumerate(piece))
                if 2 * abs(turn) / WINDOW > 500:
                    self.found.add(name)
        return self.found


def tone(hz: int) -> bytes:
    return struct.pack("<6400h", *(round(4000 * math.sin(math.tau * hz * n / 8000)) for n in range(6400)))


class Scene:
    """A caller who talks with the agent, a clerk who can be called, and a boss who calls the other number."""

    def __init__(self, stage: Any) -> None:
        self.stage = stage
        self.calls: dict[str, Call] = {}
        self.people: dict[str, Caller] = {}
        self.said = 0

    async def agent(self, call: Call) -> None:
        """Take either number and wait for what the story does."""
        self.calls["boss" if "supervisors" in call.called else "caller"] = call
        async for _ in call.audio():
            pass

    @property
    def call(self) -> Call:
        return self.calls["caller"]

    def comes(self, name: str, person: Caller) -> Caller:
        person._reader = Ear()  # type: ignore[assignment]
        self.people[name] = person
        return person

    async def conference(self, desk: CallerPhone, **how: Any) -> tuple[Participant, Caller]:
        """Let the agent call the clerk in."""
        calling = asyncio.create_task(self.call.conference(DESK, **how))
        clerk = self.comes("clerk", await desk.answers())
        return await calling, clerk

    async def hear(self, *, agent: bool = True) -> dict[str, set[str]]:
        """Let everybody sound at once; give whom each hears."""
        self.said += 1
        for name, person in self.people.items():
            person._reader = Ear()  # type: ignore[assignment]
            if not person.over:
                person.leg.play(1000 + self.said, tone(PITCHES[name]), 8000)
                person.leg.end(1000 + self.said)
        if agent:
            await self.call.play(tone(PITCHES["agent"]))
        await asyncio.sleep(1.5)
        return {name: person._reader.hears() for name, person in self.people.items() if not person.over}  # type: ignore[attr-defined]

    def told(self) -> list[str]:
        """Give the modes of others in the caller's call, as the events have them."""
        mine = [event for event in self.stage.events if isinstance(event, events.Participant)]
        return [event.mode for event in mine if event.call == self.call.id]


@asynccontextmanager
async def scene(stage: Any, **rules: Any) -> AsyncGenerator[tuple[Scene, CallerPhone, CallerPhone]]:
    """Set it: the caller is there already."""
    made = Scene(stage)
    wide = CallerPhone(stage.world, CLERK, audio=AudioRules(codecs=(G722, PCMU)))
    host, narrow = stage.host(made.agent, dial=DIAL, **rules), CallerPhone(stage.world, BOSS)
    async with host, stage.phone() as phone, wide as desk, narrow as office:
        made.comes("caller", await phone.calls(HERE))
        await asyncio.sleep(0.5)
        yield made, desk, office
        for person in made.people.values():
            if not person.over:
                await person.hangs_up()
        await host.drain(5.0)
        assert (host.live, host.failures, host.line.called.calls) == (0, 0, {})
    assert stage.world.engine(HOST).open_ports == []


async def supervising(made: Scene, office: CallerPhone, **how: Any) -> tuple[Participant, Caller]:
    """Let the boss call, and into the caller's call."""
    boss = made.comes("boss", await office.calls(SUPERVISORS))
    await asyncio.sleep(0.5)
    mine = made.calls["boss"]
    assert list(mine.others.values()) == [made.call]
    return await mine.supervise(made.call.id, **how), boss


def test_a_third_is_heard_by_all_and_hears_all_until_the_third_goes(stage: Any) -> None:
    async def story() -> None:
        async with scene(stage) as (made, desk, _):
            guest, clerk = await made.conference(desk)
            assert made.call.participants == (guest,)
            assert await made.hear() == {"caller": {"agent", "clerk"}, "clerk": {"caller", "agent"}}
            await clerk.hangs_up()
            await guest.left()
            assert (made.call.participants, guest.mode) == ((), "left")
            assert await made.hear() == {"caller": {"agent"}}, "the two are alone again"
            assert made.told() == ["talk", "left"]
            with pytest.raises(CallEnded):
                await guest.talk()

    stage.play(story())


@pytest.mark.parametrize("who", ["the caller", "the agent"])
def test_a_third_is_hung_up_on_when_the_call_is_over(stage: Any, who: str) -> None:
    async def story() -> None:
        async with scene(stage) as (made, desk, _):
            guest, clerk = await made.conference(desk)
            await (made.people["caller"].hangs_up() if who == "the caller" else made.call.hangup())
            await clerk.gone(within_s=2.0)
            await guest.left()
        assert made.told() == ["talk", "left"]

    stage.play(story())


def test_a_third_who_is_taken_out_is_hung_up_on_and_the_call_goes_on(stage: Any) -> None:
    async def story() -> None:
        async with scene(stage) as (made, desk, _):
            guest, clerk = await made.conference(desk)
            await guest.remove()
            await clerk.gone(within_s=2.0)
            assert await made.hear() == {"caller": {"agent"}}

    stage.play(story())


def test_who_declines_leaves_the_caller_with_the_agent(stage: Any) -> None:
    async def story() -> None:
        async with scene(stage) as (made, desk, _):
            desk.declines()
            with pytest.raises(DialFailed):
                await made.call.conference(DESK)
            with pytest.raises(NotAllowed):
                await made.call.conference("sip:desk@10.3.0.9")
            assert await made.hear() == {"caller": {"agent"}}

    stage.play(story())


HEARD = {
    "listen": {"caller": {"agent", "clerk"}, "clerk": {"caller", "agent"}, "boss": {"caller", "agent", "clerk"}},
    "to the caller": {
        "caller": {"agent", "clerk", "boss"},
        "clerk": {"caller", "agent"},
        "boss": {"caller", "agent", "clerk"},
    },
    "to the clerk": {
        "caller": {"agent", "clerk"},
        "clerk": {"caller", "agent", "boss"},
        "boss": {"caller", "agent", "clerk"},
    },
    "talk": {
        "caller": {"agent", "clerk", "boss"},
        "clerk": {"caller", "agent", "boss"},
        "boss": {"caller", "agent", "clerk"},
    },
}


def test_a_supervisor_listens_whispers_and_barges_in_as_the_call_goes_on(stage: Any) -> None:
    async def story() -> None:
        async with scene(stage) as (made, desk, office):
            guest, _ = await made.conference(desk)
            watch, _ = await supervising(made, office)
            assert await made.hear() == HEARD["listen"]
            await watch.whisper()
            assert await made.hear() == HEARD["to the caller"]
            await watch.whisper(guest)
            assert await made.hear() == HEARD["to the clerk"]
            await watch.talk()
            assert await made.hear() == HEARD["talk"]
            await watch.listen()
            assert await made.hear() == HEARD["listen"]
            await watch.remove()
            heard = await made.hear()
            assert heard.pop("boss") == set()
            assert heard == {"caller": {"agent", "clerk"}, "clerk": {"caller", "agent"}}
            assert not made.people["boss"].over, "their own call goes on"
        assert made.told() == ["talk", "listen", "whisper", "whisper", "talk", "listen", "left", "left"]

    stage.play(story())


def test_a_whisper_whose_hearer_has_gone_is_heard_by_nobody(stage: Any) -> None:
    async def story() -> None:
        async with scene(stage) as (made, desk, office):
            guest, clerk = await made.conference(desk)
            watch, _ = await supervising(made, office, mode="whisper", to=guest)
            await clerk.hangs_up()
            await guest.left()
            assert watch.mode == "listen"
            assert await made.hear() == {"caller": {"agent"}, "boss": {"caller", "agent"}}

    stage.play(story())


def test_what_the_agent_says_to_one_alone_only_a_supervisor_hears_too(stage: Any) -> None:
    async def story() -> None:
        async with scene(stage) as (made, desk, office):
            guest, _ = await made.conference(desk)

            async def alone() -> dict[str, set[str]]:
                guest.place.leg.play(1, tone(PITCHES["agent"]), 8000)
                return {name: heard & {"agent"} for name, heard in (await made.hear(agent=False)).items()}

            calling = asyncio.create_task(made.call.conference(f"sip:boss@{BOSS}"))
            made.comes("boss", await office.answers())
            another = await calling
            assert await alone() == {"caller": set(), "clerk": {"agent"}, "boss": set()}
            await another.remove()
            await supervising(made, office)
            assert await alone() == {"caller": set(), "clerk": {"agent"}, "boss": {"agent"}}

    stage.play(story())


@pytest.mark.parametrize("mode", ["listen", "whisper", "talk"])
@pytest.mark.parametrize("first", ["caller", "boss"])
def test_a_supervisor_and_a_call_end_each_without_the_other(stage: Any, mode: Any, first: str) -> None:
    async def story() -> None:
        async with scene(stage) as (made, _, office):
            watch, boss = await supervising(made, office, mode=mode)
            await made.people[first].hangs_up()
            await watch.left()
            if first == "boss":
                assert await made.hear() == {"caller": {"agent"}}
            else:
                await made.calls["boss"].play(spell("it is over"))
                await asyncio.sleep(3.0)
                assert not boss.over
        assert made.told() == [mode, "left"]

    stage.play(story())


@pytest.mark.parametrize("first", ["caller", "clerk"])
def test_people_who_were_put_through_can_be_supervised(stage: Any, first: str) -> None:
    async def story() -> None:
        async with scene(stage, handing_on=TransferRules(refer=False)) as (made, desk, office):
            transferring = asyncio.create_task(made.call.transfer(DESK))
            made.comes("clerk", await desk.answers())
            watch, _ = await supervising(made, office)
            await asyncio.sleep(0.5)
            assert await made.hear(agent=False) == {
                "caller": {"clerk"},
                "clerk": {"caller"},
                "boss": {"caller", "clerk"},
            }
            await watch.talk()
            assert (await made.hear(agent=False))["clerk"] == {"caller", "boss"}
            await made.people[first].hangs_up()
            await watch.left()
            await transferring
            assert not made.people["boss"].over

    stage.play(story())


def test_nobody_is_in_two_conferences_or_supervises_itself(stage: Any) -> None:
    async def story() -> None:
        async with scene(stage) as (made, _, office):
            await supervising(made, office)
            mine = made.calls["boss"]
            for call, other in ((mine, made.call), (made.call, mine)):
                with pytest.raises(NotAllowed):
                    await call.supervise(other)
            with pytest.raises(NotAllowed):
                await mine.conference(DESK)
            with pytest.raises(ValueError, match="itself"):
                await made.call.supervise(made.call)
            with pytest.raises(CallEnded):
                await mine.supervise("nobody")  # type: ignore[arg-type]

    stage.play(story())


def test_what_is_said_or_pressed_to_one_alone_is_heard_by_no_other(stage: Any) -> None:
    async def story() -> None:
        async with scene(stage) as (made, desk, _):
            guest, clerk = await made.conference(desk)
            caller = made.people["caller"]
            await guest.press("42")
            await made.call.press("7")
            clerk.presses("1")
            caller.presses("9")
            await asyncio.sleep(2.0)
            assert (clerk.keys, caller.keys) == ("42", "7")
            assert (guest.digits, made.call.digits) == ("1", "9")

    stage.play(story())
