from __future__ import annotations

from offhook.agent.history import Said, ToolUse
from offhook.agent.inputs import ToolBegan, Voiced
from offhook.agent.mouth import LETTER_MS, Mouth, Sentence, heard_words
from offhook.core.ids import Turn
from offhook.core.instants import MILLISECOND

T = Turn(1)


def speaking(*sentences: str, duration_ms: int = 1000) -> Mouth:
    mouth = Mouth()
    mouth.open(T, 1, committed=True)
    for number, text in enumerate(sentences):
        mouth.phrased(1, number, text)
        mouth.voiced(0, Voiced(T, 1, number, 1, duration_ms, last=True))
    return mouth


def settled(mouth: Mouth) -> list[object]:
    return [entry for _, entries, _ in mouth.settle() for entry in entries]


def test_nothing_is_said_before_it_was_heard() -> None:
    mouth = speaking("One.", "Two.")
    assert settled(mouth) == []
    mouth.played(1)
    assert settled(mouth) == [Said(T, "One. Two.")]


def test_a_cut_keeps_whole_words_in_proportion_to_the_audio() -> None:
    mouth = speaking("One two three four.", "Five.")
    mouth.cut(1, 500)
    assert settled(mouth) == [Said(T, "One two", whole=False)]
    assert mouth.unheard == ["One two three four.", "Five."]


def test_a_cut_goes_by_word_times_where_they_are_known() -> None:
    sentence = Sentence(
        "One two three", 1, duration_ms=900, complete=True, words=(("one", 0), ("two", 100), ("three", 800))
    )
    assert [heard_words(sentence, ms) for ms in (0, 99, 100, 799, 800, 900)] == [
        "",
        "",
        "One",
        "One",
        "One two",
        "One two three",
    ]


def test_a_sentence_whose_audio_is_not_complete_is_measured_by_its_letters() -> None:
    sentence = Sentence("abcd efgh", 1, duration_ms=20)
    assert sentence.length_ms() == 9 * LETTER_MS
    assert heard_words(sentence, 5 * LETTER_MS) == "abcd"


def test_the_second_sentence_is_cut_where_the_first_was_heard() -> None:
    mouth = speaking("One.", "Two three.")
    mouth.cut(1, 1500)
    assert settled(mouth) == [Said(T, "One. Two", whole=False)]
    assert mouth.unheard == ["Two three."]


def test_a_stop_drops_what_has_no_audio() -> None:
    mouth = speaking("One.")
    mouth.phrased(1, 1, "Two.")
    mouth.stop(mouth.runs[1])
    assert mouth.sounding
    mouth.cut(1, 1000)
    assert settled(mouth) == [Said(T, "One.", whole=False)]
    assert mouth.runs == {}


def test_a_tool_stands_between_what_was_said_before_and_after() -> None:
    mouth = speaking("One moment.")
    mouth.began(ToolBegan(T, 1, "c1", "find"))
    mouth.phrased(1, 1, "Found.")
    mouth.voiced(0, Voiced(T, 1, 1, 2, 500, last=True))
    assert settled(mouth) == [], "the tool waits for the words before it"
    mouth.played(1)
    assert settled(mouth) == [Said(T, "One moment."), ToolUse(T, "c1", "find")]
    mouth.played(2)
    assert settled(mouth) == [Said(T, "Found.")]


def test_a_tool_is_told_of_once() -> None:
    mouth = speaking("One.")
    assert mouth.began(ToolBegan(T, 1, "c1", "find")) is not None
    assert mouth.began(ToolBegan(T, 1, "c1", "find")) is None
    assert mouth.began(ToolBegan(T, 9, "c2", "find")) is None, "of a run that is over"


def test_the_clock_estimates_less_than_was_sent() -> None:
    mouth = speaking("One two three four.", duration_ms=1900)
    mouth.estimate(1060 * MILLISECOND)
    assert settled(mouth) == [Said(T, "One two", whole=False)]


def test_what_comes_of_a_run_that_is_over_changes_nothing() -> None:
    mouth = Mouth()
    mouth.phrased(1, 0, "One.")
    mouth.voiced(0, Voiced(T, 1, 0, 1, 100))
    mouth.played(1)
    mouth.cut(1, 10)
    assert settled(mouth) == []


def test_the_last_thing_heard_was_a_question_or_not() -> None:
    mouth = speaking("Shall I book it?")
    assert mouth.asked
    mouth.played(1)
    mouth.runs[1].replied = True
    settled(mouth)
    assert mouth.asked
    mouth.open(T, 2, committed=True)
    mouth.phrased(2, 0, "Fine.")
    mouth.voiced(0, Voiced(T, 2, 0, 2, 100, last=True))
    assert not mouth.asked
