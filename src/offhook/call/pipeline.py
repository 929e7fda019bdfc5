"""The way of a call's audio in a line, told by the stages themselves.

    ear → PCMU/8000 → conceal → listening → whisper → conversation → brain → voice → feed → queue → mouth → PCMU/8000

The native stages say theirs through the leg (`AudioLeg.pipeline`); those of a call say theirs in `stage`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from offhook.call.leg import AudioLeg
    from offhook.call.listening import Listening
    from offhook.call.mouthpiece import Mouthpiece
    from offhook.call.protocols import Tts
    from offhook.call.wording import Dictation


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage; printed, it shows itself and all that is downstream of it."""

    says: str
    down: Stage | None = None

    def __str__(self) -> str:
        """Give the way from here on."""
        return self.says if self.down is None else f"{self.says} → {self.down}"


def through(
    leg: AudioLeg, listening: Listening | Dictation, mind: str, tts: Tts | None, mouthpiece: Mouthpiece
) -> Stage:
    """Put the stages of a call in their order, from the far end and back."""
    way = mouthpiece.stage()
    if tts is not None:
        way = Stage(tts.name, way)
    way = listening.stage(Stage("conversation", Stage(mind, way)))
    return Stage(leg.pipeline()[0], way)
