"""What we ask of Vonage's API (Voice API v1): JSON with a token of ours, made as a request is sent."""

from __future__ import annotations

from typing import Any, Final, Literal
from urllib.parse import quote

from offhook.carriers.services.http import ApiCall, ApiReply
from offhook.carriers.services.reading import message, text
from offhook.carriers.services.service import Links, Placement
from offhook.carriers.services.vonage import documents
from offhook.core.errors import DialFailed

BEEP_S: Final = 45
"""How long Vonage listens for the beep of a machine while the call goes on: the least that it takes."""

REFUSALS: Final = {400: 404, 401: 403, 403: 403, 404: 404, 422: 404, 429: 503}
"""What the API says of a call that it does not place, and the SIP status that means the same."""


def hang_up(api: str, call: str) -> ApiCall:
    """End a leg."""
    return ApiCall.json("PUT", _leg(api, call), {"action": "hangup"})


def transfer(api: str, call: str, actions: list[documents.Action]) -> ApiCall:
    """Have a leg go on with another document."""
    destination = {"type": "ncco", "ncco": documents.clean(actions)}
    return ApiCall.json("PUT", _leg(api, call), {"action": "transfer", "destination": destination})


def dial(api: str, placement: Placement, links: Links) -> ApiCall:
    """Place a call. Where what has answered comes first, Vonage carries out the document only once that was told."""
    caller = placement.caller.removeprefix("+")
    asked: dict[str, Any] = {
        "to": [documents.called(placement.to)],
        "answer_url": [f"{links.hook}/voice"],
        "answer_method": "POST",
        "event_url": [f"{links.hook}/status"],
        "event_method": "POST",
        "ringing_timer": min(120, max(1, placement.ring_s)),
    }
    asked |= {"from": {"type": "phone", "number": caller}} if caller else {"random_from_number": True}
    if placement.detect:
        asked["advanced_machine_detection"] = machines(placement.detect)
    return ApiCall.json("POST", f"{api.rstrip('/')}/v1/calls", documents.clean(asked))


def machines(detect: Literal["sync", "async"]) -> dict[str, Any]:
    """Ask for what has answered, before the call goes on; or meanwhile, and then for the beep of a machine, too."""
    if detect == "sync":
        return {"behavior": "continue", "mode": "detect"}
    return {"behavior": "continue", "mode": "default", "beep_timeout": BEEP_S}


def placed(reply: ApiReply) -> str:
    """Read how a call that was placed is called. DialFailed where it was refused."""
    told = message(reply.body) or {}
    if call := reply.ok and text(told.get("uuid")):
        return call
    why = text(told.get("detail")) or text(told.get("title")) or "Vonage did not place it"
    raise DialFailed(REFUSALS.get(reply.status, 500), why)


def _leg(api: str, call: str) -> str:
    return f"{api.rstrip('/')}/v1/calls/{quote(call, safe='', errors='replace')}"
