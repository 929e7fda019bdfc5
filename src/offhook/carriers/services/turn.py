"""One answer of ours to a service that calls back for each turn of the caller: what is said, and what then.

the caller's turn ─► TurnLeg ─► Turn(says, then) ─► a document, a list of actions, a bot's answer
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from offhook.agent.orders import Wait


@dataclass(frozen=True, slots=True)
class Leave:
    """Hang up behind what is said."""

    reason: str = "hangup"


@dataclass(frozen=True, slots=True)
class Connect:
    """Hand the far end to `target` behind what is said; what comes of it is told by `Handed`, where it is told."""

    target: str


@dataclass(frozen=True, slots=True)
class Again:
    """We are not done: come back at once for the rest, with nothing of the caller."""


Then = Wait | Connect | Leave | Again
"""What follows what is said: mostly the caller's turn, with what is waited for."""


@dataclass(frozen=True, slots=True)
class Turn:
    """An answer: utterances in their order, and what follows them."""

    says: Sequence[str]
    then: Then

    @property
    def text(self) -> str:
        """All that is said, in one."""
        return " ".join(self.says)
