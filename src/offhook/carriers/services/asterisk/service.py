"""Asterisk as the host sees it: calls come by ARI events, audio by its websocket channel, what is asked by ARI.

There are no webhooks: the host holds a socket of events, each of which `hook("events", …)` reads like a webhook, and
`follow` gives what the event asks for beside. A media socket proves itself by the name and password of its section.
"""

from __future__ import annotations

from collections.abc import Sequence

from offhook.carriers.services.asterisk import ari
from offhook.carriers.services.asterisk.account import AsteriskAccount
from offhook.carriers.services.asterisk.websocket import CARRIAGE, WebSocketDialect, check
from offhook.carriers.services.http import ApiCall, ApiReply, Request, Response
from offhook.carriers.services.reading import message, text
from offhook.carriers.services.service import Answer, Links, News, Offered, Placement
from offhook.core.carriage import Carriage
from offhook.core.errors import DialFailed
from offhook.sip.codes import cause


class Asterisk:
    """An Asterisk with ARI."""

    name = "asterisk"
    is_near = True

    def __init__(self, account: AsteriskAccount) -> None:
        self.account = account

    @property
    def carriage(self) -> Carriage:
        """How its media sockets take audio."""
        return CARRIAGE

    @property
    def api(self) -> str:
        """The base URL of ARI."""
        return self.account.api

    def verify(self, request: Request, base: str, now_s: float) -> None:
        """Check a socket's handshake by name and password. Unsigned."""
        check(self.account.user, self.account.password, request)

    # Its events

    def paste(self) -> Sequence[str]:
        """Say what belongs in its configuration, beside where it finds us."""
        account = self.account
        return (
            f"extensions.conf, where calls are to go: same => n,Stasis({account.app})",
            f"ari.conf, [{account.api_user}]: type = user, and as password that of services.asterisk.api_password",
            f"http.conf, [general]: enabled = yes, and an address that makes {account.api} its own",
        )

    def events(self) -> ApiCall:
        """Give the handshake of the socket that its events come by."""
        order = ari.ask(self.account, "GET", ("events",), app=self.account.app)
        return ApiCall("GET", "ws" + order.url.removeprefix("http"), order.headers)

    def hook(self, kind: str, request: Request) -> Sequence[News]:
        """Read an event of ARI. ProtocolError where it makes no sense."""
        return ari.read_event(request.json())

    def follow(self, request: Request) -> Sequence[ApiCall]:
        """Give what an event asks for, whatever it is news of."""
        return ari.follow(self.account, request.json())

    def key(self, call: str) -> str:
        """Give the hook's key of a call that we have placed, "" where it is none of those."""
        return call.removeprefix(ari.PLACED) if call.startswith(ari.PLACED) else ""

    def look(self) -> ApiCall:
        """Ask which calls are there."""
        return ari.ask(self.account, "GET", ("channels",))

    def there(self, reply: ApiReply) -> frozenset[str]:
        """Read which calls are there. ProtocolError where it can't be told."""
        return ari.names(reply)

    def probe(self) -> ApiCall:
        """Ask something that needs the user and the password, and changes nothing."""
        return ari.ask(self.account, "GET", ("applications",))

    # Its calls

    def connect(self, offered: Offered, links: Links) -> Answer:
        """Answer a call and have its audio brought."""
        account, token = self.account, links.media.rpartition("/")[2]
        call = offered.call or _placed(links)
        taken = () if offered.direction == "outbound" else (ari.answer(account, call),)
        return Answer(Response(), (*taken, *ari.gather(account, call), ari.media(account, call, token)))

    def refuse(self, offered: Offered, code: int) -> Answer:
        """Refuse a call with the cause that means the status."""
        return Answer(Response(), (ari.hang_up(self.account, offered.call, cause(code)),))

    def heed(self, news: News | None) -> Response:
        """Answer an event with nothing."""
        return Response()

    def dialect(self) -> WebSocketDialect:
        """Give what one media socket speaks."""
        return WebSocketDialect()

    def hang_up(self, call: str) -> Sequence[ApiCall]:
        """End a call, and let go of what was made for it."""
        return (ari.hang_up(self.account, call), *ari.leave(self.account, call))

    def transfer(self, call: str, target: str, caller: str, links: Links) -> Sequence[ApiCall]:
        """Have a call go on in the dialplan, where the account names a place for that."""
        return (ari.go_on(self.account, call, target),) if self.account.context else ()

    def dial(self, placement: Placement, links: Links) -> ApiCall:
        """Place a call; its name is made of its own hook's, which is one nobody can guess. It detects no machines."""
        return ari.originate(self.account, _placed(links), placement.to, placement.caller, placement.ring_s)

    def authorize(self, call: ApiCall, now_s: float, nonce: str) -> ApiCall:
        """Give the request as it is: name and password are there already."""
        return call

    def placed(self, reply: ApiReply) -> str:
        """Read how a call that was placed is called. DialFailed where it was refused."""
        told = message(reply.body) or {}
        if call := reply.ok and text(told.get("id")):
            return call
        code = {400: 404, 401: 403, 403: 403, 404: 404, 409: 503}.get(reply.status, 500)
        raise DialFailed(code, text(told.get("message")) or "Asterisk did not place it")


def _placed(links: Links) -> str:
    """Give the name of a call that we place."""
    return f"{ari.PLACED}{links.hook.rpartition('/')[2]}"
