"""Which agent takes a call: routes as data, by the trunk that it came through and the number that was called.

    Wanted(trunk, called …, caller) ─► Routes.find ─► Route(agent, language, caps) or None: 404

Numbers are in one form on both sides (`+15551234567`), which `carriers.numbers` makes of whatever a carrier writes. A
pattern is a number or a name, the beginning of one (`+1555*`), or `*`. What was called may stand in several headers:
the first that a route names wins, and only where none does, a route for anything (`*`). Among the routes that fit, the
most specific wins: a whole number before the longest beginning, and a route for this trunk before one for any. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a call asks for. `candidates` are the numbers called, the one to look at first in front."""

    candidates: tuple[str, ...]
    trunk: str = ""
    caller: str = ""

    @property
    def called(self) -> str:
        """The number or name to look at first; "" where there is none."""
        return self.candidates[0] if self.candidates else ""


@dataclass(frozen=True, slots=True)
class Route(Generic[_T]):
    """One route. `trunk` "" is any; `calls` and `calls_a_caller` bound how many are up at a time (None: no bound)."""

    agent: _T
    number: str = "*"
    trunk: str = ""
    language: str = ""
    calls: int | None = None
    calls_a_caller: int | None = None

    @property
    def name(self) -> str:
        """What tells routes apart when their calls are counted."""
        return f"{self.trunk}/{self.number}"

    def fits(self, number: str, trunk: str) -> bool:
        """Say whether this route takes what was called through a trunk."""
        if self.trunk not in ("", trunk):
            return False
        if self.number.endswith("*"):
            return number.startswith(self.number[:-1])
        return number == self.number

    @property
    def weight(self) -> tuple[bool, int, bool]:
        """How specific it is: the greater wins."""
        return not self.number.endswith("*"), len(self.number), self.trunk != ""


class Routes(Generic[_T]):
    """All routes, the most specific first."""

    def __init__(self, routes: Sequence[Route[_T]]) -> None:
        self.all: tuple[Route[_T], ...] = tuple(sorted(routes, key=lambda route: route.weight, reverse=True))

    def find(self, wanted: Wanted) -> Route[_T] | None:
        """Give the route of a call; None: nobody takes it."""
        for number in wanted.candidates:
            for route in self.all:
                if route.number != "*" and route.fits(number, wanted.trunk):
                    return route
        return next((route for route in self.all if route.number == "*" and route.fits("", wanted.trunk)), None)
