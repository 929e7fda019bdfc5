"""How an agent behaves in a conversation: every waiting time and every stock phrase, as data.

    caller:  ▇▇▇▇▇▇▇____________________         pause ─► hold ─► it was the end of the turn
    agent:                 ▇▇▇▇▇▇▇▇▇▇▇▇▇▇____________________   silence ─► prompt ─► … ─► farewell
    caller:                    ▇▇▇▇▇                            speech over our voice: duck ─► cut or resume

Times are milliseconds. All count from when it happened in the caller's audio, not from when we were told.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Manners:
    """The manners of an agent. Change one with `dataclasses.replace` or by naming it: `Manners(hold_ms=800)`."""

    greeting_wait_ms: int = 300
    """After the answer, wait so long for the caller's first packet before we speak."""

    hold_complete_ms: int = 500
    """Silence that ends the caller's turn after words that look complete."""

    hold_ms: int = 700
    """The same after words of which one can't tell."""

    hold_open_ms: int = 1300
    """The same after "and", "um", a number that may go on, and while digits are expected."""

    transcript_wait_ms: int = 6000
    """A pause that is not transcribed so long after it began counts as a failure of the ear."""

    cut_after_ms: int = 450
    """Speech over our voice stops it when the gate is open so long after the onset.

    The gate closes 200 ms behind the speech, so 450 ms are certain to hold at least 250 ms of it.
    """

    echo_ms: int = 120
    """Where the far end returns our voice, what opens the gate over it for no longer than this is no turn."""

    duck_db: float = 20.0
    """How far our voice is lowered from the onset of speech over it until the verdict."""

    cut_wait_ms: int = 500
    """Wait so long for word of what was heard; then the clock's estimate is taken."""

    prompt_after_ms: int = 8000
    """Received silence after our words were heard, before we ask whether the caller is still there."""

    prompts: tuple[str, ...] = ("Are you still there?", "Hello? Are you still there?")
    """What is asked, one a silence; after the last, `farewell` ends the call."""

    farewell: str = "I can't hear anyone, so I'll hang up now. Goodbye."
    """Said before we hang up on silence."""

    filler_after_ms: int = 2500
    """While we owe an answer, so much silence brings a filler (and, with the voice's own time, less than 4 s).

    It counts from the caller's pause, or from our last words.
    """

    fillers: tuple[str, ...] = ("One moment, please.", "Just a moment longer.", "Still on it.")
    """Said while the caller waits, in turn."""

    give_up_ms: int = 30_000
    """An answer that has not begun so long after the caller's turn, with no tool at work, is a failure."""

    apology: str = "I'm sorry, something went wrong on our side. Please call again later. Goodbye."
    """Said when a provider failed for good, before we hang up."""

    goodbye_wait_ms: int = 15_000
    """No last word is waited for longer than this before the line drops."""

    keys_wait_ms: int = 1500
    """Keys that nobody gathers become the caller's words so long after the last of them ("#" ends them at once)."""

    tool_grace_ms: int = 10_000
    """After the end of the call, a running tool has so long to finish."""

    def phrases(self) -> tuple[str, ...]:
        """All stock phrases, so that they can be rendered before they are needed, the last resort first."""
        return (self.apology, *self.fillers, *self.prompts, self.farewell)
