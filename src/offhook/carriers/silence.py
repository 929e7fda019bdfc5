"""How long a far end may send no media before it is hung up on: phones lose their network without a word.

Flowing, Stalled, a plan, connected ─► Silence ─► given_up
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

STALLED_S: Final = 1.0
"""How far into a silence the media plane says `Stalled`."""


class Silence:
    """Watches that media comes while it should. `first_s` bounds the wait for the first packet, `silence_s` a gap."""

    def __init__(self, first_s: float, silence_s: float, given_up: Callable[[], None]) -> None:
        self._first_s = first_s
        self._silence_s = silence_s
        self._given_up = given_up
        self._expected = False
        self._flowing = False
        self._timer: asyncio.TimerHandle | None = None

    def expect(self, on: bool) -> None:
        """Say whether media should come (connected, and not held), as of now."""
        self._expected = on
        self._wait(self._first_s)

    def stalled(self) -> None:
        """Hear that nothing has come for a second."""
        self._flowing = False
        self._wait(max(0.0, self._silence_s - STALLED_S))

    def flowing(self) -> None:
        """Hear that media comes."""
        self._flowing = True
        self.stop()

    def stop(self) -> None:
        """Stop watching."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self, patience_s: float) -> None:
        self.stop()
        # Media may flow before the ACK comes, and all through a re-INVITE: then Stalled will say when it stops.
        if self._expected and not self._flowing:
            self._timer = asyncio.get_running_loop().call_later(patience_s, self._over)

    def _over(self) -> None:
        self._timer = None
        self._given_up()
