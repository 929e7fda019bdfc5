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
    mouth.played(0, 1)
    assert settled(mouth) == [Said(T, "One. Two.")]


def test_a_cut_keeps_whole_words_in_proportion_to_the_audio() -> None:
    mouth = speaking("One two three four.", "Five.")
    mouth.cut(0, 1, 500)
    assert settled(mouth) == [Said(T, "One two", whole=False)]
    assert [one.text for one in mouth.unheard] == ["One two three four.", "Five."]


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


def test_sound_without_words_leaves_none_however_much_was_heard() -> None:
    # An author plays a file, and the caller hangs up in the middle of it.
    assert heard_words(Sentence("", 1, duration_ms=60_000), 100) == ""


def test_a_sentence_whose_audio_is_not_complete_is_measured_by_its_letters() -> None:
    sentence = Sentence("abcd efgh", 1, duration_ms=20)
    assert sentence.length_ms() == 9 * LETTER_MS
    assert heard_words(sentence, 5 * LETTER_MS) == "abcd"


def test_the_second_sentence_is_cut_where_the_first_was_heard() -> None:
    mouth = speaking("One.", "Two three.")
    mouth.cut(0, 1, 1500)
    assert settled(mouth) == [Said(T, "One. Two", whole=False)]
    assert [one.text for one in mouth.unheard] == ["Two three."]


def test_a_stop_drops_what_has_no_audio() -> None:
    mouth = speaking("One.")
    mouth.phrased(1, 1, "Two.")
    mouth.stop(mouth.runs[1])
    assert mouth.sounding
    mouth.cut(0, 1, 1000)
    assert settled(mouth) == [Said(T, "One.", whole=False)]
    assert mouth.runs == {}


def test_a_sentence_grows_and_its_half_is_cut_though_all_that_was_said_of_it_was_heard() -> None:
    mouth = Mouth()
    mouth.open(T, 1, committed=True)
    for text in ("We", "We are", "We are open"):
        mouth.phrased(1, 0, text, last=False)
        mouth.voiced(0, Voiced(T, 1, 0, 1, len(text) * LETTER_MS))
    mouth.stop(mouth.runs[1])
    mouth.phrased(1, 0, "We are open until eleven.", last=True)
    mouth.cut(0, 1, len("We are open") * LETTER_MS)
    assert settled(mouth) == [Said(T, "We are open", whole=False)]
    assert [one.whole for one in mouth.unheard] == [False]


def test_a_tool_stands_between_what_was_said_before_and_after() -> None:
    mouth = speaking("One moment.")
    mouth.began(ToolBegan(T, 1, "c1", "find"))
    mouth.phrased(1, 1, "Found.")
    mouth.voiced(0, Voiced(T, 1, 1, 2, 500, last=True))
    assert settled(mouth) == [], "the tool waits for the words before it"
    mouth.played(0, 1)
    assert settled(mouth) == [Said(T, "One moment."), ToolUse(T, "c1", "find")]
    mouth.played(0, 2)
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


def told(mouth: Mouth, at_ms: int, sentence: int, utterance: int, duration_ms: int, *, last: bool = True) -> None:
    mouth.voiced(at_ms * MILLISECOND, Voiced(T, 1, sentence, utterance, duration_ms, last=last))


def said_by(mouth: Mouth, at_ms: int) -> list[str]:
    mouth.estimate(at_ms * MILLISECOND)
    return [entry.text for entry in settled(mouth) if isinstance(entry, Said)]


def behind_another() -> Mouth:
    """Utterance 1 of a second is queued at 0, utterance 2 behind it."""
    mouth = speaking("One.")
    mouth.phrased(1, 1, "Two three four five.")
    told(mouth, 100, 1, 2, 2000)
    return mouth


def test_by_the_clock_an_utterance_begins_when_the_one_before_it_was_heard() -> None:
    mouth = behind_another()
    mouth.played(1100 * MILLISECOND, 1)
    assert said_by(mouth, 2200) == ["One. Two three"], "1.1 s of two, and not the 2.1 s since it was queued"


def test_by_the_clock_nothing_is_heard_behind_what_was_not_heard_out() -> None:
    assert said_by(behind_another(), 900) == [], "one is still sounding"


def test_by_the_clock_nothing_is_heard_while_the_voice_stalls() -> None:
    between = speaking("One.")
    between.phrased(1, 1, "Two three.")
    told(between, 5000, 1, 1, 1000)
    assert said_by(between, 5460) == ["One. Two"], "the second sentence has sounded for 400 ms, not for 4460"
    within = Mouth()
    within.open(T, 1, committed=True)
    within.phrased(1, 0, "One two three four.")
    told(within, 0, 0, 1, 1000, last=False)
    told(within, 5000, 0, 1, 2000)
    assert said_by(within, 5460) == ["One two three"], "1.4 s of 2 s"


def test_by_the_clock_no_more_is_heard_than_the_voice_has_made() -> None:
    mouth = Mouth()
    mouth.open(T, 1, committed=True)
    mouth.phrased(1, 0, "One two three four five six.")
    told(mouth, 0, 0, 1, 600, last=False)
    assert said_by(mouth, 3000) == ["One two"], "the rest never came"


def test_by_the_clock_nothing_is_heard_on_hold() -> None:
    mouth = speaking("One two three four.", duration_ms=1900)
    mouth.hold(500 * MILLISECOND, on=True)
    mouth.hold(600 * MILLISECOND, on=True)
    mouth.hold(4500 * MILLISECOND, on=False)
    mouth.hold(5060 * MILLISECOND, on=True)
    assert said_by(mouth, 9000) == ["One two"], "1.06 s in all"


def test_what_comes_of_a_run_that_is_over_changes_nothing() -> None:
    mouth = Mouth()
    mouth.phrased(1, 0, "One.")
    mouth.voiced(0, Voiced(T, 1, 0, 1, 100))
    mouth.played(0, 1)
    mouth.cut(0, 1, 10)
    assert settled(mouth) == []


def test_the_last_thing_heard_was_a_question_or_not() -> None:
    mouth = speaking("Shall I book it?")
    assert mouth.asked
    mouth.played(0, 1)
    mouth.runs[1].replied = True
    settled(mouth)
    assert mouth.asked
    mouth.open(T, 2, committed=True)
    mouth.phrased(2, 0, "Fine.")
    mouth.voiced(0, Voiced(T, 2, 0, 2, 100, last=True))
    assert not mouth.asked
