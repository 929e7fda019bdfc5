"""From pieces of text to sentences, each as soon as it is complete, so that the voice can begin.

"Sure" ". Mr. Ro" "ssi has 2.5 " "tables. An" "ything"  ─►  "Sure."  "Mr. Rossi has 2.5 tables."  (flush) "Anything"

A sentence ends where space follows its end, so a flush is needed for the last.
"""

from __future__ import annotations

import re

LONGEST = 280
"""Characters after which a sentence without an end is broken at a comma or a space: a bound on the first audio."""

_END = re.compile(r"[.!?…]+[\"'”’)\]]*\s+|\n+")
_SHORT = frozenset(("mr", "mrs", "ms", "dr", "st", "no", "vs", "prof", "e.g", "i.e", "etc", "approx"))


class Sentences:
    """Cuts a stream of text into sentences."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = ""

    def push(self, piece: str) -> list[str]:
        """Take a piece of text; give the sentences that it completed."""
        self._rest += piece
        found: list[str] = []
        at = 0
        for end in _END.finditer(self._rest):
            if self._abbreviated(end.start()):
                continue
            sentence = self._rest[at : end.end()].strip()
            if any(sign.isalnum() for sign in sentence):
                found.append(sentence)
                at = end.end()
        if at:
            self._rest = self._rest[at:]
        while len(self._rest) > LONGEST:
            cut = self._rest.rfind(", ", 0, LONGEST) + 1 or self._rest.rfind(" ", 0, LONGEST) + 1 or LONGEST
            found.append(self._rest[:cut].strip())
            self._rest = self._rest[cut:]
        return found

    def flush(self) -> list[str]:
        """Give what is left, as a sentence."""
        rest, self._rest = self._rest.strip(), ""
        return [rest] if any(sign.isalnum() for sign in rest) else []

    def _abbreviated(self, dot: int) -> bool:
        if self._rest[dot] != "." or self._rest[dot : dot + 2] == "..":
            return False
        word = self._rest[:dot].rpartition(" ")[2].lower()
        return word in _SHORT or (len(word) == 1 and word.isalpha() and word != "i")


def split(text: str) -> list[str]:
    """Cut a whole text into sentences."""
    cutter = Sentences()
    return [*cutter.push(text), *cutter.flush()]
