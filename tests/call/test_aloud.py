"""What of our words was heard, by what a service says of it and by the clock of letters."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from offhook.agent.mouth import LETTER_MS
from offhook.call.aloud import START_MS, Aloud
from offhook.core.instants import MILLISECOND
from offhook.core.signals import Interrupted


def spoken(*texts: str) -> Aloud:
    aloud = Aloud()
    for number, text in enumerate(texts, 1):
        aloud.say(0, number, text)
        aloud.end(number)
    return aloud


def letters(cut: list[tuple[int, int]]) -> dict[int, float]:
    return {utterance: heard_ms / LETTER_MS for utterance, heard_ms in cut}


def test_the_words_that_the_service_names_are_found_however_it_spells_them() -> None:
    heard = Interrupted(0, "hello  LIFE is a", 900)
    assert letters(spoken("Hello! Life is a set.").cut(0, heard, dropped=False)) == {1: len("Hello! Life is a")}
    assert letters(spoken("Hello!", "Life is a set.").cut(0, heard, dropped=False)) == {1: 6, 2: len("Life is a")}


def test_half_a_word_is_no_word_but_its_sign_belongs_to_it() -> None:
    assert letters(spoken("One, two").cut(0, Interrupted(0, "one", None), dropped=False)) == {1: len("One,")}
    assert letters(spoken("One, two").cut(0, Interrupted(0, "one, t", None), dropped=False)) == {1: len("One, t")}


def test_a_service_may_count_from_what_we_took_for_heard() -> None:
    aloud = spoken("Good evening.", "We are open.")
    assert aloud.heard(START_MS * MILLISECOND + 13 * LETTER_MS * MILLISECOND) == [1]
    assert letters(aloud.cut(0, Interrupted(0, "Good evening. We are", None), dropped=False)) == {2: len("We are")}
    aloud = spoken("Good evening.", "We are open.")
    aloud.heard(START_MS * MILLISECOND + 13 * LETTER_MS * MILLISECOND)
    assert letters(aloud.cut(0, Interrupted(0, "Good even", None), dropped=False)) == {2: 0}


def test_without_words_the_time_counts_and_without_time_the_clock() -> None:
    assert letters(spoken("abcdefghij").cut(0, Interrupted(0, None, 4 * LETTER_MS), dropped=False)) == {1: 4}
    assert letters(spoken("abcdefghij").cut(0, Interrupted(0, "xyz", 4 * LETTER_MS), dropped=False)) == {1: 4}
    assert letters(spoken("abcdefghij").cut(0, Interrupted(0, "", 0), dropped=False)) == {1: 0}
    at = (START_MS + 3 * LETTER_MS) * MILLISECOND
    assert letters(spoken("abcdefghij").cut(at, Interrupted(0), dropped=False)) == {1: 3}
    assert letters(spoken("abcdefghij").cut(at, None, dropped=True)) == {1: 3}


def test_what_can_not_be_dropped_will_be_heard() -> None:
    assert letters(spoken("abcdefghij").cut(0, None, dropped=False)) == {1: 10}


@given(st.lists(st.text(max_size=30), max_size=5), st.text(max_size=40), st.none() | st.integers(-5, 10**12))
def test_whatever_a_service_says_no_more_is_heard_than_was_said(texts: list[str], heard: str, heard_ms: int) -> None:
    cut = letters(spoken(*texts).cut(0, Interrupted(0, heard, heard_ms), dropped=False))
    assert all(0 <= cut[number] <= len(text) for number, text in enumerate(texts, 1))


def test_what_was_spoken_in_other_words_is_found_by_those() -> None:
    aloud = spoken("One, two", " and three")
    aloud.reworded(1, "One, two", "Alpha, beta")
    assert letters(aloud.cut(0, Interrupted(0, "alpha", None), dropped=False)) == {1: len("Alpha,"), 2: 0}
