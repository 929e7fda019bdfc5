"""A server that runs somewhere, for a fake service: its webhooks and media sockets over real HTTP and websockets.

FakeTwilio("http://127.0.0.1:8080") ─► RemoteBoard ─► POST /services/twilio/voice …, ws://…/services/twilio/media/…
"""

from __future__ import annotations

import asyncio
from typing import Final

import httpx2
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from offhook.carriers.services.http import Request, Response
from offhook.carriers.services.stream import Frame
from offhook.carriers.stream import Wire

TIMEOUT_S: Final = 15.0
"""How long services wait for an answer."""


class RemoteBoard:
    """What a `Switchboard` is to a fake, at `base`."""

    def __init__(self, base: str) -> None:
        self._base = base.rstrip("/")

    async def hook(self, name: str, rest: str, request: Request) -> Response:
        """Send a webhook."""
        async with httpx2.AsyncClient(timeout=TIMEOUT_S) as client:
            url = self._base + request.target
            found = await client.request(
                request.method, url, headers=dict(request.headers), content=request.body or None
            )
        return Response(found.status_code, found.content, found.headers.get("content-type", ""))

    def socket(self, name: str, token: str, request: Request) -> RemoteVisit | RemoteConnection:
        """Open a media socket; a target without a path is a place for TCP."""
        if not request.target.startswith("/"):
            return RemoteConnection(request.target)
        headers = {key: value for key, value in request.headers.items() if key not in ("upgrade", "connection")}
        return RemoteVisit("ws" + self._base.removeprefix("http") + request.target, headers)


class RemoteVisit:
    """One media socket."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self._url = url
        self._headers = headers
        self._going: asyncio.Queue[Frame | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    def opened(self, wire: Wire) -> None:
        """Open it."""
        self._task = asyncio.get_running_loop().create_task(self._live(wire))

    def heard(self, frame: Frame) -> None:
        """Send a message."""
        self._going.put_nowait(frame)

    def closed(self) -> None:
        """Close it, behind what was sent."""
        self._going.put_nowait(None)

    async def _live(self, wire: Wire) -> None:
        try:
            async with connect(self._url, additional_headers=self._headers, compression=None) as socket:
                sending = asyncio.create_task(self._send(socket))
                try:
                    async for frame in socket:
                        wire.send(frame)
                finally:
                    sending.cancel()
        except (InvalidHandshake, ConnectionClosed, OSError):
            pass
        wire.close()

    async def _send(self, socket: ClientConnection) -> None:
        while (frame := await self._going.get()) is not None:
            await socket.send(frame)
        await socket.close()


class RemoteConnection(asyncio.Protocol):
    """One connection over TCP, to `place` (HOST:PORT)."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._waiting: list[bytes] = []
        self._wire: Wire | None = None
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None

    def opened(self, wire: Wire) -> None:
        """Open it."""
        self._wire = wire
        self._task = asyncio.get_running_loop().create_task(self._open())

    async def _open(self) -> None:
        host, _, port = self._place.rpartition(":")
        transport, _ = await asyncio.get_running_loop().create_connection(lambda: self, host, int(port))
        self._transport = transport
        transport.writelines(self._waiting)

    def heard(self, frame: Frame) -> None:
        """Send a frame."""
        assert isinstance(frame, bytes)
        if self._transport is None:
            self._waiting.append(frame)
        else:
            self._transport.write(frame)

    def closed(self) -> None:
        """Close it, behind what was sent."""
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        if self._wire is not None:
            self._wire.send(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go."""
        if self._wire is not None:
            self._wire.close()
