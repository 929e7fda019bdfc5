"""X-Twilio-Signature: who has sent a webhook or opened a media socket.

    signature(secret, URL, fields) = base64(HMAC-SHA1(secret, URL, then each name and value, sorted))

| request                  | signed                                    | not signed                                 |
|--------------------------|-------------------------------------------|--------------------------------------------|
| POST of a form           | URL and query, names and values of fields | method, headers, fields' order, spelling   |
| POST of anything else    | URL and query, in it `bodySHA256`         | method, headers                            |
| GET, websocket's opening | URL and query                             | method, headers, body (which nobody reads) |

There is no time in it: that something comes again is found by the call's name and its one-time token.

https://www.twilio.com/docs/usage/security, https://www.twilio.com/docs/voice/media-streams
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from offhook.carriers.services.http import Request, Unsigned
from offhook.carriers.services.signed import check, is_form, signed_fields, signed_query

HEADER: Final = "x-twilio-signature"


def signature(secret: str, url: str, fields: Sequence[tuple[str, str]] = ()) -> str:
    """Sign a request for `url`, `fields` being its form (none for any other body)."""
    signed = url + "".join([name + value for name, value in sorted(set(fields))])
    return b64encode(hmac.digest(secret.encode(), signed.encode("utf-8", "surrogatepass"), "sha1")).decode()


def verify(secret: str, request: Request, base: str) -> None:
    """Check that a request is signed for our public address. Unsigned where it is not."""
    fields = _fields(request) if request.header(HEADER) else ()
    check(
        request.header(HEADER), request, base, lambda url: (signature(secret, url, fields),), "twilio.token", slash=True
    )


def _fields(request: Request) -> Sequence[tuple[str, str]]:
    """Give the fields that are signed beside the URL. Unsigned where the body is not signed."""
    if request.method == "GET" or not request.body:
        return ()
    if is_form(request):
        return signed_fields(request)
    told = [value for name, value in signed_query(request) if name == "bodySHA256"]
    if len(told) != 1 or not hmac.compare_digest(told[0].encode("utf-8", "replace"), body_hash(request.body)):
        raise Unsigned("the body is not signed")
    return ()


def body_hash(body: bytes) -> bytes:
    """Give what `bodySHA256` says of a body that is no form."""
    return sha256(body).hexdigest().encode()
