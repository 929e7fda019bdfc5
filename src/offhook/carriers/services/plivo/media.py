"""Plivo's audio streams: µ-law or L16 in base64, both ways.

    start ─► media, dtmf, playedStream, clearedAudio … ─► stop                 there is no `connected`
    playAudio, checkpoint, clearAudio, sendDTMF ─►

`playedStream` gives a checkpoint back; `clearedAudio` says that what was buffered is gone.

https://www.plivo.com/docs/voice/concepts/audio-streaming
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from offhook.carriers.services.jsonstream import JsonStream, Message, encoding, params, part, text
from offhook.carriers.services.plivo.documents import content_type
from offhook.carriers.services.stream import Cleared, Encoding, Frame, Odd, Passed, Started, Told
from offhook.core.carriage import Carriage

CARRIAGE: Final = Carriage(
    frame_ms=20,
    least_ms=20,
    most_ms=100,
    paced_by="carrier",
    buffer_ms=60_000,
    lead_ms=400,
    marks="echoed",
    clear="acknowledged",
    keys=True,
    hang_up="api",
)


class PlivoStream(JsonStream):
    """One socket of Plivo's."""

    stream_id = "streamId"

    def __init__(self, *, little_endian: bool = True) -> None:
        super().__init__(CARRIAGE, little_endian=little_endian)
        self._coding = Encoding()

    def _open(self, message: Message, start: Message) -> Started | Odd:
        stream = text(start.get("streamId")) or text(message.get("streamId"))
        coded = encoding(part(start, "mediaFormat"))
        if not stream:
            return Odd("nameless")
        if coded is None or coded.codec == "PCMA":
            return Odd("encoding")
        self._coding = coded
        extra = _extra(text(message.get("extra_headers")))
        return Started(stream, text(start.get("callId")), heard=coded, ours=coded, params=extra)

    def _other(self, event: str, message: Message) -> Sequence[Told]:
        if event not in ("playedStream", "clearedAudio"):
            return (Odd({"error": "error", "playFailed": "play_failed"}.get(event, "unknown")),)
        if not self._on:
            return (Odd("out_of_turn"),)
        if event == "clearedAudio":
            return (Cleared(),)
        name = text(message.get("name"))
        return (Passed(name) if name else Odd("mistyped"),)

    def sound(self, payload: bytes) -> Sequence[Frame]:
        """Write audio."""
        media = {
            "contentType": content_type(self._coding),
            "sampleRate": self._coding.rate_hz,
            "payload": self._coded(payload),
        }
        return self._write({"event": "playAudio", "media": media})

    def mark(self, name: str) -> Sequence[Frame]:
        """Ask for a checkpoint to be told."""
        return self._write({**self._addressed("checkpoint"), "name": name})

    def clear(self) -> Sequence[Frame]:
        """Have what is buffered dropped."""
        return self._write(self._addressed("clearAudio"))

    def press(self, keys: str) -> Sequence[Frame]:
        """Send keys."""
        return self._write({"event": "sendDTMF", "dtmf": keys}) if keys else ()


def _extra(said: str) -> dict[str, str]:
    """Read the headers that the document sent along: an object of JSON, or `a=b;c=d`."""
    try:
        value = json.loads(said)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict):
        return params(value)  # type: ignore[arg-type]
    pairs = [one.strip().partition("=") for one in said.strip("{}").split(";")]
    return {name.strip(): value.strip() for name, sign, value in pairs if sign and name.strip()}
