"""OpenAI's SIP way in: a call to sip:PROJECT@sip.api.openai.com is offered by webhook, and taken by its API.

    realtime.call.incoming ─► verify (standard webhooks) ─► Offered ─► accept, or reject(status)
    accepted ─► control: the socket that `realtime` speaks      hang_up ─► hangup      transfer ─► refer

The audio stays with OpenAI: it hears and speaks, and we think. It places no calls. Source: the library of OpenAI, and
Standard Webhooks (standardwebhooks.com).
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, urlencode

from offhook.carriers.services.http import ApiCall, Request, Response, Unsigned
from offhook.carriers.services.proof import check_fresh, same
from offhook.carriers.services.reading import e164, inner, items, text, whole
from offhook.carriers.services.realtime import session
from offhook.carriers.services.service import Answer, Links, News, Offered
from offhook.core.errors import ConfigError, ProtocolError
from offhook.sip.header import parse_name_addr
from offhook.sip.uri import parse_uri

INCOMING: Final = frozenset({"realtime.call.incoming", "live.call.incoming"})
"""What a webhook that offers a call is called; newer accounts send both, for one call."""

HEADERS_LIMIT: Final = 64
"""SIP headers of a call that are read."""


@dataclass(frozen=True, slots=True)
class OpenAiAccount:
    """A project at OpenAI. `webhook_secret` is that of the webhook's endpoint: `whsec_…`.

    `model` and `voice` speak, `transcription` is the model that hears, in `language` (ISO 639-1; "": any).
    """

    api_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)
    model: str = "gpt-realtime-2.1"
    voice: str = "marin"
    transcription: str = "gpt-transcribe"
    language: str = ""
    api: str = "https://api.openai.com/v1"

    def __post_init__(self) -> None:
        """Say at once that a secret is none. ConfigError."""
        _key(self.webhook_secret)


def sign(secret: str, name: str, at_s: int, body: bytes) -> str:
    """Write the signature of a webhook. ConfigError where the secret is none."""
    return _signature(secret, name, str(at_s), body)


def verify(request: Request, secret: str, now_s: float) -> None:
    """Check that a webhook is of whoever has the secret. Unsigned where it is not."""
    if not _key(secret):
        raise Unsigned("there is no secret to check by", hint="set the secret of the webhook")
    name, at, given = (request.header(f"webhook-{one}") for one in ("id", "timestamp", "signature"))
    if not (name and at and given):
        raise Unsigned("no signature", 401)
    ours = _signature(secret, name, at, request.body)
    if not any(same(ours, one) for one in given[:4096].split(" ")):
        raise Unsigned("a signature by another secret", hint="is it the secret of this webhook's endpoint?")
    made_s = whole(at)
    if made_s is None:
        raise Unsigned("a signature without an instant")
    check_fresh(made_s, now_s)


def _signature(secret: str, name: str, at: str, body: bytes) -> str:
    message = f"{name}.{at}.".encode("utf-8", "surrogatepass") + body
    return "v1," + b64encode(hmac.new(_key(secret), message, hashlib.sha256).digest()).decode("ascii")


def _key(secret: str) -> bytes:
    try:
        return b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        raise ConfigError("the secret of OpenAI's webhook is none: it is whsec_ and base64") from None


class OpenAiSip:
    """A project at OpenAI whose calls we take, refuse, hand on and end."""

    name = "openai"

    def __init__(self, account: OpenAiAccount) -> None:
        self.account = account

    @property
    def api(self) -> str:
        """The base URL of its API."""
        return self.account.api

    def verify(self, request: Request, base: str, now_s: float) -> None:
        """Check that a webhook is OpenAI's."""
        verify(request, self.account.webhook_secret, now_s)

    def hook(self, kind: str, request: Request) -> Sequence[News]:
        """Read a verified webhook: what offers no call is no news. ProtocolError where it makes no sense."""
        event = request.json()
        if text(event.get("type")) not in INCOMING:
            return ()
        data = inner(event.get("data"))
        call = text(data.get("call_id"))
        if not call:
            raise ProtocolError("a call without a name", 400)
        sent = [inner(one) for one in items(data.get("sip_headers"))[:HEADERS_LIMIT]]
        headers = {text(one.get("name")): text(one.get("value")) for one in sent if text(one.get("name"))}
        by_name = {name.lower(): value for name, value in headers.items()}
        caller, name = _party(by_name.get("from", ""))
        called, _ = _party(by_name.get("to", ""))
        return (Offered(call, caller, called, caller_name=name, headers=headers),)

    def connect(self, offered: Offered, links: Links) -> Answer:
        """Take a call, to be heard and spoken to as we say."""
        account = self.account
        wanted = session(account.model, account.voice, account.transcription, account.language)
        return Answer(Response(), (self._ask(offered.call, "accept", wanted),))

    def control(self, call: str) -> ApiCall:
        """Give the handshake of the socket of a call."""
        api = "ws" + self.account.api.rstrip("/").removeprefix("http")
        return ApiCall("GET", f"{api}/realtime?{urlencode({'call_id': call}, errors='replace')}", self._proof)

    def probe(self) -> ApiCall:
        """Ask for the model: whoever may use it is told of it."""
        return ApiCall(
            "GET", f"{self.account.api.rstrip('/')}/models/{quote(self.account.model, safe='')}", self._proof
        )

    def refuse(self, offered: Offered, code: int) -> Answer:
        """Refuse a call with a SIP status."""
        return Answer(Response(), (self._ask(offered.call, "reject", {"status_code": code}),))

    def heed(self, news: News | None) -> Response:
        """Answer a webhook with nothing."""
        return Response()

    def hang_up(self, call: str) -> Sequence[ApiCall]:
        """End a call."""
        return (self._ask(call, "hangup", {}),)

    def transfer(self, call: str, target: str, caller: str, links: Links) -> Sequence[ApiCall]:
        """Refer a call's far end to a number or a SIP address."""
        uri = target if target.startswith(("sip:", "sips:", "tel:")) else f"tel:{target}"
        return (self._ask(call, "refer", {"target_uri": uri}),)

    def authorize(self, call: ApiCall, now_s: float, nonce: str) -> ApiCall:
        """Give the request as it is: the key is there already."""
        return call

    def _ask(self, call: str, verb: str, value: Mapping[str, object]) -> ApiCall:
        url = f"{self.account.api.rstrip('/')}/realtime/calls/{quote(call, safe='', errors='replace')}/{verb}"
        return ApiCall.json("POST", url, value, self._proof)

    @property
    def _proof(self) -> Mapping[str, str]:
        return {"authorization": f"Bearer {self.account.api_key}"}


def _party(value: str) -> tuple[str, str]:
    """Read who a From or To names: a number or a user, and a display name; what can't be read is nobody."""
    try:
        address = parse_name_addr(value, "from")
        return e164(parse_uri(address.uri).user), text(address.display)
    except ProtocolError:
        return "", ""
