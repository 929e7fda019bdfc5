from __future__ import annotations

from offhook.agent.inputs import Ask, Gather
from offhook.agent.waits import Waits, after
from offhook.core.instants import MILLISECOND


def test_the_time_for_an_answer_begins_when_the_question_was_heard() -> None:
    waits = Waits()
    waits.ask(0, Ask(1, "Name?", 1000), run=7)
    assert waits.pending
    assert waits.asking is not None
    assert waits.asking.until is None
    waits.heard_out(5, 8)
    assert waits.asking.until is None
    waits.heard_out(5, 7)
    assert waits.asking.until == after(5, 1000)
    waits.again(9)
    assert waits.asking.until == after(9, 1000)


def test_the_time_for_keys_begins_anew_with_each() -> None:
    waits = Waits()
    waits.gather(0, Gather(1, "", 3, 1000), run=0)
    gathering = waits.gathering
    assert gathering is not None
    assert gathering.until == after(0, 1000)
    assert not gathering.press(50, "1")
    assert gathering.until == 50 + 1000 * MILLISECOND
    assert not gathering.press(60, "*")
    assert gathering.press(70, "3")
    assert gathering.keys == "1*3"


def test_the_finish_key_is_no_part_of_the_keys() -> None:
    waits = Waits()
    waits.gather(0, Gather(1, "", 9, 1000, finish="*"), run=0)
    assert waits.gathering is not None
    assert not waits.gathering.press(0, "#")
    assert waits.gathering.press(0, "*")
    assert waits.gathering.keys == "#"
