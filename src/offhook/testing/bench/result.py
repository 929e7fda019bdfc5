"""What a bench gives: figures, what they stand beside, and the verdict, as a table for people or JSON for machines."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from offhook.testing.bench.budgets import MUSTS, Figure, meets

NOT_RUN = "not run"
_SIGNS = {"exactly": "=", "at most": "≤", "at least": "≥"}


@dataclass(frozen=True, slots=True)
class Result:
    """One bench, measured. `floor` and `peers` are what ran beside us in the same minute; `NOT_RUN` where it is absent.

    `shape` says what was measured (calls, seconds, codec), `corpus` is the SHA-256 of the input, where there is one.
    """

    bench: str
    figures: Mapping[str, Figure]
    seed: int
    shape: Mapping[str, Any]
    floor: Mapping[str, Figure | str] = field(default_factory=dict[str, "Figure | str"])
    peers: Mapping[str, Mapping[str, Figure] | str] = field(default_factory=dict[str, "Mapping[str, Figure] | str"])
    ratios: Mapping[str, Figure] = field(default_factory=dict[str, "Figure"])
    corpus: str = ""

    def as_json(self) -> str:
        """Give the result as one JSON object on one line."""
        musts = {
            name: {must.bound.replace(" ", "_"): must.limit, "unit": must.unit, "stretch": must.stretch}
            for name, must in MUSTS[self.bench].items()
        }
        return json.dumps(
            {
                "bench": self.bench,
                "figures": _rounded(self.figures),
                "floor": _rounded(self.floor),
                "peers": {name: peer if isinstance(peer, str) else _rounded(peer) for name, peer in self.peers.items()},
                "ratios": _rounded(self.ratios),
                "must": musts,
                "meets": self.meets(),
                "seed": self.seed,
                "corpus": self.corpus,
                "shape": dict(self.shape),
            }
        )

    def meets(self) -> dict[str, bool]:
        """Give the verdict on every must. Ratios are figures too."""
        return meets(self.bench, {**self.figures, **self.ratios})

    def lines(self) -> list[tuple[str, str, str, str]]:
        """Give the rows of the table: what, figure, must, verdict."""
        verdicts = self.meets()
        rows: list[tuple[str, str, str, str]] = []
        known = {**self.figures, **self.ratios}
        for name in [*known, *(name for name in verdicts if name not in known)]:
            must = MUSTS[self.bench].get(name)
            bound = "" if must is None else f"{_SIGNS[must.bound]} {must.limit:g} {must.unit}".rstrip()
            verdict = "" if must is None else "met" if verdicts[name] else "NOT MET"
            rows.append((name, _shown(known.get(name)), bound, verdict))
        rows += [(f"floor: {name}", _shown(value), "", "") for name, value in self.floor.items()]
        for peer, values in self.peers.items():
            if isinstance(values, str):
                rows.append((f"peer: {peer}", values, "", ""))
            else:
                rows += [(f"peer: {peer}: {name}", _shown(value), "", "") for name, value in values.items()]
        return rows


def _rounded(values: Mapping[str, Figure | str]) -> dict[str, Figure | str]:
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in values.items()}


def _shown(value: Figure | str) -> str:
    match value:
        case None:
            return NOT_RUN
        case float():
            return f"{value:,.3f}"
        case int():
            return f"{value:,}"
        case str():
            return value


def digest(*pieces: bytes) -> str:
    """Give the SHA-256 of a corpus, piece by piece."""
    total = hashlib.sha256()
    for piece in pieces:
        total.update(len(piece).to_bytes(8, "big") + piece)
    return total.hexdigest()


def percentile(ordered: list[float], share: float) -> float:
    """Give the smallest value that at least `share` of the sorted values do not exceed (the nearest rank)."""
    if not ordered:
        raise ValueError("no values, no percentile")
    rank = max(1, -(-len(ordered) * round(share * 100_000) // 100_000))
    return ordered[rank - 1]
