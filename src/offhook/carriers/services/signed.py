"""Requests that a service has signed together with their URL: what those schemes share, whatever they sign with.

    the header ─┐
    our public address + target ─► the ways to write that URL ─► sign ─► one of them is the header, or Unsigned

A service writes a port or leaves it away as it likes, and some a slash behind a socket's URL; each way is tried. The
address is the one that is configured: what a request says of where it went serves for a hint to the operator alone.

Where names and values of a form are signed one behind the other, a field without a name or a `=` could be taken for a
part of its neighbour: such a form is refused.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final
from urllib.parse import urlsplit

from offhook.carriers.services.http import Request, Unsigned, read_fields
from offhook.core.errors import ProtocolError

FORM: Final = "application/x-www-form-urlencoded"
_PORTS: Final = {"https": 443, "http": 80, "wss": 443, "ws": 80}
_HOST: Final = re.compile(r"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?", re.ASCII)
_SOCKETS: Final = {"https": "wss", "http": "ws"}

Sign = Callable[[str], Sequence[str]]
"""Gives the signatures that a URL may have."""


def check(
    given: str, request: Request, base: str, sign: Sign, secret: str, *, slash: bool = False, several: bool = False
) -> None:
    """Check that `given` signs a request for our public address. Unsigned where it does not.

    `secret` is the key in the configuration that it is signed by, for whoever reads why it was refused.
    `slash`: the service may write one behind the URL of a socket. `several`: signatures with commas between may be
    given, of which one must be right.
    """
    if not given:
        raise Unsigned("no signature", 401, "the request does not come from the service, or a proxy drops its headers")
    told = [one.strip().encode("utf-8", "replace") for one in (given.split(",")[:8] if several else [given])]
    socket = is_socket(request)

    def signed_for(address: str) -> bool:
        made = [one.encode() for url in urls(address, request.target, socket=socket, slash=slash) for one in sign(url)]
        return any(hmac.compare_digest(ours, theirs) for ours in made for theirs in told)

    if signed_for(base):
        return
    host = request.header("x-forwarded-host") or request.header("host")
    for address in (f"https://{host}", f"http://{host}") if _HOST.fullmatch(host) else ():
        if signed_for(address):
            raise Unsigned("signed for another address", 403, f"it is signed for {address}: set web.public_url to that")
    hint = f"services.{secret} is another account's, or its console has another address than {base}/services/…"
    raise Unsigned("the signature is wrong", 403, hint)


def is_socket(request: Request) -> bool:
    """Whether a request opens a websocket."""
    return request.method == "GET" and request.header("upgrade").lower() == "websocket"


def urls(base: str, target: str, *, socket: bool = False, slash: bool = False) -> Iterator[str]:
    """Give the ways in which a service may have written the URL of `target` at the address `base`."""
    address = urlsplit(base)
    host = address.netloc.rpartition("@")[2]
    bare = host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
    for scheme in (_SOCKETS.get(address.scheme, address.scheme), address.scheme) if socket else (address.scheme,):
        for place in dict.fromkeys((host, bare, f"{bare}:{_PORTS.get(scheme, 443)}")):
            url = f"{scheme}://{place}{address.path.rstrip('/')}{target}"
            yield url
            if socket and slash:
                yield f"{url}/"


def is_form(request: Request) -> bool:
    """Whether a request says that its body is a form."""
    return request.header("content-type").partition(";")[0].strip().lower() == FORM


def signed_fields(request: Request) -> list[tuple[str, str]]:
    """Give the fields of a form that is to be verified. Unsigned where one can't be told from its neighbour."""
    if request.body and not all(field.find(b"=") > 0 for field in request.body.split(b"&")):
        raise Unsigned("a field without a name or a value can't be told from its neighbour")
    try:
        return request.fields() if request.body else []
    except ProtocolError as error:
        raise Unsigned(str(error)) from None


def signed_query(request: Request) -> list[tuple[str, str]]:
    """Give the fields of a query that is to be verified. Unsigned where it is none."""
    try:
        return read_fields(request.query.encode("latin-1", "replace"))
    except ProtocolError as error:
        raise Unsigned(str(error)) from None
