"""The caller's turn: when it began, its pauses, and how long a pause must last to be its end.

▇▇▇▇▇▇___▇▇▇▇▇▇▇▇____________
      1          2    ▲ end: silence of `hold` after pause 2, and the words of all that came before it

Instants are media time: they count from what the caller did, not from when we learned of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from offhook.agent.manners import Manners
from offhook.agent.words import Lexicon, words
from offhook.core.ids import Turn
from offhook.core.instants import MILLISECOND, Duration, Instant


@dataclass(slots=True)
class Hearing:
    """A turn of the caller that is being heard.

    `over`: it began or went on over our voice. `cut`: it stopped the voice that it is over. `interrupted`: it stopped
    one at all. `run`: the speculative reply to it, 0 if none. `gave_up`: the pause at which a speculation failed.
    """

    turn: Turn
    began_at: Instant
    over: bool = False
    cut: bool = False
    interrupted: bool = False
    pauses: int = 0
    paused_at: Instant | None = None
    text: str = ""
    text_pause: int = 0
    run: int = 0
    gave_up: int = 0
    verdict_at: Instant | None = None
    hold_at: Instant | None = None
    words_by: Instant | None = None

    def goes_on(self) -> None:
        """The caller speaks again: what seemed the end was a pause."""
        self.paused_at = None
        self.hold_at = None
        self.words_by = None

    def pause(self, at: Instant, manners: Manners) -> None:
        """The caller paused at `at`."""
        self.pauses += 1
        self.paused_at = at
        self.words_by = at + manners.transcript_wait_ms * MILLISECOND
        self.verdict_at = None

    @property
    def understood(self) -> bool:
        """Whether the words of the pause that lasts now are known."""
        return self.paused_at is not None and self.text_pause == self.pauses


def hold(text: str, manners: Manners, lexicon: Lexicon, *, said: str = "") -> Duration:
    """Give how long the silence after `text`, which follows what we `said`, must last to end the turn, in ns."""
    return _hold_ms(text, manners, lexicon, said) * MILLISECOND


def _hold_ms(text: str, manners: Manners, lexicon: Lexicon, said: str) -> int:
    spoken = words(text)
    if not spoken:
        return manners.hold_ms
    last = spoken[-1]
    if last in lexicon.hanging or last in lexicon.fillers or text.rstrip().endswith((",", "-", "–", "—", "…", "...")):
        return manners.hold_open_ms
    digits = [word.isdigit() or word in lexicon.numbers for word in spoken]
    if any(digits) and expects_digits(said, lexicon):
        return manners.hold_open_ms
    if digits[-1]:
        goes_on = any(digits[-2:-1]) or (last.isdigit() and len(last) > 2)
        return manners.hold_open_ms if goes_on else manners.hold_ms
    if text.rstrip().endswith((".", "?", "!")) or (len(spoken) == 1 and last in lexicon.answers | lexicon.refusals):
        return manners.hold_complete_ms
    return manners.hold_ms


def expects_digits(said: str, lexicon: Lexicon) -> bool:
    """Say whether our last words asked for digits."""
    return any(word in lexicon.digit_hints for word in words(said))
