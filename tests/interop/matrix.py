"""The table of peers as data: `matrix.toml`, read and written out as a page.

matrix.toml ─► cells: each green, or with the reason why not ─┬─► test_matrix.py
                                                              └─► docs/interop.md
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("matrix.toml")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "interop.md"

ROLES = ("caller", "callee")


@dataclass(frozen=True)
class Cell:
    """One peer in one role over one transport doing one thing. `reason` is "" where it is green."""

    peer: str
    role: str
    transport: str
    feature: str
    reason: str

    def __str__(self) -> str:
        return f"{self.peer}-{self.role}-{self.transport}-{self.feature}"


@cache
def table() -> dict[str, Any]:
    """Read the file."""
    return tomllib.loads(TABLE.read_text())


@cache
def cells() -> tuple[Cell, ...]:
    """Give every cell; the first entry of `not` that fits says why one is not green."""
    return tuple(
        Cell(peer, role, transport, feature, _reason(peer, role, transport, feature))
        for peer in table()["peers"]
        for role in ROLES
        for transport in table()["transports"]
        for feature in table()["features"]
    )


def _reason(peer: str, role: str, transport: str, feature: str) -> str:
    cell = {"peers": peer, "roles": role, "transports": transport, "features": feature}
    for entry in table()["not"]:
        if all(value in entry.get(key, [value]) for key, value in cell.items()):
            return entry["reason"]
    return ""


def page() -> str:
    """Write the table for people."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    found = table()
    transports = found["transports"]
    yield "# Whom offhook was heard to talk with"
    yield ""
    yield "Made from `tests/interop/matrix.toml`. `tests/interop/test_matrix.py` drives every cell that has a mark with"
    yield "the real program: `make test ARGS='-m interop -k matrix'`. A number is a reason below."
    yield ""
    for name, what in found["peers"].items():
        yield f"- **{name}**: {what}"
    yield ""
    reasons = dict.fromkeys(cell.reason for cell in cells() if cell.reason)
    numbers = {reason: number for number, reason in enumerate(reasons, 1)}
    for role, meaning in (("caller", "The peer calls offhook"), ("callee", "offhook calls the peer")):
        columns = [(peer, transport) for peer in found["peers"] for transport in transports]
        yield f"## {meaning}"
        yield ""
        yield "| | " + " | ".join(f"{peer} {transport.upper()}" for peer, transport in columns) + " |"
        yield "|---" * (len(columns) + 1) + "|"
        for feature, what in found["features"].items():
            marks = [
                str(numbers[cell.reason]) if cell.reason else "✓"
                for peer, transport in columns
                for cell in cells()
                if (cell.peer, cell.role, cell.transport, cell.feature) == (peer, role, transport, feature)
            ]
            yield f"| **{feature}**: {what} | " + " | ".join(marks) + " |"
        yield ""
    yield "## Why not"
    yield ""
    for reason, number in numbers.items():
        yield f"{number}. {reason}"


if __name__ == "__main__":
    PAGE.write_text(page())
