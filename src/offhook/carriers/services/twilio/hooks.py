"""What Twilio's webhooks say, and those of services that send the same fields.

    /voice      a call has come, or one that we placed was answered    CallSid From To Direction AnsweredBy …
    /status     how a call goes on, neither in order nor once          CallStatus SequenceNumber SipResponseCode
    /machine    what has answered, while the call goes on              AnsweredBy
    /transfer   what became of a <Dial> or <Refer>, and of its target  DialCallStatus, CallStatus + ParentCallSid
    /after      the media socket of a call has ended                   CallSid
    /said       what a <Gather> has heard                              SpeechResult Digits
    /again      the rest of an answer of ours is fetched
    /recording  a recording can be had                                 RecordingStatus RecordingUrl RecordingDuration
    /stream     how the media socket does: said by the socket itself   StreamEvent

Fields that nobody reads here may come at any time; one that comes twice counts as it came last.

https://www.twilio.com/docs/voice/twiml#twilios-request-to-your-application, https://www.twilio.com/docs/voice/api/call-resource
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from offhook.carriers.services.http import Request
from offhook.carriers.services.jsonstream import whole
from offhook.carriers.services.service import (
    Detected,
    Handed,
    Left,
    News,
    Offered,
    Progressed,
    Recorded,
    Said,
)
from offhook.core.errors import ProtocolError
from offhook.core.signals import Answerer

Fields = Mapping[str, str]

_SIP_HEADER: Final = "SipHeader_"
_ENDS: Final = {"completed": 200, "busy": 486, "no-answer": 480, "failed": 404, "canceled": 487}
_ANSWERERS: Final[Mapping[str, Answerer]] = {
    "human": "human",
    "fax": "fax",
    "machine_end_beep": "machine_beep",
    "machine_end_silence": "machine_beep",
    "machine_end_other": "machine_beep",
}


def fields(request: Request) -> Fields:
    """Give what a webhook says: its form, or the query where it is a GET. ProtocolError where it is none."""
    return dict(request.asked() if request.method == "GET" else request.fields())


def read(kind: str, said: Fields) -> Sequence[News]:
    """Read a webhook by its kind. ProtocolError (400) where it names no call, 404 for a kind that there is not."""
    call = said.get("CallSid", "")
    if not call:
        raise ProtocolError("it names no call", 400)
    match kind:
        case "voice":
            return (offered(call, said),)
        case "status":
            return _status(call, said)
        case "machine":
            return (Detected(call, answerer(said.get("AnsweredBy", ""))),)
        case "transfer":
            return _transfer(call, said)
        case "after":
            return (Left(call, 200, said.get("ErrorMessage", "")),)
        case "said":
            return (Said(call, said.get("SpeechResult", ""), said.get("Digits", "")),)
        case "recording" if said.get("RecordingStatus", "completed") == "completed":
            seconds = whole(said.get("RecordingDuration")) or 0
            return (Recorded(call, said.get("RecordingUrl", ""), seconds, said.get("RecordingSid", "")),)
        case "recording" | "stream" | "again":
            return ()
        case _:
            raise ProtocolError("there is no such hook", 404)


def offered(call: str, said: Fields) -> Offered:
    """Read a call that is there."""
    begin = len(_SIP_HEADER)
    return Offered(
        call,
        caller=said.get("From", ""),
        called=said.get("To", ""),
        direction="outbound" if said.get("Direction", "").startswith("outbound") else "inbound",
        caller_name=said.get("CallerName", ""),
        diverted_from=said.get("ForwardedFrom", ""),
        headers={name[begin:]: value for name, value in said.items() if name.startswith(_SIP_HEADER) and name[begin:]},
        verstat=said.get("StirVerstat", ""),
        machine=answerer(said["AnsweredBy"]) if said.get("AnsweredBy") else "",
    )


def answerer(word: str) -> Answerer:
    """Say what has answered. A machine whose greeting has ended, in whatever way, may be spoken to now."""
    return _ANSWERERS.get(word, "machine" if word.startswith("machine") else "unknown")


def _status(call: str, said: Fields) -> Sequence[News]:
    status = said.get("CallStatus", "")
    order = whole(said.get("SequenceNumber"))
    if status == "ringing":
        return (Progressed(call, "ringing", order),)
    if status in ("in-progress", "answered"):
        return (Progressed(call, "answered", order),)
    if status in _ENDS:
        meaning = "no_answer" if status == "no-answer" else ""
        return (Left(call, _code(status, said.get("SipResponseCode")), status, meaning),)
    return ()


def _transfer(call: str, said: Fields) -> Sequence[News]:
    """Read what became of a target.

    The <Dial> tells when it is over, the leg of the target when that one has answered: that leg's call is not ours.
    """
    over = said.get("CallStatus") in _ENDS
    dialled = said.get("DialCallStatus", "")
    if dialled in ("completed", "answered"):
        return (Handed(call, 200, over=True),)
    if dialled:
        return (Handed(call, _code(dialled, said.get("DialSipResponseCode")), over),)
    if "ReferCallStatus" in said:
        codes = [whole(said.get(name)) for name in ("NotifySipResponseCode", "ReferSipResponseCode")]
        code = next((code for code in codes if code), 500)
        return (Handed(call, 200, over=True),) if 200 <= code < 300 else (Handed(call, code, over),)
    parent = said.get("ParentCallSid", "")
    if parent and said.get("CallStatus") in ("in-progress", "answered"):
        return (Handed(parent, 200),)
    return ()


def _code(status: str, sip: str | None) -> int:
    """Give the SIP status of an end: the one that is told, where it tells of one, else what the word means.

    Who did not answer was given up on (487), which is not what became of the call.
    """
    told = whole(sip) or 0
    return told if status not in ("completed", "no-answer") and 300 <= told < 700 else _ENDS.get(status, 480)
