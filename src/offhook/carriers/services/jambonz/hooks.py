"""What jambonz' webhooks say: all are JSON by POST, and have the same base.

voice ─► Offered        status ─► Progressed, Left, Handed        machine ─► Detected
input ─► Said           transfer ─► Handed                        dial ─► Diverting
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from offhook.carriers.services.http import Request
from offhook.carriers.services.jambonz.signature import vouched
from offhook.carriers.services.proof import same
from offhook.carriers.services.reading import e164, inner, items, params, text, whole
from offhook.carriers.services.service import Detected, Handed, Left, News, Offered, Progressed, Said
from offhook.core.errors import ProtocolError

ENDS: Final = {"completed": 200, "busy": 486, "no-answer": 480, "failed": 480}
"""How a call ends, and the SIP status that means the same where none is said."""

MACHINES: Final = {
    "amd_human_detected": "human",
    "amd_machine_detected": "machine",
    "amd_tone_detected": "machine_beep",
    "amd_machine_stopped_speaking": "machine_beep",
    "amd_no_speech_detected": "unknown",
    "amd_decision_timeout": "unknown",
}
"""What detection says; what is not here is no verdict."""


@dataclass(frozen=True, slots=True)
class Diverting(Progressed):
    """A call asks how it goes on, since we have sent it on: to `target`, from `caller`; `hook` is told of that."""

    target: str = ""
    caller: str = ""
    hook: str = ""


def read_hook(kind: str, request: Request, secret: str) -> Sequence[News]:
    """Read a verified webhook. ProtocolError where it makes no sense."""
    told = request.json()
    call = text(told.get("call_sid"))
    if not call:
        raise ProtocolError("a webhook of no call", 400)
    match kind:
        case "voice":
            return (_offered(told, call),)
        case "dial":
            return (_diverting(request, call, secret),)
        case "transfer":
            code = _code(text(told.get("dial_call_status")), told, "dial_sip_status")
            return (Handed(call, code, over=code == 200),)
        case "machine":
            what = MACHINES.get(text(told.get("type")))
            return (Detected(call, what),) if what else ()  # type: ignore[arg-type]
        case "input":
            return (Said(call, _words(told.get("speech")), text(told.get("digits"))),)
        case "status":
            return _status(told, call)
        case _:
            return ()


def _offered(told: Mapping[str, object], call: str) -> Offered:
    caller, called = e164(told.get("from")), e164(told.get("to"))
    headers = params(inner(inner(told.get("sip")).get("headers")))
    direction = "outbound" if told.get("direction") == "outbound" else "inbound"
    return Offered(call, caller, called, direction, text(told.get("caller_name")), headers=headers)


def _diverting(request: Request, call: str, secret: str) -> Diverting:
    asked = dict(request.asked())
    target, caller, hook = (asked.get(name, "") for name in ("to", "from", "hook"))
    if not same(vouched(secret, target, caller, hook), asked.get("proof", "")):
        raise ProtocolError("a transfer that we have not asked for", 400)
    return Diverting(call, "answered", None, target, caller, hook)


def _status(told: Mapping[str, object], call: str) -> Sequence[News]:
    status, parent = text(told.get("call_status")), text(told.get("parent_call_sid"))
    if parent:  # the leg of a transfer: how it ended its own hook says
        return (Handed(parent, 200),) if status == "in-progress" else ()
    match status:
        case "ringing" | "early-media":
            return (Progressed(call, "ringing"),)
        case "in-progress":
            return (Progressed(call, "answered"),)
        case _ if status in ENDS:
            meaning = "no_answer" if status == "no-answer" else ""
            return (Left(call, _code(status, told, "sip_status"), text(told.get("sip_reason")) or status, meaning),)
        case _:
            return ()


def _code(status: str, told: Mapping[str, object], name: str) -> int:
    if status == "completed":
        return 200
    said = whole(told.get(name)) or 0
    return said if 300 <= said < 700 else ENDS.get(status, 480)


def _words(speech: object) -> str:
    best = items(inner(speech).get("alternatives"))[:1]
    return text(inner(best[0]).get("transcript")) if best else ""
