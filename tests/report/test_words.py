"""Words compared: numbers are words, spelling is not hearing, and the alignment finds the fewest changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.run.report.words import alignment, word_errors, words


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("A table for 4, at 7:30.", "a table for four at seven thirty"),
        ("7:00", "seven"),
        ("It's Anna’s", "it's anna's"),
        ("45 and 512", "forty five and five hundred twelve"),
        ("555-0142", "five hundred fifty five one hundred forty two"),
        ("", ""),
    ],
)
def test_numbers_and_punctuation_do_not_count(written: str, spoken: str) -> None:
    assert words(written) == spoken.split()


def test_each_kind_of_error_counts_once() -> None:
    assert word_errors("book a table for four", "book a table for four") == 0
    assert word_errors("book a table for four", "book a cable for four") == pytest.approx(0.2)
    assert word_errors("book a table for four", "book table for four") == pytest.approx(0.2)
    assert word_errors("book a table for four", "book a table for for four") == pytest.approx(0.2)
    assert word_errors("book a table", "") == 1
    assert word_errors("", "ghost") == 1
    assert word_errors("", "") == 0


@given(st.lists(st.sampled_from("abc"), max_size=6), st.lists(st.sampled_from("abc"), max_size=6))
def test_an_alignment_tells_both_sides_whole_and_in_order(said: list[str], heard: list[str]) -> None:
    steps = alignment(said, heard)
    assert [one for _, one, _ in steps if one] == said
    assert [one for _, _, one in steps if one] == heard
    assert all((kind == "same") == (one == other) for kind, one, other in steps)
    assert sum(kind != "same" for kind, _, _ in steps) <= max(len(said), len(heard))
