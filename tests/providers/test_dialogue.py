"""The dialogue takes whatever a recogniser may write, and always has an answer."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.providers.offline.dialogue import Dialogue, Do, Say, Tool
from offhook.providers.offline.meaning import Meant, candidates, rank
from offhook.providers.offline.slots import slots_of

BOOK = Tool(
    "book_table",
    "book a table",
    slots_of(
        {
            "properties": {
                "people": {"type": "integer"},
                "at": {"type": "string"},
                "day": {"type": "string"},
                "phone": {"type": "string"},
                "name": {"type": "string"},
            },
            "required": ["people", "at", "day", "phone", "name"],
        }
    ),
)
HANG_UP = Tool("hang_up", "end the call", ())
KNOWN = candidates("We are open from five to eleven.", [("book_table", "Book a table."), ("hang_up", "End the call.")])

SPOKEN = """a table for four at half past seven quarter to 8 o'clock 7:30 730 19 30 p.m. am noon my name is Maria it's
    people of us yes no not right double five oh 5 +1555 1234567 tomorrow friday the third june never mind goodbye
    when are you open ? . , ' - hundred and twenty-five thousand [ ] é ½ ٣ 99 0 99999999999999999999"""
WORDS = st.sampled_from(SPOKEN.split())
SAID = st.one_of(st.lists(WORDS, max_size=14).map(" ".join), st.text(max_size=60))


def ranked(said: str) -> Sequence[Meant]:
    return rank(said, KNOWN, {})


@settings(max_examples=100, deadline=None)
@given(st.lists(SAID, min_size=1, max_size=6))
def test_any_words_have_an_answer(turns: list[str]) -> None:
    dialogue = Dialogue({"book_table": BOOK, "hang_up": HANG_UP}, ranked)
    for text in ("Book a table.", *turns):
        match dialogue.hear(text):
            case Say(reply):
                assert reply.strip()
            case Do("book_table", arguments):
                assert set(arguments) == {slot.name for slot in BOOK.slots}
                assert isinstance(arguments["people"], int)
                dialogue.called("book_table", arguments)
                told = dialogue.done("book_table", "Not done yet. Read it back.")
                assert told is not None
                assert told.text.endswith("Is that right?")
            case Do(name):
                assert name == "hang_up"


@settings(max_examples=30, deadline=None)
@given(st.lists(SAID, max_size=5))
def test_the_same_words_have_the_same_answers(turns: list[str]) -> None:
    one, other = (Dialogue({"book_table": BOOK, "hang_up": HANG_UP}, ranked) for _ in range(2))
    assert [one.hear(text) for text in turns] == [other.hear(text) for text in turns]
