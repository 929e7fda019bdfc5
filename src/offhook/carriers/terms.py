"""What a leg goes by that its trunk may want otherwise than others do.

[trunks.NAME] ─► Trunk ─► Line.terms(info) ─► SipLeg
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from offhook.carriers.negotiation import AudioRules
from offhook.sip.manners import Manners
from offhook.sip.meanings import COMMON, Meanings


@dataclass(frozen=True, slots=True)
class LineTones:
    """Whose tones a line sounds, and whether it is by them that it says that the far end has gone (a copper line)."""

    country: str = ""
    hang_up: bool = False


@dataclass(frozen=True, slots=True)
class LegTerms:
    """How one leg offers its audio, what its codes mean, how it sends keys.

    `manners` is how the user agent deals with a call of ours (None: as with any).
    """

    audio: AudioRules = field(default_factory=AudioRules)
    meanings: Meanings = COMMON
    dtmf: Literal["rtp", "info"] = "rtp"
    manners: Manners | None = None
    tones: LineTones = field(default_factory=LineTones)
