"""What a language's small words tell about turns: which hang in the air, which only nod, which answer.

English is complete; for another language pass a `Lexicon` of its own. Without one only punctuation and silence count.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_WORD = re.compile(r"\w+(?:['-]\w+)*")


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Word lists of one language, in lower case.

    `hanging`: words after which a speaker goes on. `fillers`: sounds that are no words. `nods`: what listeners say
    while the other speaks. `answers`: nods that answer when they follow a question. `numbers`: spelled digits and
    numbers. `digit_hints`: words of ours after which digits are expected. `refusals`: a plain no.
    """

    hanging: frozenset[str] = frozenset()
    fillers: frozenset[str] = frozenset()
    nods: frozenset[str] = frozenset()
    answers: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()
    digit_hints: frozenset[str] = frozenset()
    refusals: frozenset[str] = frozenset()


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


ENGLISH = Lexicon(
    hanging=_set(
        "and or but so because if when while that which who the a an my your his her our their to for of in on at with "
        "from by about is are was were am be i'm it's i we you and/or maybe like than as also then i'd i'll"
    ),
    fillers=_set("um uh er erm hmm hm mm ah oh eh uhm"),
    nods=_set(
        "mm-hm mhm mm-hmm mmhmm uh-huh uhuh huh okay ok yeah yes yep yup right sure alright great good nice cool fine "
        "wow really gotcha exactly absolutely indeed aha i see got it all of course"
    ),
    answers=_set(
        "mm-hm mhm mm-hmm mmhmm uh-huh okay ok yeah yes yep yup right sure alright great good nice cool fine exactly "
        "absolutely indeed course really"
    ),
    numbers=_set(
        "zero oh one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand double "
        "triple"
    ),
    digit_hints=_set("number digits code pin postcode zip account reference card"),
    refusals=_set("no nope nah don't not wrong wait stop"),
)

SILENT = Lexicon()
"""A language of which we know no words."""

_LEXICONS = {"en": ENGLISH}


def lexicon(language: str) -> Lexicon:
    """Give the word lists of a language tag (BCP 47, such as "en" or "en-GB")."""
    return _LEXICONS.get(language.split("-")[0].lower(), SILENT)


def words(text: str) -> list[str]:
    """Split a text into words in lower case, without punctuation."""
    return _WORD.findall(text.lower().replace("’", "'"))


def says_no(text: str, lexicon: Lexicon) -> bool:
    """Say whether a text begins as a refusal."""
    return any(word in lexicon.refusals for word in words(text)[:2])
