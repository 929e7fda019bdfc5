"""X-Plivo-Signature-V3: who has sent a webhook or opened a media socket.

    base      = URL without query ?sorted k=v, joined by &                                   of a GET
              = URL without query ?sorted k=v, joined by & . sorted names and values         of a POST
    signature = base64(HMAC-SHA256(token, base.nonce))                  several, with commas between, may be sent

| request                  | signed                                              | not signed                       |
|--------------------------|-----------------------------------------------------|----------------------------------|
| POST of a form           | URL, fields of its query, fields of the form, nonce | headers; fields' order, spelling |
| GET, websocket's opening | URL, fields of its query, nonce                     | the same, and a body             |

There is no time in it: that something comes again is found by the call's name and its one-time token. Plivo signs a
socket's URL with one scheme or another, and may put a word of its own server's behind it; each is tried.

https://www.plivo.com/docs/voice/concepts/signature-validation
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Sequence
from typing import Final

from offhook.carriers.services.http import Request, Unsigned
from offhook.carriers.services.signed import check, is_form, is_socket, signed_fields, signed_query

HEADER: Final = "x-plivo-signature-v3"
MAIN: Final = "x-plivo-signature-ma-v3"
"""What the main account signs with, where a subaccount has the call."""

NONCE: Final = "x-plivo-signature-v3-nonce"

Fields = Sequence[tuple[str, str]]


def signature(token: str, url: str, query: Fields, form: Fields | None, nonce: str) -> str:
    """Sign a request for `url`, which has no query; `form` is None where it is a GET."""
    base = url
    if query or form:
        base += "?" + "&".join([f"{name}={value}" for name, value in sorted(query)])
    if form:
        base += ("." if query else "") + "".join([name + value for name, value in sorted(form)])
    return b64encode(hmac.digest(token.encode(), f"{base}.{nonce}".encode("utf-8", "replace"), "sha256")).decode()


def verify(token: str, request: Request, base: str) -> None:
    """Check that a request is Plivo's. Unsigned where it is not."""
    given = ",".join([one for one in (request.header(HEADER), request.header(MAIN)) if one])
    nonce = request.header(NONCE)
    if not given or not nonce:
        raise Unsigned("no signature", 401, "the request does not come from Plivo, or a proxy drops its headers")
    query = signed_query(request)
    form: Fields | None = None
    if request.method != "GET":
        if request.body and not is_form(request):
            raise Unsigned("the body is not signed: it is no form")
        form = signed_fields(request)

    def sign(url: str) -> Sequence[str]:
        place = url.partition("?")[0]
        places = [place]
        if is_socket(request):
            plain = f"http://{place.partition('://')[2]}"
            places += [f"{place}/websocket", plain, f"{plain}/websocket"]
        return [signature(token, one, query, form, nonce) for one in places]

    check(given, request, base, sign, "plivo.auth_token", several=True)
