"""The service's side of a media socket that speaks JSON with base64, as several do: their words are given.

Words ─► JsonTongue ─► connected, start, media, dtmf, mark, stop          media, mark, clear, dtmf ─► Order
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from offhook.carriers.services.stream import Encoding, Frame, turned
from offhook.testing.carriers.farend import Order


@dataclass(frozen=True, slots=True)
class Words:
    """How a service calls what all have.

    `start` is what its `start` says beside the stream's name, `ours` how its messages from us are named, `named`:
    whether those name the stream. `least` is how many bytes a message of audio has at least, `multiple` what they are
    a multiple of. `beside` is in each message that tells of the call, `pressed` with a key, `stop` with the end.
    `counts` is how messages and pieces are numbered: in text, or in numbers.
    """

    stream: str = "streamSid"
    sequence: str = "sequenceNumber"
    connected: bool = True
    start: Mapping[str, Any] = field(default_factory=dict[str, Any])
    beside: Mapping[str, Any] = field(default_factory=dict[str, Any])
    ours: Mapping[str, str] = field(default_factory=lambda: {"media": "sound", "mark": "mark", "clear": "clear"})
    named: bool = True
    back: str = "mark"
    cleared: str = ""
    counts: type[str | int] = str
    pressed: Mapping[str, Any] = field(default_factory=lambda: {"duration": "100"})
    stop: Mapping[str, Any] = field(default_factory=dict[str, Any])
    least: int = 1
    multiple: int = 1


class JsonTongue:
    """A service's side of one socket. L16 is little-endian on it."""

    def __init__(self, words: Words, stream: str, heard: Encoding, ours: Encoding) -> None:
        self.words = words
        self.stream = stream
        self.heard = heard
        self.ours = ours
        self._sequence = 0
        self._chunk = 0

    def _message(self, event: str, **rest: Any) -> str:
        self._sequence += 1
        said = {
            "event": event,
            self.words.sequence: self.words.counts(self._sequence),
            self.words.stream: self.stream,
            **rest,
        }
        return json.dumps(said)

    def begins(self) -> Sequence[Frame]:
        """Give `connected`, where there is one, and `start`."""
        start = {self.words.stream: self.stream, **self.words.start}
        begun = self._message("start", start=start, **self.words.beside)
        return (*(('{"event":"connected","version":"1.0.0"}',) if self.words.connected else ()), begun)

    def sound(self, payload: bytes) -> Sequence[Frame]:
        """Give a frame of media."""
        self._chunk += 1
        media = {
            "track": "inbound",
            "chunk": self.words.counts(self._chunk),
            "timestamp": str(20 * self._chunk),
            "payload": b64encode(turned(payload) if self.heard.codec == "L16" else payload).decode(),
        }
        return (self._message("media", media=media, **self.words.beside),)

    def key(self, key: str) -> Sequence[Frame]:
        """Tell of a key."""
        return (self._message("dtmf", dtmf={"digit": key, **self.words.pressed}, **self.words.beside),)

    def passed(self, mark: str, cleared: bool) -> Sequence[Frame]:
        """Give a mark back, played or not."""
        if self.words.back == "mark":
            return (self._message("mark", mark={"name": mark}),)
        return () if cleared else (self._message(self.words.back, name=mark),)

    def cleared(self) -> Sequence[Frame]:
        """Say that the buffer is empty, where it says so."""
        return (self._message(self.words.cleared),) if self.words.cleared else ()

    def ends(self) -> Sequence[Frame]:
        """Give `stop`."""
        return (self._message("stop", **self.words.stop),)

    def read(self, frame: Frame) -> Sequence[Order]:
        """Read what the service takes. AssertionError for anything else."""
        assert isinstance(frame, str), "binary for text"
        said: dict[str, Any] = json.loads(frame)
        if self.words.named and self.words.stream in said:
            assert said[self.words.stream] == self.stream, "another stream"
        match self.words.ours.get(said["event"], ""):
            case "sound":
                payload = b64decode(said["media"]["payload"], validate=True)
                assert len(payload) >= self.words.least, "too little audio"
                assert len(payload) % self.words.multiple == 0, "no whole frames"
                return (Order("sound", turned(payload) if self.ours.codec == "L16" else payload),)
            case "mark":
                return (Order("mark", text=str(said["mark"]["name"] if "mark" in said else said["name"])),)
            case "clear":
                return (Order("clear"),)
            case "keys":
                return (Order("keys", text=str(said["dtmf"])),)
            case _:
                raise AssertionError(f"the service knows no {said['event']}")
