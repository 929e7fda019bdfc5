"""The fakes keep to what real providers keep to, and fail when they are told to."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from offhook.agent.history import Heard, History
from offhook.call.call import Call
from offhook.call.protocols import Brain, Thought, ToolBegan, ToolDone
from offhook.core.errors import ProviderError
from offhook.core.ids import Turn
from offhook.testing import spelled
from offhook.testing.loop import VirtualLoop
from offhook.testing.scripted import ScriptedBrain, ScriptedStt, ScriptedTts

from . import conformance

ASKED = History((Heard(Turn(1), "Hello."),))


def run(main: Any) -> Any:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


async def _at_once() -> None: ...


CALL = cast(Call, SimpleNamespace(committed=_at_once))


async def replied(brain: Brain) -> list[Thought]:
    return [thought async for thought in brain.reply(ASKED, CALL)]


def test_the_scripted_voice_keeps_to_the_protocol() -> None:
    run(conformance.check_tts(ScriptedTts()))


def test_the_scripted_ear_keeps_to_the_protocol() -> None:
    run(conformance.check_stt(ScriptedStt(), spelled.spell("a table for two "), "a table for two"))


def test_an_interim_transcript_covers_no_pause() -> None:
    stt = ScriptedStt(interim=True)
    heard = run(conformance.heard(stt, spelled.spell("a table for two")))
    assert [transcript.pause for transcript in heard[:-1]] == [None] * (len(heard) - 1)
    assert heard[0].text == "a table for two"


def test_the_scripted_brain_says_its_lines_in_turn_and_repeats_the_last() -> None:
    brain = ScriptedBrain(["One.", ("Two. ", ToolBegan("find", {}, "c"), ToolDone("find", "c", "found"), "Three.")])

    async def main() -> list[list[Thought]]:
        turns = [History((Heard(Turn(1), "Hello."),) * number) for number in (1, 2, 3)]
        return [[thought async for thought in brain.reply(turn, CALL)] for turn in turns]

    first, second, third = run(main())
    assert first == ["One."]
    assert second == third == ["Two. ", ToolBegan("find", {}, "c"), ToolDone("find", "c", "found"), "Three."]
    assert [len(history) for history in brain.asked] == [1, 2, 3]


def test_the_scripted_brain_may_answer_what_it_hears() -> None:
    brain = ScriptedBrain(lambda history: f"You said: {history.last_heard()}")
    assert run(replied(brain)) == ["You said: Hello."]


@pytest.mark.parametrize("fake", ["ear", "voice", "brain"])
def test_a_fake_fails_as_a_provider_does(fake: str) -> None:
    async def main() -> None:
        if fake == "ear":
            await conformance.heard(ScriptedStt(fails=1))
        elif fake == "voice":
            await conformance.spoken(ScriptedTts(fails_after=0), "Hello.")
        else:
            await replied(ScriptedBrain(["Hello."], fails=1))

    with pytest.raises(ProviderError, match="told to fail"):
        run(main())
