from __future__ import annotations

import pytest

from offhook.agent.words import ENGLISH, SILENT, lexicon, says_no, words


def test_words_are_split_from_punctuation() -> None:
    assert words("Mm-hm, I’m at table 12!") == ["mm-hm", "i'm", "at", "table", "12"]


@pytest.mark.parametrize("tag", ["en", "en-GB", "EN-us"])
def test_every_english_is_english(tag: str) -> None:
    assert lexicon(tag) is ENGLISH


def test_a_language_that_we_do_not_know_has_no_words() -> None:
    assert lexicon("fi") is SILENT


@pytest.mark.parametrize(("text", "no"), [("No, for five.", True), ("Oh no", True), ("Yes please", False), ("", False)])
def test_a_plain_no(text: str, no: bool) -> None:
    assert says_no(text, ENGLISH) is no
