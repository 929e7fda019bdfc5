"""What Telnyx's Call Control tells: one event a webhook, by its type, whatever URL it came to.

    call.initiated (incoming)                   ─► Offered
    call.answered (one that we placed)          ─► Offered, or later, once it is known what has answered
    call.answered, .hangup (a transfer's target) ─► Handed           call.hangup ─► Left
    call.machine.*.ended                        ─► Detected, or Offered        call.recording.saved ─► Recorded

A command of ours gives each event of its leg a `client_state`, and what that says is how a leg is told from another:

    out           a call that we placed              first         the same, where what has answered comes first
    to:CALL       the target of a transfer of CALL

Events come in any order and may be told again; the URL is not signed, so it says nothing here.

https://developers.telnyx.com/docs/voice/programmable-voice/receiving-webhooks
"""

from __future__ import annotations

from base64 import b64encode
from binascii import a2b_base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal, cast

from offhook.carriers.services.http import Request
from offhook.carriers.services.jsonstream import part, text, whole
from offhook.carriers.services.service import Detected, Handed, Left, News, Offered, Progressed, Recorded
from offhook.core.errors import ProtocolError
from offhook.core.signals import Answerer

Payload = Mapping[str, object]

OUT: Final = "out"
FIRST: Final = "first"
TARGET: Final = "to:"

_CAUSES: Final = {
    "normal_clearing": 200,
    "time_limit": 200,
    "call_rejected": 603,
    "originator_cancel": 487,
    "timeout": 480,
    "no_answer": 480,
    "user_busy": 486,
    "not_found": 404,
}
_ANSWERERS: Final[Mapping[str, Answerer]] = {
    "human": "human",
    "human_residence": "human",
    "human_business": "human",
    "machine": "machine",
    "fax_detected": "fax",
}


def state(word: str) -> str:
    """Write what is to come back with each event of a leg."""
    return b64encode(word.encode("utf-8", "replace")).decode()


def read(request: Request) -> Sequence[News]:
    """Read an event. ProtocolError (400) where it names no call."""
    data = part(request.json(), "data")
    payload = part(data, "payload")
    call = text(payload.get("call_control_id"))
    event = text(data.get("event_type"))
    if not event:
        raise ProtocolError("it names no event", 400)
    if not call:
        return ()  # what is told of an account, of a conference
    mine = _state(payload)
    if mine.startswith(TARGET):
        return _target(mine.removeprefix(TARGET), event, payload)
    match event:
        case "call.initiated" if payload.get("direction") != "outgoing":
            return (_offered(call, payload, "inbound"),)
        case "call.answered" if mine == OUT:
            return (_offered(call, payload, "outbound"),)
        case "call.answered":
            return (Progressed(call, "answered"),)
        case "call.hangup":
            cause = text(payload.get("hangup_cause"))
            meaning = "no_answer" if cause in ("timeout", "no_answer") else ""
            return (Left(call, _code(payload), cause, meaning),)
        case "call.machine.detection.ended" | "call.machine.premium.detection.ended":
            what: Answerer = _ANSWERERS.get(text(payload.get("result")), "unknown")
            return (_offered(call, payload, "outbound", what) if mine == FIRST else Detected(call, what),)
        case "call.machine.greeting.ended" | "call.machine.premium.greeting.ended":
            return (Detected(call, "machine_beep"),)
        case "call.recording.saved":
            return (Recorded(call, _recording(payload), _seconds(payload), text(payload.get("recording_id"))),)
        case _:
            return ()


def _target(call: str, event: str, payload: Payload) -> Sequence[News]:
    match event:
        case "call.answered":
            return (Handed(call, 200),)
        case "call.hangup":
            code = _code(payload)
            return (Handed(call, code, over=code == 200),)
        case _:
            return ()


def _offered(
    call: str,
    payload: Payload,
    direction: Literal["inbound", "outbound"],
    machine: Answerer | Literal[""] = "",
) -> Offered:
    headers = _headers(payload.get("custom_headers")) | _headers(payload.get("sip_headers"))
    return Offered(
        call,
        text(payload.get("from")),
        text(payload.get("to")),
        direction,
        caller_name=text(payload.get("caller_id_name")),
        headers=headers,
        verstat=_verstat(payload),
        machine=machine,
    )


def _verstat(payload: Payload) -> str:
    """Say what is known of the caller's signature in the words of `verstat` (ATIS-1000074), with its attestation."""
    level = text(payload.get("shaken_stir_attestation"))
    validated = payload.get("shaken_stir_validated")
    if not isinstance(validated, bool) or not level:
        return ""
    return f"TN-Validation-{'Passed' if validated else 'Failed'}-{level}"


def _headers(value: object) -> dict[str, str]:
    """Read a list of {name, value}."""
    found: dict[str, str] = {}
    for one in cast("list[object]", value) if isinstance(value, list) else ():
        if isinstance(one, dict):
            header = cast("Payload", one)
            if name := text(header.get("name")):
                found[name] = text(header.get("value"))
    return found


def _state(payload: Payload) -> str:
    try:
        return a2b_base64(text(payload.get("client_state"))).decode("utf-8", "replace")
    except ValueError:
        return ""


def _code(payload: Payload) -> int:
    cause = text(payload.get("hangup_cause"))
    sip = whole(payload.get("sip_hangup_cause")) or 0
    return _CAUSES.get(cause, sip if 300 <= sip < 700 else 480)


def _recording(payload: Payload) -> str:
    urls = part(payload, "recording_urls")
    return text(urls.get("wav")) or text(urls.get("mp3"))


def _seconds(payload: Payload) -> int:
    try:
        begun, ended = (
            datetime.fromisoformat(text(payload.get(f"recording_{at}_at"))).timestamp() for at in ("started", "ended")
        )
    except (ValueError, OverflowError, OSError):
        return 0
    return max(0, round(ended - begun))
