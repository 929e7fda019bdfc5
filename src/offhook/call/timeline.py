"""Where the time of a turn went.

    caller's speech ends ─► transcript ─► end of turn decided ─► first token ─► first audio queued ─► on the wire

Instants are the loop's, in nanoseconds; None: it did not happen in this turn.
"""

from __future__ import annotations

from dataclasses import dataclass

from offhook.core.ids import Turn
from offhook.core.instants import Instant, milliseconds


@dataclass(slots=True)
class TurnTimes:
    """The instants of one turn."""

    turn: Turn
    speech_ended: Instant | None = None
    transcribed: Instant | None = None
    decided: Instant | None = None
    first_token: Instant | None = None
    first_audio_queued: Instant | None = None
    first_audio_sent: Instant | None = None

    def since_speech_ms(self, at: Instant | None) -> float | None:
        """Give milliseconds from the end of the caller's speech to `at`."""
        if at is None or self.speech_ended is None:
            return None
        return round(milliseconds(at - self.speech_ended), 3)
