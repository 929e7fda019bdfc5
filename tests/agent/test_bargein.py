from __future__ import annotations

import pytest

from offhook.agent.bargein import interrupts
from offhook.agent.words import ENGLISH, SILENT


@pytest.mark.parametrize("text", ["", "um", "mm-hm", "okay, right", "I see.", "Yeah yeah yeah"])
def test_nods_and_noises_do_not_interrupt(text: str) -> None:
    assert not interrupts(text, ENGLISH, asked=False)


@pytest.mark.parametrize("text", ["Stop!", "no", "yeah but on Monday?", "Excuse me"])
def test_words_do(text: str) -> None:
    assert interrupts(text, ENGLISH, asked=False)


@pytest.mark.parametrize(("text", "answers"), [("yes", True), ("Okay.", True), ("mm-hm", True), ("um", False)])
def test_a_nod_answers_a_question(text: str, answers: bool) -> None:
    assert interrupts(text, ENGLISH, asked=True) is answers


def test_without_a_word_list_every_word_counts() -> None:
    assert interrupts("okay", SILENT, asked=False)
