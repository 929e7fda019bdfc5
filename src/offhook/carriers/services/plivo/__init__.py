"""Plivo: webhooks answered with its XML, audio by its streams, requests to its API in JSON.

    PlivoAccount ─► plivo ─► Plivo                 webhook ─► signature ─► hooks ─► documents

A call can't be given a document, only be told where to ask for one: a transfer's is asked for at a URL of ours that
says all of it, and is signed.

https://www.plivo.com/docs/voice/api/call/overview
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import urlencode

from offhook.carriers.services.http import ApiCall, ApiReply, Request, Response, segment
from offhook.carriers.services.jsonstream import text
from offhook.carriers.services.plivo import documents, hooks, signature
from offhook.carriers.services.plivo.media import CARRIAGE, PlivoStream
from offhook.carriers.services.recording import Step
from offhook.carriers.services.service import Answer, Asked, Handed, Left, Links, News, Offered, Placement
from offhook.carriers.services.stream import Dialect, Encoding
from offhook.carriers.services.twilio.api import basic
from offhook.carriers.services.xml import answer
from offhook.core.carriage import Carriage
from offhook.core.errors import ConfigError, DialFailed, ProtocolError

_CODECS: Final = {"PCMU": Encoding(), "L16/8000": Encoding("L16"), "L16/16000": Encoding("L16", 16000)}
_STATUSES: Final = {400: 404, 401: 403, 403: 403, 404: 403, 429: 503}


@dataclass(frozen=True, slots=True)
class PlivoAccount:
    """What Plivo's console shows. ConfigError where it can't work.

    `codec` is what media sockets carry (PCMU, L16/8000, L16/16000), `little_endian` how Plivo lays L16. `records`:
    Plivo records each call. `api` is the API's address where it is not Plivo's own. `way`: calls come as audio, or as
    words, turn by turn (<GetInput>), heard in `language` and spoken with `voice`.
    """

    auth_id: str
    auth_token: str = field(repr=False)
    codec: str = "PCMU"
    little_endian: bool = True
    records: bool = False
    api: str = ""
    way: Literal["stream", "turns"] = "stream"
    language: str = "en-US"
    voice: str = ""

    def __post_init__(self) -> None:
        if not self.auth_id or not self.auth_token:
            raise ConfigError("plivo needs auth_id and auth_token: without them nothing can be verified")
        if self.codec not in _CODECS:
            raise ConfigError(f"plivo.codec: {self.codec!r} is none of {', '.join(_CODECS)}")


@dataclass(frozen=True, slots=True)
class Plivo:
    """One account."""

    account: PlivoAccount

    @property
    def name(self) -> str:
        """The word for it."""
        return "plivo"

    @property
    def carriage(self) -> Carriage:
        """How its sockets take audio."""
        return CARRIAGE

    @property
    def api(self) -> str:
        """Where the API is."""
        return (self.account.api or "https://api.plivo.com").rstrip("/")

    def verify(self, request: Request, base: str, now_s: float) -> None:
        """Check that a webhook or a socket's opening is Plivo's. Unsigned where it is not."""
        signature.verify(self.account.auth_token, request, base)

    def hook(self, kind: str, request: Request) -> Sequence[News]:
        """Read a verified webhook. ProtocolError where it makes no sense."""
        return hooks.read(kind, request)

    def connect(self, offered: Offered, links: Links) -> Answer:
        """Take a call: its audio comes to `links.media`; when that socket ends, `after` is asked what next."""
        recording = (documents.record_call(f"{links.hook}/recording"),) if self.account.records else ()
        ours = documents.stream(links.media, _CODECS[self.account.codec], f"{links.hook}/stream")
        return Answer(answer(*recording, ours, documents.redirect(f"{links.hook}/after")))

    def refuse(self, offered: Offered, code: int) -> Answer:
        """Refuse a call; one that is answered already, since we placed it, is ended."""
        if offered.direction == "outbound":
            return Answer(answer(documents.hangup()))
        return Answer(answer(documents.hangup("busy" if code in (486, 600) else "rejected")))

    def heed(self, news: News | None) -> Response:
        """Answer a webhook that asks for nothing. Where a document is asked for, an empty one ends the call."""
        if isinstance(news, Asked):
            return answer(documents.dial(news.target, f"{news.hook}/transfer", caller=news.caller))
        return answer(documents.hangup()) if isinstance(news, (Left, Handed)) else answer()

    def dialect(self) -> Dialect:
        """Give what one media socket speaks."""
        return PlivoStream(little_endian=self.account.little_endian)

    def hang_up(self, call: str) -> Sequence[ApiCall]:
        """End a call."""
        return (ApiCall("DELETE", self._url(call), self._headers()),)

    def transfer(self, call: str, target: str, caller: str, links: Links) -> Sequence[ApiCall]:
        """Hand a call's far end on; `transfer` hears that the target has answered, and how it ended."""
        ours = urlencode({"to": target, "caller": caller, "hook": links.hook}, errors="replace")
        asked = {"legs": "aleg", "aleg_url": f"{links.hook}/dial?{ours}", "aleg_method": "POST"}
        return (ApiCall.json("POST", self._url(call), asked, self._headers()),)

    def dial(self, placement: Placement, links: Links) -> ApiCall:
        """Place a call. What has answered is told with it where nothing else is to be told of."""
        asked: dict[str, object] = {
            "from": placement.caller,
            "to": placement.to,
            "answer_url": f"{links.hook}/voice",
            "answer_method": "POST",
            "ring_url": f"{links.hook}/status",
            "ring_method": "POST",
            "hangup_url": f"{links.hook}/status",
            "hangup_method": "POST",
            "ring_timeout": placement.ring_s,
        }
        if placement.detect:
            asked["machine_detection"] = "true"
        if placement.detect == "async":
            asked |= {"machine_detection_url": f"{links.hook}/machine", "machine_detection_method": "POST"}
        return ApiCall.json("POST", self._url(), asked, self._headers())

    def record(self, call: str, step: Step, recording: str, news: str) -> ApiCall | None:
        """Begin or end the recording of a call. None for a pause: Plivo has none."""
        url = f"{self._url(call)}Record/"
        if step == "start":
            asked = {"time_limit": documents.LONGEST_S, "callback_url": news, "callback_method": "POST"}
            return ApiCall.json("POST", url, asked, self._headers())
        return ApiCall("DELETE", url, self._headers()) if step == "stop" else None

    def begun(self, reply: ApiReply) -> str:
        """Read how a recording that was begun is called; "" where it is not said."""
        with suppress(ProtocolError):
            return text(reply.json().get("recording_id"))
        return ""

    def look_up(self, recording: str) -> ApiCall:
        """Ask what is known of a recording."""
        return ApiCall("GET", self._recording(recording), self._headers())

    def erase(self, recording: str) -> ApiCall:
        """Have a recording deleted."""
        return ApiCall("DELETE", self._recording(recording), self._headers())

    def authorize(self, call: ApiCall, now_s: float, nonce: str) -> ApiCall:
        """Give the request as it is: its proof is the same for each."""
        return call

    def placed(self, reply: ApiReply) -> str:
        """Read how a call that was placed is called. DialFailed with the code where it was refused."""
        said: Mapping[str, object] = {}
        with suppress(ProtocolError):
            said = reply.json()
        if reply.ok and (call := text(said.get("request_uuid"))):
            return call
        code = _STATUSES.get(reply.status, 503 if reply.status >= 500 else 500)
        raise DialFailed(code, text(said.get("error"))[:200] or f"the API said {reply.status}")

    def _url(self, call: str = "") -> str:
        place = f"{self.api}/v1/Account/{self.account.auth_id}/Call/"
        return f"{place}{segment(call)}/" if call else place

    def _recording(self, recording: str) -> str:
        return f"{self.api}/v1/Account/{self.account.auth_id}/Recording/{segment(recording)}/"

    def _headers(self) -> dict[str, str]:
        return basic(self.account.auth_id, self.account.auth_token)


def plivo(account: PlivoAccount) -> Plivo:
    """Make the service of an account."""
    from offhook.carriers.services.plivo.words import PlivoWords

    return Plivo(account) if account.way == "stream" else PlivoWords(account)
