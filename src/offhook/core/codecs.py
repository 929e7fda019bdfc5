"""What RFC 3551 section 6 and RFC 4733 say of the codecs that offhook speaks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Codec:
    """An RTP payload format.

    `clock_hz` runs the RTP timestamp; `rate_hz` is the sample rate of the audio itself. The two are not the same:
    G.722 says 8000 by an old mistake (RFC 3551 section 4.5.2).
    `static_payload` is the number that RFC 3551 fixes, None where it is dynamic. `most_ms` is the longest packet that
    fits a network's frame.
    """

    name: str
    clock_hz: int
    rate_hz: int
    static_payload: int | None
    most_ms: int = 60

    @property
    def label(self) -> str:
        """The name by which users and the media plane know it: with its rate where the name is of several."""
        return f"{self.name}/{self.clock_hz}" if self.name == "L16" else self.name


PCMU = Codec("PCMU", 8000, 8000, 0)
PCMA = Codec("PCMA", 8000, 8000, 8)
G722 = Codec("G722", 8000, 16000, 9)
L16 = (
    Codec("L16", 8000, 8000, None),
    Codec("L16", 16000, 16000, None, most_ms=40),
    Codec("L16", 24000, 24000, None, most_ms=20),
    Codec("L16", 48000, 48000, None, most_ms=10),
)
COMFORT_NOISE = Codec("CN", 8000, 8000, 13)
TELEPHONE_EVENT = Codec("telephone-event", 8000, 8000, None)

AUDIO: tuple[Codec, ...] = (PCMU, PCMA)
"""The audio codecs that we offer where nothing else is said, in that order: what every telephone network takes."""

SPOKEN: tuple[Codec, ...] = (G722, PCMU, PCMA, *L16)
"""All audio codecs that may be named in a configuration."""
