"""The door for managed services: webhooks and media sockets on the listener of the pages, and what is said of them.

Opened ─► HttpApi, Switchboard ─► hooks (ASGI) and sockets for uvicorn
└► the URLs to paste ─► said; asked for from outside ─► "they can be reached", or why not
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Any, Final
from urllib.parse import urlsplit

from offhook.carriers.services.direct import AudioSocket
from offhook.carriers.services.http import Request, Response
from offhook.carriers.services.service import Direct, Evented, Service, is_near
from offhook.carriers.services.table import SERVICES
from offhook.console.hooks import Hooks
from offhook.console.sockets import MediaSocket
from offhook.core.errors import ConfigError
from offhook.run.config import Web, parse_address
from offhook.run.host import Host
from offhook.run.services import Switchboard
from offhook.run.services.api import HttpApi
from offhook.run.services.dialled import Sockets
from offhook.run.services.direct import DirectVisit
from offhook.run.services.here import HERE, LISTEN, PROXY, Trouble, asked
from offhook.run.services.tcp import FramedSocket

SPARE: Final = 50
"""Media sockets beside those of the calls that may be up: strangers, and services between two of theirs."""


class Opened:
    """The services of one host, open; where they only place calls for us (`outward`) there is nothing to paste."""

    def __init__(
        self,
        rules: Web,
        services: Sequence[Service | Direct],
        say: Callable[[str], None],
        host: Host,
        *,
        outward: bool = False,
    ) -> None:
        self._public = _public(rules, services)
        self._services = services
        self._say = say
        self._host = host
        self._stack = AsyncExitStack()
        self._open: list[MediaSocket] = []
        self._nonce = secrets.token_urlsafe(16)
        self._outward = outward
        self._board: Switchboard
        self._looking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Opened:
        """Open the client of the APIs, and say what is to be pasted where."""
        asked = [service for service in self._services if not isinstance(service, Direct)]
        api = await self._stack.enter_async_context(HttpApi(asked))
        self._board = Switchboard(self._host, self._services, self._public, api, Sockets(asked), say=self._say)
        for service in () if self._outward else self._services:
            for where, kind in SERVICES[service.name].paste:
                base = self._board.sockets if kind.startswith("media/") else self._public
                self._say(f"{service.name}: {where}: {base}/services/{service.name}/{kind}")
            if isinstance(service, Evented):
                for line in service.paste():
                    self._say(f"{service.name}: {line}")
            if isinstance(service, AudioSocket):
                await self._stack.enter_async_context(self._connections(service))
        self._board.open()
        if self.by_http:
            self._looking = asyncio.create_task(self._look(), name="looking at ourselves from outside")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all that is open."""
        if self._looking is not None:
            self._looking.cancel()
        for socket in list(self._open):
            socket.close()
        await self._board.close()
        await self._stack.aclose()

    @property
    def by_http(self) -> bool:
        """Whether any of them comes by HTTP or by a websocket."""
        return any(not isinstance(service, AudioSocket) for service in self._services)

    @property
    def places(self) -> str:
        """Where the others come in."""
        return " ".join([f"tcp://{one.listen}" for one in self._services if isinstance(one, AudioSocket)])

    @property
    def board(self) -> Switchboard:
        """What the services are for the host."""
        return self._board

    @asynccontextmanager
    async def _connections(self, service: AudioSocket) -> AsyncGenerator[None]:
        """Take the connections of an Asterisk."""
        ip, port = parse_address(service.listen)

        open_now: set[FramedSocket] = set()

        def let_in(peer: str) -> DirectVisit | Response:
            return self._board.straight(service, Request("GET", "", peer=peer))

        def connected() -> FramedSocket:
            return FramedSocket(let_in, open_now, self._host.rules.max_calls + SPARE)

        try:
            server = await asyncio.get_running_loop().create_server(connected, ip, port)
        except OSError as error:
            raise ConfigError(f"can't listen on {service.listen}: {error.strerror or error}") from None
        self._say(f"{service.name}: AudioSocket(${{UUID}},{service.listen})")
        async with server:
            yield

    def hooks(self, pages: Any) -> Hooks:
        """Give the application, behind which the pages are."""
        return Hooks(self._board, pages, {HERE: Response(200, self._nonce.encode(), "text/plain")})

    def socket(self, **given: Any) -> MediaSocket:
        """Make the protocol of a connection that asks for a websocket; uvicorn gives it what it needs not."""
        return MediaSocket(self._board, self._open, self._host.rules.max_calls + SPARE)

    async def _look(self) -> None:
        self._say(await reached(self._public, self._nonce))


def _public(rules: Web, services: Sequence[Service | Direct]) -> str:
    """Give our public address. ConfigError where a service needs one that is not there, or another."""
    if rules.public_url is None:
        if all(is_near(service) for service in services):
            return f"http://{rules.listen or LISTEN}"
        raise ConfigError(
            "services need to know where they find us: set web.public_url (or --public) to the address that leads "
            "to this machine from outside, as in https://agent.example"
        )
    parts = urlsplit(rules.public_url)
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise ConfigError(f"web.public_url = {rules.public_url}: services call and open sockets by https alone")
    return rules.public_url


async def reached(public: str, nonce: str) -> str:
    """Say whether our public address leads here, and what to do where it does not."""
    await asyncio.sleep(0)  # the listener is bound, and begins to answer now
    found = await asked("GET", f"{public}{HERE}")
    if isinstance(found, Trouble):
        return f"{public} does not answer: {found.why}; services can't reach it either: {found.fix}"
    if found.status_code == 200 and found.text == nonce:
        return f"{public} leads here: services can call"
    return f"{public} is answered by something else ({found.status_code} for {HERE}): {PROXY}"
