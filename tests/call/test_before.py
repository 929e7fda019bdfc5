"""Before the answer: a call rings, is played to, and is then taken or refused."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import offhook
from offhook import Agent, CallEnded, NotAllowed
from offhook.call import Call, Models, events
from offhook.core.signals import Redirected, Ringing, Texted
from offhook.testing import spelled
from offhook.testing.scripted_leg import ScriptedLeg


def test_an_agent_lets_it_ring(play: Any, begin: Any) -> None:
    async def main() -> None:
        call = begin(Agent(greeting="Hello!", ring_s=4.0), [])
        await call.until(3.9)
        assert call.leg.before == ["ring"]
        assert call.of(events.Answered) == []
        await call.until(8)
        (answered,) = call.of(events.Answered)
        assert answered.t - call.begun == pytest.approx(4.0)
        assert call.leg.heard_text == "hello"
        call.leg.hangs_up()
        await call.over()

    play(main())


def test_who_hangs_up_while_it_rings_is_let_go_at_once(play: Any, begin: Any) -> None:
    async def main() -> None:
        call = begin(Agent(greeting="Hello!", ring_s=60.0), [])
        await call.until(2)
        call.leg.hangs_up("cancelled")
        assert (await call.over()).reason == "cancelled"
        assert asyncio.get_running_loop().time() - call.begun == pytest.approx(2)

    play(main())


def test_a_script_that_is_marked_has_the_call_before_its_answer(play: Any, begin: Any) -> None:
    @offhook.answers
    async def script(call: Call) -> None:
        await call.ring()
        await asyncio.sleep(1)
        await call.early(spelled.spell("please wait"))
        with pytest.raises(NotAllowed, match=r"call\.answer"):
            await call.say("Hello!")
        with pytest.raises(NotAllowed, match=r"call\.answer"):
            await call.gather()
        await call.answer()
        with pytest.raises(NotAllowed, match="before its answer"):
            await call.reject("busy")
        await call.say("Now you are here.")

    async def main() -> None:
        call = begin(script)
        ended = await call.over()
        assert call.leg.before == ["ring", "early"]
        assert call.leg.heard_text == "please wait now you are here"
        assert ended.reason == "hangup"
        assert [type(event).__name__ for event in call.told] == ["Incoming", "Answered", "Said", "Ended"]

    play(main())


def test_a_script_may_refuse(play: Any, begin: Any) -> None:
    @offhook.answers
    async def script(call: Call) -> None:
        with pytest.raises(ValueError, match="busy"):
            await call.reject("bussy")
        await call.reject("busy")

    async def main() -> None:
        call = begin(script)
        ended = await call.over()
        assert (ended.code, ended.meaning) == (486, "busy")
        assert call.of(events.Answered) == []

    play(main())


@pytest.mark.parametrize("how", ["returns", "hangs up", "breaks"])
def test_a_script_that_ends_without_an_answer_refuses(play: Any, begin: Any, how: str) -> None:
    @offhook.answers
    async def script(call: Call) -> None:
        if how == "hangs up":
            await call.hangup("nobody hears this")
        elif how == "breaks":
            raise ZeroDivisionError

    async def main() -> None:
        call = begin(script)
        if how == "breaks":
            with pytest.raises(ZeroDivisionError):
                await call.over()
        else:
            await call.over()
        assert call.leg.heard_text == ""
        assert (call.call.ended.reason, call.of(events.Answered)) == (
            {"returns": "unanswered", "hangs up": "hangup", "breaks": "failed"}[how],
            [],
        )

    play(main())


def test_a_caller_who_leaves_during_the_announcement_ends_it(play: Any, begin: Any) -> None:
    ends: list[str] = []

    @offhook.answers
    async def script(call: Call) -> None:
        try:
            await call.early(spelled.spell("one two three four five six seven"))
        except CallEnded:
            ends.append("early")
        with pytest.raises(CallEnded):
            await call.answer()

    async def main() -> None:
        call = begin(script)
        await call.until(1)
        call.leg.hangs_up("cancelled")
        await call.over()
        assert ends == ["early"]

    play(main())


def test_a_call_of_ours_tells_how_it_goes_on_and_nothing_is_heard_before_the_answer(play: Any, begin: Any) -> None:
    async def main() -> None:
        leg = ScriptedLeg(direction="outbound")
        taped: list[Any] = []
        call = begin(Agent(greeting="Hello!"), [], leg=leg, tape=taped.append)
        leg._event(Ringing(leg.now, 182))
        leg._event(Redirected(leg.now, 302, "sip:other@pbx.example"))
        leg._event(Ringing(leg.now, 183, early=True))
        await call.until(3)
        assert leg.mode == "none"  # nobody listens yet
        assert not leg.taping
        await leg.answer()
        await call.until(6)
        assert leg.taping
        assert leg.heard_text == "hello"
        leg.hangs_up()
        await call.over()
        assert [events.as_json(event)["event"] for event in call.told][:5] == [
            "incoming",
            "progress",
            "redirected",
            "progress",
            "answered",
        ]

    play(main())


def test_a_call_of_ours_that_fails_has_no_answer(play: Any, begin: Any) -> None:
    async def main() -> None:
        leg = ScriptedLeg(direction="outbound")
        call = begin(Agent(greeting="Hello!"), [], leg=leg, models=None)
        leg._finish(486, "refused", "busy")
        with pytest.raises(CallEnded):
            await call.call.up()
        assert (await call.over()).meaning == "busy"

    play(main())


def test_models_are_not_needed_before_the_answer(play: Any, begin: Any) -> None:
    @offhook.answers
    async def script(call: Call) -> None:
        await call.reject()

    async def main() -> None:
        call = begin(script, models=Models())
        assert (await call.over()).code == 603

    play(main())


def test_texts_are_kept_and_told(play: Any, begin: Any) -> None:
    async def main() -> None:
        call = begin(Agent(), [])
        for number in range(120):
            call.leg._event(Texted(call.leg.now, f"line {number}"))
        await call.until(1)
        call.leg.hangs_up()
        await call.over()
        assert len(call.of(events.Text)) == 120
        assert (len(call.call.texts), call.call.texts[-1]) == (100, "line 119")

    play(main())
