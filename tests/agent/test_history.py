from __future__ import annotations

from offhook.agent.history import Heard, History, Keys, Said, ToolUse
from offhook.core.ids import Turn

ONE, TWO = Turn(1), Turn(2)


def test_a_history_never_changes() -> None:
    empty = History()
    longer = empty.plus(Heard(ONE, "Hello."))
    assert len(empty) == 0
    assert list(longer) == [Heard(ONE, "Hello.")]


def test_a_tool_gets_its_result_in_its_place() -> None:
    use = ToolUse(ONE, "c1", "book", {"people": 2})
    history = History().plus(Heard(ONE, "Book it."), use, Said(ONE, "One moment."))
    done = ToolUse(ONE, "c1", "book", {"people": 2}, "Booked.")
    assert history.with_result(done).entries == (Heard(ONE, "Book it."), done, Said(ONE, "One moment."))
    assert history.with_result(done, late=True).entries[1:] == (Said(ONE, "One moment."), done)
    assert history.tool("c1") is use
    assert history.tool("c2") is None


def test_the_last_words_of_each_side() -> None:
    history = History((Said(ONE, "Hi."), Heard(ONE, "A."), Said(ONE, "B."), Heard(TWO, "C."), Keys(TWO, "1")))
    assert (history.last_said(), history.last_heard()) == ("B.", "C.")
    assert (History().last_said(), History().last_heard()) == ("", "")


def test_a_transcript_shows_what_was_cut() -> None:
    history = History((Said(ONE, "We are open from", whole=False), Keys(ONE, "42"), ToolUse(ONE, "c", "find")))
    assert history.transcript() == "agent: We are open from —\ncaller: [42]\ntool: find -> …"
