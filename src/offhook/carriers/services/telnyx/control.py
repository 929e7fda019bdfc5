"""Telnyx by Call Control: webhooks are answered 200, and what is to happen is asked of the API.

    call.initiated ─► 200; answer with stream_url …, or reject         call.answered (ours) ─► streaming_start
    hang_up ─► hangup        transfer ─► transfer        dial ─► POST /v2/calls        record ─► record_start …

Each command has a `command_id` made of what it is for: what is sent twice is done once.

https://developers.telnyx.com/api-reference/call-commands
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Final

from offhook.carriers.services.http import ApiCall, ApiReply, Request, Response, segment
from offhook.carriers.services.jsonstream import part, text
from offhook.carriers.services.recording import Step
from offhook.carriers.services.service import Answer, Links, News, Offered, Placement
from offhook.carriers.services.stream import Dialect, Encoding
from offhook.carriers.services.telnyx import hooks
from offhook.carriers.services.telnyx.media import CARRIAGE, TelnyxStream
from offhook.core.carriage import Carriage
from offhook.core.errors import DialFailed, ProtocolError

GONE: Final = (404, 422)
"""What a command for a call that is over is answered with."""

_REJECTIONS: Final = {486: "USER_BUSY", 600: "USER_BUSY", 404: "NOT_FOUND", 480: "TEMPORARILY_UNAVAILABLE"}
_STATUSES: Final = {401: 403, 403: 403, 422: 404, 429: 503}
_DETECTION: Final = {"sync": "detect", "async": "greeting_end"}


@dataclass(frozen=True, slots=True)
class Telnyx:
    """One account, by Call Control. `connection` is the application that places calls."""

    api: str
    key: str = field(repr=False)
    prove: Callable[[Request, float], None] = field(repr=False)
    connection: str = ""
    ours: Encoding = field(default_factory=Encoding)
    records: bool = False
    name: str = "telnyx"
    carriage: Carriage = CARRIAGE

    def verify(self, request: Request, base: str, now_s: float) -> None:
        """Check that a webhook is Telnyx's. Unsigned where it is not."""
        self.prove(request, now_s)

    def hook(self, kind: str, request: Request) -> Sequence[News]:
        """Read a verified webhook. ProtocolError where it makes no sense."""
        return hooks.read(request)

    def connect(self, offered: Offered, links: Links) -> Answer:
        """Take a call, or one of ours that was answered: its audio comes to `links.media`."""
        streamed: dict[str, object] = {
            "stream_url": links.media,
            "stream_track": "inbound_track",
            "stream_codec": self.ours.label,
            "stream_bidirectional_mode": "rtp",
            "stream_bidirectional_codec": self.ours.label,
        }
        verb = "streaming_start"
        if offered.direction == "inbound":
            verb = "answer"
            if self.records:
                streamed |= {"record": "record-from-answer", "record_channels": "dual"}
        return Answer(Response(200), (self._command(offered.call, verb, streamed, links.media),))

    def refuse(self, offered: Offered, code: int) -> Answer:
        """Refuse a call; one that is answered already, since we placed it, is ended."""
        if offered.direction == "outbound":
            return Answer(Response(200), self.hang_up(offered.call))
        cause = _REJECTIONS.get(code, "CALL_REJECTED")
        return Answer(Response(200), (self._command(offered.call, "reject", {"cause": cause}),))

    def heed(self, news: News | None) -> Response:
        """Answer a webhook."""
        return Response(200)

    def dialect(self) -> Dialect:
        """Give what one media socket speaks."""
        return TelnyxStream(self.ours)

    def hang_up(self, call: str) -> Sequence[ApiCall]:
        """End a call."""
        return (self._command(call, "hangup", {}),)

    def transfer(self, call: str, target: str, caller: str, links: Links) -> Sequence[ApiCall]:
        """Hand a call's far end on; the target's leg says of itself whose it is."""
        asked: dict[str, object] = {"to": target, "target_leg_client_state": hooks.state(hooks.TARGET + call)}
        if caller:
            asked["from"] = caller
        return (self._command(call, "transfer", asked, links.media),)

    def dial(self, placement: Placement, links: Links) -> ApiCall:
        """Place a call."""
        asked: dict[str, object] = {
            "connection_id": self.connection,
            "to": placement.to,
            "from": placement.caller,
            "timeout_secs": placement.ring_s,
            "webhook_url": f"{links.hook}/voice",
            "client_state": hooks.state(hooks.FIRST if placement.detect == "sync" else hooks.OUT),
            "command_id": _once("dial", links.hook),
        }
        if placement.detect:
            asked["answering_machine_detection"] = _DETECTION[placement.detect]
        if self.records:
            asked |= {"record": "record-from-answer", "record_channels": "dual"}
        return ApiCall.json("POST", f"{self.api}/v2/calls", asked, self._headers())

    def record(self, call: str, step: Step, recording: str, news: str) -> ApiCall | None:
        """Do a step with the recording of a call: the one that runs, which has no name until it is saved."""
        asked = {"format": "wav", "channels": "dual"} if step == "start" else {}
        url = f"{self.api}/v2/calls/{segment(call)}/actions/record_{step}"  # a step may be done again: it has no id
        return replace(ApiCall.json("POST", url, asked, self._headers()), gone=GONE)

    def begun(self, reply: ApiReply) -> str:
        """Read nothing: a recording is named once it is saved."""
        return ""

    def look_up(self, recording: str) -> ApiCall:
        """Ask what is known of a recording."""
        return ApiCall("GET", f"{self.api}/v2/recordings/{segment(recording)}", self._headers())

    def erase(self, recording: str) -> ApiCall:
        """Have a recording deleted."""
        return ApiCall("DELETE", f"{self.api}/v2/recordings/{segment(recording)}", self._headers())

    def authorize(self, call: ApiCall, now_s: float, nonce: str) -> ApiCall:
        """Give the request as it is: its proof is the same for each."""
        return call

    def placed(self, reply: ApiReply) -> str:
        """Read how a call that was placed is called. DialFailed with the code where it was refused."""
        said: Mapping[str, object] = {}
        with suppress(ProtocolError):
            said = reply.json()
        call = text(part(said, "data").get("call_control_id"))
        if reply.ok and call:
            return call
        code = _STATUSES.get(reply.status, 503 if reply.status >= 500 else 500)
        raise DialFailed(code, f"the API said {reply.status}")

    def _command(self, call: str, verb: str, asked: Mapping[str, object], one: str = "") -> ApiCall:
        """Make a command; `one` tells it from another of its kind for the same call."""
        url = f"{self.api}/v2/calls/{segment(call)}/actions/{verb}"
        made = ApiCall.json("POST", url, {**asked, "command_id": _once(verb, call, one)}, self._headers())
        return replace(made, gone=GONE)

    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"}


def _once(*what: str) -> str:
    """Give a name for a command that is the same whenever the command is."""
    return sha256("\n".join(what).encode("utf-8", "replace")).hexdigest()[:32]
