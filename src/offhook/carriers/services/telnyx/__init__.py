"""Telnyx, by Call Control or by TeXML: webhooks signed with Ed25519, audio by media streaming.

    TelnyxAccount ─► telnyx ─► Telnyx (Call Control: commands), or TwimlService (TeXML: documents)

TeXML is TwiML with another API and a few attributes more; its calls are named as Call Control's are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from offhook.carriers.services.http import Request
from offhook.carriers.services.service import Carried
from offhook.carriers.services.stream import Encoding
from offhook.carriers.services.telnyx.control import Telnyx
from offhook.carriers.services.telnyx.media import CARRIAGE, TelnyxStream
from offhook.carriers.services.telnyx.signature import public_key, verify
from offhook.carriers.services.twilio.api import Calls
from offhook.carriers.services.twilio.service import TwimlService
from offhook.carriers.services.twilio.words import in_words
from offhook.core.errors import ConfigError

_CODECS: Final = {"PCMU": Encoding(), "PCMA": Encoding("PCMA")}


@dataclass(frozen=True, slots=True)
class TelnyxAccount:
    """What Telnyx's portal shows. ConfigError where it can't work.

    `public_key` proves webhooks, in base64. `connection` is the application that places calls. `texml`: calls are ruled
    by documents, which needs the account's own id. `codec` is how we send, PCMU or PCMA. `records`: Telnyx records each
    call (Call Control). `api` is the API's address where it is not Telnyx's own. `way`: calls come as audio, or (TeXML)
    as words, over a socket (ConversationRelay) or turn by turn (<Gather>); then Telnyx hears in `language` and speaks
    with `voice`.
    """

    key: str = field(repr=False)
    public_key: str
    connection: str = ""
    texml: bool = False
    account: str = ""
    codec: str = "PCMU"
    records: bool = False
    api: str = ""
    way: Literal["stream", "relay", "turns"] = "stream"
    language: str = ""
    voice: str = ""

    def __post_init__(self) -> None:
        if not self.key:
            raise ConfigError("telnyx.key: the API key is needed")
        public_key(self.public_key)
        if self.codec not in _CODECS:
            raise ConfigError(f"telnyx.codec: {self.codec!r} is none of {', '.join(_CODECS)}")
        if self.texml and not self.account:
            raise ConfigError("telnyx.account: TeXML needs the account's id")
        if self.way != "stream" and not self.texml:
            raise ConfigError(f"telnyx.way: {self.way} is of TeXML: set telnyx.texml")

    @property
    def base(self) -> str:
        """Where the API is."""
        return (self.api or "https://api.telnyx.com").rstrip("/")


def telnyx(account: TelnyxAccount) -> Carried:
    """Make the service of an account."""
    key = public_key(account.public_key)
    ours = _CODECS[account.codec]
    if not account.texml:
        return Telnyx(
            account.base,
            account.key,
            lambda request, now_s: verify(key, request, now_s),
            account.connection,
            ours,
            account.records,
        )

    def prove(request: Request, base: str, now_s: float) -> None:
        verify(key, request, now_s)

    calls = Calls(
        f"{account.base}/v2/texml/Accounts/{account.account}/Calls",
        {"authorization": f"Bearer {account.key}"},
        suffix="",
        document_field="Texml",
        lists_events=False,
        extra=(("ApplicationSid", account.connection),),
    )
    streaming = {"bidirectionalMode": "rtp", "bidirectionalCodec": ours.label, "codec": ours.label}
    heard = TwimlService(
        "telnyx",
        CARRIAGE,
        account.base,
        prove,
        lambda: TelnyxStream(ours),
        calls,
        streaming=lambda media: streaming,
    )
    if account.way == "stream":
        return heard
    return in_words(heard, account.way, language=account.language, voice=account.voice)
