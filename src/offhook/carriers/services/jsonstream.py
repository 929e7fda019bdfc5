"""Media sockets that speak JSON with audio in base64: what those of several services have in common.

    connected, start ─► media, dtmf, mark … ─► stop              in this order; what is out of it is Odd
    media ◄─ sound        mark ◄─ mark        clear ◄─ clear

A service says how its stream's id is called, how its `start` is read, and how its own messages are written. Numbers
come as numbers or as strings, whichever the service likes that day; both are read. Fifty messages a second and call are
media: their way is short.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from base64 import b64encode
from binascii import a2b_base64
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, cast

from offhook.carriers.services.stream import (
    Encoding,
    Frame,
    Odd,
    Passed,
    Pressed,
    Sound,
    Started,
    Stopped,
    Told,
    turned,
)
from offhook.core.carriage import Carriage

LONGEST: Final = 1 << 19
"""Characters of a message that is read: 30 s of G.711 fit."""

KEYS: Final = frozenset("0123456789*#ABCD")
_DIGITS: Final = 15
_CODECS: Final[Mapping[str, str]] = {
    "": "PCMU",
    "audio/x-mulaw": "PCMU",
    "pcmu": "PCMU",
    "audio/x-alaw": "PCMA",
    "pcma": "PCMA",
    "audio/x-l16": "L16",
    "l16": "L16",
}
_RATES: Final = (8000, 16000, 24000)
_loads = json.JSONDecoder().decode

Message = Mapping[str, object]


class JsonStream(ABC):
    """One socket. `little_endian`: how the service lays L16; other encodings have one way only."""

    stream_id: ClassVar[str] = "streamSid"
    """How messages call the stream that they are of."""

    def __init__(self, carriage: Carriage, *, little_endian: bool = False) -> None:
        self.carriage: Final = carriage
        self._little_endian = little_endian
        self._turns_heard = self._turns_ours = False
        self._stream = ""
        self._started = self._on = False

    def hear(self, frame: Frame) -> Sequence[Told]:
        """Read a message. Raises nothing."""
        if not isinstance(frame, str):
            return (Odd("binary"),)
        if len(frame) > LONGEST:
            return (Odd("long"),)
        try:
            message = _loads(frame)
        except (ValueError, RecursionError):
            return (Odd("no_json"),)
        if not isinstance(message, dict):
            return (Odd("no_object"),)
        message = cast("Message", message)
        event = message.get("event")
        if self._on and message.get(self.stream_id, self._stream) != self._stream and event != "start":
            return (Odd("foreign"),)
        if event == "media":
            return self._media(message)
        return self._told(event, message)

    def _media(self, message: Message) -> Sequence[Told]:
        if not self._on:
            return (Odd("out_of_turn"),)
        media = message.get("media")
        if not isinstance(media, dict):
            return (Odd("mistyped"),)
        media = cast("Message", media)
        if media.get("track", "inbound") == "outbound":
            return ()  # that is us
        try:
            payload = a2b_base64(media.get("payload"), strict_mode=True)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            return (Odd("no_base64"),)
        if not payload:
            return (Odd("empty"),)
        if self._turns_heard:
            payload = turned(payload)
        return (Sound(payload, whole(media.get("chunk")), whole(media.get("timestamp"))),)

    def _told(self, event: object, message: Message) -> Sequence[Told]:
        match event:
            case "connected":
                return ()
            case "start":
                return (self._start(message),)
            case "stop" if self._on:
                self._on = False
                return (Stopped(),)
            case "dtmf" | "mark" | "stop" if not self._on:
                return (Odd("out_of_turn"),)
            case "dtmf":
                return (self._key(part(message, "dtmf")),)
            case "mark":
                name = text(part(message, "mark").get("name"))
                return (Passed(name) if name else Odd("mistyped"),)
            case str():
                return self._other(event, message)
            case _:
                return (Odd("mistyped"),)

    def _start(self, message: Message) -> Told:
        if self._started:
            return Odd("started_again")
        told = self._open(message, part(message, "start"))
        if isinstance(told, Started):
            self._started = self._on = True
            self._stream = told.stream
            self._turns_heard = self._little_endian and told.heard.codec == "L16"
            self._turns_ours = self._little_endian and told.ours.codec == "L16"
        return told

    def _key(self, dtmf: Message) -> Told:
        key = text(dtmf.get("digit")).upper()
        if key not in KEYS:
            return Odd("no_key")
        return Pressed(key, whole(dtmf.get("duration")) or 0)

    @abstractmethod
    def _open(self, message: Message, start: Message) -> Started | Odd:
        """Read how the stream begins."""

    def _other(self, event: str, message: Message) -> Sequence[Told]:
        """Read what only this service says."""
        return (Odd("unknown"),)

    def _addressed(self, event: str) -> dict[str, object]:
        """Begin a message of ours: what it is, and of which stream."""
        return {"event": event, self.stream_id: self._stream}

    def _coded(self, payload: bytes) -> str:
        return b64encode(turned(payload) if self._turns_ours else payload).decode("ascii")

    def sound(self, payload: bytes) -> Sequence[Frame]:
        """Write audio."""
        return self._write({**self._addressed("media"), "media": {"payload": self._coded(payload)}})

    def mark(self, name: str) -> Sequence[Frame]:
        """Ask for a mark to be given back."""
        return self._write({**self._addressed("mark"), "mark": {"name": name}})

    def clear(self) -> Sequence[Frame]:
        """Have what is buffered dropped."""
        return self._write(self._addressed("clear"))

    def press(self, keys: str) -> Sequence[Frame]:
        """Send no keys: this service has no message for them."""
        return ()

    def close(self) -> Sequence[Frame]:
        """Say nothing: the end of the socket says it."""
        return ()

    def _write(self, message: Message) -> Sequence[Frame]:
        return (json.dumps(message, separators=(",", ":")),) if self._on else ()


def whole(value: object) -> int | None:
    """Read a number from 0 that is a number or its digits. None where it is neither."""
    if isinstance(value, str):
        return int(value) if len(value) <= _DIGITS and value.isascii() and value.isdigit() else None
    return value if type(value) is int and 0 <= value < 10**_DIGITS else None


def text(value: object) -> str:
    """Read a text; "" where it is none. Lone surrogates, which nothing downstream could write, become `?`."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def part(message: Message, name: str) -> Message:
    """Read an object in an object; an empty one where there is none."""
    value = message.get(name)
    return cast("Message", value) if isinstance(value, dict) else {}


def params(value: Message) -> dict[str, str]:
    """Read parameters: those that are texts."""
    return {text(name): text(one) for name, one in value.items() if isinstance(one, str)}


def encoding(media_format: Message, rate_name: str = "sampleRate") -> Encoding | None:
    """Read how audio is coded; None where it is nothing that we can. What is not said is µ-law at 8 kHz."""
    codec = _CODECS.get(text(media_format.get("encoding", "")).partition(";")[0].lower())
    rate_hz = whole(media_format.get(rate_name, 8000))
    if rate_hz not in _RATES or whole(media_format.get("channels", 1)) != 1:
        return None
    match codec:
        case "PCMU" | "PCMA" if rate_hz == 8000:
            return Encoding(codec)
        case "L16":
            return Encoding("L16", rate_hz)
        case _:
            return None
