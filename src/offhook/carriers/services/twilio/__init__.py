"""Twilio: webhooks answered with TwiML, audio by Media Streams.

    TwilioAccount ─► twilio ─► Service

The API's host is `api.twilio.com`, with an edge and a region in it where the account is asked for there: both or none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from offhook.carriers.services.http import Request
from offhook.carriers.services.twilio import signature
from offhook.carriers.services.twilio.api import Calls, basic
from offhook.carriers.services.twilio.media import CARRIAGE, MediaStream
from offhook.carriers.services.twilio.service import TwimlService
from offhook.carriers.services.twilio.words import in_words
from offhook.core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class TwilioAccount:
    """What Twilio's console shows. ConfigError where it can't work.

    The token signs webhooks; requests to the API use the key and its secret where there is one. `api` is the API's
    address where it is not Twilio's own. `records`: Twilio records each call; `refers`: calls that came by SIP are
    handed on by REFER. `way`: calls come as audio, or as words, over a socket (ConversationRelay) or turn by turn
    (<Gather>); then Twilio hears in `language` and speaks with `voice`.
    """

    account: str
    token: str = field(repr=False)
    key: str = ""
    key_secret: str = field(default="", repr=False)
    region: str = ""
    edge: str = ""
    api: str = ""
    records: bool = False
    refers: bool = False
    way: Literal["stream", "relay", "turns"] = "stream"
    language: str = ""
    voice: str = ""

    def __post_init__(self) -> None:
        if not self.account or not self.token:
            raise ConfigError("twilio needs the account's SID and its auth token: without them nothing can be verified")
        if bool(self.region) != bool(self.edge):
            raise ConfigError("twilio's region and edge are given together, or neither")
        if bool(self.key) != bool(self.key_secret):
            raise ConfigError("twilio's API key is given with its secret, or neither")

    @property
    def base(self) -> str:
        """Where the API is."""
        place = f".{self.edge}.{self.region}" if self.region else ""
        return (self.api or f"https://api{place}.twilio.com").rstrip("/")


def twilio(account: TwilioAccount) -> TwimlService:
    """Make the service of an account."""

    def prove(request: Request, base: str, now_s: float) -> None:
        signature.verify(account.token, request, base)

    calls = Calls(
        f"{account.base}/2010-04-01/Accounts/{account.account}/Calls",
        basic(account.key or account.account, account.key_secret or account.token),
        current="Twilio.CURRENT",
    )
    heard = TwimlService(
        "twilio",
        CARRIAGE,
        account.base,
        prove,
        MediaStream,
        calls,
        records=account.records,
        refers=account.refers,
    )
    if account.way == "stream":
        return heard
    told = {"events": "tokens-played"}  # so that the history has what was heard, and no goodbye is cut
    return in_words(heard, account.way, language=account.language, voice=account.voice, relaying=told)
