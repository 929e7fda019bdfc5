"""Whole conversations as timed scripts. Milliseconds from the answer; the voice takes 50 ms a letter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from offhook import _native as native
from offhook.agent import inputs, orders
from offhook.agent.history import Heard, Keys, Said, ToolUse
from offhook.agent.manners import Manners
from offhook.core.ids import Turn

Stages = Callable[..., Any]
GREETING = "Good evening!"  # 13 letters: 650 ms of voice


def test_the_greeting_waits_for_the_first_packet(stage: Stages) -> None:
    play = (
        stage(greeting=GREETING).answered(flowing=False).tells(120, lambda now: native.Flowing(0, 0, now)).until(1000)
    )
    assert play.said == [GREETING]
    assert play.when(orders.Say) == 120


def test_the_greeting_waits_no_longer_than_300_ms(stage: Stages) -> None:
    play = stage(greeting=GREETING).answered(flowing=False).until(1000)
    assert play.when(orders.Say) == 300


def test_nothing_is_said_before_the_answer(stage: Stages) -> None:
    play = stage(greeting=GREETING).tells(0, lambda now: native.Flowing(0, 0, now)).until(5000)
    assert play.log == []


def test_a_turn_is_answered_on_trial_at_the_pause_and_for_good_after_the_hold(stage: Stages) -> None:
    play = stage(greeting=GREETING)
    play.lines["A table for two, please."] = "Gladly."
    play.answered().caller_speaks(2000, 3500, "A table for two, please.").until(6000)
    assert [type(one).__name__ for one in play.of(orders.Listen, orders.Transcribe, orders.Reply, orders.Commit)] == [
        "Listen",
        "Transcribe",
        "Reply",
        "Commit",
    ]
    assert play.when(orders.Listen) == 2060
    assert play.when(orders.Reply) == 3800, "at once with the words of the pause"
    assert play.when(orders.Commit) == 4000, "500 ms of silence after words that look complete"
    assert play.transcript == ["agent: Good evening!", "caller: A table for two, please.", "agent: Gladly."]


@pytest.mark.parametrize(
    ("words", "hold_ms"),
    [
        ("A table for two, please.", 500),
        ("yes", 500),
        ("I would like a table", 700),
        ("I would like a table and", 1300),
        ("I would like, um", 1300),
        ("my number is five five five", 1300),
        ("at seven", 700),
    ],
)
def test_the_words_say_how_long_a_pause_must_be(stage: Stages, words: str, hold_ms: int) -> None:
    play = stage(greeting=GREETING).answered().caller_speaks(2000, 3000, words).until(6000)
    assert play.when(orders.Commit) == 3000 + hold_ms


def test_after_a_question_for_digits_a_pause_may_be_longer(stage: Stages) -> None:
    play = stage(greeting="What is your number?").answered().caller_speaks(2000, 3000, "it is four").until(6000)
    assert play.when(orders.Commit) == 3000 + 1300


def test_a_pause_that_ends_was_no_end_of_the_turn(stage: Stages) -> None:
    play = stage(greeting=GREETING)
    play.lines["A table and for two."] = "Gladly."
    play.answered()
    play.caller_speaks(2000, 2600, "A table and").caller_speaks(3100, 3800, "A table and for two.").until(7000)
    first, second = play.of(orders.Reply)
    assert first.turn == second.turn
    assert [stop.run for stop in play.of(orders.Stop)] == [first.run], "the answer to half a sentence is dropped"
    assert [commit.run for commit in play.of(orders.Commit)] == [second.run]
    assert play.transcript[1:] == ["caller: A table and for two.", "agent: Gladly."]


def test_words_of_an_earlier_pause_change_nothing(stage: Stages) -> None:
    play = stage(greeting=GREETING).answered()
    # The words of pause 1 come at 2900 ms, when the caller speaks again.
    play.caller_speaks(2000, 2600, "A table").caller_speaks(2820, 3500, "A table for two.").until(3000)
    assert len(play.of(orders.Transcribe)) == 1
    assert play.of(orders.Reply) == []
    play.until(6000)
    assert [order.entry.text for order in play.of(orders.Note) if isinstance(order.entry, Heard)] == [
        "A table for two."
    ]


def test_words_of_an_old_turn_are_dropped(stage: Stages) -> None:
    play = stage(greeting=GREETING).answered().caller_speaks(2000, 3000, "Hello there.").until(6000)
    before = play.conversation.history
    play.tell(inputs.Transcribed(Turn(1), 1, "something else"))
    play.tell(inputs.Transcribed(Turn(7), 1, "something else"))
    assert play.conversation.history is before


def test_a_noise_without_words_is_no_turn(stage: Stages) -> None:
    play = stage(greeting=GREETING).answered().caller_speaks(2000, 2100, "").until(4000)
    assert play.of(orders.Reply, orders.Commit) == []
    assert play.of(orders.Forget) == [orders.Forget(Turn(1))]


def test_speech_that_began_before_the_answer_is_heard(stage: Stages) -> None:
    play = stage(greeting="")
    play.caller_speaks(0, 900, "Hello, is this Luigi's?")
    play.tells(400, lambda now: native.Flowing(0, 0, now))
    play.until(500)
    play.answered().until(4000)
    assert "caller: Hello, is this Luigi's?" in play.transcript


# Barge-in


LONG = "We are open from five to eleven every day. On Sundays we are closed."  # 42 and 25 letters


def test_speech_over_our_voice_cuts_it_and_the_history_to_what_was_heard(stage: Stages) -> None:
    play = stage(greeting=LONG)
    play.lines["Stop, are you open on Monday?"] = "Yes."
    play.answered().caller_speaks(1000, 2500, "Stop, are you open on Monday?").until(6000)
    assert play.when(orders.Hush) == 1450, "the verdict falls 450 ms after the onset"
    # 1450 − 60 ms of 2100 ms of the first sentence: 27 of its 42 letters, at a word's end.
    assert play.transcript == [
        "agent: We are open from five to —",
        "caller: Stop, are you open on Monday?",
        "agent: Yes.",
    ]
    said = play.of(orders.Note)[0].entry
    assert said == Said(Turn(0), "We are open from five to", whole=False)


def test_our_voice_is_armed_to_duck_while_it_sounds_and_no_longer(stage: Stages) -> None:
    play = stage(greeting=GREETING).answered().until(2000)
    assert [(play.when(orders.Arm, number), order.depth_db) for number, order in enumerate(play.of(orders.Arm))] == [
        (0, 20.0),
        (710, None),
    ]


def test_a_cough_restores_the_voice_and_takes_nothing(stage: Stages) -> None:
    play = stage(greeting=LONG).answered().caller_speaks(1000, 1120, "").until(6000)
    assert play.of(orders.Hush) == []
    assert play.when(orders.Restore) == 1320
    assert play.transcript == [f"agent: {LONG}"]


@pytest.mark.parametrize("nod", ["mm-hm", "Okay.", "yeah, right", "uh"])
def test_a_nod_does_not_take_the_turn(stage: Stages, nod: str) -> None:
    play = stage(greeting=LONG).answered().caller_speaks(1000, 1220, nod).until(6000)
    assert play.of(orders.Hush, orders.Reply) == []
    assert play.transcript == [f"agent: {LONG}"]


def test_a_short_word_that_means_it_takes_the_turn(stage: Stages) -> None:
    play = stage(greeting=LONG).answered().caller_speaks(1000, 1200, "Stop!").until(6000)
    assert play.when(orders.Hush) == 1500, "as soon as the words are known"
    assert play.transcript[1] == "caller: Stop!"


def test_interim_words_cut_before_the_time_does(stage: Stages) -> None:
    play = stage(greeting=LONG).answered()
    play.caller_speaks(1000, 1700, "Wait a moment.", interim="Wait").until(1360)
    assert play.when(orders.Hush) == 1350


def test_a_yes_over_a_question_is_an_answer(stage: Stages) -> None:
    play = stage(greeting="Shall I book it for you then, as you said before?")
    play.lines["Yes."] = "Done."
    play.answered().caller_speaks(1500, 1700, "Yes.").until(5000)
    assert play.transcript[1:] == ["caller: Yes.", "agent: Done."]


def test_what_a_long_nod_cut_is_said_again(stage: Stages) -> None:
    play = stage(greeting=LONG).answered().caller_speaks(1000, 1700, "mm-hm, okay").until(9000)
    assert play.of(orders.Hush) != []
    assert play.of(orders.Reply) == []
    assert play.said == [LONG, LONG], "from the sentence that was cut on"
    assert play.transcript[-1] == f"agent: {LONG}"


def test_no_word_of_a_cut_means_that_the_clock_says_what_was_heard(stage: Stages) -> None:
    play = stage(greeting=LONG)
    play.deaf = True
    play.answered().caller_speaks(1000, 2500, "Stop, are you open on Monday?").until(6000)
    assert play.transcript[0] == "agent: We are open from five to —", "up to the cut, not to the end of the wait"
    assert play.when(orders.Reply) >= 1950


def test_a_caller_who_goes_on_while_we_think_takes_the_turn_back(stage: Stages) -> None:
    play = stage()
    play.lines["A table."] = ""  # the brain takes its time
    play.lines["For two."] = "Gladly."
    play.answered().caller_speaks(1000, 1800, "A table.")
    play.caller_speaks(2340, 3200, "For two.").until(8000)
    assert play.transcript == ["caller: A table.", "caller: For two.", "agent: Gladly."]


# Silence


def test_silence_brings_prompts_and_then_a_farewell_that_is_heard(stage: Stages) -> None:
    manners = Manners(prompt_after_ms=4000, prompts=("Are you there?",), farewell="Goodbye.")
    play = stage(manners, greeting=GREETING).answered().until(20_000)
    assert play.said == [GREETING, "Are you there?", "Goodbye."]
    assert play.when(orders.Say, 1) == 710 + 4000
    assert play.of(orders.End) == [orders.End("silence")]
    assert play.when(orders.End) == play.when(orders.Say, 2) + 8 * 50 + 60, "once the farewell was heard"


def test_a_stall_is_not_silence(stage: Stages) -> None:
    play = stage(Manners(prompt_after_ms=4000), greeting=GREETING).answered()
    play.tells(2000, lambda now: native.Stalled(0, 0, now)).until(20_000)
    assert play.said == [GREETING]
    play.tell(native.Flowing(0, 0, play.now))
    play.until(24_100)
    assert play.when(orders.Say, 1) == 24_000


def test_a_stall_ends_nobodys_turn(stage: Stages) -> None:
    play = stage(greeting=GREETING).answered().caller_speaks(2000, 3000, "I would like a table")
    play.tells(3400, lambda now: native.Stalled(0, 0, now)).until(9000)
    assert play.of(orders.Commit) == []
    play.tell(native.Flowing(0, 0, play.now))
    play.until(12_000)
    assert play.when(orders.Commit) == 9500, "silence that is received, once more"


def test_while_an_answer_is_owed_the_caller_hears_a_filler_and_at_last_an_apology(stage: Stages) -> None:
    manners = Manners(fillers=("One moment.",), give_up_ms=8000, apology="Sorry. Goodbye.")
    play = stage(manners, greeting=GREETING)
    play.lines["Hello."] = ""  # the brain never answers
    play.answered().caller_speaks(2000, 2500, "Hello.").until(30_000)
    assert play.said[:3] == [GREETING, "One moment.", "One moment."]
    assert play.said[-1] == "Sorry. Goodbye."
    assert play.when(orders.Say, 1) == 2700 + manners.filler_after_ms, "from when the pause is known"
    assert play.of(orders.End) == [orders.End("failed")]


def test_an_ear_and_a_brain_that_are_both_late_bring_one_silence_not_two(stage: Stages) -> None:
    manners = Manners(fillers=("One moment.",))
    play = stage(manners, greeting=GREETING).answered().caller_speaks(2000, 2500, "Hello.")
    play.lines["Hello."] = ""  # the brain never answers
    play.hears_late(2000).until(12_000)
    assert play.when(orders.Commit) == 4700
    assert play.when(orders.Say, 1) == 2700 + manners.filler_after_ms


def test_while_the_ear_is_late_a_filler_comes_and_the_answer_after_it(stage: Stages) -> None:
    play = stage(Manners(fillers=("One moment.",)), greeting=GREETING).answered().caller_speaks(2000, 2500, "Hello.")
    play.lines["Hello."] = "Hello!"
    play.hears_late(4500).until(12_000)
    assert play.transcript[1:] == ["agent: One moment.", "caller: Hello.", "agent: Hello!"]


FILLER = "One moment please, I am looking for a table."


@pytest.mark.parametrize(("lasts_ms", "order", "after_ms"), [(1500, orders.Hush, 450), (150, orders.Restore, 350)])
def test_who_has_interrupted_and_goes_on_over_the_filler_is_heard_out_again(
    stage: Stages, lasts_ms: int, order: type[orders.Order], after_ms: int
) -> None:
    manners = Manners(fillers=(FILLER,))
    play = stage(manners, greeting=GREETING).answered().caller_speaks(100, 1500, "I would like").hears_late(4500)
    again_ms = 1700 + manners.filler_after_ms + 500
    play.caller_speaks(again_ms, again_ms + lasts_ms, "I would like a table.").until(again_ms + 600)
    assert play.said == [GREETING, FILLER]
    assert [ms for ms, one in play.log if isinstance(one, order)][-1] == again_ms + after_ms


def test_what_an_interruption_kept_back_is_said_when_all_of_it_was_a_nod(stage: Stages) -> None:
    manners = Manners(fillers=(FILLER,))
    play = stage(manners, greeting=GREETING).answered().caller_speaks(100, 1500, "mm-hm").hears_late(4500)
    again_ms = 1700 + manners.filler_after_ms + 500
    play.caller_speaks(again_ms, again_ms + 150, "mm-hm").until(20_000)
    assert GREETING in play.said[1:]


def test_a_caller_who_goes_on_after_a_pause_is_owed_nothing_yet(stage: Stages) -> None:
    play = stage(Manners(fillers=("One moment.",)), greeting=GREETING).answered()
    play.caller_speaks(2000, 2500, "I would like").caller_speaks(4600, 9000, "I would like a table.").hears_late(3000)
    play.until(9000)
    assert play.said == [GREETING]


# Failures


@pytest.mark.parametrize("stage_that_fails", ["brain", "voice"])
def test_a_provider_that_fails_brings_an_apology_and_the_end(stage: Stages, stage_that_fails: Any) -> None:
    play = stage(Manners(apology="Sorry. Goodbye."), greeting=GREETING)
    play.lines["Hello."] = ""
    play.answered().caller_speaks(2000, 2500, "Hello.").until(3200)
    run = play.of(orders.Commit)[0].run
    play.tell(inputs.Failed(Turn(1), run, stage_that_fails))
    play.until(6000)
    assert play.said == [GREETING, "Sorry. Goodbye."]
    assert play.of(orders.End) == [orders.End("failed")]


def test_a_speculation_that_fails_is_tried_again_when_the_turn_is_over(stage: Stages) -> None:
    play = stage(greeting=GREETING)
    play.lines["Hello."] = "Hello!"
    play.answered().caller_speaks(2000, 2500, "Hello.").until(2850)
    play.tell(inputs.Failed(Turn(1), play.of(orders.Reply)[0].run, "brain"))
    play.until(6000)
    assert len(play.of(orders.Reply)) == 2
    assert play.transcript[1:] == ["caller: Hello.", "agent: Hello!"]
    assert play.of(orders.End) == []


def test_an_ear_that_says_nothing_fails(stage: Stages) -> None:
    play = stage(Manners(apology="Sorry.", transcript_wait_ms=3000), greeting=GREETING).answered().until(1500)
    play.tell(native.SpeechBegan(0, 0, play.now))
    play.tell(native.SpeechEnded(0, 0, play.now, 200))
    play._todo = [one for one in play._todo if one[2] != play.tell]  # the words never come
    play.until(8000)
    assert play.said == [GREETING, Manners().fillers[0], "Sorry."]
    assert play.when(orders.Say, 2) == 4500


# Tools


def _with_a_tool(play: Any) -> int:
    play.lines["Book it."] = ""
    play.answered().caller_speaks(2000, 2500, "Book it.").until(3200)
    run = play.of(orders.Commit)[0].run
    play.tell(inputs.Phrased(Turn(1), run, 0, "One moment."))
    play._voice(Turn(1), run, ["One moment."])
    play.conversation._mouth.runs[run].replied = False
    play.tell(inputs.ToolBegan(Turn(1), run, "c1", "book", {"people": 2}))
    return run


def test_what_was_said_before_a_tool_stands_before_it(stage: Stages) -> None:
    play = stage(greeting=GREETING)
    run = _with_a_tool(play)
    play.until(4500)
    play.tell(inputs.ToolDone(Turn(1), "c1", "Booked."))
    play.tell(inputs.Phrased(Turn(1), run, 1, "It is booked."))
    play.tell(inputs.Voiced(Turn(1), run, 1, 99, 650, last=True))
    play.tell(inputs.Replied(Turn(1), run))
    play.tell(native.Played(0, 0, play.now, 99, 650))
    assert [type(entry) for entry in play.conversation.history] == [Said, Heard, Said, ToolUse, Said]
    assert play.conversation.history.tool("c1") == ToolUse(Turn(1), "c1", "book", {"people": 2}, "Booked.")


def test_a_barge_in_stops_the_reply_but_not_the_tool_and_its_result_is_told(stage: Stages) -> None:
    play = stage(greeting=GREETING)
    run = _with_a_tool(play)
    play.lines["Hurry up please!"] = "Still at it."
    play.caller_speaks(5000, 6000, "Hurry up please!").until(8500)
    assert orders.Stop(Turn(1), run) in play.of(orders.Stop)
    tool = play.conversation.history.tool("c1")
    assert tool is not None
    assert tool.result is None
    play.tell(inputs.ToolDone(Turn(1), "c1", "Booked."))
    replies = play.of(orders.Reply)
    assert replies[-1].history.tool("c1").result == "Booked.", "the brain is asked again, to tell the news"
    assert orders.Commit(replies[-1].turn, replies[-1].run) == play.of(orders.Commit)[-1]


def test_a_tool_is_done_once(stage: Stages) -> None:
    play = stage(greeting=GREETING)
    _with_a_tool(play)
    play.until(4500)
    play.tell(inputs.ToolDone(Turn(1), "c1", "Booked."))
    play.tell(inputs.ToolDone(Turn(1), "c1", "twice"))
    assert play.conversation.history.tool("c1").result == "Booked."


# The author's verbs


def test_a_goodbye_is_heard_before_the_end(stage: Stages) -> None:
    play = stage(greeting=GREETING).answered().tells(200, lambda _: inputs.Leave("Goodbye.", "hangup")).until(5000)
    assert play.said == [GREETING, "Goodbye."]
    assert play.when(orders.End) == 650 + 8 * 50 + 60
    assert play.transcript == ["agent: Good evening!", "agent: Goodbye."]


def test_a_goodbye_that_never_sounds_is_not_waited_for_for_ever(stage: Stages) -> None:
    play = stage(Manners(goodbye_wait_ms=5000)).answered()
    play.mute = True
    play.tells(200, lambda _: inputs.Leave("Goodbye.", "hangup")).until(9000)
    assert play.when(orders.End) == 5200


def test_nobody_interrupts_a_goodbye(stage: Stages) -> None:
    play = stage(greeting="").answered().tells(200, lambda _: inputs.Leave("Goodbye and thank you.", "hangup"))
    play.caller_speaks(500, 1500, "Wait!").until(4000)
    assert play.of(orders.Hush, orders.Listen) == []
    assert play.of(orders.End) == [orders.End("hangup")]


def test_words_of_the_author_wait_until_media_can_flow(stage: Stages) -> None:
    play = stage(replies=False)
    play.tells(0, lambda _: inputs.Speak(1, "Hello."))
    play.until(100)
    assert play.said == []
    play.answered().until(1000)
    assert play.of(orders.Settled) == [orders.Settled(1, "Hello.", whole=True)]


def test_a_script_hears_only_when_it_asks(stage: Stages) -> None:
    play = stage(replies=False).answered().caller_speaks(500, 1000, "Hello?").until(2500)
    assert play.of(orders.Listen) == []
    play.tell(inputs.Ask(1, "Your name?", 5000))
    play.caller_speaks(4000, 4500, "Ada.").until(8000)
    assert play.of(orders.Settled) == [orders.Settled(1, "Ada.", whole=True)]
    assert play.of(orders.Reply) == []
    assert play.transcript == ["agent: Your name?", "caller: Ada."]


def test_a_question_without_an_answer_ends_with_nothing(stage: Stages) -> None:
    play = stage(replies=False).answered().tells(100, lambda _: inputs.Ask(1, "Your name?", 5000)).until(9000)
    assert play.of(orders.Settled) == [orders.Settled(1, "", whole=False)]
    assert play.when(orders.Settled) == 100 + 500 + 60 + 5000, "counted from when the question was heard"


def test_the_first_key_stops_the_question_and_the_last_one_answers_it(stage: Stages) -> None:
    play = stage(replies=False).answered()
    play.tells(0, lambda _: inputs.Gather(1, "Please enter your four digit code now.", 4, 5000))
    play.caller_presses(800, "1").caller_presses(1500, "234").until(4000)
    assert play.when(orders.Hush) == 800
    assert play.of(orders.Settled) == [orders.Settled(1, "1234", whole=True)]
    assert play.when(orders.Settled) == 1500
    assert Keys(Turn(0), "1234") in play.conversation.history.entries


def test_gathering_ends_with_its_finish_key_or_with_time(stage: Stages) -> None:
    play = stage(replies=False).answered().tells(0, lambda _: inputs.Gather(1, "", 9, 5000))
    play.caller_presses(1000, "12#").until(2000)
    play.tells(2000, lambda _: inputs.Gather(2, "", 9, 3000)).caller_presses(3000, "7").until(9000)
    assert play.of(orders.Settled) == [orders.Settled(1, "12", whole=True), orders.Settled(2, "7", whole=False)]
    assert play.when(orders.Settled, 1) == 6000


def test_keys_that_nobody_gathers_are_the_callers_words(stage: Stages) -> None:
    play = stage(greeting=LONG).answered().caller_presses(1000, "4").caller_presses(1400, "2").until(5000)
    assert play.when(orders.Hush) == 1000, "a key interrupts"
    assert play.when(orders.Commit) == 1400 + 1500
    reply = play.of(orders.Reply)[0]
    assert reply.history.entries[-1] == Keys(Turn(1), "42")


@pytest.mark.parametrize("pressed_ms", [2300, 3600], ids=["before the pause", "in the pause"])
def test_keys_and_words_of_one_turn_have_one_answer(stage: Stages, pressed_ms: int) -> None:
    play = stage(greeting=GREETING)
    play.lines["My number is this."] = "Thank you."
    play.answered().caller_speaks(2000, 3200, "My number is this.").caller_presses(pressed_ms, "42").until(9000)
    commits = play.of(orders.Commit)
    assert len(commits) == 1
    answer = next(reply for reply in play.of(orders.Reply) if reply.run == commits[0].run)
    assert {type(entry) for entry in answer.history.entries[-2:]} == {Keys, Heard}
    assert play.transcript == [
        "agent: Good evening!",
        "caller: [42]",
        "caller: My number is this.",
        "agent: Thank you.",
    ]


def test_on_hold_nobody_listens_and_nobody_asks(stage: Stages) -> None:
    play = stage(Manners(prompt_after_ms=2000), greeting="").answered().tells(500, lambda _: inputs.Hold(on=True))
    play.caller_speaks(1000, 2000, "Hello?").until(20_000)
    assert play.of(orders.Listen, orders.Say) == []
    play.tell(inputs.Hold(on=False))
    play.caller_speaks(21_000, 22_000, "Hello?").until(24_000)
    assert len(play.of(orders.Listen)) == 1


def test_another_agent_goes_on_with_the_same_history(stage: Stages) -> None:
    play = stage(greeting=GREETING).answered().until(1000)
    play.tell(inputs.HandOver(Manners(), "Bar, hello.", replies=True))
    play.lines["A beer."] = "Coming."
    play.caller_speaks(3000, 3500, "A beer.").until(6000)
    assert play.transcript == ["agent: Good evening!", "agent: Bar, hello.", "caller: A beer.", "agent: Coming."]


def test_what_was_heard_when_the_caller_hung_up_is_in_the_history(stage: Stages) -> None:
    play = stage(greeting=LONG).answered().hangs_up(1460).until(5000)
    assert play.transcript == ["agent: We are open from five to —"]
    assert play.conversation.deadline() is None
    assert play.conversation.feed(play.now, inputs.Speak(1, "more")) == []


def test_a_greeting_that_is_slow_to_sound_is_no_failure(stage: Stages) -> None:
    play = stage(greeting=GREETING)
    play.mute = True
    play.answered().until(6000)
    assert play.of(orders.End) == []
    assert play.said[1] == Manners().fillers[0]
