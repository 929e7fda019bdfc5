"""What the caller's audio does: speech, pause, no audio at all.

    SpeechBegan ─► speaking ─ SpeechEnded ─► quiet
    Flowing ─► flowing ─ Stalled ─► nothing is known: neither speech nor silence

Instants are media time. Silence is silence only while audio flows.
"""

from __future__ import annotations

from offhook.core.instants import Instant


class Ear:
    """The state of the caller's audio."""

    __slots__ = ("changed_at", "flowing", "speaking")

    def __init__(self) -> None:
        self.speaking = False
        self.flowing = False
        self.changed_at: Instant = 0
        """When the speech began or ended that lasts now."""

    def began(self, at: Instant) -> None:
        """Speech began."""
        self.speaking = True
        self.flowing = True
        self.changed_at = at

    def ended(self, at: Instant) -> None:
        """Speech ended."""
        self.speaking = False
        self.changed_at = at
