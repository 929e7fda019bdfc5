"""jambonz as the host sees it (`carriers.services.service.Service`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlencode

from offhook.carriers.services.http import ApiCall, ApiReply, Request, Response
from offhook.carriers.services.jambonz import documents, hooks, signature
from offhook.carriers.services.jambonz.account import JambonzAccount
from offhook.carriers.services.jambonz.media import CARRIAGE, JambonzDialect
from offhook.carriers.services.reading import message, text
from offhook.carriers.services.service import Answer, Links, News, Offered, Placement
from offhook.core.carriage import Carriage
from offhook.core.errors import DialFailed


class Jambonz:
    """An account at jambonz."""

    name = "jambonz"

    def __init__(self, account: JambonzAccount) -> None:
        self.account = account

    @property
    def carriage(self) -> Carriage:
        """How its media sockets take audio."""
        return CARRIAGE

    @property
    def api(self) -> str:
        """The base URL of its API."""
        return self.account.api

    def verify(self, request: Request, base: str, now_s: float) -> None:
        """Check that a webhook or a socket's handshake is jambonz's."""
        signature.verify(request, self.account, now_s)

    def hook(self, kind: str, request: Request) -> Sequence[News]:
        """Read a verified webhook."""
        return hooks.read_hook(kind, request, self.account.webhook_secret)

    def connect(self, offered: Offered, links: Links) -> Answer:
        """Have the caller's audio brought to our media socket."""
        account = self.account
        auth = (account.socket_user, account.socket_password)
        return _answer(documents.listen(links.media, f"{links.hook}/after", account.rate_hz, *auth))

    def refuse(self, offered: Offered, code: int) -> Answer:
        """Refuse a call; one that is answered is ended."""
        return _answer(documents.hangup() if offered.direction == "outbound" else documents.decline(code))

    def heed(self, news: News | None) -> Response:
        """Answer with the call that a transfer asks for, else with nothing: the call goes on as it does."""
        if isinstance(news, hooks.Diverting):
            return _answer(documents.dial(news.target, news.caller, news.hook)).response
        return _answer().response

    def dialect(self) -> JambonzDialect:
        """Give what one media socket speaks."""
        return JambonzDialect(self.account.rate_hz)

    def hang_up(self, call: str) -> Sequence[ApiCall]:
        """End a call."""
        return (self._ask("PUT", f"/Calls/{quote(call, safe='', errors='replace')}", {"call_status": "completed"}),)

    def transfer(self, call: str, target: str, caller: str, links: Links) -> Sequence[ApiCall]:
        """Have the call ask us how it goes on: whom to call is in that URL, with our proof that we said so."""
        told = f"{links.hook}/transfer"
        proof = signature.vouched(self.account.webhook_secret, target, caller, told)
        asked = urlencode({"to": target, "from": caller, "hook": told, "proof": proof}, errors="replace")
        where = f"/Calls/{quote(call, safe='', errors='replace')}"
        return (self._ask("PUT", where, {"call_hook": {"url": f"{links.hook}/dial?{asked}", "method": "POST"}}),)

    def dial(self, placement: Placement, links: Links) -> ApiCall:
        """Place a call. What has answered is told while it goes on."""
        asked: dict[str, object] = {
            "from": placement.caller,
            "to": documents.called(placement.to),
            "call_hook": {"url": f"{links.hook}/voice", "method": "POST"},
            "call_status_hook": {"url": f"{links.hook}/status", "method": "POST"},
            "timeout": placement.ring_s,
        }
        if placement.detect:
            asked["amd"] = {"actionHook": f"{links.hook}/machine"}
        return self._ask("POST", "/Calls", asked)

    def authorize(self, call: ApiCall, now_s: float, nonce: str) -> ApiCall:
        """Give the request as it is: the key is there already."""
        return call

    def placed(self, reply: ApiReply) -> str:
        """Read how a call that was placed is called. DialFailed where it was refused."""
        told = message(reply.body) or {}
        if call := reply.ok and (text(told.get("sid")) or text(told.get("call_sid"))):
            return call
        code = {400: 404, 401: 403, 403: 403, 404: 404, 422: 404, 429: 503, 480: 480}.get(reply.status, 500)
        raise DialFailed(code, text(told.get("msg")) or "jambonz did not place it")

    def _ask(self, method: str, where: str, value: Mapping[str, object]) -> ApiCall:
        account = self.account
        url = f"{account.api.rstrip('/')}/v1/Accounts/{quote(account.account_sid, safe='')}{where}"
        return ApiCall.json(method, url, value, {"authorization": f"Bearer {account.api_key}"})


def _answer(*verbs: documents.Verb) -> Answer:
    return Answer(Response(body=documents.document(*verbs), content_type="application/json"))
