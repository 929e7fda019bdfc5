"""How jambonz proves itself: webhooks by HMAC-SHA256 of their instant and body, media sockets by a password.

    Jambonz-Signature: t=<seconds>,v1=<hex of HMAC-SHA256(secret, "<seconds>.<body>")>[,v1=…]

The URL is not signed: the token in its path and the window of time cover it, and where a URL of ours says whom to call,
it has a proof of that in it (`vouched`).
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode

from offhook.carriers.services.http import Request, Unsigned
from offhook.carriers.services.jambonz.account import JambonzAccount
from offhook.carriers.services.proof import check_fresh, same
from offhook.carriers.services.reading import whole


def sign(body: bytes, secret: str, at_s: int) -> str:
    """Write the header that a webhook with this body has."""
    return f"t={at_s},v1={_signature(str(at_s), body, secret)}"


def verify(request: Request, account: JambonzAccount, now_s: float) -> None:
    """Check that a webhook, or the handshake of a media socket, is jambonz's. Unsigned where it is not."""
    if request.header("upgrade").lower() == "websocket":
        _check_password(request, account)
        return
    if not account.webhook_secret:
        raise Unsigned("there is no secret to check by", hint="set the webhook secret")
    header = request.header("jambonz-signature")
    if not header:
        raise Unsigned("no signature", 401, "does the account at jambonz have a webhook secret?")
    said = [part.partition("=") for part in header[:4096].split(",")]
    at = next((value for name, _, value in said if name == "t"), "")
    ours = _signature(at, request.body, account.webhook_secret)
    if not any(same(ours, value) for name, _, value in said if name == "v1"):
        raise Unsigned("a signature that is not jambonz's", hint="services.jambonz.webhook_secret is another account's")
    made_s = whole(at)
    if made_s is None:
        raise Unsigned("a signature without an instant")
    check_fresh(made_s, now_s)


def password(account: JambonzAccount) -> str:
    """Write what a media socket proves itself by (RFC 7617)."""
    return "Basic " + b64encode(f"{account.socket_user}:{account.socket_password}".encode()).decode("ascii")


def vouched(secret: str, *words: str) -> str:
    """Prove that some words in a URL of ours are ours."""
    return hmac.new(secret.encode(), "\n".join(words).encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def _check_password(request: Request, account: JambonzAccount) -> None:
    if not account.socket_password:
        raise Unsigned("there is no password to check by", hint="set the password of the media sockets")
    given = request.header("authorization")
    if not given:
        raise Unsigned("no password", 401, "a proxy drops the Authorization header of websockets")
    if not same(password(account), given):
        raise Unsigned("another password")


def _signature(at: str, body: bytes, secret: str) -> str:
    return hmac.new(secret.encode(), at.encode("utf-8", "replace") + b"." + body, hashlib.sha256).hexdigest()
