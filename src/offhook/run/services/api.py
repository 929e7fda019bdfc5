"""Requests to the services' APIs: one client, whose hosts are those of the configuration and no other.

ApiCall ─► the host is a service's? ─► HTTPS ─► ApiReply                  429 ─► once more, after what it says
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Final
from urllib.parse import urlsplit

import httpx2

from offhook.carriers.services.http import ApiCall, ApiReply
from offhook.carriers.services.service import Service
from offhook.core.errors import Unreachable

TIMEOUT_S: Final = 8.0
"""How long a service may take to answer: a caller waits."""

AGAIN_S: Final = 2.0
"""How long it may ask us to wait before we ask again, at most."""

REPLY_LIMIT: Final = 1024 * 1024


class HttpApi:
    """Asks the APIs of `services`. Use as an async context manager; call it with an `ApiCall`."""

    def __init__(self, services: Sequence[Service]) -> None:
        self._places = places(services)
        self._client = httpx2.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False)

    async def __aenter__(self) -> HttpApi:
        """Open the client."""
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self._client.__aexit__(kind, error, trace)

    async def __call__(self, order: ApiCall) -> ApiReply:
        """Ask. Unreachable where nothing answers in time, or the address is no service's."""
        if place(order.url) not in self._places:
            raise Unreachable(f"{urlsplit(order.url).hostname} is not the API of a service that is configured")
        reply = await self._once(order)
        if reply.status == 429:
            wait_s = AGAIN_S
            with suppress(ValueError):
                wait_s = float(reply.headers.get("retry-after", ""))
            if 0 <= wait_s <= AGAIN_S:
                await asyncio.sleep(wait_s)
                reply = await self._once(order)
        return reply

    async def _once(self, order: ApiCall) -> ApiReply:
        try:
            found = await self._client.request(
                order.method, order.url, headers=dict(order.headers), content=order.body or None
            )
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise Unreachable(f"{urlsplit(order.url).hostname}: {error or type(error).__name__}") from None
        headers = {name.lower(): value for name, value in found.headers.items()}
        return ApiReply(found.status_code, found.content[:REPLY_LIMIT], headers)


def places(services: Sequence[Service]) -> frozenset[tuple[str, str]]:
    """Give where services may be asked, and sockets to them be opened: nowhere but at their APIs."""
    return frozenset(place(service.api) for service in services if service.api)


def place(url: str) -> tuple[str, str]:
    """Give who would be asked, and whether in secret: a socket goes to the same place as a request."""
    parts = urlsplit(url)
    scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
    return scheme, parts.netloc.rpartition("@")[2].lower()
