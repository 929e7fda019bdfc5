"""The opening of a media socket, where a service does not sign it but brings along what we have told it.

    bearer(secret, URL) ─► the control document or command ─► the service ─► the opening's header ─► verify

The bearer is made of our own secret and the socket's URL, whose path has a one-time token: it is good for that socket
alone, and nobody keeps it.
"""

from __future__ import annotations

import hmac

from offhook.carriers.services.http import Request, Unsigned
from offhook.carriers.services.signed import urls


def bearer(secret: str, url: str) -> str:
    """Give what is to be brought along to a socket."""
    return hmac.digest(secret.encode(), f"socket {url}".encode(), "sha256").hex()


def verify(secret: str, given: str, request: Request, base: str) -> None:
    """Check that what was brought along is ours. Unsigned where it is not."""
    if not given:
        raise Unsigned("no bearer", 401, "it does not come from the service, or a proxy drops its headers")
    made = [bearer(secret, url).encode() for url in urls(base, request.target, socket=True)]
    if not any(hmac.compare_digest(given.encode("utf-8", "replace"), one) for one in made):
        raise Unsigned("the bearer is wrong", 403, "a proxy rewrites the path, or the public address has changed")
