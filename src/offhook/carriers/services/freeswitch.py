"""FreeSWITCH: the media sockets of its two streaming modules. It has no webhooks and no API here: dialects are all.

    mod_audio_stream: metadata ─► Started      binary ◄─► Sound       both ways, paced by us
    mod_audio_fork:   metadata ─► Started      binary ─► Sound        playAudio, killAudio ◄─

Both dial us (`uuid_audio_stream <uuid> start <url> mono 16k <metadata>`, `uuid_audio_fork …`), with a first text
message that is the metadata of that command, whatever it is; as JSON it may say `call`, `caller` and `called`. L16 is
in little-endian order. Two-way binary audio is in mod_audio_stream's commercial build alone; what mod_audio_fork, whose
subprotocol is audio.drachtio.org, is sent becomes an event in FreeSWITCH, which an application there plays as a file.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Final

from offhook.carriers.services.reading import e164, key, message, params, text, whole
from offhook.carriers.services.stream import Encoding, Frame, Odd, Pressed, Sound, Started, Told, turned
from offhook.core.carriage import Carriage

STREAM: Final = Carriage()
"""mod_audio_stream: how much it buffers is not said, and nothing empties it, so that we keep time."""

FORK: Final = Carriage(least_ms=200, most_ms=200, paced_by="carrier", buffer_ms=10_000, lead_ms=400, clear="silent")
"""mod_audio_fork: a piece of audio is an event and a file there, so that pieces are long."""

LONGEST_MS: Final = 1000
"""The longest piece of audio in one message that is taken: theirs are 20 ms."""


class AudioStreamDialect:
    """One socket of mod_audio_stream. `rate_hz` is what the command asks for: 8000 or 16000, one channel."""

    _carriage = STREAM

    def __init__(self, rate_hz: int = 16000) -> None:
        self._encoding = Encoding("L16", rate_hz)
        self._started = False

    @property
    def carriage(self) -> Carriage:
        """How audio is carried there."""
        return self._carriage

    def hear(self, frame: Frame) -> Sequence[Told]:
        """Read a message. Audio that comes first begins the stream: there was no metadata then."""
        if isinstance(frame, bytes):
            if not 0 < len(frame) <= LONGEST_MS * self._encoding.bytes_per_ms or len(frame) % 2:
                return (Odd("size"),)
            sound = Sound(turned(frame))
            return (sound,) if self._started else (self._begun({}), sound)
        told = message(frame)
        if not self._started:
            return (self._begun(told or {}),)
        if told is None:
            return (Odd("json"),)
        if text(told.get("event")) == "dtmf":
            pressed = key(told.get("digit")) or key(told.get("dtmf"))
            return (Pressed(pressed, whole(told.get("duration")) or 0) if pressed else Odd("key"),)
        return (Odd("event"),)

    def _begun(self, told: Mapping[str, object]) -> Started:
        self._started = True
        call = text(told.get("call"))
        sent = params(told, "call", "caller", "called")
        return Started(
            call, call, e164(told.get("caller")), e164(told.get("called")), self._encoding, self._encoding, sent
        )

    def sound(self, payload: bytes) -> Sequence[Frame]:
        """Write audio."""
        return (turned(payload),) if payload else ()

    def mark(self, name: str) -> Sequence[Frame]:
        """Ask nothing: there are no marks."""
        return ()

    def clear(self) -> Sequence[Frame]:
        """Drop nothing: nothing that we know of does."""
        return ()

    def press(self, keys: str) -> Sequence[Frame]:
        """Send nothing: no message carries keys."""
        return ()

    def close(self) -> Sequence[Frame]:
        """Say nothing: the end of the socket is the goodbye."""
        return ()


class AudioForkDialect(AudioStreamDialect):
    """One socket of mod_audio_fork, which is heard as the other is, and spoken to in JSON."""

    _carriage = FORK

    def sound(self, payload: bytes) -> Sequence[Frame]:
        """Write a piece of audio to be played."""
        if not payload:
            return ()
        audio = b64encode(turned(payload)).decode("ascii")
        data = {
            "audioContentType": "raw",
            "sampleRate": self._encoding.rate_hz,
            "audioContent": audio,
            "textContent": "",
        }
        return (json.dumps({"type": "playAudio", "data": data}),)

    def clear(self) -> Sequence[Frame]:
        """Stop what is played."""
        return ('{"type":"killAudio"}',)

    def close(self) -> Sequence[Frame]:
        """End the fork; the call goes on."""
        return ('{"type":"disconnect"}',)
