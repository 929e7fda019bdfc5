"""From pieces of text to sentences, each as soon as it is complete, so that the voice can begin.

    "Sure" ". Mr. Ro" "ssi has 2.5 " "tables. An" "ything"  ─►  "Sure."  "Mr. Rossi has 2.5 tables."  (flush) "Anything"
    the same, eager  ─►  "Sure"  "."  " Mr. Ro"  "ssi has 2.5"  " tables."  " An"  "ything"

A sentence ends where space follows its end, so a flush is needed for the last. Who speaks words as they come takes them
eagerly: the same text, not a letter of it later than it is there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LONGEST = 280
"""Characters after which a sentence without an end is broken at a comma or a space: a bound on the first audio."""

_END = re.compile(r"[.!?…]+[\"'”’)\]]*\s+|\n+")
_SHORT = frozenset(("mr", "mrs", "ms", "dr", "st", "no", "vs", "prof", "e.g", "i.e", "etc", "approx"))


@dataclass(frozen=True, slots=True)
class Phrase:
    """What is to be spoken: a sentence, or the next piece of one, with its blanks; with `last` it is complete."""

    text: str
    last: bool = True


class Sentences:
    """Cuts a stream of text into sentences. `eager`: gives each of them piece by piece, as it comes."""

    __slots__ = ("_begun", "_eager", "_given", "_rest")

    def __init__(self, *, eager: bool = False) -> None:
        self._eager = eager
        self._rest = ""
        self._given = 0
        """Characters of the sentence under way that were given."""
        self._begun = False

    def push(self, piece: str) -> list[Phrase]:
        """Take a piece of text; give the sentences that it completed, and what there is of the next if it is eager."""
        self._rest += piece
        found: list[Phrase] = []
        at = 0
        for end in _END.finditer(self._rest):
            if self._abbreviated(end.start()):
                continue
            sentence = self._rest[at : end.end()]
            if _sounds(sentence):
                found.append(self._phrase(sentence))
                at = end.end()
        if at:
            self._rest = self._rest[at:]
        if self._eager:
            if _sounds(self._rest):
                found.append(self._phrase(self._rest, last=False))
            return [phrase for phrase in found if phrase.text or phrase.last]
        while len(self._rest) > LONGEST:
            cut = self._rest.rfind(", ", 0, LONGEST) + 1 or self._rest.rfind(" ", 0, LONGEST) + 1 or LONGEST
            found.append(self._phrase(self._rest[:cut]))
            self._rest = self._rest[cut:]
        return found

    def flush(self) -> list[Phrase]:
        """Give what is left, as a sentence."""
        rest, self._rest = self._rest, ""
        found = [self._phrase(rest)] if _sounds(rest) else []
        self._begun = False
        return found

    def _phrase(self, sentence: str, *, last: bool = True) -> Phrase:
        """Give what was not given yet of a sentence; behind another it has a blank before it where it is eager."""
        text = sentence.strip()
        blank = " " if self._eager and self._begun and not self._given else ""
        given, self._given, self._begun = self._given, 0 if last else len(text), True
        return Phrase(blank + text[given:], last)

    def _abbreviated(self, dot: int) -> bool:
        if self._rest[dot] != "." or self._rest[dot : dot + 2] == "..":
            return False
        word = self._rest[:dot].rpartition(" ")[2].lower()
        return word in _SHORT or (len(word) == 1 and word.isalpha() and word != "i")


def split(text: str) -> list[str]:
    """Cut a whole text into sentences."""
    cutter = Sentences()
    return [phrase.text for phrase in (*cutter.push(text), *cutter.flush())]


def _sounds(text: str) -> bool:
    return any(sign.isalnum() for sign in text)
