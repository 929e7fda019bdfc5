"""jambonz' media socket (`listen`, subprotocol audio.jambonz.org): binary L16 both ways, JSON beside it.

    the call's attributes ─► Started      binary ─► Sound      dtmf ─► Pressed      mark ─► Passed: played or cleared

L16 is in little-endian order. What we send is buffered and played in order; `killAudio` empties the buffer, and
`clearMarks` gives the marks in it back as cleared: jambonz is the one service that says which.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from offhook.carriers.services.reading import e164, inner, key, message, text, whole
from offhook.carriers.services.stream import (
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

CARRIAGE: Final = Carriage(
    most_ms=60, paced_by="carrier", buffer_ms=60_000, lead_ms=400, marks="told", clear="silent", hang_up="api"
)

LONGEST_MS: Final = 1000
"""The longest piece of audio in one message that is taken: theirs are 20 ms."""

RATES: Final = (8000, 16000, 24000, 48000)


class JambonzDialect:
    """One media socket of jambonz'. `rate_hz` is what our document asked for."""

    def __init__(self, rate_hz: int = 16000) -> None:
        self._ours = Encoding("L16", rate_hz)
        self._heard: Encoding | None = None

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
        match text(told.get("type")) or text(told.get("event")):
            case "dtmf":
                pressed = key(told.get("dtmf")) or key(told.get("digit"))
                return (Pressed(pressed, whole(told.get("duration")) or 0) if pressed else Odd("key"),)
            case "mark":
                return (_passed(told),)
            case "playDone":
                return ()
            case "" | "setup" if "callSid" in told or "call_sid" in told:
                return (self._started(told),)
            case _:
                return (Odd("event"),)

    def _started(self, told: Mapping[str, object]) -> Told:
        if self._heard is not None:
            return Odd("started_again")
        rate_hz = whole(told.get("sampleRate")) or self._ours.rate_hz
        if rate_hz not in RATES:
            return Odd("format")
        self._heard = Encoding("L16", rate_hz)
        call = text(told.get("callSid")) or text(told.get("call_sid"))
        caller, called = e164(told.get("from")), e164(told.get("to"))
        return Started(call, call, caller, called, self._heard, self._ours)

    def _sound(self, frame: bytes) -> Told:
        if self._heard is None:
            return Odd("early_sound")
        if not 0 < len(frame) <= LONGEST_MS * self._heard.bytes_per_ms or len(frame) % 2:
            return Odd("size")
        return Sound(turned(frame))

    def sound(self, payload: bytes) -> Sequence[Frame]:
        """Write audio."""
        return (turned(payload),) if payload else ()

    def mark(self, name: str) -> Sequence[Frame]:
        """Ask to be told when all before it was played. Its name stands where either version of jambonz looks."""
        return (json.dumps({"type": "mark", "name": name, "data": {"name": name}}),)

    def clear(self) -> Sequence[Frame]:
        """Drop what is buffered there; its marks come back as cleared."""
        return ('{"type":"killAudio"}', '{"type":"clearMarks"}')

    def press(self, keys: str) -> Sequence[Frame]:
        """Send nothing: no message carries keys."""
        return ()

    def close(self) -> Sequence[Frame]:
        """End the verb: the call goes on with what the document's hook answers."""
        return ('{"type":"disconnect"}',)


def _passed(told: Mapping[str, object]) -> Told:
    data = inner(told.get("data")) or told
    name, how = text(data.get("name")), text(data.get("event"))
    if not name:
        return Odd("mark")
    return Passed(name, cleared={"playout": False, "cleared": True}.get(how))
