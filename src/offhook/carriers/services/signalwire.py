"""SignalWire: Twilio's documents, fields and API (cXML), with its own signature and a media socket of more encodings.

    SignalWireAccount ─► signalwire ─► Service

A webhook is signed with the space's signing key, in X-SignalWire-Signature or X-Twilio-Signature:

    base64(HMAC-SHA1(key, URL, then each name and value of the form, sorted by name))        cXML
    hex(HMAC-SHA1(key, URL, body))                                                          all else

The first does not sign the method, headers, and the spelling and order of fields; the second signs all but method and
headers. The opening of a media socket brings a bearer that the document gave it. A call can't be given a document, only
be told where to ask for one.

https://signalwire.com/docs/compatibility-api/cxml/reference/voice/stream
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from offhook.carriers.services import bearer
from offhook.carriers.services.http import Request
from offhook.carriers.services.jsonstream import JsonStream, Message, encoding, params, part, text
from offhook.carriers.services.signed import check, is_form, is_socket, signed_fields
from offhook.carriers.services.stream import Frame, Odd, Started
from offhook.carriers.services.twilio.api import Calls, basic
from offhook.carriers.services.twilio.media import CARRIAGE as TWILIOS
from offhook.carriers.services.twilio.service import TwimlService
from offhook.carriers.services.twilio.words import in_words
from offhook.core.carriage import Carriage
from offhook.core.errors import ConfigError

HEADER: Final = "x-signalwire-signature"
ELDER: Final = "x-twilio-signature"
CARRIAGE: Final[Carriage] = replace(TWILIOS, keys=True)
CODECS: Final = ("PCMU", "L16@16000h", "L16@24000h")


@dataclass(frozen=True, slots=True)
class SignalWireAccount:
    """What the space's dashboard shows. ConfigError where it can't work.

    `space` is its host (`example.signalwire.com`), `signing_key` what signs webhooks (PSK_…). `codec` is what media
    sockets carry: one of `CODECS`. `little_endian`: how SignalWire lays L16. `api` is another address of the API.
    `way`: calls come as audio, or as words, turn by turn (<Gather>), heard in `language` and spoken with `voice`.
    """

    space: str
    project: str
    token: str = field(repr=False)
    signing_key: str = field(repr=False)
    codec: str = "PCMU"
    little_endian: bool = True
    api: str = ""
    way: Literal["stream", "turns"] = "stream"
    language: str = ""
    voice: str = ""

    def __post_init__(self) -> None:
        if not self.project or not self.token or not self.signing_key or not (self.space or self.api):
            raise ConfigError("signalwire needs space, project, token and signing_key: none can be empty")
        if self.codec not in CODECS:
            raise ConfigError(f"signalwire.codec: {self.codec!r} is none of {', '.join(CODECS)}")

    @property
    def base(self) -> str:
        """Where the API is."""
        return (self.api or f"https://{self.space}").rstrip("/")


class SignalWireStream(JsonStream):
    """One socket of SignalWire's: `start` alone names the stream, and keys can be sent."""

    def __init__(self, *, little_endian: bool = True) -> None:
        super().__init__(CARRIAGE, little_endian=little_endian)

    def _open(self, message: Message, start: Message) -> Started | Odd:
        stream = text(start.get("streamSid")) or text(message.get("streamSid"))
        coded = encoding(part(start, "mediaFormat"))
        if not stream:
            return Odd("nameless")
        if coded is None:
            return Odd("encoding")
        return Started(
            stream,
            text(start.get("callSid")),
            heard=coded,
            ours=coded,
            params=params(part(start, "customParameters")),
        )

    def press(self, keys: str) -> Sequence[Frame]:
        """Send keys."""
        return [frame for key in keys for frame in self._write({**self._addressed("dtmf"), "dtmf": {"digit": key}})]


def signature(key: str, url: str, fields: Sequence[tuple[str, str]] = ()) -> str:
    """Sign a form."""
    signed = url + "".join([name + value for name, value in sorted(fields, key=lambda field: field[0])])
    return b64encode(hmac.digest(key.encode(), signed.encode("utf-8", "surrogatepass"), "sha1")).decode()


def raw_signature(key: str, url: str, body: bytes) -> str:
    """Sign a body of any kind."""
    return hmac.digest(key.encode(), url.encode("utf-8", "surrogatepass") + body, "sha1").hex()


def verify(key: str, request: Request, base: str) -> None:
    """Check that a webhook, or a socket's opening, is SignalWire's. Unsigned where it is not."""
    if is_socket(request):
        bearer.verify(key, request.header("authorization").removeprefix("Bearer "), request, base)
        return
    given = request.header(HEADER) or request.header(ELDER)
    reads = request.method != "GET"
    body = request.body if reads else b""
    fields = signed_fields(request) if given and reads and is_form(request) else None

    def sign(url: str) -> Sequence[str]:
        raw = raw_signature(key, url, body)
        return (raw,) if fields is None and reads else (raw, signature(key, url, fields or ()))

    check(given, request, base, sign, "signalwire.signing_key")


def signalwire(account: SignalWireAccount) -> TwimlService:
    """Make the service of an account."""

    def prove(request: Request, base: str, now_s: float) -> None:
        verify(account.signing_key, request, base)

    def streaming(media: str) -> dict[str, str]:
        codec = "" if account.codec == "PCMU" else account.codec
        return {"codec": codec, "authBearerToken": bearer.bearer(account.signing_key, media)}

    calls = Calls(
        f"{account.base}/api/laml/2010-04-01/Accounts/{account.project}/Calls", basic(account.project, account.token)
    )
    heard = TwimlService(
        "signalwire",
        CARRIAGE,
        account.base,
        prove,
        lambda: SignalWireStream(little_endian=account.little_endian),
        calls,
        takes_documents=False,
        streaming=streaming,
    )
    if account.way == "stream":
        return heard
    return in_words(heard, account.way, language=account.language, voice=account.voice)
