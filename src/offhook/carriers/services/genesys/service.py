"""Genesys' Audio Connector as the host sees it.

It has no webhooks, and asks for no document: Architect opens a media socket to a fixed URL, and what is known of a call
its first message brings. So this is no `Service` but a `Direct`: a name, a carriage, a proof and a dialect. Calls are
ended, and handed on by the flow, with the session's own goodbye (`AudioHookDialect.outputs`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from offhook.carriers.services.genesys import signature
from offhook.carriers.services.genesys.media import CARRIAGE, AudioHookDialect
from offhook.carriers.services.http import Request
from offhook.carriers.services.proof import Used
from offhook.carriers.services.service import Direct
from offhook.core.carriage import Carriage


@dataclass(frozen=True, slots=True)
class GenesysAccount:
    """An integration at Genesys: the API key, and the client secret (base64) that its handshakes are signed with."""

    api_key: str
    client_secret: str = field(repr=False)

    def __post_init__(self) -> None:
        """Say at once that a secret is none. ConfigError."""
        signature.secret_bytes(self.client_secret)


@dataclass(frozen=True, slots=True)
class Genesys(Direct):
    """An integration of the Audio Connector."""

    account: GenesysAccount
    name: str = "genesys"
    used: Used = field(default_factory=Used, repr=False, compare=False)
    instead: ClassVar[str] = (
        "have Genesys call (a campaign, or its API) with a flow that has the Audio Connector in it, or give it a trunk "
        "under [trunks] (BYOC), and call by SIP, without a carrier"
    )

    @property
    def carriage(self) -> Carriage:
        """How its media sockets take audio."""
        return CARRIAGE

    def verify(self, request: Request, base: str, now_s: float) -> None:
        """Check that a socket's handshake is Genesys'; `base` is our public address (https://…)."""
        signature.verify(request, base, self.account.api_key, self.account.client_secret, self.used, now_s)

    def dialect(self) -> AudioHookDialect:
        """Give what one media socket speaks."""
        return AudioHookDialect()
