"""A speakerphone: what its loudspeaker says comes back through its microphone, later and quieter.

      far end ─► play-out buffer ─► loudspeaker ─ later, quieter ─► microphone ─► what the caller says

The audio goes the way that a bridge's would, from the Port's far end to its own mouth: its play-out buffer jumps and
stretches as a phone's does, and hold, keys and comfort noise are the Port's own affair.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any, Final

from offhook import _native as native
from offhook.core.instants import Instant
from offhook.testing.network import Profile

OWN_MS: Final = 60
"""What the packets and the play-out buffer take of the delay on a steady path."""
JITTERS: Final = 8
"""So many times its mean jitter the buffer holds back as well, on a bad one."""


@dataclass(frozen=True, slots=True)
class Room:
    """What comes back: how much quieter, and how long after we said it."""

    loss_db: float
    delay_ms: int

    @classmethod
    def drawn(cls, rng: Random) -> Room:
        """Draw one: 12 to 30 dB, 80 to 500 ms."""
        return cls(rng.uniform(12, 30), rng.randrange(80, 501, 10))


class Speakerphone:
    """A Port that hears its far end again through a room. What path and buffer take of the delay, the room does not."""

    def __init__(self, room: Room, path: Profile, **arguments: Any) -> None:
        self._port = native.Port(**arguments)
        self._port.relay(True)
        self._port.mix([(int(arguments["number"]), "far", -room.loss_db)])
        before_ms = OWN_MS + 2 * path.latency_ms + JITTERS * path.jitter_ms
        self._under_way = bytes(16 * max(0, room.delay_ms - round(before_ms)))

    def __getattr__(self, name: str) -> Any:
        """Be a Port in all else."""
        return getattr(self._port, name)

    def pull(self, now: Instant, ms: int, side: str = "far") -> bytes:
        """Give what the microphone takes up of the loudspeaker (the simulated phones run at 8 kHz)."""
        sounds = self._port.pull(now, ms, side)
        under_way = self._under_way + sounds.ljust(16 * ms, b"\0")
        self._under_way = under_way[16 * ms :]
        return under_way[: 16 * ms]
