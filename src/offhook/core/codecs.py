"""What RFC 3551 section 6 and RFC 4733 say of the codecs that offhook speaks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Codec:
    """An RTP payload format.

    `clock_hz` runs the RTP timestamp; `rate_hz` is the sample rate of the audio itself. The two are not the same:
    G.722 says 8000 by an old mistake (RFC 3551 section 4.5.2), Opus always 48000 (RFC 7587 section 4.1).
    `static_payload` is the number that RFC 3551 fixes, None where it is dynamic. `ptimes` are the packet times that we
    send it in: what it can, and what fits a network's frame. `channels` is what an rtpmap says of it. `format` are the
    format parameters that say what we take, and `asked` those that we heed of what the far end takes.
    """

    name: str
    clock_hz: int
    rate_hz: int
    static_payload: int | None
    ptimes: tuple[int, ...] = (10, 20, 30, 40, 50, 60)
    channels: int = 1
    format: str = ""
    asked: frozenset[str] = frozenset()

    @property
    def encoding(self) -> str:
        """What an rtpmap says."""
        return f"{self.name}/{self.clock_hz}" + (f"/{self.channels}" if self.channels > 1 else "")

    @property
    def label(self) -> str:
        """The name by which users and the media plane know it: with its rate where the name is of several."""
        return f"{self.name}/{self.clock_hz}" if self.name == "L16" else self.name

    def asked_by(self, format: str) -> str:
        """Give the label with what the far end's format parameters ask for: `opus;useinbandfec=1`.

        Parameters are small numbers; what is none, or is none of ours, is left out.
        """
        if not self.asked:
            return self.label
        asked = [one.strip().lower().partition("=") for one in format.split(";")]
        heeded = [f"{name}={value}" for name, _, value in asked if name in self.asked and _is_small(value)]
        return ";".join((self.label, *dict.fromkeys(heeded)))


def _is_small(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 6


PCMU = Codec("PCMU", 8000, 8000, 0)
PCMA = Codec("PCMA", 8000, 8000, 8)
G722 = Codec("G722", 8000, 16000, 9)
G729 = Codec("G729", 8000, 8000, 18, format="annexb=no")
"""Only where the system has bcg729. Without annex B: what is said of silence beside it is comfort noise."""
L16 = (
    Codec("L16", 8000, 8000, None),
    Codec("L16", 16000, 16000, None, (10, 20, 30, 40)),
    Codec("L16", 24000, 24000, None, (10, 20)),
    Codec("L16", 48000, 48000, None, (10,)),
)
OPUS = Codec(
    "opus",
    48000,
    16000,
    None,
    (10, 20, 40, 60),
    channels=2,
    # It is always called stereo (RFC 7587 section 7); that we are not is said here, and that we hear up to 8 kHz.
    format="minptime=10;useinbandfec=1;stereo=0;sprop-stereo=0;maxplaybackrate=16000;sprop-maxcapturerate=16000",
    asked=frozenset({"useinbandfec", "cbr", "maxaveragebitrate", "maxplaybackrate", "usedtx"}),
)
COMFORT_NOISE = Codec("CN", 8000, 8000, 13)
KEYS = (Codec("telephone-event", 8000, 8000, None), Codec("telephone-event", 48000, 8000, None))
"""Keys, which run on the clock of the audio beside them (RFC 4733 section 2.1)."""

AUDIO: tuple[Codec, ...] = (PCMU, PCMA)
"""The audio codecs that we offer where nothing else is said, in that order: what every telephone network takes."""

SPOKEN: tuple[Codec, ...] = (OPUS, G722, PCMU, PCMA, G729, *L16)
"""All audio codecs that may be named in a configuration."""
