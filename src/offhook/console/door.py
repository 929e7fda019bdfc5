"""The web door: a page with a button, and calls from pages over HTTP.

    GET /          the page, with a token for one call         (and GET /token, for pages of `web.origins`)
    POST /calls    an SDP offer and the token ─► 201, our answer, Location         RFC 9725's ways, but media goes both
    GET Location   what is said, as it is said (server-sent events)     DELETE Location   hang up

Laws: nobody calls without a token that was given to a page of ours or of an origin that is allowed; what is asked under
a name that is none of ours is refused, so that no foreign page can make a browser ask for it (DNS rebinding); how many
call at a time is bounded here and by the host's own admission.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from functools import partial
from importlib.resources import files
from ipaddress import ip_address, ip_network
from typing import Any, Final

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse

from offhook.carriers.services.service import Direct, Service
from offhook.console.pages import Page, Pages, Tokens
from offhook.console.patience import Patience
from offhook.console.services import Opened
from offhook.core.errors import ConfigError, DialFailed, ProtocolError
from offhook.run.config import Web, is_loopback, parse_address
from offhook.run.host import Host
from offhook.run.services import Switchboard
from offhook.run.services.here import LISTEN
from offhook.sip.grammar import write_host_port
from offhook.sip.sdp import parse_sdp

OFFER_LIMIT: Final = 64 * 1024
"""Bytes of an offer: browsers send some 4 KiB for audio."""

ANSWER_S: Final = 60.0
"""How long a page waits for an agent that answers when it likes; then it is refused."""

STATUS: Final = {400: 400, 403: 403, 404: 404, 413: 413, 488: 422, 603: 403}
"""What a SIP code is in HTTP; whatever else there is says that another moment may be better (503)."""


def web_door(
    rules: Web, services: Sequence[Service | Direct] = (), say: Callable[[str], None] = lambda line: None
) -> Callable[[Host], AbstractAsyncContextManager[str]]:
    """Give what opens the door to a host: for pages, and for `services`, whose calls come by the same listener."""
    return partial(_open, rules, services, say)


@asynccontextmanager
async def _open(
    rules: Web, services: Sequence[Service | Direct], say: Callable[[str], None], host: Host
) -> AsyncGenerator[str]:
    async with AsyncExitStack() as stack:
        app: Any = make_app(WebDoor(rules, host))
        sockets: Any = "none"
        if services:
            opened = await stack.enter_async_context(Opened(rules, services, say, host))
            if rules.listen is None and not opened.by_http:
                yield opened.places
                return
            app, sockets = opened.hooks(app), opened.socket
        yield await stack.enter_async_context(_serve(rules, app, sockets))


@asynccontextmanager
async def outward_door(
    rules: Web, services: Sequence[Service | Direct], host: Host, say: Callable[[str], None]
) -> AsyncGenerator[Switchboard]:
    """Open the door for `services` alone, that they may place calls for us; there are no pages behind it."""
    async with Opened(rules, services, say, host, outward=True) as opened:
        nobody = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        async with _serve(rules, opened.hooks(nobody), opened.socket):
            yield opened.board


@asynccontextmanager
async def _serve(rules: Web, app: Any, sockets: Any) -> AsyncGenerator[str]:
    listen = rules.listen or LISTEN
    address = parse_address(listen)
    try:
        bound = socket.create_server(address, family=socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    except OSError as error:
        raise ConfigError(f"can't listen on http {listen}: {error.strerror or error}") from None
    ip, port = bound.getsockname()[:2]
    server = _Server(
        uvicorn.Config(
            app,
            http=Patience,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            ws=sockets,
            timeout_graceful_shutdown=1,
            ssl_certfile=rules.certificate,
            ssl_keyfile=rules.key,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[bound]), name="web door")
    try:
        await server.up.wait()
        yield f"{'http' if rules.certificate is None else 'https'}://{write_host_port(ip, port)}"
    finally:
        server.should_exit = True
        await serving
        bound.close()


class _Server(uvicorn.Server):
    """A server whose signals are the host's."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


class WebDoor:
    """What is answered to whom."""

    def __init__(self, rules: Web, host: Host) -> None:
        self._rules = rules
        self._host = host
        self._origins = frozenset(rules.origins)
        self._names = frozenset(origin.partition("://")[2] for origin in rules.origins)
        # Who may come: with TLS anybody, else those that are named, else this machine.
        open_to_all = rules.allow is None and rules.certificate is not None
        self._networks = None if open_to_all else (*map(str, rules.allow or ()), "127.0.0.0/8", "::1/128")
        self.tokens = Tokens()
        self.pages = Pages()
        self._text = files("offhook.console").joinpath("page.html").read_text(encoding="utf-8")

    # Who asks

    def refusal(self, request: Request) -> Response | None:
        """Give what answers a request that may not be; None where it may."""
        ip = _ip(request)
        if self._networks is not None and not any(_inside(ip, network) for network in self._networks):
            return _problem(403, "this network is not in web.allow")
        if not self._is_ours(request.headers.get("host", "")):
            return _problem(403, "this name is not ours: add its origin to web.origins")
        origin = request.headers.get("origin")
        if origin is not None and origin.lower() not in (*self._origins, _own(request)):
            return _problem(403, "this origin is not in web.origins")
        return None

    def _is_ours(self, host: str) -> bool:
        name = host.lower()
        if name in self._names:
            return True
        bare = name.rpartition(":")[0] if name.rpartition(":")[2].isdigit() else name
        if bare == "localhost":
            return True
        with suppress(ValueError):
            ip_address(bare.strip("[]"))
            return True
        return False

    # What is asked

    async def page(self, request: Request) -> Response:
        """Give the page."""
        nonce = secrets.token_urlsafe(16)
        text = self._text.replace("{{nonce}}", nonce).replace("{{token}}", self.tokens.give())
        ancestors = " ".join(["'self'", *sorted(self._origins)])
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; "
            "media-src blob: mediastream:; img-src data:; base-uri 'none'; form-action 'none'; "
            f"frame-ancestors {ancestors}"
        )
        headers = {"Content-Security-Policy": policy, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
        return HTMLResponse(text, headers={**headers, "X-Content-Type-Options": "nosniff"})

    async def token(self, request: Request) -> Response:
        """Give a token for one call."""
        return JSONResponse({"token": self.tokens.give()}, headers={"Cache-Control": "no-store"})

    async def call(self, request: Request) -> Response:
        """Take a call."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not self.tokens.take(token):
            return _problem(
                401, "the token was used or is too old: load the page again", {"WWW-Authenticate": "Bearer"}
            )
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/sdp":
            return _problem(415, "an offer is application/sdp", {"Accept-Post": "application/sdp"})
        data = await _read(request)
        if data is None:
            return _problem(413, "the offer is too long")
        if len(self.pages) >= self._rules.calls:
            return self._busy("all lines are busy")
        try:
            return await self._take(data, request)
        except ProtocolError as error:
            return self._refused(error.code, str(error))
        except DialFailed as error:
            return self._refused(error.code, error.meaning)
        except OSError:
            return self._busy("no port is free")

    async def _take(self, data: bytes, request: Request) -> Response:
        server = request.scope.get("server")
        local_ip = str(server[0]) if server else "127.0.0.1"
        rules = self._rules
        leg = self._host.offered(
            parse_sdp(data), remote_ip=_ip(request), local_ip=_plain(local_ip), called=rules.called
        )
        page = self.pages.open(leg, self._host.taps)
        try:
            async with asyncio.timeout(ANSWER_S):
                body = await leg.answer_body()
        except (TimeoutError, asyncio.CancelledError):
            await leg.hangup(480)
            return self._busy("nobody answered")
        headers = {"Location": f"/calls/{page.key}", "Next-Token": self.tokens.give(), "Cache-Control": "no-store"}
        return Response(bytes(body), 201, headers, media_type="application/sdp")

    async def hang_up(self, request: Request) -> Response:
        """End a call."""
        page = self.pages.find(request.path_params["key"])
        if page is None:
            return _problem(404, "there is no such call")
        page.leg.left()
        return Response(status_code=200)

    async def listen(self, request: Request) -> Response:
        """Tell what is said in a call."""
        page = self.pages.find(request.path_params["key"])
        if page is None:
            return _problem(404, "there is no such call")
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(_told(page), media_type="text/event-stream", headers=headers)

    async def unable(self, request: Request) -> Response:
        """Refuse a PATCH: candidates are all in the offer, and ICE does not begin anew (RFC 9725 section 4.3)."""
        return _problem(405, "offers are whole: there is nothing to patch", {"Allow": "GET, DELETE"})

    def _refused(self, code: int, why: str) -> Response:
        status = STATUS.get(code)
        return self._busy(why) if status is None else _problem(status, why)

    def _busy(self, why: str) -> Response:
        return _problem(503, why, {"Retry-After": str(1 + secrets.randbelow(10))})

    def cors(self, request: Request) -> dict[str, str]:
        """Give the headers for a page of an origin that is allowed."""
        origin = request.headers.get("origin", "").lower()
        if origin not in self._origins:
            return {}
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Methods": "GET, POST, DELETE",
            "Access-Control-Allow-Headers": "Authorization, Content-Type",
            "Access-Control-Expose-Headers": "Location, Next-Token, Retry-After",
            "Vary": "Origin",
        }


def make_app(door: WebDoor) -> FastAPI:
    """Make the application of a door."""
    app = FastAPI(title="offhook", docs_url=None, redoc_url=None, openapi_url=None)

    async def preflight(request: Request) -> Response:
        return Response(status_code=204, headers={"Accept-Post": "application/sdp"})

    routes: Sequence[tuple[str, str, Callable[[Request], object]]] = (
        ("/", "GET", door.page),
        ("/token", "GET", door.token),
        ("/calls", "POST", door.call),
        ("/calls", "OPTIONS", preflight),
        ("/token", "OPTIONS", preflight),
        ("/calls/{key}", "OPTIONS", preflight),
        ("/calls/{key}", "DELETE", door.hang_up),
        ("/calls/{key}", "GET", door.listen),
        ("/calls/{key}", "PATCH", door.unable),
    )
    for path, method, answer in routes:
        app.add_api_route(path, _guarded(door, answer), methods=[method], response_model=None)
    return app


def _guarded(door: WebDoor, answer: Callable[[Request], object]) -> Callable[[Request], object]:
    async def guarded(request: Request) -> Response:
        response = door.refusal(request)
        if response is None:
            response = await answer(request)  # type: ignore[misc]
            assert isinstance(response, Response)
        response.headers.update(door.cors(request))
        return response

    guarded.__annotations__ = {"request": Request, "return": Response}  # FastAPI reads them, not as texts
    return guarded


async def _told(page: Page) -> AsyncIterator[str]:
    while (line := await page.next()) is not None:
        yield line


async def _read(request: Request) -> bytes | None:
    data = b""
    async for piece in request.stream():
        data += piece
        if len(data) > OFFER_LIMIT:
            return None
    return data


def _problem(status: int, why: str, headers: dict[str, str] | None = None) -> Response:
    body = {"title": why, "status": status}
    return JSONResponse(body, status, headers, media_type="application/problem+json")


def _own(request: Request) -> str:
    return f"{request.url.scheme}://{request.headers.get('host', '')}".lower()


def _ip(request: Request) -> str:
    return _plain(request.client.host if request.client is not None else "127.0.0.1")


def _plain(ip: str) -> str:
    """Give an address without IPv6's clothes round IPv4."""
    return ip.removeprefix("::ffff:") if "." in ip else ip


def _inside(ip: str, network: str) -> bool:
    return is_loopback(ip) or ip_address(ip) in ip_network(network)
