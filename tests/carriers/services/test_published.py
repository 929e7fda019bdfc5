"""What vendors publish of their media sockets' messages, as data: which fields each has, of which type.

Each message of theirs is read by our dialect as what it is. What our dialects and our fakes say has all that is
required, of its type, and nothing else. A name that ends in "?" may be left out. Where it stands:

| vendor                  | published                                                                               |
|-------------------------|-----------------------------------------------------------------------------------------|
| Genesys                 | purecloudlabs/audiohook-reference-implementation, app/audiohook/src/protocol            |
|                         | GenesysCloudBlueprints/audioconnector-server-reference-implementation, src/protocol     |
| Plivo                   | plivo/plivo-stream-sdk-node, src/types.ts; -java, event/StopEvent.java                  |
| Exotel                  | developer.exotel.com/docs/agentstream; exotel/Agent-Stream, docs/reference              |
| jambonz                 | jambonz/node-sdk, websocket/audio-stream.ts; jambonz-feature-server, lib/tasks/listen.js|
| mod_audio_fork          | drachtio/drachtio-freeswitch-modules, modules/mod_audio_fork/lws_glue.cpp               |
| mod_audio_stream        | amigniter/mod_audio_stream, README.md                                                   |
| Asterisk                | docs.asterisk.org, WebSocket channel driver                                             |
"""

from __future__ import annotations

import json
import re
import struct
from base64 import b64encode
from collections.abc import Sequence
from itertools import chain
from typing import Any, cast

import pytest

from offhook.carriers.services.asterisk.websocket import WebSocketDialect
from offhook.carriers.services.exotel import ExotelStream
from offhook.carriers.services.freeswitch import AudioForkDialect, AudioStreamDialect
from offhook.carriers.services.genesys import AudioHookDialect
from offhook.carriers.services.jambonz.media import JambonzDialect
from offhook.carriers.services.plivo.media import PlivoStream
from offhook.carriers.services.stream import (
    Cleared,
    Dialect,
    Encoding,
    Flow,
    Frame,
    Odd,
    Passed,
    Pressed,
    Reply,
    Sound,
    Started,
    Stopped,
    Told,
)
from offhook.testing.carriers import FakeExotel, FakeFreeSwitch, FakeGenesys, FakeJambonz, FakePlivo
from offhook.testing.carriers.direct import AsteriskTongue
from offhook.testing.carriers.farend import Tongue

Shape = Any
"""A type; a pattern of a text; a set of what it may be; a list with the shape of each item; an object's fields."""

BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?|[A-Za-z0-9+/]{2}==")
NUMBER = re.compile(r"[0-9]+")
"""A number in text."""
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}|0{8}(?:-0{4}){3}-0{12}")
TIME = re.compile(r"PT(?:[0-9]*\.)?[0-9]+S")

AUDIO = {"type": {"audio"}, "format": {"PCMU", "L16"}, "channels": [{"external", "internal"}], "rate": {8000}}
PARTY = {"id": UUID, "ani": str, "aniName": str, "dnis": str}
CODE = {400, 405, 408, 409, 413, 415, 429, 500, 503}
LOST = {"start": TIME, "discarded": TIME}


def audiohook(type: str, about: Shape, **seen: Shape) -> Shape:
    return {"version": {"2"}, "id": UUID, "type": {type}, "seq": int, "parameters": about, **seen}


def to_us(type: str, about: Shape) -> Shape:
    return audiohook(type, about, serverseq=int, position=TIME)


def of_ours(type: str, about: Shape) -> Shape:
    return audiohook(type, about, clientseq=int)


def plivo(event: str, **more: Shape) -> Shape:
    return {"event": {event}, "sequenceNumber": int, "streamId": UUID, "extra_headers?": str, **more}


def exotel(event: str, **more: Shape) -> Shape:
    return {"event": {event}, "sequence_number": NUMBER, "stream_sid": str, **more}


def asterisk(event: str, **more: Shape) -> Shape:
    return {"event": {event}, "channel_id": str, **more}


FOUND = {"intent": str}
"""What the flow is told. Published for `disconnect`; in `closed` it is let pass, and reaches the flow as well."""

OPEN = {"organizationId": UUID, "conversationId": UUID, "participant": PARTY, "media": [AUDIO], "language?": str}
FORMAT = {"encoding": str, "sampleRate": int}
CALL = {"call_sid": str, "account_sid": str}

THEIRS: dict[str, list[Shape]] = {
    "genesys": [
        to_us("open", {**OPEN, "supportedLanguages?": bool, "customConfig?": dict, "inputVariables?": dict}),
        to_us("ping", {"rtt?": TIME}),
        to_us("dtmf", {"digit": str}),
        to_us("error", {"code": CODE, "message": str, "retryAfter?": TIME}),
        to_us("close", {"reason": {"end", "error", "disconnect", "reconnect"}}),
        to_us("discarded", LOST),
        to_us("resumed", LOST),
        to_us("update", {"language": str}),
        *(to_us(quiet, {}) for quiet in ("paused", "playback_started", "playback_completed")),
    ],
    "plivo": [
        {
            **{"event": {"start"}, "sequenceNumber": int, "streamId?": UUID, "extra_headers": str},
            "start": {"callId": UUID, "streamId": UUID, "accountId": str, "tracks": [str], "mediaFormat": FORMAT},
        },
        plivo("media", media={"track": str, "timestamp": NUMBER, "chunk": int, "payload": BASE64}),
        plivo("dtmf", dtmf={"track": str, "digit": str, "timestamp": NUMBER}),
        plivo("playedStream", name=str),
        plivo("clearedAudio"),
        plivo("stop") | {"reason?": str},
    ],
    "exotel": [
        {"event": {"connected"}, "protocol?": str, "version?": str},
        exotel(
            "start",
            start={
                **CALL,
                "stream_sid": str,
                "from": str,
                "to": str,
                "custom_parameters": dict,
                "media_format": {"encoding": str, "sample_rate": NUMBER, "bit_rate": NUMBER},
            },
        ),
        exotel("media", media={"chunk": NUMBER, "timestamp": NUMBER, "payload": BASE64, "track?": str}),
        exotel("dtmf", dtmf={"digit": str, "duration": NUMBER}),
        exotel("mark", mark={"name": str}),
        exotel("stop", stop={**CALL, "reason": str}),
    ],
    "jambonz": [
        {
            **{"callSid": str, "from": str, "to": str, "callId": str, "direction": {"inbound", "outbound"}},
            **{"sampleRate": int, "mixType": {"mono", "stereo", "mixed"}, "accountSid?": str, "applicationSid?": str},
            **{"callStatus?": str, "sipStatus?": int, "sipReason?": str, "traceId?": str, "fsSipAddress?": str},
        },
        {"event": {"dtmf"}, "dtmf": str, "duration": NUMBER},
        {"type": {"mark"}, "data": {"name": str, "event": {"playout", "cleared"}}},
        {"type": {"playDone"}, "data": dict},
    ],
    "asterisk": [
        asterisk("MEDIA_START", connection_id=str, channel=str, format=str, optimal_frame_size=int, ptime=int)
        | {"channel_variables": dict},
        asterisk("DTMF_END", digit=str) | {"duration_ms?": int},
        asterisk("MEDIA_MARK_PROCESSED", correlation_id=str),
        *(asterisk(event) for event in ("MEDIA_XOFF", "MEDIA_XON", "QUEUE_DRAINED")),
        asterisk("MEDIA_BUFFERING_COMPLETED") | {"correlation_id?": str},
    ],
}

OURS: dict[str, list[Shape]] = {
    "genesys": [
        of_ours("opened", {"media": [AUDIO], "startPaused?": bool}),
        of_ours("pong", {}),
        of_ours("event", {"entities": [{"type": {"barge_in"}, "data": {}}]}),
        of_ours("closed", {"outputVariables?": FOUND}),
        of_ours(
            "disconnect", {"reason": {"completed", "unauthorized", "error"}, "info?": str, "outputVariables?": FOUND}
        ),
    ],
    "plivo": [
        {
            "event": {"playAudio"},
            "media": {"contentType": {"audio/x-l16", "audio/x-mulaw"}, "sampleRate": int, "payload": BASE64},
        },
        {"event": {"checkpoint"}, "streamId": UUID, "name": str},
        {"event": {"clearAudio"}, "streamId": UUID},
        {"event": {"sendDTMF"}, "dtmf": str},
    ],
    "exotel": [
        {"event": {"media"}, "stream_sid": str, "media": {"payload": BASE64}},
        {"event": {"mark"}, "stream_sid": str, "mark": {"name": str}},
        {"event": {"clear"}, "stream_sid": str},
    ],
    "jambonz": [
        {"type": {"mark"}, "data": {"name": str}, "name?": str},
        *({"type": {type}} for type in ("killAudio", "clearMarks", "disconnect")),
    ],
    "mod_audio_fork": [
        {
            "type": {"playAudio"},
            "data": {
                "audioContentType": {"raw"},
                "sampleRate": {8000, 16000},
                "audioContent": BASE64,
                "textContent?": str,
            },
        },
        *({"type": {type}} for type in ("killAudio", "disconnect")),
    ],
    "mod_audio_stream": [],
    "asterisk": [
        {"command": {"MARK_MEDIA"}, "correlation_id": str},
        *({"command": {name}} for name in ("FLUSH_MEDIA", "HANGUP")),
    ],
}

ID = "30b0e395-84d3-4570-ac13-9a62d8f514c0"
NETWORK, LITTLE = struct.pack(">80h", *range(80)), struct.pack("<80h", *range(80))
PAYLOAD = b64encode(LITTLE).decode()
ULAW = bytes(range(160))
L16, WIDE, PCMU = Encoding("L16"), Encoding("L16", 16000), Encoding()
MONO = {"type": "audio", "format": "PCMU", "channels": ["external"], "rate": 8000}


def session(type: str, seq: int, **about: object) -> dict[str, object]:
    said = {"version": "2", "id": ID, "type": type, "seq": seq, "serverseq": 0, "position": f"PT{seq}.2S"}
    return {**said, "parameters": about}


def on_plivo(event: str, **more: object) -> dict[str, object]:
    return {"sequenceNumber": 7, "streamId": ID, "event": event, **more}


def on_exotel(event: str, **more: object) -> dict[str, object]:
    return {"sequence_number": "7", "stream_sid": "MZ1", "event": event, **more}


def on_asterisk(event: str, **more: object) -> dict[str, object]:
    return {"channel_id": "pbx-1.9", "event": event, **more}


PERSON = {"id": ID, "ani": "tel:+15550100", "aniName": "", "dnis": "tel:+15550101"}
OFFER = {"organizationId": ID, "conversationId": ID, "participant": PERSON, "media": [MONO], "language": "en-us"}
LINEAR = {"encoding": "audio/x-l16", "sampleRate": 8000}
STARTS = {"callId": ID, "streamId": ID, "accountId": "MA1", "tracks": ["inbound"], "mediaFormat": LINEAR}
PIECE = {"track": "inbound", "timestamp": "200", "chunk": 2, "payload": PAYLOAD}
SIDS = {"call_sid": "CA1", "account_sid": "AC1"}
RAW = {"encoding": "audio/x-raw", "sample_rate": "8000", "bit_rate": "16"}
BEGINS = {**SIDS, "stream_sid": "MZ1", "from": "+919", "to": "+918", "custom_parameters": {}, "media_format": RAW}
ATTRIBUTES = {"callSid": "c-1", "from": "15550100", "to": "15550101", "callId": "abc", "direction": "inbound"}
RATE = {"sampleRate": 16000, "mixType": "mono", "accountSid": "a-1", "sipStatus": 200, "sipReason": "OK"}
MEDIA_START = {"connection_id": "e2", "channel": "WebSocket/c", "format": "slin", "optimal_frame_size": 320}
REPLY = Reply("")
"""One that is owed, whatever it says: that is looked at with what we say."""

READ: dict[str, tuple[type[Dialect], list[tuple[dict[str, object] | Frame, list[Told]]]]] = {
    "genesys": (
        AudioHookDialect,
        [
            (session("open", 1, **OFFER), [REPLY, Started(ID, ID, "+15550100", "+15550101", PCMU, PCMU)]),
            (ULAW, [Sound(ULAW)]),
            (session("ping", 2, rtt="PT0.02S"), [REPLY]),
            (session("dtmf", 3, digit="5"), [Pressed("5")]),
            (session("playback_started", 4), []),
            (session("playback_completed", 5), []),
            (session("discarded", 6, start="PT1S", discarded="PT0.1S"), []),
            (session("paused", 7), []),
            (session("resumed", 8, start="PT1S", discarded="PT0S"), []),
            (session("update", 9, language="de-DE"), []),
            (session("error", 10, code=429, message="slow down", retryAfter="PT2S"), [Odd("error_429")]),
            (session("close", 11, reason="disconnect"), [REPLY, Stopped("disconnect")]),
        ],
    ),
    "plivo": (
        PlivoStream,
        [
            (
                {"sequenceNumber": 0, "event": "start", "start": STARTS, "extra_headers": "{}"},
                [Started(ID, ID, heard=L16, ours=L16)],
            ),
            (on_plivo("media", media=PIECE, extra_headers="{}"), [Sound(NETWORK, 2, 200)]),
            (on_plivo("dtmf", dtmf={"track": "inbound", "digit": "*", "timestamp": "300"}), [Pressed("*")]),
            (on_plivo("playedStream", name="m"), [Passed("m")]),
            (on_plivo("clearedAudio"), [Cleared()]),
            (on_plivo("stop", reason="hangup"), [Stopped()]),
        ],
    ),
    "exotel": (
        ExotelStream,
        [
            ({"event": "connected"}, []),
            (on_exotel("start", start=BEGINS), [Started("MZ1", "CA1", "+919", "+918", L16, L16)]),
            (
                on_exotel("media", media={"chunk": "2", "timestamp": "200", "payload": PAYLOAD}),
                [Sound(NETWORK, 2, 200)],
            ),
            (on_exotel("dtmf", dtmf={"digit": "5", "duration": "100"}), [Pressed("5", 100)]),
            (on_exotel("mark", mark={"name": "m"}), [Passed("m")]),
            (on_exotel("stop", stop={**SIDS, "reason": "callended"}), [Stopped()]),
        ],
    ),
    "jambonz": (
        JambonzDialect,
        [
            ({**ATTRIBUTES, **RATE}, [Started("c-1", "c-1", "+15550100", "+15550101", WIDE, WIDE)]),
            (LITTLE, [Sound(NETWORK)]),
            ({"event": "dtmf", "dtmf": "2", "duration": "1600"}, [Pressed("2", 1600)]),
            ({"type": "mark", "data": {"name": "m", "event": "playout"}}, [Passed("m", cleared=False)]),
            ({"type": "mark", "data": {"name": "n", "event": "cleared"}}, [Passed("n", cleared=True)]),
            ({"type": "playDone", "data": {"id": "1"}}, []),
        ],
    ),
    "mod_audio_fork": (
        AudioForkDialect,
        [
            ('{"to":"6","from":"2"}', [Started("", heard=WIDE, ours=WIDE, params={"to": "6", "from": "2"})]),
            (LITTLE, [Sound(NETWORK)]),
        ],
    ),
    "mod_audio_stream": (
        AudioStreamDialect,
        [("any text at all", [Started("", heard=WIDE, ours=WIDE)]), (LITTLE, [Sound(NETWORK)])],
    ),
    "asterisk": (
        WebSocketDialect,
        [
            (
                on_asterisk("MEDIA_START", **MEDIA_START, ptime=20, channel_variables={}),
                [Started("e2", "", heard=L16, ours=L16)],
            ),
            (LITTLE, [Sound(NETWORK)]),
            (on_asterisk("DTMF_END", digit="5"), [Pressed("5")]),
            (on_asterisk("MEDIA_XOFF"), [Flow(False)]),
            (on_asterisk("MEDIA_XON"), [Flow(True)]),
            (on_asterisk("MEDIA_MARK_PROCESSED", correlation_id="m"), [Passed("m", cleared=False)]),
            (on_asterisk("MEDIA_BUFFERING_COMPLETED", correlation_id="m"), []),
            (on_asterisk("QUEUE_DRAINED"), []),
        ],
    ),
}

TONGUES: dict[str, Tongue] = {
    "genesys": FakeGenesys(None).tongue(ID),
    "plivo": FakePlivo(None, codec="L16/8000").tongue(ID),
    "exotel": FakeExotel(None).tongue("1"),
    "jambonz": FakeJambonz(None).tongue("1"),
    "mod_audio_stream": FakeFreeSwitch(None).tongue("1"),
    "asterisk": AsteriskTongue("1"),
}
"""What fakes speak."""


def differs(said: object, shape: Shape, at: str = "") -> list[str]:
    """Say where a message is not as it is published."""
    match shape:
        case dict():
            fields = cast("dict[str, Shape]", shape)
            if not isinstance(said, dict):
                return [f"{at} is no object"]
            told = cast("dict[str, object]", said)
            known = {name.rstrip("?"): one for name, one in fields.items()}
            wrong = [f"{at}.{name} is not published" for name in sorted(told.keys() - known.keys())]
            wrong += [f"{at}.{name} is missing" for name in fields if not name.endswith("?") and name not in told]
            return wrong + [
                why for name in told.keys() & known for why in differs(told[name], known[name], f"{at}.{name}")
            ]
        case [inner]:
            if not isinstance(said, list):
                return [f"{at} is no list"]
            return [why for one in cast("list[object]", said) for why in differs(one, inner, f"{at}[]")]
        case re.Pattern():
            return [] if isinstance(said, str) and shape.fullmatch(said) else [f"{at} is {said!r}"]
        case set():
            return [] if said in shape else [f"{at} is {said!r}"]
        case _:
            return [] if type(said) is shape else [f"{at} is {said!r}"]


def check(frames: Sequence[Frame], shapes: Sequence[Shape]) -> set[int]:
    """Say which shapes messages have. AssertionError for one that has none of them."""
    found: set[int] = set()
    for frame in frames:
        if isinstance(frame, str):
            ways = [differs(json.loads(frame), shape) for shape in shapes]
            assert [] in ways, f"{frame}: {min(ways, key=len)}"
            found.add(ways.index([]))
    return found


def written(message: dict[str, object] | Frame) -> Frame:
    return json.dumps(message) if isinstance(message, dict) else message


def told(dialect: Dialect, message: dict[str, object] | Frame) -> list[Told]:
    return [REPLY if isinstance(one, Reply) else one for one in dialect.hear(written(message))]


@pytest.mark.parametrize("vendor", READ)
def test_what_is_published_is_read_as_what_it_is(vendor):
    make, script = READ[vendor]
    dialect = make()
    for message, meant in script:
        if isinstance(message, dict) and vendor in THEIRS:
            check([written(message)], THEIRS[vendor])
        assert told(dialect, message) == meant, message


@pytest.mark.parametrize("vendor", READ)
def test_what_we_say_is_what_is_published(vendor):
    make, script = READ[vendor]
    dialect = make()
    if isinstance(dialect, AudioHookDialect):
        dialect.outputs["intent"] = "a table"
    began = [one.frame for message, _ in script[:3] for one in dialect.hear(written(message)) if isinstance(one, Reply)]
    orders = (dialect.sound(NETWORK), dialect.mark("m"), dialect.clear(), dialect.press("1"), dialect.close())
    ended = [one.frame for one in dialect.hear(written(script[-1][0])) if isinstance(one, Reply)]
    said = [*began, *chain(*orders), *ended]
    assert check(said, OURS[vendor]) == set(range(len(OURS[vendor]))), "all that is published of ours was said"


@pytest.mark.parametrize("vendor", TONGUES)
def test_fakes_say_what_is_published(vendor):
    tongue = TONGUES[vendor]
    calls = (tongue.begins(), tongue.sound(NETWORK), tongue.key("5"), tongue.passed("m", False), tongue.cleared())
    frames = [*chain(*calls), *tongue.ends()]
    if vendor in THEIRS:
        check(frames, THEIRS[vendor])
    dialect = READ[vendor][0]()
    heard = [one for frame in frames for one in dialect.hear(frame)]
    assert not [one for one in heard if isinstance(one, Odd)]
    assert sum(isinstance(one, Started) for one in heard) == 1


def test_genesys_closes_when_it_is_asked_to_and_then_the_socket():
    """disconnect, its close for that reason, our closed."""
    dialect, tongue = AudioHookDialect(), FakeGenesys(None).tongue(ID)
    began = [one for frame in tongue.begins() for one in dialect.hear(frame)]
    opened = [order.text for one in began if isinstance(one, Reply) for order in tongue.read(one.frame)]
    parted = [order.kind for frame in dialect.close() for order in tongue.read(frame)]
    (closed, stopped) = [one for frame in tongue.ends() for one in dialect.hear(frame)]
    assert isinstance(closed, Reply)
    assert (opened, parted, stopped) == (["opened"], ["part"], Stopped("disconnect"))
    assert [order.kind for order in tongue.read(closed.frame)] == ["close"]


def test_genesys_says_nothing_before_it_is_open_and_is_owed_a_pong_to_each_ping():
    dialect, tongue = AudioHookDialect(), FakeGenesys(None).tongue(ID)
    (opened, _) = [one for frame in tongue.begins() for one in dialect.hear(frame)]
    assert isinstance(opened, Reply)
    assert tongue.sound(ULAW) == ()
    tongue.read(opened.frame)
    pongs = 0
    for frame in (frame for _ in range(600) for frame in tongue.sound(ULAW)):
        for one in dialect.hear(frame):
            if isinstance(one, Reply):
                assert tongue.read(one.frame) == ()
                pongs += 1
    assert pongs == 3
