"""Asterisk's own websocket channel (`chan_websocket`): media in binary messages, control in text beside them.

    MEDIA_START ─► Started            DTMF_END ─► Pressed
    MEDIA_MARK_PROCESSED ─► Passed    MEDIA_XOFF, MEDIA_XON ─► Flow

Control is JSON (from 20.18, 22.8 and 23.2 on, where the dial string says `f(json)`) or plain text, `NAME name:value …`;
we speak what the first message is written in. Asterisk keeps time, and 20 s; L16 is in little-endian order. A flush
drops the marks that wait without a word, so that one that comes back was played. Where a message of ours is no whole
number of Asterisk's frames, it is told to put them together, and to fill up what is left over before each mark.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from offhook.carriers.services.asterisk.ari import basic
from offhook.carriers.services.http import Request, Unsigned
from offhook.carriers.services.proof import same
from offhook.carriers.services.reading import inner, key, message, params, text, whole
from offhook.carriers.services.stream import (
    Encoding,
    Flow,
    Frame,
    Odd,
    Passed,
    Pressed,
    Reply,
    Sound,
    Started,
    Told,
    turned,
)
from offhook.core.carriage import Carriage

FORMATS: Final = {
    "ulaw": Encoding("PCMU"),
    "alaw": Encoding("PCMA"),
    "slin": Encoding("L16", 8000),
    "slin16": Encoding("L16", 16000),
    "slin24": Encoding("L16", 24000),
    "slin48": Encoding("L16", 48000),
}
"""What Asterisk calls the encodings that we take."""

XOFF_MS: Final = 18_000
"""What Asterisk holds before it says stop: 900 frames."""

CARRIAGE: Final = Carriage(
    most_ms=60, paced_by="carrier", buffer_ms=XOFF_MS, lead_ms=400, marks="told", clear="silent", hang_up="api"
)

LONGEST_MS: Final = 1000
"""The longest piece of audio in one message that is taken: theirs are 20 ms."""

KNOWN: Final = frozenset({"STATUS", "MEDIA_BUFFERING_COMPLETED", "QUEUE_DRAINED"})
"""Events that are none of ours to heed."""


class WebSocketDialect:
    """One socket of Asterisk's websocket channel."""

    def __init__(self) -> None:
        self._encoding: Encoding | None = None
        self._plain = False
        self._gathers = False

    @property
    def carriage(self) -> Carriage:
        """How audio is carried there."""
        return CARRIAGE

    def hear(self, frame: Frame) -> Sequence[Told]:
        """Read a message."""
        if isinstance(frame, bytes):
            return (self._sound(frame),)
        told = message(frame) if frame.lstrip()[:1] == "{" else _plain(frame)
        if told is None:
            return (Odd("control"),)
        match text(told.get("event")):
            case "MEDIA_START":
                return self._started(told, plain=frame.lstrip()[:1] != "{")
            case "DTMF_END":
                pressed = key(told.get("digit"))
                return (Pressed(pressed, whole(told.get("duration_ms")) or 0) if pressed else Odd("key"),)
            case "MEDIA_MARK_PROCESSED":
                mark = text(told.get("correlation_id"))
                return (Passed(mark, cleared=False) if mark else Odd("mark"),)
            case "MEDIA_XOFF":
                return (Flow(False),)
            case "MEDIA_XON":
                return (Flow(True),)
            case event if event in KNOWN:
                return ()
            case _:
                return (Odd("event"),)

    def _started(self, told: Mapping[str, object], *, plain: bool) -> Sequence[Told]:
        if self._encoding is not None:
            return (Odd("started_again"),)
        encoding = FORMATS.get(text(told.get("format")))
        if encoding is None:
            return (Odd("format"),)
        self._encoding, self._plain = encoding, plain
        frame = whole(told.get("optimal_frame_size")) or 0
        self._gathers = frame > 0 and 20 * encoding.bytes_per_ms % frame != 0
        stream = text(told.get("connection_id")) or text(told.get("channel_id"))
        sent = params(inner(told.get("channel_variables")))
        # The channel here is the socket's own, not the caller's: whose call it is the token in the path says.
        started = Started(stream, "", heard=encoding, ours=encoding, params=sent)
        return (started, *(Reply(one) for one in self._gathering()))

    def _gathering(self) -> Sequence[Frame]:
        return (self._command("START_MEDIA_BUFFERING"),) if self._gathers else ()

    def _sound(self, frame: bytes) -> Told:
        encoding = self._encoding
        if encoding is None:
            return Odd("early_sound")
        if not 0 < len(frame) <= LONGEST_MS * encoding.bytes_per_ms or (encoding.codec == "L16" and len(frame) % 2):
            return Odd("size")
        return Sound(turned(frame) if encoding.codec == "L16" else frame)

    def _command(self, name: str, correlation: str = "") -> Frame:
        if self._plain:
            return f"{name} {correlation}".rstrip()
        return json.dumps({"command": name, **({"correlation_id": correlation} if correlation else {})})

    def sound(self, payload: bytes) -> Sequence[Frame]:
        """Write audio."""
        if not payload:
            return ()
        return (turned(payload) if self._encoding is None or self._encoding.codec == "L16" else payload,)

    def mark(self, name: str) -> Sequence[Frame]:
        """Ask to be told when all before it was played."""
        mark = self._command("MARK_MEDIA", name)
        return (self._command("STOP_MEDIA_BUFFERING"), mark, *self._gathering()) if self._gathers else (mark,)

    def clear(self) -> Sequence[Frame]:
        """Drop what is buffered there, and what it was putting together."""
        return (self._command("FLUSH_MEDIA"), *self._gathering())

    def press(self, keys: str) -> Sequence[Frame]:
        """Send nothing: no command carries keys."""
        return ()

    def close(self) -> Sequence[Frame]:
        """Hang up."""
        return (self._command("HANGUP"),)


def check(user: str, password: str, request: Request) -> None:
    """Check the user and the password that a section of `websocket_client.conf` has a handshake bring. Unsigned."""
    if not password:
        raise Unsigned("there is no password to check by", hint="set services.asterisk.password")
    given = request.header("authorization")
    if not given:
        raise Unsigned("no password", 401, "does the section in websocket_client.conf name a user and a password?")
    if not same(basic(user, password), given):
        raise Unsigned("another password", hint="is it the password of the section in websocket_client.conf?")


def _plain(line: str) -> Mapping[str, object] | None:
    """Read a control message of plain text: a name, then `name:value` or, where there is one, a correlation id."""
    words = line[:4096].split()
    if not words:
        return None
    told: dict[str, object] = {"event": words[0]}
    for word in words[1:]:
        name, colon, value = word.partition(":")
        told |= {name: value} if colon and name != "event" else {"correlation_id": word}
    return told
