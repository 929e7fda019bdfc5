"""Vonage as the host sees it (`carriers.services.service.Service`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from offhook.carriers.services.http import ApiCall, ApiReply, Request, Response
from offhook.carriers.services.proof import Used
from offhook.carriers.services.service import Answer, Links, News, Offered, Placement
from offhook.carriers.services.vonage import api, documents, hooks, signature
from offhook.carriers.services.vonage.account import VonageAccount
from offhook.carriers.services.vonage.media import CARRIAGE, VonageDialect
from offhook.core.carriage import Carriage


class Vonage:
    """An application at Vonage."""

    name = "vonage"

    def __init__(self, account: VonageAccount) -> None:
        self.account = account
        self._used = Used()

    @property
    def carriage(self) -> Carriage:
        """How its media sockets take audio."""
        return CARRIAGE

    @property
    def api(self) -> str:
        """The base URL of its API."""
        return self.account.api

    def verify(self, request: Request, base: str, now_s: float) -> None:
        """Check that a webhook or a socket's handshake is Vonage's: by its token, whatever our address is."""
        signature.verify(request, self.account, self._used, now_s)

    def hook(self, kind: str, request: Request) -> Sequence[News]:
        """Read a verified webhook."""
        return hooks.read_hook(kind, request)

    def connect(self, offered: Offered, links: Links) -> Answer:
        """Join the call to our media socket; whose call it is comes back in its first message."""
        account = self.account
        said: Mapping[str, str] = {"call": offered.call, "caller": offered.caller[:64], "called": offered.called[:64]}
        endpoint = documents.websocket(links.media, account.rate_hz, said, signed=account.signed_sockets)
        return Answer(written(documents.connect(endpoint, offered.called, f"{links.hook}/after")))

    def refuse(self, offered: Offered, code: int) -> Answer:
        """End the call: a document without actions. Vonage has no way to say why."""
        return Answer(written())

    def heed(self, news: News | None) -> Response:
        """Answer an event: nothing, which lets the call go on as it does."""
        return Response()

    def dialect(self) -> VonageDialect:
        """Give what one media socket speaks."""
        return VonageDialect()

    def hang_up(self, call: str) -> Sequence[ApiCall]:
        """End a call."""
        return (api.hang_up(self.api, call),)

    def transfer(self, call: str, target: str, caller: str, links: Links) -> Sequence[ApiCall]:
        """Have the caller's leg go on with a document that joins it to the target."""
        joined = documents.connect(documents.called(target), caller, f"{links.hook}/transfer")
        return (api.transfer(self.api, call, [joined]),)

    def dial(self, placement: Placement, links: Links) -> ApiCall:
        """Place a call."""
        return api.dial(self.api, placement, links)

    def authorize(self, call: ApiCall, now_s: float, nonce: str) -> ApiCall:
        """Put a token of this instant on a request."""
        token = signature.application_token(self.account, self._key, now_s, nonce)
        return replace(call, headers={**call.headers, "authorization": f"Bearer {token}"})

    def placed(self, reply: ApiReply) -> str:
        """Read how a call that was placed is called."""
        return api.placed(reply)

    @cached_property
    def _key(self) -> RSAPrivateKey:
        return signature.application_key(self.account.private_key)


def written(*actions: documents.Action) -> Response:
    """Answer with the document that the actions make."""
    return Response(body=documents.document(*actions), content_type="application/json")
