"""The services' side of their media sockets, as far as a leg needs it: `testing.carriers.farend.Tongue` for each."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from offhook.carriers.services.asterisk.audiosocket import SOUNDS, framed
from offhook.carriers.services.stream import Encoding, Frame, turned
from offhook.testing.carriers.farend import Order


class Tongue:
    """What they share: L16 in binary, little-endian; nothing is said of marks and clears."""

    def __init__(self, encoding: Encoding) -> None:
        self.heard = self.ours = encoding

    def begins(self) -> Sequence[Frame]:
        return ()

    def sound(self, payload: bytes) -> Sequence[Frame]:
        return (turned(payload) if self.heard.codec == "L16" else payload,)

    def key(self, key: str) -> Sequence[Frame]:
        return ()

    def passed(self, mark: str, cleared: bool) -> Sequence[Frame]:
        return ()

    def cleared(self) -> Sequence[Frame]:
        return ()

    def ends(self) -> Sequence[Frame]:
        return ()

    def read(self, frame: Frame) -> Sequence[Order]:
        if isinstance(frame, bytes):
            assert frame
            assert len(frame) % (20 * self.ours.bytes_per_ms) == 0, "no whole frames"
            return (Order("sound", turned(frame) if self.ours.codec == "L16" else frame),)
        return self.said(json.loads(frame))

    def said(self, told: dict[str, Any]) -> Sequence[Order]:
        raise AssertionError(f"nobody understands {told}")


class ChannelTongue(Tongue):
    """chan_websocket; `plain` in plain text."""

    def __init__(self, encoding: Encoding, format: str, *, plain: bool = False) -> None:
        super().__init__(encoding)
        self.format = format
        self.plain = plain

    def event(self, event: str, **more: Any) -> Sequence[Frame]:
        if self.plain:
            return (" ".join([event, *(f"{name}:{one}" for name, one in more.items())]),)
        return (json.dumps({"event": event, **more}),)

    def begins(self) -> Sequence[Frame]:
        size = 20 * self.ours.bytes_per_ms
        return self.event("MEDIA_START", connection_id="1", format=self.format, optimal_frame_size=size, ptime=20)

    def key(self, key: str) -> Sequence[Frame]:
        return self.event("DTMF_END", digit=key)

    def passed(self, mark: str, cleared: bool) -> Sequence[Frame]:
        return () if cleared else self.event("MEDIA_MARK_PROCESSED", correlation_id=mark)

    def read(self, frame: Frame) -> Sequence[Order]:
        if self.plain and isinstance(frame, str):
            command, _, mark = frame.partition(" ")
            return self.said({"command": command, "correlation_id": mark})
        assert isinstance(frame, str) or len(frame) < 65_500, "Asterisk hangs up"
        return super().read(frame)

    def said(self, told: dict[str, Any]) -> Sequence[Order]:
        match told["command"]:
            case "MARK_MEDIA":
                return (Order("mark", text=told["correlation_id"]),)
            case "FLUSH_MEDIA":
                return (Order("clear"),)
            case "HANGUP":
                return (Order("close"),)
            case other:
                raise AssertionError(f"Asterisk knows no {other}")


class AudioSocketTongue(Tongue):
    def begins(self) -> Sequence[Frame]:
        return (framed(0x01, UUID(int=7).bytes),)

    def sound(self, payload: bytes) -> Sequence[Frame]:
        return (framed(SOUNDS[self.heard.rate_hz], turned(payload)),)

    def key(self, key: str) -> Sequence[Frame]:
        return (framed(0x03, key.encode()),)

    def ends(self) -> Sequence[Frame]:
        return (framed(0x00),)

    def read(self, frame: Frame) -> Sequence[Order]:
        assert isinstance(frame, bytes)
        if frame == framed(0x00):
            return (Order("close"),)
        assert frame[0] == SOUNDS[self.ours.rate_hz]
        assert len(frame) == 3 + 20 * self.ours.bytes_per_ms, "it buffers nothing: 20 ms each"
        return (Order("sound", turned(frame[3:])),)


class JambonzTongue(Tongue):
    def begins(self) -> Sequence[Frame]:
        return (json.dumps({"callSid": "c-1", "from": "1", "to": "2", "sampleRate": self.heard.rate_hz}),)

    def key(self, key: str) -> Sequence[Frame]:
        return (json.dumps({"event": "dtmf", "dtmf": key, "duration": "1600"}),)

    def passed(self, mark: str, cleared: bool) -> Sequence[Frame]:
        return (json.dumps({"type": "mark", "data": {"name": mark, "event": "cleared" if cleared else "playout"}}),)

    def said(self, told: dict[str, Any]) -> Sequence[Order]:
        match told["type"]:
            case "mark":
                return (Order("mark", text=told["data"]["name"]),)
            case "killAudio":
                return (Order("clear"),)
            case "clearMarks" | "disconnect":
                return (Order("other"),)
            case other:
                raise AssertionError(f"jambonz knows no {other}")


class GenesysTongue(Tongue):
    def __init__(self, encoding: Encoding) -> None:
        super().__init__(encoding)
        self.seq = 0
        self.last = 0

    def message(self, type: str, **about: Any) -> Sequence[Frame]:
        self.seq += 1
        said = {"version": "2", "id": "s-1", "type": type, "seq": self.seq, "serverseq": self.last}
        return (json.dumps({**said, "position": "PT0S", "parameters": about}),)

    def begins(self) -> Sequence[Frame]:
        media = [{"type": "audio", "format": self.ours.codec, "channels": ["external"], "rate": 8000}]
        return self.message("open", conversationId="c-1", participant={"ani": "1", "dnis": "2"}, media=media)

    def key(self, key: str) -> Sequence[Frame]:
        return self.message("dtmf", digit=key)

    def ends(self) -> Sequence[Frame]:
        return self.message("close", reason="end")

    def read(self, frame: Frame) -> Sequence[Order]:
        assert isinstance(frame, str) or len(frame) >= 200 * self.ours.bytes_per_ms, "429: too many messages"
        return super().read(frame)

    def said(self, told: dict[str, Any]) -> Sequence[Order]:
        assert told["seq"] > self.last, "its numbers rise"
        assert 0 < told["clientseq"] <= self.seq, "it says what it has seen"
        self.last = told["seq"]
        if told["type"] == "event":
            assert told["parameters"]["entities"][0]["type"] == "barge_in"
            return (Order("clear"),)
        assert told["type"] in ("opened", "closed", "disconnect", "pong")
        return (Order("close" if told["type"] == "disconnect" else "other"),)


class StreamTongue(Tongue):
    """mod_audio_stream."""

    def begins(self) -> Sequence[Frame]:
        return ('{"call":"u-1"}',)

    def key(self, key: str) -> Sequence[Frame]:
        return (json.dumps({"event": "dtmf", "digit": key}),)


class ForkTongue(StreamTongue):
    """mod_audio_fork."""

    def said(self, told: dict[str, Any]) -> Sequence[Order]:
        match told["type"]:
            case "playAudio":
                assert told["data"]["sampleRate"] == self.ours.rate_hz
                return (Order("sound", turned(b64decode(told["data"]["audioContent"], validate=True))),)
            case "killAudio":
                return (Order("clear"),)
            case "disconnect":
                return (Order("close"),)
            case other:
                raise AssertionError(f"mod_audio_fork knows no {other}")
