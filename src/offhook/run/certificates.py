"""The certificates that signed callers' identities: fetched once, kept, and never in a call's way (RFC 8224 section 6).

    want(url) ─► is it kept? ─► yes: the PEM          no ─► one task a URL ─► https, public addresses only ─► kept

A caller names the URL, so the URL is an attack until shown otherwise: https only, the port of https only, no redirect,
no address that is not public (checked where it is connected to, so a name can't be one thing now and another then),
bounded in size, time and number.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import structlog

if TYPE_CHECKING:
    import httpx2

log = structlog.get_logger("offhook.certificates")

FETCH_S: Final = 3.0
"""How long one fetch may take: a phone rings for longer."""

SIZE_LIMIT: Final = 65_536
"""Bytes of a chain of certificates; real ones have three to six thousand."""

KEPT_LIMIT: Final = 1024
"""URLs that are remembered; some hundred providers sign in the United States."""

FETCHES_LIMIT: Final = 8
"""Fetches at a time; what would be more is not fetched, and its call goes on unverified."""

KEEP_S: Final = 3600.0
"""How long a certificate is kept where the server does not say, or says more than a day."""

DAY_S: Final = 86_400.0

FORGET_S: Final = 60.0
"""How long a URL that failed is not asked again."""

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Give the addresses of a host. OSError where it has none."""


@dataclass(slots=True)
class _Kept:
    pem: bytes | None
    until: float


class Certificates:
    """What is kept. `private` lets addresses through that are not public: for a test, or a laboratory of one's own."""

    def __init__(
        self, *, tls: ssl.SSLContext | None = None, private: bool = False, resolve: Resolve | None = None
    ) -> None:
        self._tls = tls
        self._private = private
        self._resolve = resolve or _resolve
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._fetches: dict[str, asyncio.Task[None]] = {}
        self._client: httpx2.AsyncClient | None = None
        self.fetched = 0
        """How many fetches were begun."""

    def get(self, url: str) -> bytes | None:
        """Give what is kept of a URL; None where there is nothing."""
        kept = self._kept.get(url)
        if kept is None or kept.until < asyncio.get_running_loop().time():
            return None
        return kept.pem

    def known(self, url: str) -> bool:
        """Say whether asking again now would bring nothing new: it is kept, or it failed a moment ago."""
        kept = self._kept.get(url)
        return kept is not None and kept.until >= asyncio.get_running_loop().time()

    async def want(self, *urls: str) -> None:
        """Have all of `urls` fetched that are not known; returns when each has come or failed, which raises nothing."""
        tasks: list[asyncio.Task[None]] = []
        for url in urls:
            if self.known(url):
                continue
            task = self._fetches.get(url)
            if task is None:
                if len(self._fetches) >= FETCHES_LIMIT:
                    continue
                task = asyncio.get_running_loop().create_task(self._fetch(url), name="certificate")
                self._fetches[url] = task
            tasks.append(task)
        if tasks:
            await asyncio.wait(tasks)

    async def close(self) -> None:
        """End every fetch."""
        tasks = list(self._fetches.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _fetch(self, url: str) -> None:
        import httpx2

        self.fetched += 1
        pem: bytes | None = None
        keep_s = FORGET_S
        try:
            async with asyncio.timeout(FETCH_S):
                pem, keep_s = await self._get(url)
        except (OSError, TimeoutError, ValueError, httpx2.HTTPError, httpx2.InvalidURL) as error:
            why = f"{type(error).__name__}: {error}"
            log.warning("a certificate could not be had", url=url[:200], error=why[:200])
        finally:
            self._fetches.pop(url, None)
        self._kept[url] = _Kept(pem, asyncio.get_running_loop().time() + keep_s)
        self._kept.move_to_end(url)
        while len(self._kept) > KEPT_LIMIT:
            self._kept.popitem(last=False)

    async def _get(self, url: str) -> tuple[bytes, float]:
        import httpx2

        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme != "https" or not host or parts.username is not None:
            raise ValueError("certificates are fetched over https only")
        port = parts.port or 443
        if port not in (443, 8443) and not self._private:  # the two that ATIS-1000080 allows
            raise ValueError("certificates are fetched from the ports 443 and 8443 only")
        address = self._public(await self._resolve(host, port))
        if self._client is None:
            self._client = httpx2.AsyncClient(
                verify=self._tls or ssl.create_default_context(),
                follow_redirects=False,
                trust_env=False,
                # A connection is checked for the name that it was made for, and serves no other name of its address.
                limits=httpx2.Limits(max_keepalive_connections=0),
            )
        shown = f"[{address}]" if ":" in address else address
        # The address that was looked at is the one that is connected to; the certificate must be the name's.
        request = self._client.build_request(
            "GET",
            httpx2.URL(url).copy_with(host=shown),
            headers={"Host": parts.netloc, "Accept": "application/pem-certificate-chain, application/x-pem-file, */*"},
            extensions={"sni_hostname": host},
        )
        answer = await self._client.send(request, stream=True)
        with contextlib.suppress(httpx2.HTTPError):
            try:
                if answer.status_code != 200:
                    raise ValueError(f"the server answered {answer.status_code}")
                body = b""
                async for piece in answer.aiter_bytes():
                    body += piece
                    if len(body) > SIZE_LIMIT:
                        raise ValueError("it is too large for a certificate")
                return body, _age(answer.headers.get("Cache-Control", ""))
            finally:
                await answer.aclose()
        raise ValueError("the server broke off")

    def _public(self, addresses: list[str]) -> str:
        """Choose one; ValueError where any is not of the public internet: who mixes them is up to something."""
        for address in addresses:
            if not self._private and not ipaddress.ip_address(address).is_global:
                raise ValueError("it is not on the public internet")
        if not addresses:
            raise ValueError("it has no address")
        return addresses[0]


async def _resolve(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _age(cache_control: str) -> float:
    """Read how long an answer may be kept (RFC 9111 section 5.2.2.1)."""
    for piece in cache_control.lower().split(","):
        name, _, value = piece.strip().partition("=")
        if name == "max-age" and value.isascii() and value.isdigit() and len(value) < 10:
            return min(max(float(value), FORGET_S), DAY_S)
    return KEEP_S
