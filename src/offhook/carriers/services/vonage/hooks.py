"""What Vonage's webhooks say: the answer webhook (`voice`) and the event webhooks, by GET or POST.

    voice ─► Offered        status, machine ─► Progressed, Left, Detected        transfer ─► Handed
    input ─► Said           recording ─► Recorded                                after ─► Left, if we can't be reached

Events come in any order and more than once. Numbers come without their plus; those that are telephone numbers get it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from offhook.carriers.services.http import Request
from offhook.carriers.services.reading import e164, inner, items, text
from offhook.carriers.services.service import Detected, Handed, Left, News, Offered, Progressed, Recorded, Said
from offhook.core.errors import ProtocolError

SIP_HEADER: Final = "SipHeader_"

ENDS: Final = {
    "completed": 200,
    "complete": 200,
    "busy": 486,
    "cancelled": 487,
    "unanswered": 480,
    "timeout": 480,
    "rejected": 603,
    "failed": 480,
}
"""How a call ends, and the SIP status that means the same."""

FAILURES: Final = {
    "cannot_route": 404,
    "number_out_of_service": 404,
    "restricted": 603,
    "declined": 603,
    "busy": 486,
}
"""What `detail` says more exactly of a call that was not taken."""


def read_hook(kind: str, request: Request) -> Sequence[News]:
    """Read a verified webhook. ProtocolError where it makes no sense."""
    told = _told(request)
    call = text(told.get("call_uuid")) or text(told.get("uuid"))
    if kind == "voice":
        return (_offered(told, call),)
    if "recording_url" in told:
        return (_recorded(told, call),)
    if "dtmf" in told or "speech" in told:
        return (Said(call, _words(told.get("speech")), _keys(told.get("dtmf"))),)
    status = text(told.get("status")).lower()
    if kind == "transfer":
        return _handed(status, told, call)
    if kind == "after":
        ended = status in ENDS and ENDS[status] != 200
        return (Left(call, 503, f"media_{status}"),) if ended else ()
    return _status(status, told, call)


def _told(request: Request) -> Mapping[str, object]:
    if request.method.upper() == "GET":
        return dict(request.asked())
    return request.json()


def _offered(told: Mapping[str, object], call: str) -> Offered:
    if not call:
        raise ProtocolError("a call without a name", 400)
    headers = {name[len(SIP_HEADER) :]: text(one) for name, one in told.items() if name.startswith(SIP_HEADER)}
    return Offered(call, e164(told.get("from")) or text(told.get("from_user")), e164(told.get("to")), headers=headers)


def _status(status: str, told: Mapping[str, object], call: str) -> Sequence[News]:
    match status:
        case "ringing":
            return (Progressed(call, "ringing"),)
        case "answered":
            return (Progressed(call, "answered"),)
        case "human":
            return (Detected(call, "human"),)
        case "machine" if text(told.get("sub_state")) == "beep_start":
            return (Detected(call, "machine_beep"),)
        case "machine":
            return (Detected(call, "machine"),)
        case _ if status in ENDS:
            meaning = "no_answer" if status in ("timeout", "unanswered") else ""
            return (Left(call, _code(status, told), text(told.get("detail")) or status, meaning),)
        case _:
            return ()


def _handed(status: str, told: Mapping[str, object], call: str) -> Sequence[News]:
    if status == "answered":
        return (Handed(call, 200),)
    if status in ENDS:
        code = _code(status, told)
        return (Handed(call, code, over=code == 200),)
    return ()


def _code(status: str, told: Mapping[str, object]) -> int:
    if status == "failed":
        return FAILURES.get(text(told.get("detail")), ENDS[status])
    return ENDS[status]


def _recorded(told: Mapping[str, object], call: str) -> Recorded:
    room, url, name = (text(told.get(one)) for one in ("conversation_uuid", "recording_url", "recording_uuid"))
    return Recorded(call or room, url, _seconds(told), name)


def _seconds(told: Mapping[str, object]) -> int:
    try:
        start, end = (datetime.fromisoformat(text(told.get(name))) for name in ("start_time", "end_time"))
        return max(0, round((end - start).total_seconds()))
    except (ValueError, TypeError, OverflowError):  # none, or only one of them with a zone
        return 0


def _words(speech: object) -> str:
    best = items(inner(speech).get("results"))[:1]
    return text(inner(best[0]).get("text")) if best else ""


def _keys(dtmf: object) -> str:
    return text(inner(dtmf).get("digits")) or text(dtmf)
