"""The simulated caller: a seed is a wish, and what the agent says decides what the caller says next."""

from __future__ import annotations

import pytest

from offhook.run.demo.script import NAMES, Caller, Wish, wish

WISH = Wish(
    seed=0,
    name="Anna",
    people=4,
    hour="half past seven",
    at="19:30",
    key="5",
    question="Sorry, one question. Is there free parking?",
    interrupt="booked",
    after_ms=2000,
)


def test_a_seed_is_a_wish_and_another_seed_another() -> None:
    assert wish(7) == wish(7)
    wishes = [wish(seed) for seed in range(200)]
    assert {one.name for one in wishes} == set(NAMES)
    assert {one.people for one in wishes} == set(range(2, 9))
    assert {one.key for one in wishes} == set("0123456789")
    assert {one.interrupt for one in wishes} == {"greeting", "readback", "booked"}
    assert len({one.at for one in wishes}) == 10
    assert len({one.after_ms for one in wishes}) > 10


@pytest.mark.parametrize("seed", range(20))
def test_what_is_said_is_what_the_tool_must_get(seed: int) -> None:
    one = wish(seed)
    hour, minute = one.at.split(":")
    assert one.hour.startswith("half past ") == (minute == "30")
    assert one.arguments() == {"name": one.name, "people": one.people, "at": one.at}
    assert 17 <= int(hour) <= 21, "when the restaurant is open"


def test_a_table_is_booked_in_the_order_of_the_agents_questions() -> None:
    caller = Caller(WISH)
    told = [
        caller.answer("Luigi's, good evening! How can I help you?"),
        caller.answer("At what time?"),
        caller.answer("Under what name?"),
        caller.answer("Book a table, four people, at 7:30 p.m., under the name Anna. Is that right?"),
    ]
    assert told == ["opening", "time", "name", "yes"]
    assert caller.interrupts() == 2000, "the agent tells that it has booked, and the caller speaks over it"
    assert caller.speak_over() == "question"
    assert caller.interrupts() is None, "once"
    assert caller.answer("There is free parking behind the house. Is there anything else?") == "goodbye"
    assert caller.answer("Goodbye!") is None


def test_what_is_read_back_wrong_is_put_right_once() -> None:
    caller = Caller(WISH)
    for heard in ("good evening", "what time", "what name"):
        caller.answer(heard)
    assert caller.answer("five people, at 7:30 pm. Is that right?") == "people"
    assert caller.answer("five people, at 7:30 pm. Is that right?") == "yes", "it may be our own ears"


def test_what_was_not_understood_is_said_again_and_patience_is_waited_for() -> None:
    caller = Caller(WISH)
    caller.answer("good evening")
    assert caller.answer("Sorry, I did not understand that.") == "opening"
    assert caller.waits("One moment, please.")
    assert caller.waits("")
    assert not caller.waits("Under what name?")
    assert caller.answer("Are you still there?") == "opening"
