"""What a Conversation orders: one closed union, to be carried out in the order given.

Listen ─► Transcribe … ─► Commit | Forget      one turn of the caller
Reply ─► Commit ─► (speaks) | Stop             one run of the brain; before Commit it is silent and starts no tool
Say                                            words that need no brain; they may sound at once
Hush  Arm  Restore                             the leg
Note  Settled  End                             the call

Whatever carries them out may be late; nothing here waits for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from offhook.agent.history import Entry, History
from offhook.core.ids import Turn


@dataclass(frozen=True, slots=True)
class Listen:
    """The caller began a turn: open the ear for it, with what came just before."""

    turn: Turn


@dataclass(frozen=True, slots=True)
class Transcribe:
    """The caller paused: give the words of the turn so far."""

    turn: Turn
    pause: int


@dataclass(frozen=True, slots=True)
class Forget:
    """It was no turn (a nod, a noise): close the ear."""

    turn: Turn


@dataclass(frozen=True, slots=True)
class Reply:
    """Ask the brain. Speculative: what it makes may sound, and its tools may start, only after Commit."""

    turn: Turn
    run: int
    history: History


@dataclass(frozen=True, slots=True)
class Commit:
    """The caller's turn is over: close the ear, let the run speak and act (0: there is none)."""

    turn: Turn
    run: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Cancel a run. Tools that it started go on."""

    turn: Turn
    run: int


@dataclass(frozen=True, slots=True)
class Say:
    """Speak a text as a run. With `ticket`, and no text, the run is audio that the author plays."""

    turn: Turn
    run: int
    text: str
    ticket: int = 0


@dataclass(frozen=True, slots=True)
class Hush:
    """Silence the leg now; `Cut` says what was heard."""

    turn: Turn


@dataclass(frozen=True, slots=True)
class Arm:
    """Arm the native reflex that ducks our voice under the caller's (None: disarm)."""

    depth_db: float | None


@dataclass(frozen=True, slots=True)
class Restore:
    """It was no interruption: bring the ducked voice back."""


@dataclass(frozen=True, slots=True)
class Note:
    """The history has a new entry, or the result of a tool that is in it."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Settled:
    """A verb of the author is answered: with what was heard of its words, the answer, or the keys.

    `whole`: it came to its proper end (said in full, answered, as many keys as wanted).
    """

    ticket: int
    text: str
    whole: bool


@dataclass(frozen=True, slots=True)
class Wait:
    """All is said: it is the caller's turn. Given where a service keeps the time, and says `Silent` when it is over.

    `words`: what the caller says is wanted. `digits`: so many keys are, or those up to the `finish` key.
    """

    words: bool
    digits: int
    finish: str
    timeout_ms: int


@dataclass(frozen=True, slots=True)
class End:
    """Hang up now: all was heard that will be."""

    reason: str


Order = Listen | Transcribe | Forget | Reply | Commit | Stop | Say | Hush | Arm | Restore | Note | Settled | Wait | End
