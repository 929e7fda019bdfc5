"""Twilio's Media Streams: µ-law at 8 kHz in base64, both ways.

    connected ─► start ─► media (20 ms each), dtmf, mark … ─► stop
    media, mark, clear ─►         each names the stream; a bad one shows up in Twilio's debugger only

Twilio buffers ten minutes and gives marks back when their place has sounded, and all at once when the buffer is
cleared. It has no message that sends keys. Closing the socket goes on with what stands behind <Connect>.

https://www.twilio.com/docs/voice/media-streams/websocket-messages
"""

from __future__ import annotations

from typing import Final

from offhook.carriers.services.jsonstream import JsonStream, Message, encoding, params, part, text
from offhook.carriers.services.stream import Encoding, Odd, Started
from offhook.core.carriage import Carriage

CARRIAGE: Final = Carriage(
    frame_ms=20,
    least_ms=20,
    most_ms=100,
    paced_by="carrier",
    buffer_ms=600_000,
    lead_ms=400,
    marks="echoed",
    clear="silent",
    keys=False,
    hang_up="api",
)


class MediaStream(JsonStream):
    """One socket of Twilio's."""

    def __init__(self) -> None:
        super().__init__(CARRIAGE)

    def _open(self, message: Message, start: Message) -> Started | Odd:
        stream = text(start.get("streamSid")) or text(message.get("streamSid"))
        if not stream:
            return Odd("nameless")
        if encoding(part(start, "mediaFormat")) != Encoding():
            return Odd("encoding")
        return Started(stream, text(start.get("callSid")), params=params(part(start, "customParameters")))
