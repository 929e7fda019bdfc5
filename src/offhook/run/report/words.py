"""Words compared: how many of them were heard wrong.

Spelling is not hearing: before they are compared, words lose case and punctuation, and numbers are written out, so
that "7:30" and "seven thirty" are the same words.
"""

from __future__ import annotations

import re
from typing import Literal

# fmt: off
_ONES = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
# fmt: on
_TOKEN = re.compile(r"\d+|[^\W\d_]+(?:['’][^\W\d_]+)*")

Step = tuple[Literal["same", "other", "missed", "added"], str, str]
"""One step of an alignment: how the words compare, the word that was said, the word that was heard ("" for none)."""


def spelled(number: int) -> list[str]:
    """Give a whole number's English words, digit by digit from 1000 on: 45 is ["forty", "five"]."""
    if number < 20:
        return [_ONES[number]]
    if number < 100:
        tens, ones = divmod(number, 10)
        return [_TENS[tens - 2], *([_ONES[ones]] if ones else [])]
    if number < 1000:
        hundreds, rest = divmod(number, 100)
        return [_ONES[hundreds], "hundred", *(spelled(rest) if rest else [])]
    return [_ONES[int(digit)] for digit in str(number)]


def words(text: str) -> list[str]:
    """Give the words of `text`, in lower case, numbers written out; ":00" after an hour is not a word."""
    found: list[str] = []
    for token in _TOKEN.findall(re.sub(r"(\d):00\b", r"\1", text.lower())):
        plain = token.replace("’", "'")
        found += spelled(int(plain)) if plain.isdecimal() and len(plain) < 12 else [plain]
    return found


def alignment(said: list[str], heard: list[str]) -> list[Step]:
    """Match what was heard to what was said with the fewest changes (Levenshtein), in order."""
    costs = [[row + column for column in range(len(heard) + 1)] for row in range(len(said) + 1)]
    for row, one in enumerate(said, 1):
        for column, other in enumerate(heard, 1):
            change = costs[row - 1][column - 1] + (one != other)
            costs[row][column] = min(change, costs[row - 1][column] + 1, costs[row][column - 1] + 1)
    steps: list[Step] = []
    row, column = len(said), len(heard)
    while row or column:
        cost = costs[row][column]
        if row and column and cost == costs[row - 1][column - 1] + (said[row - 1] != heard[column - 1]):
            row, column = row - 1, column - 1
            steps.append(("same" if said[row] == heard[column] else "other", said[row], heard[column]))
        elif row and cost == costs[row - 1][column] + 1:
            row -= 1
            steps.append(("missed", said[row], ""))
        else:
            column -= 1
            steps.append(("added", "", heard[column]))
    return steps[::-1]


def word_errors(said: str, heard: str) -> float:
    """Give the word error rate of `heard`: changes over words said (1.0 for words heard where none were said)."""
    reference = words(said)
    wrong = sum(step[0] != "same" for step in alignment(reference, words(heard)))
    return wrong / len(reference) if reference else float(wrong > 0)
