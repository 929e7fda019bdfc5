"""What is not let in: counted by why, and told to the operator, the same not again for a while."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from offhook.carriers.services.http import Response, Unsigned

AGAIN_S: Final = 10.0
"""How long the same refusal is not told again."""

TOLD_LIMIT: Final = 10_000
"""Refusals that are remembered as told."""


class Refusals:
    """The refusals of one switchboard; `counts` is how many there were, by why."""

    def __init__(self, say: Callable[[str], None], wall_s: Callable[[], float]) -> None:
        self.counts: dict[str, int] = {}
        self._say = say
        self._wall_s = wall_s
        self._told: dict[tuple[str, str], float] = {}

    def unsigned(self, name: str, error: Unsigned) -> Response:
        """Refuse what is not proved to be the service's."""
        now = self._wall_s()
        if now - self._told.get((name, str(error)), -AGAIN_S) >= AGAIN_S:
            if len(self._told) >= TOLD_LIMIT:
                self._told.clear()
            self._told[name, str(error)] = now
            self._say(f"{name}: a request was refused: {error}: {error.hint}".removesuffix(": "))
        return self.refuse(error.code, "unsigned")

    def refuse(self, code: int, why: str) -> Response:
        """Refuse with a status."""
        self.counts[why] = self.counts.get(why, 0) + 1
        return Response(code)
