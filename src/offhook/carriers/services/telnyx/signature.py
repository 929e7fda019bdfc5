"""How Telnyx's webhooks are proved: Ed25519 over the time and the body.

    telnyx-signature-ed25519 = base64(Ed25519(TIME|BODY))        telnyx-timestamp = TIME, in seconds since 1970

| signed                 | not signed                                        |
|------------------------|---------------------------------------------------|
| time, body             | method, URL with its query, all other headers     |

So the query is never read, and a GET, whose fields would be there, is refused. What comes again within the window does
nothing again: an event has a name of its own. Media sockets are not signed at all: the one-time token in their path is
the proof that whoever opens one was told of it by Telnyx.

https://developers.telnyx.com/docs/voice/programmable-voice/voice-api-webhooks
"""

from __future__ import annotations

from base64 import b64encode
from binascii import a2b_base64
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from offhook.carriers.services.http import Request, Unsigned
from offhook.carriers.services.signed import is_socket
from offhook.core.errors import ConfigError

HEADER: Final = "telnyx-signature-ed25519"
TIME: Final = "telnyx-timestamp"
WINDOW_S: Final = 300
"""How far a webhook's time may be from ours."""

_CLOCK: Final = "set this machine's clock (timedatectl set-ntp true), or the webhook was kept on its way"


def signature(key: Ed25519PrivateKey, time: str, body: bytes) -> str:
    """Sign a body at a time."""
    return b64encode(key.sign(time.encode() + b"|" + body)).decode()


def public_key(text: str) -> Ed25519PublicKey:
    """Read the public key of an account. ConfigError where it is none."""
    try:
        return Ed25519PublicKey.from_public_bytes(a2b_base64(text, strict_mode=True))
    except ValueError:
        raise ConfigError("telnyx.public_key: it is 32 bytes in base64, as Keys & Credentials shows it") from None


def verify(key: Ed25519PublicKey, request: Request, now_s: float) -> None:
    """Check that a webhook is Telnyx's. Unsigned where it is not."""
    if is_socket(request) and request.path.split("/")[-2:-1] == ["media"]:
        return  # its token is its proof
    given, time = request.header(HEADER), request.header(TIME)
    if not given or not time:
        raise Unsigned("no signature", 401, "the request does not come from Telnyx, or a proxy drops its headers")
    if request.method != "POST":
        raise Unsigned("a query is not signed", 403, "let Telnyx send its webhooks by POST")
    if not (time.isascii() and time.isdigit() and len(time) <= 12 and str(int(time)) == time):
        raise Unsigned("the time is none")
    if abs(int(time) - now_s) > WINDOW_S:
        raise Unsigned("the time is too far away", 403, _CLOCK)
    try:
        raw = a2b_base64(given, strict_mode=True)
        key.verify(raw, time.encode() + b"|" + request.body)
    except (ValueError, InvalidSignature):
        raise Unsigned("the signature is wrong", 403, "services.telnyx.public_key is another account's") from None
    if b64encode(raw).decode() != given:
        raise Unsigned("the signature is written in another way")
