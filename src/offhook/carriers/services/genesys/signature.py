"""How Genesys proves its handshake: a signature of the HTTP message, in the form of the draft before RFC 9421.

    Signature-Input: sig1=("@request-target" "@authority" … "x-api-key");keyid=…;nonce=…;alg=…;created=…;expires=…
    Signature: sig1=:<base64 of HMAC-SHA256(client secret, one line a component, and the parameters)>:

Laws: all components that AudioHook signs must be covered; the authority is that of our public address, whatever the
request says; what was signed is compared as text; a nonce is good once, since a handshake is a call.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from offhook.carriers.services.http import Request, Unsigned
from offhook.carriers.services.proof import FRESH_S, Used, check_fresh, same
from offhook.core.errors import ConfigError

COMPONENTS: Final = (
    "@request-target",
    "@authority",
    "audiohook-organization-id",
    "audiohook-session-id",
    "audiohook-correlation-id",
    "x-api-key",
)
"""What AudioHook signs."""

HEADER_LIMIT: Final = 2048
"""Characters of either header that are read."""

_INPUT: Final = re.compile(
    r'([a-z*][a-z0-9_.*-]{0,31})=(\((?:"[a-z0-9@-]{1,64}" ?){1,16}\)(?:;[a-z]{1,16}=(?:"[^"\\]{0,256}"|[0-9]{1,15}))*)'
)
_COMPONENT: Final = re.compile(r'"([a-z0-9@-]+)"')
_PARAMETER: Final = re.compile(r';([a-z]+)=(?:"([^"]*)"|([0-9]+))')


def sign(
    values: Mapping[str, str], key: str, client_secret: str, nonce: str, created_s: int, expires_s: int
) -> tuple[str, str]:
    """Write the headers Signature-Input and Signature over `values`, by their components' names, in their order."""
    names = " ".join(f'"{name}"' for name in values)
    said = f'({names});keyid="{key}";nonce="{nonce}";alg="hmac-sha256";created={created_s};expires={expires_s}'
    return f"sig1={said}", f"sig1=:{_signature(list(values.items()), said, client_secret)}:"


def verify(request: Request, base: str, api_key: str, client_secret: str, used: Used, now_s: float) -> None:
    """Check that a handshake is Genesys'. Unsigned where it is not. `used` has the nonces that came before."""
    if not secret_bytes(client_secret) or not api_key:
        raise Unsigned("there is no secret to check by", hint="set the API key and the client secret")
    said, given = request.header("signature-input"), request.header("signature")
    if not said or not given:
        raise Unsigned("no signature", 401, "does the integration in Genesys have a client secret?")
    found = _INPUT.fullmatch(said) if len(said) + len(given) <= HEADER_LIMIT else None
    if found is None:
        raise Unsigned("a signature that can't be read")
    label, signed = found[1], found[2]
    names = _COMPONENT.findall(signed.partition(")")[0])
    values = [(name, _value(request, base, name)) for name in names]
    if not same(f"{label}=:{_signature(values, signed, client_secret)}:", given):
        hint = f"services.genesys.client_secret is another integration's, or its Connection URI is not at {base}"
        raise Unsigned("a signature that is not Genesys'", hint=hint)
    if not set(COMPONENTS) <= set(names) or len(set(names)) != len(names):
        raise Unsigned("a signature of less than AudioHook signs")
    about = {name: text or number for name, text, number in _PARAMETER.findall(signed)}
    if about.get("alg") != "hmac-sha256" or not all(about.get(name, "").isdigit() for name in ("created", "expires")):
        raise Unsigned("a signature of another kind")
    if not same(api_key, request.header("x-api-key")) or not same(api_key, about.get("keyid", "")):
        raise Unsigned("another API key", hint="services.genesys.api_key is another integration's")
    check_fresh(int(about["created"]), now_s)
    if int(about["expires"]) < now_s:
        raise Unsigned("a signature that has run out", hint="set this machine's clock: timedatectl set-ntp true")
    nonce = about.get("nonce", "")
    if not nonce or used.use(nonce, b"", now_s, int(about["created"]) + FRESH_S) is not None:
        raise Unsigned("a handshake that came before")


def secret_bytes(client_secret: str) -> bytes:
    """Read the client secret. ConfigError where it is no base64."""
    try:
        return b64decode(client_secret, validate=True)
    except ValueError:
        raise ConfigError("the client secret of the integration at Genesys is no base64") from None


def _value(request: Request, base: str, name: str) -> str:
    match name:
        case "@request-target":
            return urlsplit(base).path.rstrip("/") + request.target
        case "@authority":
            return urlsplit(base).netloc.lower()
        case _:
            return request.header(name)


def _signature(values: Sequence[tuple[str, str]], said: str, client_secret: str) -> str:
    lines = [*(f'"{name}": {value}' for name, value in values), f'"@signature-params": {said}']
    message = "\n".join(lines).encode("utf-8", "surrogatepass")
    return b64encode(hmac.new(secret_bytes(client_secret), message, hashlib.sha256).digest()).decode("ascii")
