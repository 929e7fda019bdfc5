"""X-Twilio-Signature: who has sent a webhook or opened a media socket.

    signature(secret, URL, fields) = base64(HMAC-SHA1(secret, URL, then each name and value, sorted))

| request                  | signed                                    | not signed                                 |
|--------------------------|-------------------------------------------|--------------------------------------------|
| POST of a form           | URL and query, names and values of fields | method, headers, fields' order, spelling   |
| POST of anything else    | URL and query, in it `bodySHA256`         | method, headers                            |
| GET, websocket's opening | URL and query                             | method, headers, body (which nobody reads) |

There is no time in it: that something comes again is found by the call's name and its one-time token. Names and values
are written one behind the other with nothing between, so a field without a name or a `=` is refused: it could be taken
for a part of its neighbour. Twilio drops or adds a port, and a slash behind a socket's URL, as it likes; each is tried.

https://www.twilio.com/docs/usage/security, https://www.twilio.com/docs/voice/media-streams
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit

from offhook.carriers.services.http import Request, Unsigned, read_fields
from offhook.core.errors import ProtocolError

HEADER: Final = "x-twilio-signature"
FORM: Final = "application/x-www-form-urlencoded"
_PORTS: Final = {"https": 443, "http": 80, "wss": 443, "ws": 80}
_SOCKETS: Final = {"https": "wss", "http": "ws"}


def signature(secret: str, url: str, fields: Sequence[tuple[str, str]] = ()) -> str:
    """Sign a request for `url`, `fields` being its form (none for any other body)."""
    signed = url + "".join([name + value for name, value in sorted(set(fields))])
    return b64encode(hmac.digest(secret.encode(), signed.encode("utf-8", "surrogatepass"), "sha1")).decode()


def verify(secret: str, header: str, request: Request, base: str) -> None:
    """Check that a request is signed, in `header`, for our public address. Unsigned where it is not."""
    given = request.header(header).encode("utf-8", "replace")
    if not given:
        raise Unsigned(f"no {header}", 401, "the request does not come from the service, or a proxy drops its headers")
    fields = _signed_fields(request)
    socket = request.header("upgrade").lower() == "websocket"

    def signed_for(address: str) -> bool:
        made = [signature(secret, url, fields).encode() for url in urls(address, request.target, socket=socket)]
        return any(hmac.compare_digest(given, one) for one in made)

    if signed_for(base):
        return
    # What the request says of where it went is good enough for a hint.
    host = request.header("x-forwarded-host") or request.header("host")
    for address in (f"https://{host}", f"http://{host}") if host else ():
        if signed_for(address):
            raise Unsigned("signed for another address", 403, f"it is signed for {address}: set that as public address")
    raise Unsigned("the signature is wrong", 403, "the secret is wrong, or the public address has another path")


def urls(base: str, target: str, *, socket: bool = False) -> Iterator[str]:
    """Give the ways in which the service may have written the URL of `target` at the address `base`."""
    address = urlsplit(base)
    host = address.netloc.rpartition("@")[2]
    bare = host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
    for scheme in (_SOCKETS.get(address.scheme, address.scheme), address.scheme) if socket else (address.scheme,):
        for place in dict.fromkeys((host, bare, f"{bare}:{_PORTS.get(scheme, 443)}")):
            url = f"{scheme}://{place}{address.path.rstrip('/')}{target}"
            yield url
            if socket:
                yield f"{url}/"


def _signed_fields(request: Request) -> Sequence[tuple[str, str]]:
    """Give the fields that are signed beside the URL. Unsigned where the body can't be signed, or is not."""
    if request.method == "GET" or not request.body:
        return ()
    if request.header("content-type").partition(";")[0].strip().lower() == FORM:
        if not all(field.find(b"=") > 0 for field in request.body.split(b"&")):
            raise Unsigned("a field without a name or a value can't be told from its neighbour")
        try:
            return read_fields(request.body)
        except ProtocolError as error:
            raise Unsigned(str(error)) from None
    try:
        told = [value for name, value in request.asked() if name == "bodySHA256"]
    except ProtocolError as error:
        raise Unsigned(str(error)) from None
    if len(told) != 1 or not hmac.compare_digest(told[0].encode("utf-8", "replace"), body_hash(request.body)):
        raise Unsigned("the body is not signed")
    return ()


def body_hash(body: bytes) -> bytes:
    """Give what `bodySHA256` says of a body that is no form."""
    return sha256(body).hexdigest().encode()
