"""What Plivo's webhooks say.

    /voice      a call has come, or one that we placed was answered   CallUUID From To Direction Machine X-PH-… SIP-H-…
    /status     how a call goes on: it rings, it is over              CallStatus
    /machine    what has answered, while the call goes on             Machine
    /transfer   what became of a <Dial>, and of its target            DialStatus, DialAction
    /dial       what to do with a call that is to be handed on        to, caller, hook: our own, in the query
    /after      the media socket of a call has ended                  CallUUID
    /recording  a recording can be had                                RecordUrl RecordingDuration
    /stream     how the media socket does: said by the socket itself

https://www.plivo.com/docs/voice/xml/request
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from offhook.carriers.services.http import Request
from offhook.carriers.services.jsonstream import whole
from offhook.carriers.services.service import Asked, Detected, Handed, Left, News, Offered, Progressed, Recorded, Said
from offhook.core.errors import ProtocolError

Fields = Mapping[str, str]

_ENDS: Final = {
    "completed": 200,
    "busy": 486,
    "failed": 404,
    "timeout": 480,
    "no-answer": 480,
    "cancel": 487,
    "rejected": 603,
}


def read(kind: str, request: Request) -> Sequence[News]:
    """Read a webhook by its kind. ProtocolError (400) where it names no call, 404 for a kind that there is not."""
    said = dict(request.asked() if request.method == "GET" else request.fields())
    call = said.get("CallUUID", "")
    if not call:
        raise ProtocolError("it names no call", 400)
    match kind:
        case "voice":
            return (_offered(call, said),)
        case "status":
            return _status(call, said)
        case "machine":
            return (Detected(call, _answerer(said.get("Machine", "")) or "unknown"),)
        case "transfer":
            return _transfer(said.get("DialALegUUID") or call, said)
        case "dial":
            ours = dict(request.asked())
            if not ours.get("to") or not ours.get("hook"):
                raise ProtocolError("it names no target", 400)
            return (Asked(call, ours["to"], ours.get("caller", ""), ours["hook"]),)
        case "after":
            return (Left(call),)
        case "recording":
            seconds = whole(said.get("RecordingDuration")) or 0
            return (Recorded(call, said.get("RecordUrl", ""), seconds, said.get("RecordingID", "")),)
        case "stream":
            return ()
        case _:
            raise ProtocolError("there is no such hook", 404)


def read_said(request: Request) -> Sequence[Said]:
    """Read what came of a <GetInput>, or that nothing did. ProtocolError (400) where it names no call."""
    said = dict(request.fields())
    if not said.get("CallUUID"):
        raise ProtocolError("it names no call", 400)
    return (Said(said["CallUUID"], said.get("Speech", ""), said.get("Digits", "")),)


def number(text: str) -> str:
    """Give a number with its plus: Plivo leaves it away. What is no number stays as it is."""
    return f"+{text}" if text.isascii() and text.isdigit() and 8 <= len(text) <= 15 and text[0] != "0" else text


def _offered(call: str, said: Fields) -> Offered:
    headers = {name: value for name, value in said.items() if name.startswith("X-PH-")}
    headers |= {name[6:]: value for name, value in said.items() if name.startswith("SIP-H-") and name[6:]}
    return Offered(
        call,
        number(said.get("From", "")),
        number(said.get("To", "")),
        "outbound" if said.get("Direction") == "outbound" else "inbound",
        caller_name=said.get("CallerName", ""),
        diverted_from=number(said.get("ForwardedFrom", "")),
        headers=headers,
        machine=_answerer(said.get("Machine", "")),
    )


def _answerer(machine: str) -> Literal["", "human", "machine"]:
    match machine.lower():
        case "true":
            return "machine"
        case "false":
            return "human"
        case _:
            return ""


def _status(call: str, said: Fields) -> Sequence[News]:
    status = said.get("CallStatus", "")
    if status == "ringing":
        return (Progressed(call, "ringing"),)
    if status == "in-progress":
        return (Progressed(call, "answered"),)
    if status in _ENDS:
        return (Left(call, _ENDS[status], said.get("HangupCause", status)),)
    return ()


def _transfer(call: str, said: Fields) -> Sequence[News]:
    """Read what became of a target: the element tells when it is over, its callback when the target has answered."""
    over = said.get("CallStatus") in _ENDS
    status = said.get("DialStatus", "")
    if status == "completed":
        return (Handed(call, 200, over=True),)
    if status:
        return (Handed(call, _ENDS.get(status, 480), over),)
    if said.get("DialAction") in ("answer", "connected"):
        return (Handed(call, 200),)
    return ()
