"""Exotel: a call reaches us by its Voicebot applet, which asks for a socket's URL or has one, and by its API.

    GET /voice, of the applet ─► Offered ─► {"url": "wss://user:password@…"} ─► the socket
    connected ─► start ─► media (100 ms), dtmf, mark … ─► stop          16 bits, little-endian, in base64
    media (200 ms at least, whole multiples of 320 bytes), mark, clear ─►
    dial ─► POST …/Calls/connect.json with our socket                   the socket's end ─► the flow's next applet
    GET /dial, of a Connect applet behind it ─► Asked ─► {"destination": {"numbers": [whom we wanted]}}

Nothing is signed. A request is proved by a name and a password of ours in its URL, which Exotel sends as basic
authentication, or by the address that it comes from; what is said in it is covered by tokens in its path alone. A call
is neither ended nor handed on by the API: the flow does that, once the socket has ended. Where it has a Connect applet
with a dynamic URL, that asks us whom to call; what becomes of that call we are not told.

https://support.exotel.com/support/solutions/articles/3000096873-working-with-connect-applet-dynamic-url-
https://developer.exotel.com/docs/agentstream/websocket-protocol
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Final
from urllib.parse import quote

from offhook.carriers.services.http import ApiCall, ApiReply, Request, Response, Unsigned
from offhook.carriers.services.jsonstream import JsonStream, Message, params, part, text, whole
from offhook.carriers.services.service import Answer, Asked, Left, Links, News, Offered, Placement, Progressed, Recorded
from offhook.carriers.services.stream import Dialect, Encoding, Odd, Started
from offhook.carriers.services.twilio.api import basic
from offhook.core.carriage import Carriage
from offhook.core.errors import ConfigError, DialFailed, ProtocolError

CARRIAGE: Final = Carriage(
    frame_ms=20,
    least_ms=200,
    most_ms=200,
    paced_by="carrier",
    buffer_ms=60_000,
    lead_ms=400,
    marks="echoed",
    clear="silent",
    keys=False,
    hang_up="socket",
)
_NUMBER: Final = re.compile(r"\+[0-9]{5,15}", re.ASCII)
_RATES: Final = (8000, 16000, 24000)
_ENDS: Final = {"completed": 200, "busy": 486, "no-answer": 480, "failed": 404, "canceled": 487}
_STATUSES: Final = {400: 404, 401: 403, 403: 403, 429: 503}


@dataclass(frozen=True, slots=True)
class ExotelAccount:
    """What Exotel's dashboard shows, and what proves its requests. ConfigError where it can't work.

    `sid`, `key` and `token` are for the API. `user` and `password` are of our choice; they stand in the URLs that are
    given to Exotel. `networks` are those that its requests may come from without them (`1.2.3.0/24`). `rate_hz` is that
    of outgoing calls' audio; the applet's own is in its URL. `api` is the address of the API: Singapore's by default.
    `transfers`: the flow has a Connect applet behind the Voicebot applet, which asks us whom to call.
    """

    sid: str
    key: str
    token: str = field(repr=False)
    user: str = "exotel"
    password: str = field(default="", repr=False)
    networks: tuple[str, ...] = ()
    rate_hz: int = 8000
    api: str = ""
    transfers: bool = False

    def __post_init__(self) -> None:
        if not self.password and not self.networks:
            raise ConfigError("exotel needs a password or networks: without them nothing can be verified")
        if not self.user or ":" in self.user:
            raise ConfigError("exotel.user: it is a name without a colon")
        if self.rate_hz not in _RATES:
            raise ConfigError(f"exotel.rate_hz: it is one of {', '.join(map(str, _RATES))}")
        for network in self.networks:
            try:
                ip_network(network)
            except ValueError:
                raise ConfigError(f"exotel.networks: {network!r} is no network") from None


class ExotelStream(JsonStream):
    """One socket of Exotel's."""

    stream_id = "stream_sid"

    def __init__(self) -> None:
        super().__init__(CARRIAGE, little_endian=True)

    def _open(self, message: Message, start: Message) -> Started | Odd:
        stream = text(start.get("stream_sid")) or text(message.get("stream_sid"))
        rate_hz = whole(part(start, "media_format").get("sample_rate", 8000))
        if not stream:
            return Odd("nameless")
        if rate_hz not in _RATES:
            return Odd("encoding")
        coded = Encoding("L16", rate_hz)
        return Started(
            stream,
            text(start.get("call_sid")),
            text(start.get("from")),
            text(start.get("to")),
            coded,
            coded,
            params(part(start, "custom_parameters")),
        )


@dataclass(frozen=True, slots=True)
class Exotel:
    """One account."""

    account: ExotelAccount

    @property
    def name(self) -> str:
        """The word for it."""
        return "exotel"

    @property
    def carriage(self) -> Carriage:
        """How its sockets take audio."""
        return CARRIAGE

    @property
    def api(self) -> str:
        """Where the API is."""
        return (self.account.api or "https://api.exotel.com").rstrip("/")

    def verify(self, request: Request, base: str, now_s: float) -> None:
        """Check that a request is Exotel's: by our password, or by where it comes from. Unsigned where it is not."""
        if self._comes_from_them(request.peer):
            return
        given = request.header("authorization")
        if not given or not self.account.password:
            hint = "the URL that Exotel was given has no name and password in it, or its address is in no network"
            raise Unsigned("no password", 401, hint)
        ours = proof(self.account)
        if not hmac.compare_digest(given.encode("utf-8", "replace"), ours.encode()):
            raise Unsigned(
                "the password is wrong",
                403,
                "the URL that the applet was given has another one than services.exotel.password",
            )

    def hook(self, kind: str, request: Request) -> Sequence[News]:
        """Read a verified webhook. ProtocolError where it makes no sense."""
        said = _said(request)
        call = said.get("CallSid", "")
        if not call:
            raise ProtocolError("it names no call", 400)
        match kind:
            case "voice":
                caller = said.get("CallFrom") or said.get("From", "")
                return (Offered(call, caller, said.get("CallTo") or said.get("To", "")),)
            case "status":
                return _status(call, said)
            case "dial":
                return (Asked(call, "", "", ""),)
            case _:
                raise ProtocolError("there is no such hook", 404)

    def connect(self, offered: Offered, links: Links) -> Answer:
        """Take a call: its audio comes to `links.media`."""
        return Answer(Response(200, json.dumps({"url": self._proved(links.media)}).encode(), "application/json"))

    def refuse(self, offered: Offered, code: int) -> Answer:
        """Refuse a call: without a socket the flow goes on as it does where a bot fails."""
        return Answer(Response(404))

    def heed(self, news: News | None) -> Response:
        """Answer a webhook. A Connect applet is told whom to call: nobody, where nobody was wanted."""
        if not isinstance(news, Asked):
            return Response(200)
        told: dict[str, object] = {
            "fetch_after_attempt": False,
            "destination": {"numbers": [news.target] if news.target else []},
        }
        if news.caller:
            told["outgoing_phone_number"] = news.caller
        return Response(200, json.dumps(told).encode(), "application/json")

    def flows(self, target: str) -> bool:
        """Say whether the flow calls `target`: a number, where a Connect applet stands behind ours."""
        return self.account.transfers and _NUMBER.fullmatch(target) is not None

    def dialect(self) -> Dialect:
        """Give what one media socket speaks."""
        return ExotelStream()

    def hang_up(self, call: str) -> Sequence[ApiCall]:
        """Ask for nothing: the end of the socket ends the call, or goes on with the flow."""
        return ()

    def transfer(self, call: str, target: str, caller: str, links: Links) -> Sequence[ApiCall]:
        """Ask for nothing: what the call goes on with is in the flow."""
        return ()

    def dial(self, placement: Placement, links: Links) -> ApiCall:
        """Place a call: its audio comes to `links.media` once it is answered. Exotel does not say what has answered."""
        rate = f"?sample-rate={self.account.rate_hz}" if self.account.rate_hz != 8000 else ""
        fields = [
            ("From", placement.to),
            ("CallerId", placement.caller),
            ("StreamUrl", f"{self._proved(links.media)}{rate}"),
            ("StreamType", "bidirectional"),
            ("TimeOut", str(placement.ring_s)),
            ("StatusCallback", self._proved(f"{links.hook}/status")),
            ("StatusCallbackContentType", "application/json"),
            ("StatusCallbackEvents[0]", "answered"),
            ("StatusCallbackEvents[1]", "terminal"),
        ]
        url = f"{self.api}/v1/Accounts/{self.account.sid}/Calls/connect.json"
        return ApiCall.form("POST", url, fields, basic(self.account.key, self.account.token))

    def authorize(self, call: ApiCall, now_s: float, nonce: str) -> ApiCall:
        """Give the request as it is: its proof is the same for each."""
        return call

    def placed(self, reply: ApiReply) -> str:
        """Read how a call that was placed is called. DialFailed with the code where it was refused."""
        said: Mapping[str, object] = {}
        with suppress(ProtocolError):
            said = reply.json()
        if reply.ok and (call := text(part(said, "Call").get("Sid"))):
            return call
        code = _STATUSES.get(reply.status, 503 if reply.status >= 500 else 500)
        raise DialFailed(code, text(part(said, "RestException").get("Message"))[:200] or f"the API said {reply.status}")

    def _comes_from_them(self, peer: str) -> bool:
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        return any(address in ip_network(network) for network in self.account.networks)

    def _proved(self, url: str) -> str:
        """Put our name and password into a URL."""
        scheme, _, rest = url.partition("://")
        if not self.account.password:
            return url
        return f"{scheme}://{quote(self.account.user, safe='')}:{quote(self.account.password, safe='')}@{rest}"


def proof(account: ExotelAccount) -> str:
    """Give what Exotel sends in `Authorization`."""
    return basic(account.user, account.password)["authorization"]


def exotel(account: ExotelAccount) -> Exotel:
    """Make the service of an account."""
    return Exotel(account)


def _said(request: Request) -> Mapping[str, str]:
    if request.method == "GET":
        return dict(request.asked())
    if request.header("content-type").partition(";")[0].strip().lower() == "application/json":
        return params(request.json())
    return dict(request.fields())


def _status(call: str, said: Mapping[str, str]) -> Sequence[News]:
    if said.get("EventType") == "answered":
        return (Progressed(call, "answered"),)
    status = said.get("Status", "")
    if status not in _ENDS:
        return ()
    over = Left(call, _ENDS[status], status)
    url = said.get("RecordingUrl", "")
    return (Recorded(call, url, whole(said.get("ConversationDuration")) or 0), over) if url else (over,)
