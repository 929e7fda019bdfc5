"""Who signs what between Vonage and us: JSON Web Tokens (RFC 7519) in `Authorization: Bearer`.

    Vonage ─► HS256 with the account's signature secret; claims: iat, jti, iss, payload_hash, api_key, application_id
    us     ─► RS256 with the application's private key; claims: application_id, iat, jti, exp

Laws: the signature is compared before anything in the token is read, as text, so that no other spelling of the same
bytes passes; the algorithm is ours to choose, whatever the token says of itself; a body is vouched for by its hash. The
URL and the query are not signed: a token is good for one request, and for the same one again, as Vonage may ask twice.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Mapping
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from offhook.carriers.services.http import Request, Unsigned, read_json
from offhook.carriers.services.proof import FRESH_S, Used, check_fresh, same
from offhook.carriers.services.reading import text, whole
from offhook.carriers.services.vonage.account import VonageAccount
from offhook.core.errors import ConfigError, ProtocolError

TOKEN_LIMIT: Final = 8192
"""Characters of a token that are read: theirs have some 500."""

LASTING_S: Final = 300
"""How long a token of ours is good for: it is made for one request."""


def signed_token(claims: Mapping[str, object], secret: str, algorithm: str = "HS256") -> str:
    """Write a token as Vonage signs its webhooks. `algorithm` is what it says of itself; it is always HMAC-SHA256."""
    message = f"{_encoded(_packed({'alg': algorithm, 'typ': 'JWT'}))}.{_encoded(_packed(claims))}"
    return f"{message}.{_signature(message, secret)}"


def payload_hash(body: bytes) -> str:
    """Give what a token says of the body that it comes with."""
    return hashlib.sha256(body).hexdigest()


def verify(request: Request, account: VonageAccount, used: Used, now_s: float) -> None:
    """Check that a webhook, or the handshake of a media socket, is Vonage's. Unsigned where it is not.

    `used` has the tokens that came before.
    """
    handshake = request.header("upgrade").lower() == "websocket"
    authorization = request.header("authorization")
    if handshake and not account.signed_sockets:
        return
    if not authorization:
        raise Unsigned("no token", 401, "are signed webhooks switched on for the application?")
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or len(token) > TOKEN_LIMIT:
        raise Unsigned("a proof that is no token", 401)
    claims = _claims(token, account.signature_secret)
    made_s = claims.get("iat")
    if not isinstance(made_s, int | float):
        raise Unsigned("a token that does not say when it was made")
    check_fresh(made_s, now_s)
    expires_s = whole(claims.get("exp"))
    if expires_s is not None and expires_s < now_s:
        raise Unsigned("a token that has run out", hint="set this machine's clock: timedatectl set-ntp true")
    for name, ours in (("iss", "Vonage"), ("api_key", account.api_key), ("application_id", account.application_id)):
        if name in claims and ours and not same(ours, text(claims[name])):
            raise Unsigned(f"a token of another {name}", hint=f"the {name} in the configuration is not Vonage's")
    asked = request.method.upper() == "GET" and not request.body  # all is in its query, which nothing vouches for
    if not asked and not same(payload_hash(request.body), text(claims.get("payload_hash"))):
        raise Unsigned("a body that is not the one that was signed")
    name = text(claims.get("jti"))
    if not name and asked and not handshake:
        raise Unsigned("a token without a name can't vouch for a query")
    whole_of_it = f"{request.method} {request.target}\n".encode("utf-8", "surrogatepass") + request.body
    what = hashlib.sha256(whole_of_it).digest()
    if name and used.use(name, what, now_s, made_s + FRESH_S) not in (None, what):
        raise Unsigned("a token that came with another request")


def _claims(token: str, secret: str) -> Mapping[str, object]:
    message, _, signature = token.rpartition(".")
    if not secret:
        raise Unsigned("there is no secret to check by", hint="set the signature secret")
    if not same(_signature(message, secret), signature):
        raise Unsigned("a token that Vonage did not sign", hint="services.vonage.signature_secret is another account's")
    header, _, claims = message.partition(".")
    if text(_object(header).get("alg")) != "HS256":
        raise Unsigned("a token that is not signed by HS256")
    return _object(claims)


def application_token(account: VonageAccount, key: RSAPrivateKey, now_s: float, nonce: str) -> str:
    """Write the token that a request to Vonage's API carries."""
    made_s = int(now_s)
    claims = {"application_id": account.application_id, "iat": made_s, "jti": nonce, "exp": made_s + LASTING_S}
    message = f"{_encoded(_packed({'alg': 'RS256', 'typ': 'JWT'}))}.{_encoded(_packed(claims))}"
    signature = key.sign(message.encode("ascii"), padding.PKCS1v15(), hashes.SHA256())
    return f"{message}.{_encoded(signature)}"


def application_key(pem: str) -> RSAPrivateKey:
    """Read the application's private key. ConfigError where it is none."""
    try:
        key = load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigError(
            "the private key of the application at Vonage is no PEM: paste the file's whole text"
        ) from None
    if not isinstance(key, RSAPrivateKey):
        raise ConfigError("the private key of the application at Vonage is not an RSA key")
    return key


def _signature(message: str, secret: str) -> str:
    signed = message.encode("utf-8", "surrogatepass")
    return _encoded(hmac.new(secret.encode(), signed, hashlib.sha256).digest())


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _packed(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _object(part: str) -> Mapping[str, object]:
    """Read a part of a token that was signed: by whoever has the secret, who need not write JSON."""
    try:
        return read_json(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, Error, ProtocolError):
        raise Unsigned("a token that is none") from None
