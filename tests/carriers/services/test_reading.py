"""What strangers send is read as what it should be, or as nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.carriers.services import proof, reading
from offhook.carriers.services.http import Unsigned

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=20),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(max_size=8), inside, max_size=4),
    max_leaves=12,
)


@given(ANYTHING)
def test_whatever_it_is_it_is_read(value):
    assert reading.text(value).encode().decode() == reading.text(value)
    assert (reading.whole(value) or 0) >= 0
    assert reading.key(value) in {"", *reading.KEYS}
    assert isinstance(reading.inner(value), dict)
    assert isinstance(reading.items(value), list)
    reading.e164(value)
    for name, one in reading.params(reading.inner(value)).items():
        assert (name + one).encode()


@pytest.mark.parametrize(("written", "read"), [("7", 7), (7, 7), (7.0, 7), ("-1", None), (-1, None), ("7a", None)])
def test_a_number_may_be_a_text(written, read):
    assert reading.whole(written) == read


def test_half_a_character_is_replaced_and_two_halves_are_joined():
    assert reading.legible("a\ud83d") == "a�"
    assert reading.legible("\ud83d\ude00") == "😀"


@pytest.mark.parametrize(("told", "read"), [("447700900000", "+447700900000"), ("anonymous", "anonymous"), ("7", "7")])
def test_a_number_without_its_plus_gets_it(told, read):
    assert reading.e164(told) == read


def test_a_message_that_is_too_long_is_none():
    assert reading.message('{"a":"' + "x" * reading.MESSAGE_LIMIT + '"}') is None
    assert reading.message("[1]") is None
    assert reading.message("[" * 10_000) is None


def test_a_proof_is_of_now():
    proof.check_fresh(1000, 1000 + proof.FRESH_S)
    for made_s in (1000 - proof.FRESH_S - 1, 1000 + proof.FRESH_S + 1, float("nan"), float("inf")):
        with pytest.raises(Unsigned) as refused:
            proof.check_fresh(made_s, 1000)
        assert "clock" in refused.value.hint


def test_texts_that_are_no_ascii_are_compared_too():
    assert proof.same("é\ud800", "é\ud800")
    assert not proof.same("é", "e")
