"""Others in a call: what the agent does meanwhile, what becomes of the history, and what is refused."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from offhook.call import Agent, Call, Participant, events
from offhook.call.leg import Capabilities
from offhook.call.room import PLACES
from offhook.core.errors import CallEnded, ConfigError, DialFailed, NotAllowed
from offhook.testing.scripted_leg import ScriptedLeg

DESK = "sip:desk@pbx.example"
RULES = {"allow": ("sip:*@pbx.example",)}


def modes(call: Any) -> list[str]:
    return [event.mode for event in call.of(events.Participant)]


def test_the_agent_keeps_aside_until_the_third_has_gone_and_then_goes_on(play: Any, begin: Any) -> None:
    async def main() -> None:
        call = begin(Agent(greeting="Hello."), ["As I said."], **RULES)
        await call.until(2.0)
        guest = await call.call.conference(DESK, announce="A guest.")
        desk = call.leg.consulted
        assert desk.heard_text == "a guest"
        assert (call.leg.hears, desk.hears) == ([(desk, "far")], [(call.leg, "far"), (call.leg, "ours")])
        await call.leg.says("my name is ada")  # to the desk
        await desk.says("mine is bob")
        await asyncio.sleep(30.0)
        assert call.transcript == ["agent: Hello."], (
            "nobody asked the agent, and nobody is asked whether they are there"
        )
        desk.hangs_up()
        await guest.left()
        await call.leg.says("agent are you there")
        await asyncio.sleep(3.0)
        assert call.transcript == ["agent: Hello.", "caller: agent are you there", "agent: As I said."]
        assert modes(call) == ["talk", "left"]
        call.leg.hangs_up()
        await call.over()

    play(main())


def test_an_active_agent_answers_the_caller_alone(play: Any, begin: Any) -> None:
    async def main() -> None:
        call = begin(Agent(greeting="Hello."), ["Gladly."], **RULES)
        await call.until(2.0)
        await call.call.conference(DESK, agent="active")
        await call.leg.consulted.says("what about me")
        await call.leg.says("tell us more")
        await asyncio.sleep(3.0)
        assert call.transcript == ["agent: Hello.", "caller: tell us more", "agent: Gladly."]
        call.leg.hangs_up()
        await call.over()

    play(main())


@pytest.mark.parametrize("mode", ["listen", "whisper", "talk"])
def test_a_supervisor_who_listens_is_noticed_by_nobody(play: Any, begin: Any, mode: Any) -> None:
    async def main() -> None:
        call = begin(Agent(greeting="Hello."), ["Gladly."], **RULES)
        boss = begin(Agent(greeting="Who is it?"), ["You can't hear me."])
        await call.until(2.5)
        watch = await boss.call.supervise(call.call, mode=mode)
        assert call.leg.hears == ([] if mode == "listen" else [(boss.leg, "far")])
        assert boss.leg.hears == [(call.leg, "far"), (call.leg, "ours")]
        await boss.leg.says("hm hm")
        await call.leg.says("tell us more")
        await asyncio.sleep(3.0)
        answers = ["caller: tell us more", "agent: Gladly."] if mode == "listen" else []
        assert call.transcript == ["agent: Hello.", *answers], "while the caller hears another the agent keeps aside"
        assert boss.transcript == ["agent: Who is it?"], "a supervisor does not speak with an agent"
        await watch.remove()
        assert (call.leg.hears, boss.leg.hears) == ([], [])
        for one in (call, boss):
            one.leg.hangs_up()
            await one.over()

    play(main())


def test_taking_a_call_off_hold_does_not_bring_the_agent_back_into_a_conference(play: Any, begin: Any) -> None:
    async def main() -> None:
        call = begin(Agent(greeting="Hello."), ["Gladly."], **RULES)
        await call.until(2.0)
        guest = await call.call.conference(DESK)
        await call.call.hold()
        await call.call.resume()
        await call.leg.says("tell us more")
        await asyncio.sleep(3.0)
        assert call.transcript == ["agent: Hello."]
        await guest.remove()
        assert call.leg.consulted.over
        call.leg.hangs_up()
        await call.over()

    play(main())


def test_words_to_one_alone_are_said_there_and_are_no_history(play: Any, begin: Any) -> None:
    async def main() -> None:
        call = begin(Agent(greeting="Hello."), [], **RULES)
        await call.until(2.0)
        guest = await call.call.conference(DESK)
        await asyncio.gather(guest.say("He is a regular."), guest.say("Be kind."))
        assert call.leg.consulted.heard_text == "he is a regular be kind"
        assert call.transcript == ["agent: Hello."]
        saying = asyncio.create_task(guest.say("A long story that takes a while to be told."))
        await asyncio.sleep(0.5)
        call.leg.consulted.hangs_up()
        with pytest.raises(CallEnded):
            await saying
        call.leg.hangs_up()
        await call.over()

    play(main())


@pytest.mark.parametrize("after_s", [0.1, 0.6, 1.5])
def test_a_caller_who_leaves_meanwhile_leaves_nobody_behind(play: Any, begin: Any, after_s: float) -> None:
    async def script(call: Call) -> None:
        guest = await call.conference(DESK, announce="A guest.")
        await guest.left()
        await call.say("They have gone.")

    async def main() -> None:
        call = begin(script, **RULES)
        await call.leg.consulting.wait()
        await asyncio.sleep(after_s)
        call.leg.hangs_up()
        assert (await call.over()).reason == "remote_hangup"
        assert call.leg.consulted.over
        assert modes(call) == ([] if after_s < 1.0 else ["talk", "left"])
        assert isinstance(call.told[-1], events.Ended), "and nothing is told of a call that is over"

    play(main())


def test_whom_nobody_may_call_or_who_does_not_come_changes_nothing(play: Any, begin: Any) -> None:
    async def script(call: Call) -> None:
        with pytest.raises(NotAllowed):
            await call.conference("sip:desk@elsewhere.example")
        with pytest.raises(DialFailed) as failed:
            await call.conference(DESK)
        assert failed.value.code == 486
        assert await call.ask("What else?") == "nothing"

    async def main() -> None:
        call = begin(script, leg=ScriptedLeg(transfer_code=486), **RULES)
        await call.until(3.0)
        await call.leg.says("nothing")
        await call.over()
        assert modes(call) == []

    play(main())


def test_one_who_hangs_up_while_it_is_announced_does_not_come(play: Any, begin: Any) -> None:
    async def script(call: Call) -> None:
        with pytest.raises(DialFailed):
            await call.conference(DESK, announce="A guest who speaks Latin.")

    async def main() -> None:
        call = begin(script, **RULES)
        await call.leg.consulting.wait()
        await asyncio.sleep(0.6)
        call.leg.consulted.hangs_up()
        await call.over()
        assert (modes(call), call.leg.hears) == ([], [])

    play(main())


def test_what_can_not_be_is_refused(play: Any, begin: Any) -> None:
    async def main() -> None:
        bound = begin(Agent(), [], leg=ScriptedLeg(capabilities=Capabilities(bridge=False)), **RULES)
        mute = begin(Agent(), [], tts=None, **RULES)
        call, other = begin(Agent(), [], **RULES), begin(Agent(), [], **RULES)
        await call.until(0.5)
        with pytest.raises(NotAllowed):
            await bound.call.conference(DESK)
        with pytest.raises(ConfigError):
            await mute.call.conference(DESK, announce="A guest.")
        assert mute.leg.consulted is None, "nobody is called in vain"
        theirs = await other.call.conference(DESK)
        with pytest.raises(ValueError, match="not in this call"):
            await call.call.conference(DESK, mode="whisper", to=theirs)
        assert call.leg.consulted.over
        guests: list[Participant] = [await call.call.conference(DESK) for _ in range(PLACES - 1)]
        with pytest.raises(NotAllowed):
            await call.call.conference(DESK)
        with pytest.raises(ValueError, match="not in this call"):
            await guests[0].whisper(guests[0])
        for one in (bound, mute, call, other):
            one.leg.hangs_up()
            await one.over()
        assert all(guest.mode == "left" for guest in guests)

    play(main())
