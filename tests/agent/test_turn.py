from __future__ import annotations

from offhook.agent.manners import Manners
from offhook.agent.turn import Hearing, expects_digits, hold
from offhook.agent.words import ENGLISH, SILENT
from offhook.core.ids import Turn
from offhook.core.instants import MILLISECOND

MANNERS = Manners(hold_complete_ms=1, hold_ms=2, hold_open_ms=3)


def hold_ms(text: str, *, said: str = "") -> int:
    return hold(text, MANNERS, ENGLISH, said=said) // MILLISECOND


def test_a_sentence_that_looks_complete_ends_soon() -> None:
    assert [hold_ms(text) for text in ("A table, please.", "Are you open?", "no", "yes")] == [1, 1, 1, 1]


def test_words_that_hang_wait_longest() -> None:
    assert [hold_ms(text) for text in ("a table for", "well, um", "and.", "I'd like pizza,", "and then…")] == [3] * 5


def test_a_number_may_go_on() -> None:
    assert [hold_ms(text) for text in ("five five", "It is 555.", "oh one seven")] == [3, 3, 3]
    assert hold_ms("for two") == 2
    assert hold_ms("for two", said="What is your number?") == 3
    assert hold_ms("five in all", said="What is your number?") == 3


def test_what_tells_nothing_waits_between() -> None:
    assert [hold_ms(text) for text in ("a table tomorrow", "")] == [2, 2]


def test_without_a_word_list_punctuation_still_counts() -> None:
    assert hold("Pöytä kahdelle.", MANNERS, SILENT) == MILLISECOND


def test_some_questions_expect_digits() -> None:
    assert expects_digits("What is your phone number?", ENGLISH)
    assert not expects_digits("What is your name?", ENGLISH)


def test_words_are_those_of_the_pause_that_lasts() -> None:
    hearing = Hearing(Turn(1), 0)
    hearing.pause(100, MANNERS)
    assert not hearing.understood
    hearing.text_pause = 1
    assert hearing.understood
    hearing.goes_on()
    assert not hearing.understood
    hearing.pause(300, MANNERS)
    assert not hearing.understood
