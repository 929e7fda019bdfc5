"""Words as a recogniser writes them, made plain: lower case, no punctuation, numbers as digits.

"I'd like a table for four, at half past seven." → `i'd like a table for 4 at half past 7`
"""

from __future__ import annotations

import re

_SMALL = [
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
]
UNITS = {word: value for value, word in enumerate(_SMALL)}
TENS = {
    "twenty": 20,
    "thirty": 30,
    "forty": 40,
    "fourty": 40,
    "fifty": 50,
    "sixty": 60,
    "seventy": 70,
    "eighty": 80,
    "ninety": 90,
}
ORDINALS = {
    **{"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9},
    **{"tenth": 10, "eleventh": 11, "twelfth": 12, "thirteenth": 13, "fourteenth": 14, "fifteenth": 15},
    **{"twentieth": 20, "thirtieth": 30},
}

_APOSTROPHES = str.maketrans({"’": "'", "‘": "'", "–": "-", "—": " "})
_HALF_DAY = re.compile(r"\b([ap])\s?\.?\s?m\b\.?")
_OCLOCK = re.compile(r"\bo\s?'?\s?clock\b")
_CLOCK = re.compile(r"\b(\d{1,2})[.:](\d{2})\b")
_NUMBER_HYPHEN = re.compile(r"(?<=[a-z0-9])-(?=[a-z0-9])")
_GLUED = re.compile(r"\b(\d{1,2}(?::\d{2})?)(am|pm)\b")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}\b)")
_ORDINAL_DIGITS = re.compile(r"\b(\d+)(?:st|nd|rd|th)\b")
_TOKEN = re.compile(r"\d{1,2}:\d{2}|\+?\d+|[^\W\d_]+(?:'[^\W\d_]+)*")


def plain(text: str) -> list[str]:
    """Give the words of `text`: lower case, numbers as digits, clock times as `h:mm`, `am` and `pm` as words."""
    text = text.translate(_APOSTROPHES).lower()
    text = _HALF_DAY.sub(r"\1m ", text)
    text = _OCLOCK.sub(" oclock ", text)
    text = _CLOCK.sub(r"\1:\2", text)
    text = _THOUSANDS.sub("", text)
    text = _ORDINAL_DIGITS.sub(r"\1", text)
    text = _NUMBER_HYPHEN.sub(" ", text)
    text = _GLUED.sub(r"\1 \2", text)
    return _digits(_TOKEN.findall(text))


def _digits(words: list[str]) -> list[str]:
    """Turn runs of number words into digits: `twenty five` is 25, but `7 30` stays two numbers and `1 2 3` three."""
    out: list[str] = []
    index = 0
    while index < len(words):
        value, used = _number_at(words, index)
        if used:
            out.append(str(value))
            index += used
        else:
            ordinal = ORDINALS.get(words[index])
            dated = ordinal and (_word(words, index - 1) == "the" or _word(words, index + 1) == "of")
            out.append(str(ordinal) if dated else words[index])
            index += 1
    return out


def _number_at(words: list[str], at: int) -> tuple[int, int]:
    """Read the number word that begins at `at`: its value and how many words it takes (0: none)."""
    value, used = _below_hundred(words, at)
    if _word(words, at) == "a" and _word(words, at + 1) == "hundred":
        value, used = 1, 1
    if not used:
        return 0, 0
    if value < 10 and _word(words, at + used) == "hundred":
        value, used = value * 100, used + 1
        more, taken = _below_hundred(words, at + used + (_word(words, at + used) == "and"))
        if taken:
            value, used = value + more, used + taken + (_word(words, at + used) == "and")
    return value, used


def _below_hundred(words: list[str], at: int) -> tuple[int, int]:
    word = _word(words, at)
    if word in TENS:
        unit = UNITS.get(_word(words, at + 1), 0)
        return (TENS[word] + unit, 2) if 0 < unit < 10 else (TENS[word], 1)
    if word in UNITS:
        return UNITS[word], 1
    return 0, 0


def _word(words: list[str], at: int) -> str:
    return words[at] if 0 <= at < len(words) else ""


def bag(text: str) -> frozenset[str]:
    """Give the words of a list that is easier to read as a text."""
    return frozenset(text.split())


def stem(word: str) -> str:
    """Cut the commonest English endings off, so that `booking`, `booked` and `book` meet."""
    for ending in ("ations", "ation", "ings", "ing", "ies", "es", "ed", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word
