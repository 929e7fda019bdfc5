"""What happened in a call, in words: what the caller said, what the caller heard of us, keys, and what tools did.

    Heard("A table for two.") ─ Said("One moment.") ─ ToolUse(book_table → "Booked") ─ Said("You are booked", cut) ─ …

Laws: a `History` never changes, a new one is made; `Said` holds only words that reached the caller; what a tool did
stays, whatever was heard of the sentences around it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, assert_never

from offhook.core.ids import Turn


@dataclass(frozen=True, slots=True)
class Said:
    """Words of the agent that the caller heard. `whole` is False where the caller cut them short."""

    turn: Turn
    text: str
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Heard:
    """Words of the caller, as they were understood."""

    turn: Turn
    text: str


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys that the caller pressed, 0-9*#A-D."""

    turn: Turn
    keys: str


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool that was started. `result` is None while it runs; `failed` marks an error, as the model reads it."""

    turn: Turn
    call_id: str
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    result: str | None = None
    failed: bool = False


Entry = Said | Heard | Keys | ToolUse


@dataclass(frozen=True, slots=True)
class History:
    """All entries of a call, oldest first."""

    entries: tuple[Entry, ...] = ()

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def plus(self, *entries: Entry) -> History:
        """Give a history with more entries at its end."""
        return History(self.entries + entries)

    def tool(self, call_id: str) -> ToolUse | None:
        """Give the use of a tool by its id."""
        for entry in self.entries:
            if isinstance(entry, ToolUse) and entry.call_id == call_id:
                return entry
        return None

    def with_result(self, done: ToolUse, *, late: bool = False) -> History:
        """Give a history in which this tool is done. `late`: the talk went on without it, so it moves to the end."""
        place = next((at for at, entry in enumerate(self.entries) if _is(entry, done)), len(self.entries))
        before, after = self.entries[:place], self.entries[place + 1 :]
        return History((*before, *after, done) if late else (*before, done, *after))

    def last_said(self) -> str:
        """Give the agent's latest words that were heard, "" if none."""
        return next((entry.text for entry in reversed(self.entries) if isinstance(entry, Said)), "")

    def last_heard(self) -> str:
        """Give the caller's latest words, "" if none."""
        return next((entry.text for entry in reversed(self.entries) if isinstance(entry, Heard)), "")

    def transcript(self) -> str:
        """Give it as lines to read: `caller: …`, `agent: …`."""
        return "\n".join(_line(entry) for entry in self.entries)


def _is(entry: Entry, use: ToolUse) -> bool:
    return isinstance(entry, ToolUse) and entry.call_id == use.call_id


def _line(entry: Entry) -> str:
    match entry:
        case Said(text=text, whole=whole):
            return f"agent: {text}" if whole else f"agent: {text} —"
        case Heard(text=text):
            return f"caller: {text}"
        case Keys(keys=keys):
            return f"caller: [{keys}]"
        case ToolUse(name=name, result=result):
            return f"tool: {name} -> {'…' if result is None else result}"
        case _:
            assert_never(entry)
