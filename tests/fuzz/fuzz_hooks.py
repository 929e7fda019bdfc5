"""Fuzz what webhooks and events of services say, and their proofs. See `oracle`.

What is read is news whose texts every encoding can write, or it is a ProtocolError; what is not signed is Unsigned, and
nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from urllib.parse import urlencode

import atheris
from oracle import fuzz, planted
from services import SEPARATOR, seeds

with atheris.instrument_imports(include=["offhook.carriers.services"]):  # pyright: ignore[reportAttributeAccessIssue]
    from offhook.carriers.services.asterisk import Asterisk, AsteriskAccount
    from offhook.carriers.services.exotel import Exotel, ExotelAccount
    from offhook.carriers.services.genesys import Genesys, GenesysAccount
    from offhook.carriers.services.http import ApiReply, Request, Unsigned
    from offhook.carriers.services.jambonz import Jambonz, JambonzAccount
    from offhook.carriers.services.openai_sip import OpenAiAccount, OpenAiSip
    from offhook.carriers.services.plivo import Plivo, PlivoAccount
    from offhook.carriers.services.service import News, Service
    from offhook.carriers.services.signalwire import SignalWireAccount, signalwire
    from offhook.carriers.services.telnyx import TelnyxAccount, telnyx
    from offhook.carriers.services.twilio import TwilioAccount, twilio
    from offhook.carriers.services.vonage import Vonage, VonageAccount
    from offhook.core.errors import ProtocolError

ED25519 = "1XpzdQsGHXVZ/f+qp0oYlFtQ4dVhXYlW6hKPcGSdlZA="
SERVICES: dict[str, Service] = {
    "vonage": Vonage(VonageAccount("app", "", "secret")),
    "asterisk": Asterisk(AsteriskAccount("user", "password", "user", "password")),
    "jambonz": Jambonz(JambonzAccount("acc", "key", "secret", "password")),
    "openai": OpenAiSip(OpenAiAccount("key", "whsec_c2VjcmV0")),
    "twilio": twilio(TwilioAccount("AC1", "secret")),
    "signalwire": signalwire(SignalWireAccount("a.example", "project", "token", "secret")),
    "telnyx": telnyx(TelnyxAccount("key", ED25519)),
    "plivo": Plivo(PlivoAccount("MA1", "secret")),
    "exotel": Exotel(ExotelAccount("sid", "key", "token", password="secret")),
}
GENESYS = Genesys(GenesysAccount("key", "c2VjcmV0"))
KINDS = ("voice", "status", "machine", "transfer", "recording", "input", "after", "dial", "events")
NAMES = (*SERVICES, "proof")


def read(name: str, data: bytes) -> None:
    kind, _, body = data[1:].partition(SEPARATOR)
    method = "GET" if data[:1] < b"\x10" else "POST"
    target = "/?" + body.decode("latin-1") if method == "GET" else "/"
    request = Request(method, target, {}, body)
    service = SERVICES[name]
    try:
        news: Sequence[News] = service.hook(kind.decode("latin-1"), request)
        for one in news:
            told = asdict(one)
            if planted(name) and "1" in str(told.get("call")):
                # The fault: a reader that lets half a character through.
                told["call"] = "\ud800"
            assert "\\ud8" not in json.dumps(told, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()
            service.heed(one)
        if isinstance(service, Asterisk):
            service.follow(request)
            service.there(ApiReply(200, body))
    except ProtocolError:
        return


def prove(data: bytes) -> None:
    parts = (data.split(SEPARATOR) + [b""] * 4)[:4]
    first, second, third, body = parts
    text = [one.decode("latin-1") for one in (first, second, third)]
    names: dict[str, Sequence[str]] = {
        "vonage": ("authorization",),
        "asterisk": ("authorization",),
        "jambonz": ("jambonz-signature", "authorization", "upgrade"),
        "openai": ("webhook-signature", "webhook-id", "webhook-timestamp"),
        "twilio": ("x-twilio-signature", "content-type", "host"),
        "signalwire": ("x-signalwire-signature", "authorization", "upgrade"),
        "telnyx": ("telnyx-signature-ed25519", "telnyx-timestamp", "upgrade"),
        "plivo": ("x-plivo-signature-v3", "x-plivo-signature-v3-nonce", "content-type"),
        "exotel": ("authorization",),
    }
    everyone: list[tuple[Any, Sequence[str]]] = [(SERVICES[name], headers) for name, headers in names.items()]
    everyone.append((GENESYS, ("signature-input", "signature", "x-api-key")))
    for service, headers in everyone:
        request = Request("POST", "/", dict(zip(headers, text, strict=False)), body)
        try:
            service.verify(request, "https://offhook.example", 1_800_000_000)
        except Unsigned:
            if planted("proof") and b"=" in first:
                # The fault: a check that lets in what has a sign of equality.
                break
            continue
        break
    else:
        return
    raise AssertionError("somebody was talked into it")


def target(data: bytes) -> None:
    if not data:
        return
    name = NAMES[data[0] % len(NAMES)]
    if name == "proof":
        prove(data[1:])
    else:
        read(name, data[1:])


def form(kind: str, told: dict[str, str]) -> bytes:
    return b"\x20" + kind.encode() + SEPARATOR + urlencode(told).encode()


def hook(kind: str, told: dict[str, Any]) -> bytes:
    return b"\x20" + kind.encode() + SEPARATOR + json.dumps(told).encode()


CALL = {"uuid": "1", "conversation_uuid": "CON-1", "from": "447700900000", "to": "447700900001"}
CHANNEL = {"id": "1", "state": "Ring", "caller": {"number": "1", "name": "x"}, "dialplan": {"exten": "2"}}
BASE = {"call_sid": "1", "from": "1", "to": "2", "call_status": "failed", "sip_status": 404}
HEADERS = [{"name": "From", "value": '"x" <sip:1@a>'}, {"name": "To", "value": "sip:2@b"}]
FAMILY = ("voice", "status", "machine", "transfer", "dial", "after", "said", "recording")
TWIML = {
    "CallSid": "1",
    "From": "+1",
    "To": "+2",
    "CallStatus": "completed",
    "SequenceNumber": "1",
    "AnsweredBy": "human",
    "DialCallStatus": "busy",
    "DialSipResponseCode": "486",
    "SpeechResult": "x",
    "SipHeader_X": "y",
}
PLIVO = {
    "CallUUID": "1",
    "From": "15550001111",
    "CallStatus": "busy",
    "DialStatus": "busy",
    "Machine": "true",
    "X-PH-A": "b",
}
TELNYX: dict[str, Any] = {
    "call_control_id": "1",
    "from": "+1",
    "client_state": "dG86MQ==",
    "hangup_cause": "user_busy",
    "result": "human",
    "custom_headers": [{"name": "a", "value": "b"}],
    "recording_started_at": "2026-01-01T00:00:00Z",
    "recording_ended_at": "2026-01-01T00:00:01Z",
}
EVENTS = ("initiated", "answered", "hangup", "machine.detection.ended", "recording.saved")
SCRIPTS = {
    0: [
        hook("voice", {**CALL, "SipHeader_X": "1"}),
        b"\x00voice" + SEPARATOR + b"uuid=1&from=2&to=3",
        hook("status", {**CALL, "status": "failed", "detail": "busy"}),
        hook("input", {**CALL, "dtmf": {"digits": "1"}, "speech": {"results": [{"text": "x"}]}}),
        hook("recording", {**CALL, "recording_url": "https://x", "start_time": "2020-01-01T12:00:00Z"}),
    ],
    1: [hook("events", {"type": kind, "channel": CHANNEL, "cause": 16}) for kind in ("StasisStart", "StasisEnd")],
    2: [hook(kind, {**BASE, "sip": {"headers": {"X": "1"}}, "type": "amd_human_detected"}) for kind in KINDS],
    3: [hook("voice", {"type": "realtime.call.incoming", "data": {"call_id": "1", "sip_headers": HEADERS}})],
    **{number: [form(kind, TWIML) for kind in FAMILY] for number in (4, 5)},
    6: [hook("voice", {"data": {"event_type": f"call.{event}", "payload": TELNYX}}) for event in EVENTS],
    7: [form(kind, PLIVO) for kind in FAMILY],
    8: [form("voice", TWIML), form("status", {**TWIML, "Status": "completed", "RecordingUrl": "x"})],
    9: [
        b"Bearer eyJhbGciOiJIUzI1NiJ9.e30.c2ln" + SEPARATOR + b"Basic dXNlcjpwYXNz" + SEPARATOR + b"websocket",
        b"t=1800000000,v1=00" + SEPARATOR + SEPARATOR + SEPARATOR + b"{}",
        b'sig1=("@request-target");keyid="key";nonce="1";alg="hmac-sha256";created=1;expires=2'
        + SEPARATOR
        + b"sig1=:eA==:",
        b"v1,c2ln" + SEPARATOR + b"id" + SEPARATOR + b"1800000000" + SEPARATOR + b"{}",
    ],
}

if __name__ == "__main__":
    fuzz(target, seeds(SCRIPTS))
