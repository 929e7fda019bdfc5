"""Speech over our voice: is it an interruption, a nod or a noise?

    onset ─► ducked (by the native reflex) ─┬─ the gate is still open after `cut_after_ms` ─► cut
                                            ├─ words that are more than a nod ──────────────► cut
                                            ├─ it ended before, no words or a nod ──────────► resume
                                            └─ cut, but then it was a nod or nothing ───────► say what was not heard

A nod ("mm-hm", "okay") answers only when we had just asked something.
"""

from __future__ import annotations

from offhook.agent.words import Lexicon, words


def interrupts(text: str, lexicon: Lexicon, *, asked: bool) -> bool:
    """Say whether words spoken over our voice want the turn. `asked`: our words so far ended in a question."""
    spoken = [word for word in words(text) if word not in lexicon.fillers]
    if not spoken:
        return False
    if asked and any(word in lexicon.answers for word in spoken):
        return True
    return any(word not in lexicon.nods for word in spoken)
