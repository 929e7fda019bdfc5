from __future__ import annotations

import random

import pytest

from offhook.agent.sentences import LONGEST, Phrase, Sentences, split


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Hello! How are you? Fine.", ["Hello!", "How are you?", "Fine."]),
        ("Mr. Rossi has 2.5 tables. Really.", ["Mr. Rossi has 2.5 tables.", "Really."]),
        ("It costs 3.50 euros", ["It costs 3.50 euros"]),
        ("J. S. Bach, e.g. the cello suites. Yes", ["J. S. Bach, e.g. the cello suites.", "Yes"]),
        ("Well... maybe. “Yes.” Good", ["Well...", "maybe.", "“Yes.”", "Good"]),
        ("one\ntwo", ["one", "two"]),
        (" … ", []),
        ("", []),
    ],
)
def test_where_sentences_end(text: str, sentences: list[str]) -> None:
    assert split(text) == sentences


def test_a_sentence_is_given_as_soon_as_it_is_complete() -> None:
    cutter = Sentences()
    assert cutter.push("Sure") == []
    assert cutter.push(". Any") == [Phrase("Sure.")]
    assert cutter.push("thing else?") == []
    assert cutter.flush() == [Phrase("Anything else?")]
    assert cutter.flush() == []


def test_who_is_eager_gets_each_piece_at_once_and_is_told_where_sentences_end() -> None:
    cutter = Sentences(eager=True)
    assert cutter.push("  Sure") == [Phrase("Sure", last=False)]
    assert cutter.push(". ") == [Phrase(".")]
    assert cutter.push("\n🍕 ") == [], "what can't be said waits for words"
    assert cutter.push("Mr. Ro") == [Phrase(" 🍕 Mr. Ro", last=False)]
    assert cutter.push(" ") == []
    assert cutter.push("ssi? Yes. ") == [Phrase(" ssi?"), Phrase(" Yes.")]
    assert cutter.push("🍕") == []
    assert cutter.flush() == []
    assert cutter.push("Well") == [Phrase("Well", last=False)], "behind a flush there is no blank before it"
    assert cutter.flush() == [Phrase("")]


def test_pieces_of_any_size_give_the_same_sentences() -> None:
    text = "We are open, Mr. Rossi. From 5.30 to eleven! Is that all right? Yes... it is."
    for seed in range(50):
        for eager in (False, True):
            rng, cutter, found, at = random.Random(seed), Sentences(eager=eager), list[Phrase](), 0
            while at < len(text):
                size = rng.randint(1, 9)
                found += cutter.push(text[at : at + size])
                at += size
            found += cutter.flush()
            whole = "".join(phrase.text + "|" * phrase.last for phrase in found).split("|")
            assert [sentence.strip() for sentence in whole if sentence] == split(text)


def test_a_sentence_without_end_is_broken_at_a_space() -> None:
    text = "word " * 200
    pieces = split(text)
    assert all(len(piece) <= LONGEST for piece in pieces)
    assert " ".join(pieces) == text.strip()
