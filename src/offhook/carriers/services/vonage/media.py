"""Vonage's media socket: L16 in binary messages of exactly 20 ms, JSON in text messages beside them.

    websocket:connected (with the headers of our control document) ─► Started
    binary ─► Sound      websocket:dtmf ─► Pressed      websocket:notify ─► Passed      websocket:cleared ─► Cleared

L16 is in little-endian order there. Vonage buffers a minute and plays it in order. A notify comes back when all before
it was played; a clear drops the ones that wait, without a word of each, so that what was pending is told to be dropped
when the clear is acknowledged.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from offhook.carriers.services.reading import inner, key, message, params, text, whole
from offhook.carriers.services.stream import (
    Cleared,
    Encoding,
    Frame,
    Odd,
    Passed,
    Pressed,
    Sound,
    Started,
    Told,
    turned,
)
from offhook.core.carriage import Carriage

MESSAGES: Final = 3072
"""Messages that Vonage buffers; what is beyond is lost."""

MARKS_LIMIT: Final = 1024
"""Marks that may be pending: more than Vonage could hold sentences for."""

CARRIAGE: Final = Carriage(
    paced_by="carrier", buffer_ms=MESSAGES * 20, lead_ms=400, marks="told", clear="acknowledged", hang_up="api"
)

RATES: Final = {f"audio/l16;rate={rate_hz}": rate_hz for rate_hz in (8000, 16000, 24000)}
LONGEST_MS: Final = 1000
"""The longest piece of audio in one message that is taken: theirs are 20 ms."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A mark that has not come back; `dropped` once a clear was sent behind it."""

    name: str
    dropped: bool = False


class VonageDialect:
    """One media socket of Vonage's."""

    def __init__(self) -> None:
        self._encoding: Encoding | None = None
        self._pending: deque[Pending] = deque(maxlen=MARKS_LIMIT)

    @property
    def carriage(self) -> Carriage:
        """How audio is carried there."""
        return CARRIAGE

    def hear(self, frame: Frame) -> Sequence[Told]:
        """Read a message."""
        if isinstance(frame, bytes):
            return (self._sound(frame),)
        told = message(frame)
        if told is None:
            return (Odd("json"),)
        match told.get("event"):
            case "websocket:connected":
                return (self._started(told),)
            case "websocket:dtmf":
                return (_pressed(told),)
            case "websocket:notify":
                return (self._passed(text(inner(told.get("payload")).get("name"))),)
            case "websocket:cleared":
                return (*self._forgotten(), Cleared())
            case _:
                return (Odd("event"),)

    def _started(self, told: Mapping[str, object]) -> Told:
        rate_hz = RATES.get(text(told.get("content-type")).replace(" ", "").lower())
        if self._encoding is not None:
            return Odd("started_again")
        if rate_hz is None:
            return Odd("format")
        self._encoding = encoding = Encoding("L16", rate_hz)
        call, caller, called = (text(told.get(name)) for name in ("call", "caller", "called"))
        sent = params(told, "event", "content-type", "call", "caller", "called")
        return Started(call, call, caller, called, encoding, encoding, sent)

    def _sound(self, frame: bytes) -> Told:
        if self._encoding is None:
            return Odd("early_sound")
        if not 0 < len(frame) <= LONGEST_MS * self._encoding.bytes_per_ms or len(frame) % 2:
            return Odd("size")
        return Sound(turned(frame))

    def _passed(self, name: str) -> Told:
        if not any(pending.name == name for pending in self._pending):
            return Odd("mark")
        while self._pending.popleft().name != name:
            pass  # they are played in order: one before it that has not come back was lost on its way
        return Passed(name, cleared=False)

    def _forgotten(self) -> list[Told]:
        forgotten: list[Told] = [Passed(pending.name, cleared=True) for pending in self._pending if pending.dropped]
        for _ in forgotten:
            self._pending.popleft()
        return forgotten

    def sound(self, payload: bytes) -> Sequence[Frame]:
        """Write audio: a message a frame, the last one filled up."""
        size = 20 * (self._encoding or Encoding("L16", 16000)).bytes_per_ms
        codes = turned(payload)
        return [codes[at : at + size].ljust(size, b"\0") for at in range(0, len(codes), size)]

    def mark(self, name: str) -> Sequence[Frame]:
        """Ask to be told when all before it was played."""
        self._pending.append(Pending(name))
        return (json.dumps({"action": "notify", "payload": {"name": name}}),)

    def clear(self) -> Sequence[Frame]:
        """Drop what is buffered there."""
        self._pending = deque((Pending(one.name, dropped=True) for one in self._pending), MARKS_LIMIT)
        return ('{"action":"clear"}',)

    def press(self, keys: str) -> Sequence[Frame]:
        """Send nothing: no message carries keys to the far end."""
        return ()

    def close(self) -> Sequence[Frame]:
        """Say nothing: the end of the socket is the goodbye."""
        return ()


def _pressed(told: Mapping[str, object]) -> Told:
    """Read a key, which also stands in an object of its own where people have seen it."""
    within = inner(told.get("dtmf"))
    pressed = key(told.get("digit")) or key(within.get("digit"))
    return (
        Pressed(pressed, whole(told.get("duration")) or whole(within.get("duration")) or 0) if pressed else Odd("key")
    )
