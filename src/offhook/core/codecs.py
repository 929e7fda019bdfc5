"""What RFC 3551 section 6 and RFC 4733 say of the codecs that offhook speaks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Codec:
    """An RTP payload format.

    `clock_hz` runs the RTP timestamp; `rate_hz` is the sample rate of the audio itself.
    `static_payload` is the number that RFC 3551 fixes, None where it is dynamic.
    """

    name: str
    clock_hz: int
    rate_hz: int
    static_payload: int | None


PCMU = Codec("PCMU", 8000, 8000, 0)
PCMA = Codec("PCMA", 8000, 8000, 8)
COMFORT_NOISE = Codec("CN", 8000, 8000, 13)
TELEPHONE_EVENT = Codec("telephone-event", 8000, 8000, None)

AUDIO: tuple[Codec, ...] = (PCMU, PCMA)
"""The audio codecs, in the order in which we offer them."""
