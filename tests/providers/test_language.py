"""What a caller said, made plain, and the values in it; as a recogniser writes them, not as a writer would."""

from __future__ import annotations

from typing import Any

import pytest

from offhook.providers.offline.language import plain
from offhook.providers.offline.slots import Kind, Slot, fill, slots_of, spoken_clock
from offhook.providers.offline.values import clock, days, email, name, telephone, yes_or_no

BOOKING: dict[str, Any] = {
    "properties": {"name": {"type": "string"}, "people": {"type": "integer"}, "at": {"type": "string"}},
    "required": ["name", "people", "at"],
}
SLOTS = slots_of(BOOKING)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("I'd like a table for four.", "i'd like a table for 4"),
        ("Twenty-five, or a hundred and three?", "25 or 103"),
        ("seven thirty", "7 30"),
        ("five five five, one two", "5 5 5 1 2"),
        ("At 7.30 P.M.!", "at 7:30 pm"),
        ("at eight o'clock", "at 8 oclock"),
        ("8pm", "8 pm"),
        ("the third of June", "the 3 of june"),
        ("just a second", "just a second"),
        ("1,200 seats", "1200 seats"),
    ],
)
def test_words_are_made_plain(said: str, words: str) -> None:
    assert " ".join(plain(said)) == words


@pytest.mark.parametrize(
    ("said", "time"),
    [
        ("at half past seven", "19:30"),
        ("quarter to eight", "19:45"),
        ("a quarter past 6", "18:15"),
        ("ten to nine in the morning", "08:50"),
        ("7:30 p.m.", "19:30"),
        ("7.30", "19:30"),
        ("at 730", "19:30"),
        ("seven o'clock", "19:00"),
        ("nineteen thirty", "19:30"),
        ("8 in the morning", "08:00"),
        ("eleven at night", "23:00"),
        ("at noon", "12:00"),
        ("12 p.m.", "12:00"),
        ("12 a.m.", "00:00"),
        ("midnight", "00:00"),
        ("at about nine", "21:00"),
        ("at half eight", "20:30"),
        ("eight fifteen tonight", "20:15"),
        ("You have passed 9.", "21:30"),  # "half past nine", as a recogniser hears it on a telephone
        ("At half past date, please.", "20:30"),
        ("at half-pastake", "20:30"),
        ("Order to 8.", "19:45"),  # "quarter to eight"
    ],
)
def test_times_are_read(said: str, time: str) -> None:
    assert next(iter(clock(plain(said)))).value == time


@pytest.mark.parametrize(
    ("said", "asked", "found"),
    [
        ("I'd like a table for four at half past seven.", None, {"people": 4, "at": "19:30"}),
        ("at eight for two", None, {"people": 2, "at": "20:00"}),
        ("A party of six, at 7.", None, {"people": 6, "at": "19:00"}),
        ("there will be three of us", None, {"people": 3}),
        ("For 4 people at 7.30, my name is Anna.", None, {"people": 4, "at": "19:30", "name": "Anna"}),
        ("This is John Smith calling", None, {"name": "John Smith"}),
        ("a table for two tonight", None, {"people": 2}),
        ("Four.", "people", {"people": 4}),
        ("For.", "people", {"people": 4}),
        ("Two.", "people", {"people": 2}),
        ("To.", "people", {"people": 2}),
        ("Seven.", "at", {"at": "19:00"}),
        ("7 30 please", "at", {"at": "19:30"}),
        ("Maria.", "name", {"name": "Maria"}),
        ("It's maria", "name", {"name": "Maria"}),
        ("Yes, the name is Robert.", "name", {"name": "Robert"}),
        ("Under the name of Mary-Jane O'Neill, please", "name", {"name": "Mary-Jane O'Neill"}),
        ("Richard. Richard.", "name", {"name": "Richard"}),
        ("Four.", "name", {"people": 4}),  # the number is an answer, if not to this question
        ("What's your address?", "name", {}),
        ("Never mind.", "name", {}),
        ("I am calling to book a table", None, {}),
        ("I'm not sure", "people", {}),
        ("It is for four people", "name", {"people": 4}),
        ("", "name", {}),
    ],
)
def test_slots_are_filled(said: str, asked: str | None, found: dict[str, Any]) -> None:
    assert fill(SLOTS, said, asked) == found


def test_slots_come_from_the_schema() -> None:
    schema: dict[str, Any] = {
        "properties": {
            "customer": {"type": "string"},
            "nights": {"type": "integer"},
            "day": {"type": "string"},
            "size": {"enum": ["small", "large"], "type": "string"},
            "breakfast": {"type": "boolean"},
            "phone": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "reason": {"type": "string", "description": "Why do you call?"},
            "score": {"type": "number", "description": "How happy they are, from 1 to 5"},
            "arrival": {"$ref": "#/$defs/When"},
        },
        "required": ["customer", "nights"],
        "$defs": {"When": {"type": "string", "format": "time"}},
    }
    slots = {slot.name: slot for slot in slots_of(schema)}
    assert {name: slot.kind for name, slot in slots.items()} == {
        "customer": Kind.NAME,
        "nights": Kind.COUNT,
        "day": Kind.DAY,
        "size": Kind.CHOICE,
        "breakfast": Kind.TRUTH,
        "phone": Kind.TELEPHONE,
        "reason": Kind.WORDS,
        "score": Kind.COUNT,
        "arrival": Kind.CLOCK,
    }
    assert list(slots)[-2:] == ["customer", "phone"], "first what, then who"
    assert slots["nights"].question == "How many nights?"
    assert slots["size"].question == "Which size: small or large?"
    assert slots["reason"].question == "Why do you call?"
    assert not slots["phone"].required


def test_the_slots_of_another_tool_are_filled_too() -> None:
    slots = slots_of({"properties": {"nights": {"type": "integer"}, "room": {"enum": ["single", "double"]}}})
    assert fill(slots, "A double room for three nights", None) == {"nights": 3, "room": "double"}


@pytest.mark.parametrize(
    ("slot", "value", "said"),
    [
        (SLOTS[0], 4, "4 people"),
        (SLOTS[0], 1, "1 person"),
        (SLOTS[1], "19:30", "at 7:30 pm"),
        (SLOTS[2], "Maria", "under the name Maria"),
        (Slot("breakfast", Kind.TRUTH, ""), False, "without breakfast"),
    ],
)
def test_values_are_said_back(slot: Slot, value: object, said: str) -> None:
    assert slot.spoken(value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [("00:00", "midnight"), ("12:00", "noon"), ("12:30", "12:30 pm"), ("08:00", "8 am"), ("soon", "soon")],
)
def test_times_are_said(value: str, said: str) -> None:
    assert spoken_clock(value) == said


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("Yes.", True),
        ("Yeah, that's right.", True),
        ("okay, go ahead", True),
        ("No.", False),
        ("That's not right.", False),
        ("No, thank you.", False),
        ("no problem", True),
        ("a table", None),
    ],
)
def test_yes_and_no(said: str, answer: bool | None) -> None:
    assert yes_or_no(plain(said)) is answer


def test_other_values() -> None:
    assert [found.value for found in days(plain("next Friday, or the third of June, or tomorrow"))] == [
        "next friday",
        "3 june",
        "tomorrow",
    ]
    number = telephone(plain("it is five five five, one two double three oh"))
    assert number is not None
    assert number.value == "55512330"
    assert telephone(plain("four people at 7 30")) is None
    assert email(plain("maria at example dot org")) == "maria@example.org"
    assert name("I would like to book", asked=False) is None


def test_a_name_is_found_however_its_cue_was_heard():
    for text in ("The name is Samuel, please.", "The name of Samuel, please.", "In the name of Samuel."):
        found = name(text, asked=False)
        assert found is not None
        assert found.value == "Samuel"
