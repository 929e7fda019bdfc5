"""Conversations that a service keeps for us: it says when it has stopped our voice, and when a turn is over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from offhook.agent import inputs, orders
from offhook.agent.history import Heard, History, Said
from offhook.agent.manners import Manners
from offhook.core.ids import Turn
from offhook.core.signals import Interrupted, Silent

LISTENS = orders.Wait(True, 0, "", Manners().prompt_after_ms)


def test_the_caller_has_the_turn_once_all_is_said_and_no_sooner(stage: Callable[..., Any]) -> None:
    play = stage(greeting="Good evening!", timed=False).answered()
    play.until(500)
    assert play.of(orders.Wait) == []
    play.until(60_000)
    assert play.of(orders.Wait) == [LISTENS], "and none of our clocks has run out meanwhile"
    assert play.said == ["Good evening!"]


def test_where_we_keep_the_time_nobody_is_told_to_wait(stage: Callable[..., Any]) -> None:
    play = stage(greeting="Good evening!").answered().until(60_000)
    assert play.of(orders.Wait) == []
    assert Manners().prompts[0] in play.said


def test_what_the_author_waits_for_is_told_and_silence_answers_it(stage: Callable[..., Any]) -> None:
    play = stage(replies=False, timed=False).answered()
    play.tells(0, lambda _: inputs.Ask(1, "Name?", 5000)).tells(20_000, Silent)
    play.tells(20_000, lambda _: inputs.Gather(2, "PIN?", 4, 7000)).caller_presses(40_000, "12").tells(40_000, Silent)
    play.until(60_000)
    assert play.of(orders.Wait) == [orders.Wait(True, 0, "", 5000), orders.Wait(False, 4, "#", 7000)]
    assert play.of(orders.Settled) == [orders.Settled(1, "", False), orders.Settled(2, "12", False)]


def test_keys_that_nobody_gathers_are_a_turn_as_soon_as_it_is_over(stage: Callable[..., Any]) -> None:
    play = stage(timed=False).answered().caller_presses(5000, "12").tells(5000, Silent).until(6000)
    assert play.transcript[0] == "caller: [12]"
    assert play.when(orders.Reply) == 5000


def test_a_caller_who_is_silent_is_asked_and_in_the_end_left(stage: Callable[..., Any]) -> None:
    play = stage(timed=False).answered()
    for ms in (10_000, 30_000, 50_000):
        play.tells(ms, Silent)
    play.until(60_000)
    assert play.said == [*Manners().prompts, Manners().farewell]
    assert play.of(orders.End) == [orders.End("silence")]


def test_silence_while_we_have_the_turn_says_nothing(stage: Callable[..., Any]) -> None:
    play = stage(greeting="Good evening, this is Luigi's!", timed=False).answered().tells(600, Silent).until(60_000)
    assert play.said == ["Good evening, this is Luigi's!"]


def test_who_is_interrupted_stops_whether_anybody_listens_or_not(stage: Callable[..., Any]) -> None:
    for replies in (True, False):
        play = stage(replies=replies).answered()
        play.tells(0, lambda _: inputs.Speak(1, "We are open from five to eleven."))
        play.tells(1000, Interrupted).until(3000)
        assert play.of(orders.Settled) == [orders.Settled(1, "We are open from", False)]
        assert play.when(orders.Hush) == 1000


def test_a_call_that_goes_on_counts_its_turns_on(stage: Callable[..., Any]) -> None:
    before = History((Said(Turn(0), "Good evening!"), Heard(Turn(4), "hello")))
    play = stage(history=before).answered().caller_speaks(1000, 2000, "a table").until(9000)
    assert play.conversation.turn == 5
    assert play.transcript[:3] == ["agent: Good evening!", "caller: hello", "caller: a table"]
