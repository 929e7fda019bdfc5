"""A fake service's own side over real HTTP and websockets, for an offhook that runs as a process of its own.

async with served(fake) as base: …         base is http://127.0.0.1:PORT
offhook ── requests to its API ─► fake.api          ── sockets that offhook opens ─► fake.dialled
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from offhook.carriers.services.http import ApiCall, ApiReply
from offhook.carriers.services.stream import Frame
from offhook.carriers.stream import Wire
from offhook.core.errors import Unreachable
from offhook.run.services import Api, Dial


class _Ours:
    """The far end of a socket that came in: what the fake tells goes out there."""

    def __init__(self) -> None:
        self.out: asyncio.Queue[Frame | None] = asyncio.Queue()
        self.wire: Wire | None = None
        self.taken = asyncio.Event()

    def opened(self, wire: Wire) -> None:
        """Hear that the fake has taken it."""
        self.wire = wire
        self.taken.set()

    def heard(self, frame: Frame) -> None:
        """Take a message of the fake's."""
        self.out.put_nowait(frame)

    def closed(self) -> None:
        """Hear that the fake has closed it."""
        self.out.put_nowait(None)


@asynccontextmanager
async def served(ask: Api, dial: Dial) -> AsyncGenerator[str]:
    """Serve the API of a fake on this machine, and take sockets; give where."""

    async def app(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        query = scope["query_string"].decode("latin-1")
        url = f"http://fake{scope['path']}" + (f"?{query}" if query else "")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if scope["type"] == "http":
            body = b""
            while (piece := await receive()) and piece.get("more_body", False):
                body += piece["body"]
            reply = ApiReply(404)
            if scope["method"] != "HEAD":  # that is the doctor, who looks whether it is there and what time it has
                reply = await ask(ApiCall(scope["method"], url, headers, body + piece.get("body", b"")))
            await send({"type": "http.response.start", "status": reply.status, "headers": []})
            await send({"type": "http.response.body", "body": reply.body})
        elif scope["type"] == "websocket":
            await receive()
            await _socket(dial, ApiCall("GET", url, headers), receive, send)

    bound = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", ws="websockets-sansio"))
    serving = asyncio.create_task(server.serve(sockets=[bound]), name="a served fake")
    try:
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


async def _socket(dial: Dial, order: ApiCall, receive: Any, send: Any) -> None:
    ours = _Ours()
    await send({"type": "websocket.accept"})

    async def speak() -> None:
        while (frame := await ours.out.get()) is not None:
            await send({"type": "websocket.send", "text" if isinstance(frame, str) else "bytes": frame})
        await send({"type": "websocket.close", "code": 1000})

    async def hear() -> None:
        await ours.taken.wait()  # what was sent before waits, too
        while (event := await receive())["type"] != "websocket.disconnect":
            if ours.wire is not None:
                ours.wire.send(event.get("text") or event.get("bytes") or "")
        if ours.wire is not None:
            ours.wire.close()

    hearing = asyncio.create_task(hear())
    speaking = asyncio.create_task(speak())
    try:
        await dial(order, ours)
        await speaking
    except Unreachable:
        await send({"type": "websocket.close", "code": 1008})
    finally:
        hearing.cancel()
        speaking.cancel()
