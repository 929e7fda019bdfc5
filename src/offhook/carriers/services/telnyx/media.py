"""Telnyx's media streaming: JSON with base64, each direction coded in its own way.

    connected ─► start ─► media (20 ms to 30 s), dtmf, mark, error … ─► stop            snake_case, numbers as strings
    media, mark, clear ─►                                                               without the stream's name

What we hear is coded as the call is (A-law in Europe, whatever was asked for), what we send as our command said.
Messages come in any order: `chunk` sorts them, which is the port's work.

https://developers.telnyx.com/docs/voice/programmable-voice/media-streaming
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from offhook.carriers.services.jsonstream import JsonStream, Message, encoding, params, part, text
from offhook.carriers.services.stream import Encoding, Odd, Started, Told
from offhook.core.carriage import Carriage

CARRIAGE: Final = Carriage(
    frame_ms=20,
    least_ms=20,
    most_ms=100,
    paced_by="carrier",
    buffer_ms=60_000,
    lead_ms=400,
    marks="echoed",
    clear="silent",
    keys=False,
    hang_up="api",
)


class TelnyxStream(JsonStream):
    """One socket of Telnyx's. `ours`: how what we send is coded, as it was declared."""

    stream_id = "stream_id"

    def __init__(self, ours: Encoding) -> None:
        super().__init__(CARRIAGE)
        self._ours = ours

    def _open(self, message: Message, start: Message) -> Started | Odd:
        stream = text(message.get("stream_id")) or text(start.get("stream_id"))
        heard = encoding(part(start, "media_format"), "sample_rate")
        if not stream:
            return Odd("nameless")
        if heard is None:
            return Odd("encoding")
        return Started(
            stream,
            text(start.get("call_control_id")),
            text(start.get("from")),
            text(start.get("to")),
            heard,
            self._ours,
            params(part(start, "custom_parameters")),
        )

    def _other(self, event: str, message: Message) -> Sequence[Told]:
        return (Odd("error" if event == "error" else "unknown"),)

    def _addressed(self, event: str) -> dict[str, object]:
        return {"event": event}
