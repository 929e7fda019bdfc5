"""What we ask Twilio's API, and those of services that took it over.

    POST …/Accounts/{account}/Calls.json           place a call
    POST …/Accounts/{account}/Calls/{call}.json    end it, or have it go on with another document
    POST …/Calls/{call}/Recordings.json            record it; …/Recordings/{recording}.json: pause, go on, stop
    GET, DELETE …/Recordings/{recording}.json      what is known of a recording, and its end

Basic authentication, forms, JSON back.

https://www.twilio.com/docs/voice/api/call-resource, https://www.twilio.com/docs/voice/api/recording
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Literal

from offhook.carriers.services.http import ApiCall, ApiReply, segment
from offhook.carriers.services.jsonstream import text, whole
from offhook.carriers.services.recording import Step
from offhook.carriers.services.service import Links, Placement
from offhook.carriers.services.xml import Tag, document
from offhook.core.errors import DialFailed, ProtocolError

GONE: Final = (400, 404)
"""What a call that is over is answered with: it is not found, or (21220) can't be changed any more."""

_STEPS: Final = {"pause": "paused", "resume": "in-progress", "stop": "stopped"}
_STATUSES: Final = {401: 403, 403: 403, 404: 403, 429: 503}
_ERRORS: Final = {21211: 404, 21214: 404, 21217: 484, 21210: 403, 21215: 403, 21216: 403, 20429: 503}
"""The service's own numbers for why it places no call: a bad number, one that may not call or be called, too many."""


def basic(user: str, secret: str) -> dict[str, str]:
    """Give the header of basic authentication."""
    return {"authorization": "Basic " + b64encode(f"{user}:{secret}".encode()).decode()}


@dataclass(frozen=True, slots=True)
class Calls:
    """The calls of an account.

    `url` is their folder (…/Accounts/AC…/Calls), `headers` say who asks, `suffix` asks for JSON. `document_field` is
    what a document is given in; `lists_events`: events are fields of their own, not one; `extra` is said of each call.
    `current` is what the recording that runs is called, where it has a word for that.
    """

    url: str
    headers: Mapping[str, str] = field(repr=False)
    suffix: str = ".json"
    document_field: str = "Twiml"
    lists_events: bool = True
    extra: Sequence[tuple[str, str]] = ()
    current: str = ""

    def update(self, call: str, *fields: tuple[str, str], gone: Sequence[int] = (404,)) -> ApiCall:
        """Change a call that is there."""
        asked = ApiCall.form("POST", f"{self.url}/{segment(call)}{self.suffix}", fields, self.headers)
        return ApiCall(asked.method, asked.url, asked.headers, asked.body, gone)

    def hang_up(self, call: str) -> ApiCall:
        """End a call."""
        return self.update(call, ("Status", "completed"), gone=GONE)

    def go_on(self, call: str, *tags: Tag) -> ApiCall:
        """Have a call go on with another document; whatever it did, a media socket too, ends."""
        return self.update(call, (self.document_field, document(*tags).decode()))

    def go_on_at(self, call: str, url: str) -> ApiCall:
        """Have a call go on with the document that `url` gives."""
        return self.update(call, ("Url", url), ("Method", "POST"))

    def create(self, placement: Placement, links: Links) -> ApiCall:
        """Place a call. Its document is asked for once it is answered, or once it is known what has answered."""
        events = ("ringing", "answered", "completed")
        fields = [
            *self.extra,
            ("To", placement.to),
            ("From", placement.caller),
            ("Url", f"{links.hook}/voice"),
            ("Method", "POST"),
            ("Timeout", str(placement.ring_s)),
            ("StatusCallback", f"{links.hook}/status"),
            ("StatusCallbackMethod", "POST"),
            *(("StatusCallbackEvent", event) for event in (events if self.lists_events else (" ".join(events),))),
        ]
        match placement.detect:
            case "sync":
                fields.append(("MachineDetection", "Enable"))
            case "async":
                fields += [
                    ("MachineDetection", "DetectMessageEnd"),
                    ("AsyncAmd", "true"),
                    ("AsyncAmdStatusCallback", f"{links.hook}/machine"),
                    ("AsyncAmdStatusCallbackMethod", "POST"),
                ]
            case "":
                pass
        return ApiCall.form("POST", f"{self.url}{self.suffix}", fields, self.headers)

    def record(self, call: str, step: Step, recording: str, news: str) -> ApiCall | None:
        """Do a step with the recording of a call; None where it has no name."""
        place = f"{self.url}/{segment(call)}/Recordings"
        if step == "start":
            fields = [
                ("RecordingChannels", "dual"),
                ("RecordingStatusCallback", news),
                ("RecordingStatusCallbackEvent", "completed"),
                ("RecordingStatusCallbackMethod", "POST"),
            ]
            return ApiCall.form("POST", f"{place}.json", fields, self.headers)
        name = segment(recording) or self.current
        fields = [("Status", _STEPS[step])]
        return ApiCall.form("POST", f"{place}/{name}.json", fields, self.headers) if name else None

    def recording(self, method: Literal["GET", "DELETE"], recording: str) -> ApiCall:
        """Look up a recording, or delete it."""
        place = self.url.removesuffix("/Calls")
        return ApiCall(method, f"{place}/Recordings/{segment(recording)}.json", self.headers)


def begun(reply: ApiReply) -> str:
    """Read how a recording that was begun is called; "" where it is not said."""
    with suppress(ProtocolError):
        return text(reply.json().get("sid"))
    return ""


def placed(reply: ApiReply) -> str:
    """Read how a call that was placed is called. DialFailed where it was refused, or makes no sense."""
    said: Mapping[str, object] = {}
    with suppress(ProtocolError):
        said = reply.json()
    call = text(said.get("sid")) or text(said.get("call_sid"))
    if reply.ok and call:
        return call
    code = _ERRORS.get(whole(said.get("code")) or 0) or _STATUSES.get(reply.status, 503 if reply.status >= 500 else 500)
    raise DialFailed(code, text(said.get("message"))[:200] or f"the API said {reply.status}")
