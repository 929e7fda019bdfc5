"""Our own words in what was heard: where the far end returns our voice, they are no turn of the caller.

    heard   "listen carefully while no stop I want"
    ours    "please listen carefully while I tell you" ─► aligned ─► kept: "no stop I want"

Only runs of words count: one word alone may be the caller's, unless it is all that was heard.
"""

from __future__ import annotations

from difflib import SequenceMatcher

from offhook.agent.words import words

ALIKE = 0.75
"""Recognition of a faint echo mistakes letters: words of four and more are the same if so much of them is."""


def without_ours(heard: str, ours: str) -> str:
    """Give what was heard without our own words, "" if nothing is left."""
    spoken = heard.split()
    said = words(ours)
    tokens = ["".join(words(word)) for word in spoken]
    own = [False] * len(tokens)
    at = 0
    while at < len(tokens):
        length = max((_run(tokens[at:], said[start:]) for start in range(len(said))), default=0)
        if length > 1 or (length and len(tokens) == 1):
            own[at : at + length] = [True] * length
        at += max(1, length)
    left = [word for word, mine in zip(spoken, own, strict=True) if not mine]
    # One word in eight that is not ours is a mistake of recognition.
    return "" if 8 * len(left) <= len(spoken) else " ".join(left)


def _run(tokens: list[str], said: list[str]) -> int:
    """Give how many words both begin with; one that was heard wrongly inside of them counts."""
    length = 0
    for place, (one, other) in enumerate(zip(tokens, said, strict=False)):
        if _alike(one, other):
            length = place + 1
        elif place > length or not length:
            break
    return length


def _alike(one: str, other: str) -> bool:
    if one == other or min(len(one), len(other)) < 4:
        return one == other
    return SequenceMatcher(None, one, other, autojunk=False).ratio() >= ALIKE
