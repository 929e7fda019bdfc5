"""AudioSocket: Asterisk dials us over TCP and sends its call in frames; we keep time, since it buffers nothing.

    bytes ─► Splitter ─► frames: kind (1) ─ length (2, network order) ─ payload
    0x01 UUID ─► Started      0x10…0x18 slin ─► Sound      0x03 ─► Pressed      0x00 ─► Stopped      0xff ─► Odd

The UUID is all that says whose call it is: it is a token that the dialplan and we have agreed on before. L16 is in
little-endian order there; its rate is in the kind. Source: `res_audiosocket.h` of Asterisk.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from offhook.carriers.services.reading import key
from offhook.carriers.services.stream import Encoding, Frame, Odd, Pressed, Sound, Started, Stopped, Told, turned
from offhook.core.carriage import Carriage

HANGUP: Final = 0x00
NAME: Final = 0x01
KEY: Final = 0x03
ERROR: Final = 0xFF
SOUNDS: Final = {8000: 0x10, 16000: 0x12, 24000: 0x13, 48000: 0x16}
"""Kinds of audio by their rate."""

HEAD: Final = 3
LONGEST_MS: Final = 1000

CARRIAGE: Final = Carriage(hang_up="socket")


def framed(kind: int, payload: bytes = b"") -> bytes:
    """Write a frame: 65535 bytes of payload at most."""
    return bytes([kind]) + len(payload).to_bytes(2, "big") + payload


class Splitter:
    """Cuts a TCP stream into frames. It holds one unfinished frame at most: 64 kB."""

    def __init__(self) -> None:
        self._rest = b""

    def push(self, data: bytes) -> list[bytes]:
        """Take what came; give the frames that are whole."""
        frames: list[bytes] = []
        data, at = self._rest + data, 0
        while len(data) - at >= HEAD:
            end = at + HEAD + int.from_bytes(data[at + 1 : at + HEAD], "big")
            if len(data) < end:
                break
            frames.append(data[at:end])
            at = end
        self._rest = data[at:]
        return frames

    @property
    def cut(self) -> bool:
        """Whether the stream, if it ended now, would end in the middle of a frame."""
        return bool(self._rest)


class AudioSocketDialect:
    """One AudioSocket. `rate_hz` is what the dialplan asks for; 8000 where it says nothing."""

    def __init__(self, rate_hz: int = 8000) -> None:
        self._encoding = Encoding("L16", rate_hz)
        self._kind = SOUNDS[rate_hz]
        self._started = False

    @property
    def carriage(self) -> Carriage:
        """How audio is carried there."""
        return CARRIAGE

    def hear(self, frame: Frame) -> Sequence[Told]:
        """Read a frame, as the splitter gave it."""
        if isinstance(frame, str) or len(frame) < HEAD or len(frame) != HEAD + int.from_bytes(frame[1:HEAD], "big"):
            return (Odd("frame"),)
        payload = frame[HEAD:]
        match frame[0]:
            case 0x00:
                return (Stopped("hangup"),)
            case 0x01:
                return (self._begun(payload),)
            case 0x03:
                pressed = key(payload.decode("latin-1"))
                return (Pressed(pressed) if pressed else Odd("key"),)
            case 0xFF:
                return (Odd(f"error_{payload[:1].hex() or 'unsaid'}"),)
            case kind if kind in SOUNDS.values():
                return (self._sound(kind, payload),)
            case _:
                return (Odd("kind"),)

    def _begun(self, payload: bytes) -> Told:
        if self._started:
            return Odd("started_again")
        if len(payload) != 16:
            return Odd("name")
        self._started = True
        name = str(UUID(bytes=payload))
        return Started(name, name, heard=self._encoding, ours=self._encoding)

    def _sound(self, kind: int, payload: bytes) -> Told:
        if not self._started:
            return Odd("early_sound")
        if kind != self._kind:
            return Odd("format")
        if not 0 < len(payload) <= LONGEST_MS * self._encoding.bytes_per_ms or len(payload) % 2:
            return Odd("size")
        return Sound(turned(payload))

    def sound(self, payload: bytes) -> Sequence[Frame]:
        """Write audio: a frame each 20 ms, the last one filled up."""
        size = 20 * self._encoding.bytes_per_ms
        codes = turned(payload)
        return [framed(self._kind, codes[at : at + size].ljust(size, b"\0")) for at in range(0, len(codes), size)]

    def mark(self, name: str) -> Sequence[Frame]:
        """Ask nothing: what is sent sounds."""
        return ()

    def clear(self) -> Sequence[Frame]:
        """Drop nothing: nothing is buffered there."""
        return ()

    def press(self, keys: str) -> Sequence[Frame]:
        """Send nothing: keys go one way, to us."""
        return ()

    def close(self) -> Sequence[Frame]:
        """Hang up."""
        return (framed(HANGUP),)
