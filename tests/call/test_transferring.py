"""Handing a caller on: attended, or by a bridge of ours, and back to the agent where it fails."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from offhook.call import Agent, Call, Models, events
from offhook.call.leg import Capabilities
from offhook.core.errors import CallEnded, ConfigError, NotAllowed, TransferFailed
from offhook.testing.scripted_leg import ScriptedLeg

DESK = "sip:front-desk@pbx.example"
RULES = {"allow": ("sip:*@pbx.example",)}


def transfers(call: Any) -> list[tuple[int, str]]:
    return [(event.code, event.kind) for event in call.of(events.Transfer)]


async def rung(call: Any) -> ScriptedLeg:
    """Wait until the target was called."""
    await call.leg.consulting.wait()
    return call.leg.consulted


def test_the_target_hears_who_is_coming_before_it_gets_the_caller(play: Any, begin: Any) -> None:
    async def script(call: Call) -> None:
        await call.transfer(DESK, announce="A guest for you.")

    async def main() -> None:
        call = begin(script, **RULES)
        ended = await call.over()
        assert call.leg.consulted.heard_text == "a guest for you"
        assert call.leg.transferred == [DESK]
        assert call.leg.consulted.over, "the carrier has put them together"
        assert (ended.reason, transfers(call)) == ("transferred", [(200, "attended")])

    play(main())


@pytest.mark.survives(10)
def test_a_target_that_does_not_answer_leaves_the_caller_with_the_agent(play: Any, begin: Any) -> None:
    async def script(call: Call) -> None:
        with pytest.raises(TransferFailed) as failed:
            await call.transfer(DESK, attended=True)
        await call.say(f"They are busy: {failed.value.code}.")
        assert await call.ask("What else?") == "nothing"

    async def main() -> None:
        call = begin(script, leg=ScriptedLeg(transfer_code=486), **RULES)
        await call.until(2.5)
        await call.leg.says("nothing")
        ended = await call.over()
        assert call.leg.heard_text.endswith("they are busy 486 what else")
        assert call.leg.hears == []
        assert (ended.reason, transfers(call)) == ("hangup", [(486, "attended")])

    play(main())


@pytest.mark.parametrize("code", [403, 405, 420, 501, 603])
@pytest.mark.parametrize("ends", ["the target", "the caller"])
def test_where_the_carrier_does_not_transfer_the_two_are_joined(play: Any, begin: Any, code: int, ends: str) -> None:
    async def script(call: Call) -> None:
        await call.transfer(DESK)

    async def main() -> None:
        call = begin(script, leg=ScriptedLeg(refer_code=code), **RULES)
        target = await rung(call)
        await asyncio.sleep(1.0)
        assert call.leg.hears == [(target, "far")]
        assert (call.leg.mode, target.mode) == ("none", "none"), "nobody listens to them"
        assert transfers(call) == [(200, "bridged")]
        target.presses("5")
        call.leg.presses("19")
        await asyncio.sleep(60.0)
        assert (call.leg.pressed, target.pressed) == ("5", "19")
        quiet = len(call.leg.packets)
        await asyncio.sleep(60.0)
        assert len(call.leg.packets) == quiet, "the agent says nothing"
        (target if ends == "the target" else call.leg).hangs_up()
        ended = await call.over()
        assert call.leg.over
        assert target.over
        assert ended.reason == "transferred"
        assert transfers(call) == [(200, "bridged")]
        assert call.call.digits == ""

    play(main())


def test_a_trunk_without_refer_is_not_asked(play: Any, begin: Any) -> None:
    async def script(call: Call) -> None:
        await call.transfer(DESK)

    async def main() -> None:
        call = begin(script, leg=ScriptedLeg(capabilities=Capabilities(transfer=False)), **RULES)
        target = await rung(call)
        await asyncio.sleep(1.0)
        assert call.leg.hears == [(target, "far")]
        assert call.leg.transferred == []
        target.hangs_up()
        assert (await call.over()).reason == "transferred"

    play(main())


def test_the_caller_hears_it_ring_meanwhile_and_not_afterwards(play: Any, begin: Any) -> None:
    async def script(call: Call) -> None:
        await call.transfer(DESK)

    async def main() -> None:
        call = begin(script, leg=ScriptedLeg(capabilities=Capabilities(transfer=False)), **RULES)
        target = await rung(call)
        await asyncio.sleep(1.5)
        sounded = [at for at, _, pcm in call.leg.packets if any(pcm)]
        assert 0.2 <= len(sounded) * 0.02 <= 0.8, "as long as it rang, and what was queued"
        target.hangs_up()
        await call.over()

    play(main())


def test_neither_refer_nor_a_bridge_is_no_transfer(play: Any, begin: Any) -> None:
    async def script(call: Call) -> None:
        with pytest.raises(NotAllowed):
            await call.transfer(DESK)

    async def main() -> None:
        call = begin(script, leg=ScriptedLeg(capabilities=Capabilities(transfer=False, bridge=False)), **RULES)
        await call.over()

    play(main())


def test_a_refusal_stands_where_we_may_not_bridge(play: Any, begin: Any) -> None:
    async def script(call: Call) -> None:
        with pytest.raises(TransferFailed) as failed:
            await call.transfer(DESK)
        assert failed.value.code == 603

    async def main() -> None:
        leg = ScriptedLeg(refer_code=603, capabilities=Capabilities(bridge=False))
        call = begin(script, leg=leg, **RULES)
        await call.over()
        assert transfers(call) == [(603, "blind")]

    play(main())


@pytest.mark.parametrize("after_s", [0.1, 0.6])
def test_a_caller_who_leaves_meanwhile_is_not_announced_any_more(play: Any, begin: Any, after_s: float) -> None:
    async def script(call: Call) -> None:
        with pytest.raises(CallEnded):
            await call.transfer(DESK, announce="A guest who speaks Latin waits for you at the door.")

    async def main() -> None:
        call = begin(script, **RULES)
        target = await rung(call)
        await asyncio.sleep(after_s)
        call.leg.hangs_up()
        assert (await call.over()).reason == "remote_hangup"
        assert target.over
        assert transfers(call) == []

    play(main())


def test_a_target_that_hangs_up_while_it_is_told_leaves_the_caller_here(play: Any, begin: Any) -> None:
    async def script(call: Call) -> None:
        with pytest.raises(TransferFailed):
            await call.transfer(DESK, announce="A guest who speaks Latin waits for you at the door.")
        await call.say("They left.")

    async def main() -> None:
        call = begin(script, **RULES)
        target = await rung(call)
        await asyncio.sleep(0.6)
        target.hangs_up()
        await call.over()
        assert call.leg.heard_text.endswith("they left")

    play(main())


def test_an_attended_transfer_falls_back_to_a_bridge_with_whom_it_called(play: Any, begin: Any) -> None:
    async def script(call: Call) -> None:
        await call.transfer(DESK, announce="Hello.")

    async def main() -> None:
        call = begin(script, leg=ScriptedLeg(refer_code=405), **RULES)
        target = await rung(call)
        await asyncio.sleep(3.0)
        assert call.leg.hears == [(target, "far")]
        assert transfers(call) == [(200, "bridged")]
        call.leg.hangs_up()
        await call.over()
        assert target.over

    play(main())


def test_nothing_is_announced_without_a_voice(play: Any, begin: Any) -> None:
    async def script(call: Call) -> None:
        with pytest.raises(ConfigError):
            await call.transfer(DESK, announce="Hello.")

    async def main() -> None:
        call = begin(script, models=Models(), **RULES)
        await call.over()
        assert call.leg.consulted is None

    play(main())


def test_an_agent_does_not_fill_the_silence_of_a_joined_call(play: Any, begin: Any) -> None:
    agent = Agent("You transfer.", greeting="Hello.")

    async def main() -> None:
        call = begin(agent, ["Hm."], leg=ScriptedLeg(capabilities=Capabilities(transfer=False)), **RULES)
        await call.until(2.0)
        moving = asyncio.create_task(call.call.transfer(DESK))
        target = await rung(call)
        await asyncio.sleep(1.0)
        quiet = len(call.leg.packets)
        await asyncio.sleep(120.0)
        assert len(call.leg.packets) == quiet
        target.hangs_up()
        await call.over()
        await moving

    play(main())
