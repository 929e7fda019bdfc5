"""Fuzz what media sockets say, and the cutting of AudioSocket's stream. See `oracle`.

A dialect raises nothing, tells only what its contract has, tells of no sound before it has started, and starts once;
the splitter gives the same frames however the stream is cut.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import atheris
from oracle import fuzz, planted
from services import frames, script, seeds

with atheris.instrument_imports(include=["offhook.carriers.services"]):  # pyright: ignore[reportAttributeAccessIssue]
    from offhook.carriers.services.asterisk import AudioSocketDialect, Splitter, WebSocketDialect
    from offhook.carriers.services.asterisk.audiosocket import framed
    from offhook.carriers.services.exotel import ExotelStream
    from offhook.carriers.services.freeswitch import AudioForkDialect, AudioStreamDialect
    from offhook.carriers.services.genesys import AudioHookDialect
    from offhook.carriers.services.jambonz.media import JambonzDialect
    from offhook.carriers.services.plivo.media import PlivoStream
    from offhook.carriers.services.signalwire import SignalWireStream
    from offhook.carriers.services.stream import Dialect, Encoding, Odd, Passed, Pressed, Sound, Started, Told
    from offhook.carriers.services.telnyx.media import TelnyxStream
    from offhook.carriers.services.twilio.media import MediaStream
    from offhook.carriers.services.vonage.media import VonageDialect

DIALECTS: dict[str, Callable[[], Dialect]] = {
    "vonage": VonageDialect,
    "websocket": WebSocketDialect,
    "jambonz": JambonzDialect,
    "genesys": AudioHookDialect,
    "audio_stream": AudioStreamDialect,
    "audio_fork": AudioForkDialect,
    "audiosocket": AudioSocketDialect,
    "twilio": MediaStream,
    "signalwire": SignalWireStream,
    "telnyx": lambda: TelnyxStream(Encoding()),
    "plivo": PlivoStream,
    "exotel": ExotelStream,
}
NAMES = (*DIALECTS, "splitter")


def check(told: Told) -> None:
    match told:
        case Started():
            for text in (told.stream, told.call, told.caller, told.called, *told.params, *told.params.values()):
                assert text.encode().decode() == text
        case Sound():
            assert told.payload
        case Pressed():
            assert told.key in tuple("0123456789*#ABCD")
            assert told.duration_ms >= 0
        case Passed():
            assert told.mark.encode()
        case Odd():
            assert told.why.isascii()
            assert len(told.why) < 40
        case _:
            pass


def hear(name: str, data: bytes) -> None:
    dialect, started = DIALECTS[name](), False
    for number, frame in enumerate(frames(data)):
        if name == "audiosocket" and isinstance(frame, bytes):
            frame = framed(frame[:1][0] if frame else 0, frame[1:])
        for told in dialect.hear(frame):
            check(told)
            assert not (started and isinstance(told, Started)), "it starts once"
            assert started or not isinstance(told, Sound), "no sound before the start"
            started = started or isinstance(told, Started)
            if planted(name) and isinstance(told, Started):
                # The fault: a reader that starts again each time.
                dialect = DIALECTS[name]()
        if number % 5 == 4:
            dialect.mark(str(number))
            dialect.clear()


def cut(data: bytes) -> None:
    stream, whole = data[1:], Splitter()
    expected = whole.push(stream)
    for step in (1, 7):
        splitter, out = Splitter(), list[bytes]()
        for at in range(0, len(stream), step):
            piece = stream[at : at + step]
            if planted("splitter") and step == 7 and piece[:1] == b"\x10":
                # The fault: a reader that takes the head of a piece for the head of a frame.
                splitter = Splitter()
            out += splitter.push(piece)
        assert (out, splitter.cut) == (expected, whole.cut)


def target(data: bytes) -> None:
    if not data:
        return
    name = NAMES[data[0] % len(NAMES)]
    if name == "splitter":
        cut(data)
    else:
        hear(name, data[1:])


SOUND = bytes(320)
OPEN: dict[str, Any] = {
    "type": "open",
    "id": "1",
    "seq": 1,
    "parameters": {
        "conversationId": "c-1",
        "participant": {"ani": "tel:+15550100", "dnis": "+15550111"},
        "media": [{"type": "audio", "format": "PCMU", "channels": ["external"], "rate": 8000}],
    },
}
VONAGE = {"event": "websocket:connected", "content-type": "audio/l16;rate=8000", "call": "1"}
START = "MEDIA_START connection_id:1 channel:WebSocket/1 format:slin optimal_frame_size:320 ptime:20"


@dataclass(frozen=True, slots=True)
class InJson:
    """How one of those that speak JSON with base64 names what the others have, too."""

    stream: str
    call: str
    media_format: str
    rate: str
    params: str
    encoding: str = "audio/x-mulaw"


IN_JSON = (
    InJson("streamSid", "callSid", "mediaFormat", "sampleRate", "customParameters"),
    InJson("streamSid", "callSid", "mediaFormat", "sampleRate", "customParameters", "audio/x-L16"),
    InJson("stream_id", "call_control_id", "media_format", "sample_rate", "custom_parameters", "PCMA"),
    InJson("streamId", "callId", "mediaFormat", "sampleRate", "extra_headers"),
    InJson("stream_sid", "call_sid", "media_format", "sample_rate", "custom_parameters", "audio/x-raw"),
)


def in_json(words: InJson) -> bytes:
    of = {words.stream: "1"}
    coded = {"encoding": words.encoding, words.rate: "8000", "channels": 1}
    begun = {**of, words.call: "1", words.media_format: coded, words.params: {"a": "b"}}
    start = {"event": "start", **of, "start": begun, words.params: "a=b;c=d"}
    media = {"track": "inbound", "chunk": "2", "timestamp": 5, "payload": "/////w=="}
    return script(
        {"event": "connected", "version": "1.0.0"},
        start,
        {"event": "media", **of, "media": media},
        {"event": "dtmf", **of, "dtmf": {"digit": "5", "duration": "100"}},
        {"event": "mark", **of, "mark": {"name": "1"}},
        {"event": "playedStream", **of, "name": "1"},
        start,
        {"event": "clearedAudio", **of},
        {"event": "stop", **of},
    )


SCRIPTS = {
    0: [script(VONAGE, SOUND, {"event": "websocket:dtmf", "digit": "5"}, VONAGE, {"event": "websocket:cleared"})],
    1: [
        script(START, SOUND, "MEDIA_MARK_PROCESSED correlation_id:1", "DTMF_END digit:5", START, "MEDIA_XOFF"),
        script({"event": "MEDIA_START", "connection_id": "1", "format": "ulaw", "optimal_frame_size": 160}, SOUND),
    ],
    2: [
        script(
            {"callSid": "1", "from": "1", "to": "2", "sampleRate": 8000, "metadata": {"a": "b"}},
            SOUND,
            {"type": "mark", "data": {"name": "1", "event": "playout"}},
            {"callSid": "1", "sampleRate": 8000},
        )
    ],
    3: [script(OPEN, SOUND, {"type": "ping", "seq": 2}, {"type": "dtmf", "parameters": {"digit": "1"}}, OPEN)],
    4: [script({"call": "1", "caller": "2"}, SOUND, '{"event":"dtmf","digit":"1"}')],
    5: [script("metadata", SOUND, SOUND)],
    6: [script(b"\x01" + bytes(16), b"\x10" + SOUND, b"\x035", b"\x01" + bytes(16), b"\x00")],
    **{number: [in_json(dialect)] for number, dialect in enumerate(IN_JSON, 7)},
    12: [framed(1, bytes(16)) + framed(0x10, SOUND) + framed(3, b"5"), struct.pack(">BH", 0x10, 40) + b"\x10" * 40],
}

if __name__ == "__main__":
    fuzz(target, seeds(SCRIPTS))
