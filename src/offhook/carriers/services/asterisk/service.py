"""Asterisk as the host sees it: calls come by ARI events, audio by its websocket channel, what is asked by ARI.

There are no webhooks: `hook("events", …)` reads an event of ARI, which whoever holds that socket brings as a body, and
`follow` gives what the event asks for beside. A media socket proves itself by the name and password of its section.
"""

from __future__ import annotations

from collections.abc import Sequence

from offhook.carriers.services.asterisk import ari
from offhook.carriers.services.asterisk.account import AsteriskAccount
from offhook.carriers.services.asterisk.websocket import CARRIAGE, WebSocketDialect
from offhook.carriers.services.http import ApiCall, ApiReply, Request, Response, Unsigned
from offhook.carriers.services.proof import same
from offhook.carriers.services.reading import message, text
from offhook.carriers.services.service import Answer, Links, News, Offered, Placement
from offhook.core.carriage import Carriage
from offhook.core.errors import DialFailed
from offhook.sip.codes import cause


class Asterisk:
    """An Asterisk with ARI."""

    name = "asterisk"

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
        """Check a socket's handshake, or an event that is brought as a request, by name and password. Unsigned."""
        account = self.account
        if not account.socket_password:
            raise Unsigned("there is no password to check by", hint="set the password of the media sockets")
        given = request.header("authorization")
        if not given:
            raise Unsigned("no password", 401, "does the section in websocket_client.conf name a user and a password?")
        if not same(ari.basic(account.socket_user, account.socket_password), given):
            raise Unsigned("another password", hint="is it the password of the section in websocket_client.conf?")

    def hook(self, kind: str, request: Request) -> Sequence[News]:
        """Read an event of ARI."""
        return ari.read_event(request.json())

    def follow(self, request: Request) -> Sequence[ApiCall]:
        """Give what an event asks for, whatever it is news of."""
        return ari.follow(self.account, request.json())

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
        """Send a call on: in the dialplan where the account names a place for that, else by its own device."""
        account = self.account
        if account.context:
            return (ari.go_on(account, call, "".join(one for one in target if one in "+0123456789*#")),)
        return (ari.redirect(account, call, ari.dialled(account, target)),)

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
    return f"offhook-{links.hook.rpartition('/')[2]}"
