"""One thing that the doctor looked at, and what is to be done about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Level = Literal["good", "warning", "fault"]

SIGNS: Final[dict[Level, str]] = {"good": "✓", "warning": "!", "fault": "✗"}

COLOURS: Final[dict[Level, str]] = {"good": "32", "warning": "33", "fault": "31"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `fix` says what to do ("" where it is good)."""

    subject: str
    level: Level
    text: str
    fix: str = ""

    def line(self) -> str:
        """Say it for a person."""
        fix = f"\n    → {self.fix}" if self.fix else ""
        return f"{SIGNS[self.level]} {self.subject}: {self.text}{fix}"
