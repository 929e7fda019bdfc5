"""Webhooks of managed services by HTTP, beside the pages: one listener for all, as one public address needs.

    /services/NAME/voice, /services/NAME/KEY/status … ─► Request ─► Switchboard.hook ─► Response
    /services/NAME/media/TOKEN, a websocket ─► console.sockets               anything else ─► the pages

Law: a body is bounded before it is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from offhook.carriers.services.http import Request, Response
from offhook.run.services import Switchboard

PATH: Final = "/services/"

BODY_LIMIT: Final = 256 * 1024
"""Bytes of a webhook; the longest are those that tell of a call's quality, some 20 KiB."""


class Hooks:
    """An ASGI application: webhooks, and behind them the pages; `plain` is what is answered by path alone."""

    def __init__(self, board: Switchboard, pages: Any, plain: Mapping[str, Response]) -> None:
        self._board = board
        self._pages = pages
        self._plain = plain

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        path = str(scope.get("path", ""))
        if scope["type"] != "http" or not path.startswith(PATH):
            await self._pages(scope, receive, send)
            return
        if (plain := self._plain.get(path)) is not None:
            await _give(send, plain)
            return
        body = await _body(receive)
        if body is None:
            await _give(send, Response(413))
            return
        query = bytes(scope.get("query_string", b"")).decode("latin-1")
        raw = bytes(scope.get("raw_path") or path.encode()).decode("latin-1")
        client = scope.get("client")
        request = Request(
            scope["method"],
            f"{raw}?{query}" if query else raw,
            _headers(scope["headers"]),
            body,
            str(client[0]) if client else "",
        )
        name, _, rest = path.removeprefix(PATH).partition("/")
        await _give(send, await self._board.hook(name, rest, request))


def _headers(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    out: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        out[key] = f"{out[key]}, {text}" if key in out else text
    return out


async def _body(receive: Any) -> bytes | None:
    data = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        data += message.get("body", b"")
        if len(data) > BODY_LIMIT:
            return None
        if not message.get("more_body", False):
            return data


async def _give(send: Any, response: Response) -> None:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items()]
    if response.content_type:
        headers.append((b"content-type", response.content_type.encode("latin-1")))
    headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
