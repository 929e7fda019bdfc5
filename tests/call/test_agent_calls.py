"""Whole calls of an agent: greeting, turns, barge-in, goodbye, tools and failures, in virtual time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest
from pydantic_ai.messages import ModelMessage, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel

from offhook.agent.history import Said, ToolUse
from offhook.agent.manners import Manners
from offhook.call import Agent, Call, Models, events
from offhook.call.protocols import ToolBegan, ToolDone
from offhook.core.errors import ConfigError
from offhook.providers.brain import Minds
from offhook.testing.loop import VirtualLoop
from offhook.testing.scripted import ScriptedBrain, ScriptedStt, ScriptedTts
from offhook.testing.scripted_leg import ScriptedLeg

LUIGI = Agent("You answer the phone for Luigi's.", greeting="Luigi's, good evening!")


def test_a_call_is_greeted_answered_and_told_in_order(play: Any, begin: Any) -> None:
    async def main() -> None:
        call = begin(LUIGI, ["For two, gladly. At what time?", "See you then."])
        await call.until(3)
        await call.leg.says("a table for two please")
        await call.until(9)
        await call.leg.says("at half past seven")
        await call.until(15)
        call.leg.hangs_up()
        await call.over()
        assert call.transcript == [
            "agent: Luigi's, good evening!",
            "caller: a table for two please",
            "agent: For two, gladly. At what time?",
            "caller: at half past seven",
            "agent: See you then.",
        ]
        assert call.leg.heard_text == "luigi's good evening for two gladly at what time see you then"
        kinds = [event.event for event in call.told]
        assert kinds == ["incoming", "answered", "said", "heard", "timed", "said", "heard", "timed", "said", "ended"]

    play(main())


def test_the_delays_of_a_turn_are_told_stage_by_stage(play: Any, begin: Any) -> None:
    async def main() -> None:
        brain = ScriptedBrain(["Gladly."], delay_s=0.25)
        call = begin(LUIGI, brain, stt=ScriptedStt(delay_s=0.15), tts=ScriptedTts(delay_s=0.3))
        await call.until(3)
        await call.leg.says("a table please")
        await call.until(7)
        call.leg.hangs_up()
        await call.over()
        timed = call.of(events.Timed)[0]
        # The gate closes 200 ms behind the speech; the brain thinks and the voice begins while we hold for 700 ms.
        assert timed.transcript_ms == pytest.approx(350, abs=1)
        assert timed.decided_ms == pytest.approx(700, abs=1)
        assert timed.first_token_ms == pytest.approx(600, abs=1)
        assert timed.first_audio_ms == pytest.approx(900 + 20, abs=2)
        times = call.call.timeline[-1]
        assert times.since_speech_ms(times.first_audio_queued) == pytest.approx(900, abs=1)

    play(main())


def test_a_barge_in_silences_us_and_cuts_the_history(play: Any, begin: Any) -> None:
    async def main() -> None:
        brain = ScriptedBrain(["We are open from five to eleven every day but Sunday. Anything else?", "Yes, we are."])
        call = begin(LUIGI, brain)
        await call.until(3)
        await call.leg.says("when are you open")
        await call.until(7)
        begun = asyncio.get_running_loop().time()
        await call.leg.says("stop are you open on monday")
        await call.until(14)
        call.leg.hangs_up()
        await call.over()
        cut = call.of(events.Cut)[0]
        assert cut.t - begun == pytest.approx(0.45, abs=0.03), "450 ms after the onset"
        ours = [at for at, utterance, _ in call.leg.packets if utterance == 2]
        assert max(ours) <= cut.t
        said = next(event for event in call.of(events.Said) if not event.whole)
        assert "We are open from five to eleven every day but Sunday.".startswith(said.text)
        assert brain.asked[-1].last_heard() == "stop are you open on monday"
        assert Said(1, said.text, whole=False) in brain.asked[-1].entries, "the model reads what was heard"  # type: ignore[arg-type]
        assert call.transcript[-1] == "agent: Yes, we are."

    play(main())


def test_the_voice_is_ducked_at_once_and_restored_after_a_nod(play: Any, begin: Any) -> None:
    async def main() -> None:
        call = begin(LUIGI, ["We are open from five to eleven every day but Sunday and Monday."])
        await call.until(3)
        await call.leg.says("when are you open")
        await call.until(7)
        assert call.leg.armed == 20.0
        nod = asyncio.create_task(call.leg.says("ok"))
        await call.until(7.1)
        assert call.leg.ducked
        await nod
        await call.until(7.5)
        assert not call.leg.ducked
        await call.until(12)
        assert call.leg.armed is None
        call.leg.hangs_up()
        await call.over()
        assert call.of(events.Cut) == []
        assert call.transcript[-1] == "agent: We are open from five to eleven every day but Sunday and Monday."

    play(main())


def test_a_call_that_falls_silent_is_asked_and_ended(play: Any, begin: Any) -> None:
    async def main() -> None:
        call = begin(LUIGI, ["x"])
        ended = await call.over()
        manners = Manners()
        said = ["Luigi's, good evening!", *manners.prompts, manners.farewell]
        assert [event.text for event in call.of(events.Said)] == said
        assert call.leg.heard_text.endswith("so i'll hang up now goodbye"), "heard before the end"
        assert ended.reason == "silence"

    play(main())


def test_keys_are_words_of_the_caller(play: Any, begin: Any) -> None:
    async def main() -> None:
        brain = ScriptedBrain(lambda history: f"You pressed {history.entries[-1].keys}.")  # type: ignore[union-attr]
        call = begin(LUIGI, brain)
        await call.until(3)
        call.leg.presses("42#")
        await call.until(6)
        call.leg.hangs_up()
        await call.over()
        assert call.transcript[1:] == ["caller: [42]", "agent: You pressed 42."]

    play(main())


def test_an_agent_without_a_model_says_what_to_configure(play: Any) -> None:
    async def main() -> None:
        with pytest.raises(ConfigError, match="llm"):
            Call(ScriptedLeg(), LUIGI, models=Models())

    play(main())


# Tools


def test_while_a_tool_works_its_words_are_heard_and_a_filler_comes(play: Any, begin: Any) -> None:
    class Slow(ScriptedBrain):
        async def reply(self, history: Any, call: Call) -> AsyncIterator[Any]:
            await asyncio.sleep(0.1)
            yield ToolBegan("book", {"people": 2}, "c1", "One moment.")
            await call.work("book", "c1", {"people": 2}, lambda: asyncio.sleep(6, "Booked."))
            yield ToolDone("book", "c1", "Booked.")
            yield "It is booked."

    async def main() -> None:
        call = begin(LUIGI, Slow([]))
        await call.until(3)
        await call.leg.says("book a table")
        await call.until(16)
        call.leg.hangs_up()
        await call.over()
        said = [event.text for event in call.of(events.Said)]
        assert said[1:] == ["One moment.", Manners().fillers[0], "It is booked."]
        sounding = [at for at, _, _ in call.leg.packets if at > call.of(events.Timed)[0].t]
        assert max(later - earlier for earlier, later in pairwise(sounding)) < 4, "never 4 s of silence while we owe"
        assert [(one.name, one.result) for one in call.of(events.Tool)] == [("book", "Booked.")]
        assert call.call.history.tool("c1") is not None

    play(main())


def test_a_tool_finishes_after_the_call_within_its_grace(play: Any, begin: Any) -> None:
    finished: list[str] = []

    async def quick() -> str:
        await asyncio.sleep(8)
        finished.append("quick")
        return "Done."

    async def endless() -> str:
        await asyncio.sleep(1000)
        finished.append("endless")
        return "Never."

    class Two(ScriptedBrain):
        async def reply(self, history: Any, call: Call) -> AsyncIterator[Any]:
            yield ToolBegan("quick", {}, "c1")
            yield ToolBegan("endless", {}, "c2")
            await asyncio.gather(call.work("quick", "c1", {}, quick), call.work("endless", "c2", {}, endless))

    async def main() -> None:
        call = begin(LUIGI, Two([]))
        await call.until(3)
        await call.leg.says("do both")
        await call.until(5)
        call.leg.hangs_up()
        ended = await call.over()
        assert finished == ["quick"]
        assert asyncio.get_running_loop().time() - ended.t == pytest.approx(10, abs=0.1)
        results = {entry.name: entry.result for entry in call.call.history if isinstance(entry, ToolUse)}
        assert results == {"quick": "Done.", "endless": "cancelled"}

    play(main())


async def _think(messages: list[ModelMessage], _: AgentInfo) -> AsyncIterator[str | DeltaToolCalls]:
    last: Any = messages[-1].parts[-1]
    if isinstance(last, ToolReturnPart):
        yield f"Result: {last.content}"
    elif "cake" in str(last.content):
        yield "We have no cake."
    elif "table" in str(last.content):
        arguments = json.dumps({"name": "Ada", "people": 2})
        yield {0: DeltaToolCall(name="book_table", json_args=arguments, tool_call_id=f"book-{len(messages)}")}
    elif "person" in str(last.content):
        yield "I will put you through. "
        yield {1: DeltaToolCall(name="human", json_args="{}", tool_call_id=f"human-{len(messages)}")}
    elif "bye" in str(last.content):
        yield "Goodbye! "
        yield {1: DeltaToolCall(name="hang_up", json_args="{}", tool_call_id=f"bye-{len(messages)}")}
    else:
        yield "Yes?"


def _receptionist(booked: list[Any]) -> Agent:
    agent = Agent("You answer the phone.", greeting="Luigi's.")

    @agent.tool(saying="One moment.")
    async def book_table(name: str, people: int) -> str:
        """Book a table."""
        await asyncio.sleep(3)
        booked.append((name, people))
        return f"{people} for {name}."

    @agent.tool
    async def human(call: Call) -> None:
        """The caller wants a person."""
        await call.transfer("sip:front-desk@pbx.example")

    _ = book_table, human
    return agent


def _models() -> Models:
    return Models(brain=Minds(FunctionModel(stream_function=_think)), stt=ScriptedStt(), tts=ScriptedTts())


def test_pydantic_ai_books_a_table_and_transfers_the_call(play: Any, begin: Any) -> None:
    booked: list[Any] = []

    async def main() -> None:
        call = begin(_receptionist(booked), models=_models(), allow=("sip:*@pbx.example",))
        await call.until(2)
        await call.leg.says("a table please")
        await call.until(11)
        await call.leg.says("a person please")
        ended = await call.over()
        assert booked == [("Ada", 2)]
        assert call.transcript == [
            "agent: Luigi's.",
            "caller: a table please",
            "agent: One moment.",
            "tool: book_table -> 2 for Ada.",
            "agent: Result: 2 for Ada.",
            "caller: a person please",
            "agent: I will put you through.",
            "tool: human -> Done.",
        ]
        assert call.leg.heard_text.endswith("i will put you through"), "heard before the transfer"
        assert call.leg.transferred == ["sip:front-desk@pbx.example"]
        assert ended.reason == "transferred"

    play(main())


def test_pydantic_ai_reads_a_failed_transfer_as_the_tools_error(play: Any, begin: Any) -> None:
    async def main() -> None:
        leg = ScriptedLeg(transfer_code=486)
        call = begin(_receptionist([]), models=_models(), allow=("sip:*@pbx.example",), leg=leg)
        await call.until(2)
        await call.leg.says("a person please")
        await call.until(12)
        assert "the transfer failed 486" in call.leg.heard_text
        assert call.of(events.Tool)[0].failed
        call.leg.hangs_up()
        await call.over()

    play(main())


def test_a_barge_in_over_a_running_tool_neither_stops_nor_loses_it(play: Any, begin: Any) -> None:
    booked: list[Any] = []

    async def main() -> None:
        call = begin(_receptionist(booked), models=_models())
        await call.until(2)
        await call.leg.says("a table please")
        await call.until(4.5)
        await call.leg.says("hello can you hear me")
        await call.until(12)
        call.leg.hangs_up()
        await call.over()
        assert booked == [("Ada", 2)]
        tools = [entry for entry in call.call.history if isinstance(entry, ToolUse)]
        assert [(tool.name, tool.result) for tool in tools] == [("book_table", "2 for Ada.")]
        assert call.transcript[-1] == "agent: Result: 2 for Ada.", "when it is done the caller is told"

    play(main())


def test_a_tool_is_not_started_by_half_a_turn(play: Any, begin: Any) -> None:
    booked: list[Any] = []

    async def main() -> None:
        call = begin(_receptionist(booked), models=_models())
        await call.until(2)
        await call.leg.says("a table and")
        await asyncio.sleep(0.6)
        await call.leg.says("no not a table a cake")
        await call.until(7)
        call.leg.hangs_up()
        await call.over()
        assert booked == []
        assert [entry.name for entry in call.call.history if isinstance(entry, ToolUse)] == []
        assert call.transcript[1] == "caller: a table and no not a table a cake"

    play(main())


def test_the_model_may_hang_up_and_its_goodbye_is_heard(play: Any, begin: Any) -> None:
    async def main() -> None:
        call = begin(_receptionist([]), models=_models())
        await call.until(2)
        await call.leg.says("good bye")
        ended = await call.over()
        assert ended.reason == "hangup"
        assert call.leg.heard_text == "luigi's goodbye"

    play(main())


# Failures


@pytest.mark.parametrize("what", ["ear", "brain", "voice"])
def test_a_provider_that_dies_brings_an_apology_and_the_end(play: Any, begin: Any, what: str) -> None:
    async def main() -> None:
        tts = ScriptedTts()
        models = Models(
            brain=lambda _: ScriptedBrain(["Gladly."], fails=99 if what == "brain" else 0),
            stt=ScriptedStt(fails=99 if what == "ear" else 0),
            tts=tts,
        )
        models = await models.prepared(LUIGI)
        if what == "voice":
            tts.fails_after = len(tts.spoken)
        call = begin(LUIGI, models=models)
        await call.until(3)
        await call.leg.says("a table please")
        ended = await call.over()
        assert ended.reason == "failed"
        assert call.of(events.Said)[-1].text == LUIGI.manners.apology, (
            "rendered at start, so the voice may be what died"
        )
        assert call.leg.heard_text.endswith("please call again later goodbye")

    play(main())


def test_a_brain_that_fails_once_is_asked_again(play: Any, begin: Any) -> None:
    async def main() -> None:
        call = begin(LUIGI, ScriptedBrain(["Gladly."], fails=1))
        await call.until(3)
        await call.leg.says("a table please")
        await call.until(8)
        call.leg.hangs_up()
        await call.over()
        assert call.transcript[-1] == "agent: Gladly."

    play(main())


def test_an_author_hands_the_call_over_with_its_history(play: Any, begin: Any) -> None:
    bar = Agent("You keep the bar.", greeting="The bar, hello.")

    async def script(call: Call) -> None:
        await call.say("I will put you through to the bar.")
        await call.hand_over(bar)  # and with that the script is done; the call is not

    async def main() -> None:
        brain = ScriptedBrain(["Coming."])
        call = begin(script, brain)
        await call.until(6)
        await call.leg.says("a beer please")
        await call.until(12)
        call.leg.hangs_up()
        await call.over()
        assert call.transcript == [
            "agent: I will put you through to the bar.",
            "agent: The bar, hello.",
            "caller: a beer please",
            "agent: Coming.",
        ]
        assert len(brain.asked[0]) == 3

    play(main())


def test_two_runs_of_a_call_are_the_same_to_the_packet() -> None:
    def once() -> tuple[Any, ...]:
        async def main() -> tuple[Any, ...]:
            told: list[Any] = []
            leg = ScriptedLeg()
            call = Call(leg, _receptionist([]), models=_models(), events=told.append)
            task = asyncio.create_task(call.run())
            await asyncio.sleep(2)
            await leg.says("a table please")
            await asyncio.sleep(2)
            await leg.says("what did you say")
            await asyncio.sleep(8)
            leg.hangs_up()
            await task
            return told, leg.packets

        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            return runner.run(main())

    assert once() == once()
