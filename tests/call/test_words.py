"""The same agents over a leg that carries words: a service hears and speaks, everything else is as ever."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from offhook.agent.history import Said
from offhook.agent.manners import Manners
from offhook.agent.orders import Wait
from offhook.call import Agent, Call, Models, events
from offhook.core.errors import NotAllowed, TransferFailed
from offhook.examples.receptionist import agent as receptionist
from offhook.providers.brain import Minds
from offhook.providers.offline.model import offline_model
from offhook.testing.fake_text_leg import FakeTextLeg
from offhook.testing.scripted import ScriptedBrain

LUIGI = Agent("You answer the phone for Luigi's.", greeting="Luigi's, good evening!")
HOURS = "We are open from five to eleven every day but Sunday. Anything else?"


def on_words(begin: Any, agent: Any, brain: Any = None, **leg: Any) -> Any:
    models = {} if brain is None else {"models": Models(brain=lambda _: ScriptedBrain(brain))}
    return begin(agent, leg=FakeTextLeg(**leg), tts=None, **models)


def test_the_transcript_and_the_events_are_those_of_any_call(play: Any, begin: Any) -> None:
    async def main() -> None:
        call = on_words(begin, LUIGI, ["For two, gladly. At what time?", "See you then."])
        await call.until(3)
        call.leg.says("a table for two please")
        await call.until(9)
        call.leg.says("at half past seven.")
        await call.until(15)
        call.leg.hangs_up()
        await call.over()
        assert call.transcript == [
            "agent: Luigi's, good evening!",
            "caller: a table for two please",
            "agent: For two, gladly. At what time?",
            "caller: at half past seven.",
            "agent: See you then.",
        ]
        assert call.leg.heard_text == "Luigi's, good evening! For two, gladly. At what time? See you then. "
        kinds = [event.event for event in call.told]
        assert kinds == ["incoming", "answered", "said", "heard", "timed", "said", "heard", "timed", "said", "ended"]
        assert call.of(events.Answered)[0].pipeline == (
            "fake service → fake service → conversation → scripted → fake service → fake service"
        )

    play(main())


def test_an_utterance_goes_out_sentence_by_sentence_and_its_end_is_told(play: Any, begin: Any) -> None:
    async def main() -> None:
        call = on_words(begin, LUIGI, ["For two, gladly. At what time?"])
        await call.until(3)
        call.leg.says("a table for two please")
        await call.until(4)
        assert call.leg.said[-3:] == [(2, "For two, gladly.", False), (2, " At what time?", False), (2, "", True)]
        call.leg.hangs_up()
        await call.over()

    play(main())


@pytest.mark.parametrize("tells", [True, False], ids=["the service tells", "the clock of letters tells"])
def test_an_interruption_cuts_the_history_to_what_was_heard(play: Any, begin: Any, tells: bool) -> None:
    async def main() -> None:
        call = on_words(begin, LUIGI, [HOURS, "Yes, we are."], tells=tells)
        await call.until(3)
        call.leg.says("when are you open")
        await call.until(4.5)
        call.leg.says("stop, are you open on monday?")
        heard = call.leg.heard_text.partition("!")[2].partition("|")[0].strip()
        await call.until(9)
        call.leg.hangs_up()
        await call.over()
        cut = next(entry for entry in call.call.history if isinstance(entry, Said) and not entry.whole)
        assert cut.text == "We are open from five"
        assert heard.startswith(cut.text)
        assert len(heard) - len(cut.text) < len(" to")
        assert call.transcript[-2:] == ["caller: stop, are you open on monday?", "agent: Yes, we are."]
        assert [event.event for event in call.told].count("cut") == 1

    play(main())


def test_a_nod_that_the_service_took_for_an_interruption_costs_nothing(play: Any, begin: Any) -> None:
    async def main() -> None:
        call = on_words(begin, LUIGI, [HOURS])
        await call.until(3)
        call.leg.says("when are you open")
        await call.until(4.5)
        call.leg.says("mm-hm")
        await call.until(12)
        call.leg.hangs_up()
        await call.over()
        assert [line for line in call.transcript if "mm-hm" in line] == []
        assert call.leg.heard_text.endswith("We are open from five to eleven every day but Sunday. Anything else? ")

    play(main())


def test_a_noise_that_stopped_us_is_forgotten_and_the_rest_is_said(play: Any, begin: Any) -> None:
    async def main() -> None:
        call = on_words(begin, LUIGI, [HOURS])
        await call.until(3)
        call.leg.says("when are you open")
        await call.until(4.5)
        call.leg.interrupts()
        await call.until(17)
        call.leg.hangs_up()
        await call.over()
        assert call.leg.heard_text.endswith("Anything else? ")

    play(main())


def test_a_key_stops_us_and_is_answered_at_once(play: Any, begin: Any) -> None:
    async def main() -> None:
        call = on_words(begin, LUIGI, [HOURS, "Five it is."])
        await call.until(3)
        call.leg.says("when are you open")
        await call.until(4.5)
        call.leg.interrupts()
        call.leg.presses("5#")
        await call.until(8)
        call.leg.hangs_up()
        await call.over()
        assert call.transcript[-2:] == ["caller: [5]", "agent: Five it is."]

    play(main())


def test_words_that_hang_wait_for_the_rest(play: Any, begin: Any) -> None:
    async def main() -> None:
        call = on_words(begin, LUIGI, ["Gladly."])
        await call.until(3)
        call.leg.says("i would like a table for two and")
        await call.until(3.4)
        call.leg.says("a high chair")
        await call.until(6)
        call.leg.hangs_up()
        await call.over()
        assert "caller: i would like a table for two and a high chair" in call.transcript

    play(main())


def test_a_silent_caller_is_asked_and_in_the_end_left(play: Any, begin: Any) -> None:
    async def main() -> None:
        call = on_words(begin, LUIGI, ["Hm?"])
        ended = await call.over()
        assert ended.reason == "silence"
        assert [line.partition("agent: ")[2] for line in call.transcript[1:]] == [
            *Manners().prompts,
            Manners().farewell,
        ]

    play(main())


def test_a_script_says_asks_and_gathers(play: Any, begin: Any) -> None:
    async def main() -> None:
        got: list[str] = []

        async def survey(call: Call) -> None:
            got.append(await call.say("Welcome to our survey."))
            got.append(await call.ask("How was it?"))
            got.append(await call.gather("One to five, how were we?", digits=1))
            await call.hangup(f"{got[-1]}, thank you. Goodbye!")

        call = on_words(begin, survey)
        await call.until(4)
        call.leg.says("it was very good")
        await call.until(7)
        call.leg.presses("4")
        ended = await call.over()
        assert got == ["Welcome to our survey.", "it was very good", "4"]
        assert ended.reason == "hangup"
        assert call.leg.heard_text.endswith("4, thank you. Goodbye! ")

    play(main())


def test_what_a_script_says_is_told_as_far_as_it_was_heard(play: Any, begin: Any) -> None:
    async def main() -> None:
        got: list[str] = []

        async def talks(call: Call) -> None:
            got.append(await call.say("This is a long announcement that nobody wants to hear to its end."))
            await call.hangup()

        call = on_words(begin, talks)
        await call.until(1.7)
        call.leg.interrupts()
        await call.over()
        assert got == ["This is a long announcement"]

    play(main())


def test_a_transfer_that_fails_leaves_the_caller_with_the_agent(play: Any, begin: Any) -> None:
    async def main() -> None:
        codes: list[int] = []

        async def hands_on(call: Call) -> None:
            try:
                await call.transfer("+15550000001")
            except TransferFailed as failed:
                codes.append(failed.code)
                await call.hangup("Nobody is there.")

        call = begin(hands_on, leg=FakeTextLeg(transfer_code=486), tts=None, allow=("+1",))
        await call.over()
        assert codes == [486]
        assert call.leg.heard_text == "Nobody is there. "

    play(main())


def test_what_needs_sound_is_not_allowed(play: Any, begin: Any) -> None:
    async def main() -> None:
        refused: list[str] = []

        async def wants_sound(call: Call) -> None:
            for wish in (call.play(b"\0\0"), call.conference("+15550000001"), call.transfer("+1555", attended=True)):
                try:
                    await wish
                except NotAllowed as error:
                    refused.append(str(error))
            await call.hold()
            await call.resume()
            await call.hangup("Bye.")

        call = begin(wants_sound, leg=FakeTextLeg(), tts=None, allow=("+1",))
        assert (await call.over()).reason == "hangup"
        assert len(refused) == 3

    play(main())


def test_the_receptionist_books_a_table_over_words(play: Any, begin: Any) -> None:
    async def main() -> None:
        call = begin(receptionist, leg=FakeTextLeg(), models=Models(brain=Minds(offline_model(None))))
        await call.until(5)
        for words in ("i want to book a table", "for two people", "half past seven", "ada lovelace", "yes please"):
            call.leg.says(words)
            await asyncio.sleep(7)
        call.leg.hangs_up()
        await call.over()
        tools = call.of(events.Tool)
        assert [tool.name for tool in tools] == ["book_table"], call.transcript
        assert "Booked: 2" in tools[0].result

    play(main())


# One answer a turn


def test_turns_are_taken_one_by_one(play: Any, begin: Any) -> None:
    async def main() -> None:
        call = on_words(begin, LUIGI, ["For two, gladly. At what time?", "See you then."], words="turns")
        assert await call.leg.answer_given() == "Luigi's, good evening!"
        assert await call.leg.turn("a table for two please") == "For two, gladly. At what time?"
        await asyncio.sleep(60)
        assert call.leg.waited[-1] == Wait(True, 0, "", 8000)
        assert await call.leg.turn("at half past seven") == "See you then."
        call.leg.hangs_up()
        await call.over()

    play(main())


def test_silence_in_turns_is_asked_about_and_in_the_end_left(play: Any, begin: Any) -> None:
    async def main() -> None:
        call = on_words(begin, LUIGI, ["Hm?"], words="turns")
        await call.leg.answer_given()
        first, second = Manners().prompts
        assert await call.leg.turn() == first
        assert await call.leg.turn() == second
        assert await call.leg.turn() == Manners().farewell
        assert (await call.over()).reason == "silence"

    play(main())


def test_a_script_in_turns_says_what_it_waits_for(play: Any, begin: Any) -> None:
    async def main() -> None:
        got: list[str] = []

        async def survey(call: Call) -> None:
            await call.say("Welcome.")
            got.append(await call.ask("How was it?", timeout_s=5))
            got.append(await call.gather("Your number?", digits=4, timeout_s=7))
            got.append(await call.gather("And your PIN?", digits=4, timeout_s=7))
            await call.hangup("Goodbye!")

        call = on_words(begin, survey, words="turns")
        assert await call.leg.answer_given() == "Welcome. How was it?"
        assert await call.leg.turn("very good") == "Your number?"
        assert await call.leg.turn(keys="1234") == "And your PIN?"
        assert await call.leg.turn(keys="12") == "Goodbye!"
        await call.over()
        assert got == ["very good", "1234", "12"]
        assert call.leg.waited == [Wait(True, 0, "", 5000), Wait(False, 4, "#", 7000), Wait(False, 4, "#", 7000)]

    play(main())


def test_nobody_who_is_silent_is_waited_for_twice(play: Any, begin: Any) -> None:
    async def main() -> None:
        got: list[str] = []

        async def asks(call: Call) -> None:
            got.append(await call.ask("Name?"))
            got.append(await call.gather("Keys?"))
            await call.hangup("Bye.")

        call = on_words(begin, asks, words="turns")
        await call.leg.answer_given()
        assert await call.leg.turn() == "Keys?"
        assert await call.leg.turn() == "Bye."
        await call.over()
        assert got == ["", ""]

    play(main())


def test_a_call_goes_on_where_another_process_left_it(play: Any, begin: Any) -> None:
    async def main() -> None:
        call = on_words(begin, LUIGI, ["For two. At what time?", "See you at eight."], words="turns")
        await call.leg.answer_given()
        await call.leg.turn("a table for two")
        call.leg.hangs_up()
        await call.over()
        brain = ScriptedBrain(["For two. At what time?", "See you at eight."])
        again = begin(
            LUIGI, leg=FakeTextLeg(words="turns"), models=Models(brain=lambda _: brain), history=call.call.history
        )
        await asyncio.sleep(0.1)
        assert await again.leg.turn("at eight") == "See you at eight."
        again.leg.hangs_up()
        await again.over()
        assert again.transcript == [*call.transcript, "caller: at eight", "agent: See you at eight."]

    play(main())
