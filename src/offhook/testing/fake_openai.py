"""A fake of OpenAI's HTTP API, on a real socket: for tests of what speaks to one.

    async with FakeOpenAi(heard=…, says=…) as server:
        Stt(server.url, key=server.key)

It takes multipart audio, streams PCM and server-sent events as the real ones do, keeps what it was asked in `requests`,
and refuses another key with 401 and another model with 404. It knows one connection's request at a time and no HTTP
beyond that.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from types import TracebackType
from typing import Any

Headers = dict[str, str]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: its path, headers (names in lower case) and body (parsed where it is JSON or multipart)."""

    path: str
    headers: Headers
    fields: dict[str, Any]


def _one_second_of_a_tone(text: str) -> bytes:
    return (b"\x00\x10" * 120 + b"\x00\xf0" * 120) * 100


@dataclass
class FakeOpenAi:
    """The server. `heard` makes a transcript of a WAV file, `says` speech (24 kHz PCM) of a text, `answers` replies."""

    heard: Callable[[bytes], str] = lambda wav: f"{len(wav)} bytes"
    says: Callable[[str], bytes] = _one_second_of_a_tone
    answers: Callable[[list[dict[str, Any]]], str] = lambda messages: "Hello, this is a fake."
    models: tuple[str, ...] = ("fake-stt", "fake-tts", "fake-llm")
    key: str = "a-fake-key"
    failing: int = 0
    """The status that every request but the list of models gets, 0 for none."""
    requests: list[Asked] = field(default_factory=list[Asked])
    port: int = 0
    _server: asyncio.Server | None = None
    _open: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    @property
    def url(self) -> str:
        """The base URL, once started."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def __aenter__(self) -> FakeOpenAi:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.set_name("fake server")
        self._open.add(task)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                while True:
                    await self._one(reader, writer)
        finally:
            self._open.discard(task)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        line, _, rest = head.partition(b"\r\n")
        _, target, _ = line.decode().split(" ")
        headers = {name.lower(): value for name, value in BytesParser(policy=HTTP).parsebytes(rest).items()}
        body = await _body(reader, headers)
        asked = Asked(target.removeprefix("/v1"), headers, _fields(headers, body))
        self.requests.append(asked)
        if headers.get("authorization") != f"Bearer {self.key}":
            await _send(writer, 401, {"error": {"message": "no such key"}})
        elif asked.path == "/models":
            data = [{"id": name, "object": "model", "created": 0, "owned_by": "fake"} for name in self.models]
            await _send(writer, 200, {"object": "list", "data": data})
        elif self.failing:
            await _send(writer, self.failing, {"error": {"message": "failing, as told"}})
        elif asked.fields.get("model") not in self.models:
            await _send(writer, 404, {"error": {"message": "no such model"}})
        else:
            await self._answer(writer, asked)

    async def _answer(self, writer: asyncio.StreamWriter, asked: Asked) -> None:
        match asked.path:
            case "/audio/transcriptions":
                await _send(writer, 200, {"text": self.heard(asked.fields["file"])})
            case "/audio/speech":
                pcm = self.says(asked.fields["input"])
                await _stream(writer, "audio/pcm", [pcm[start : start + 999] for start in range(0, len(pcm), 999)])
            case "/chat/completions":
                await self._chat(writer, asked)
            case _:
                await _send(writer, 404, {"error": {"message": "no such path"}})

    async def _chat(self, writer: asyncio.StreamWriter, asked: Asked) -> None:
        words = self.answers(asked.fields["messages"]).split(" ")
        base = {"id": "fake", "created": 0, "model": asked.fields["model"]}
        if not asked.fields.get("stream"):
            message = {"role": "assistant", "content": " ".join(words)}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            await _send(writer, 200, {**base, "object": "chat.completion", "choices": [choice]})
            return
        deltas: list[tuple[dict[str, str], str | None]] = [
            ({"content": word if index == 0 else f" {word}"}, None) for index, word in enumerate(words)
        ]
        events: list[bytes] = []
        for delta, finish in [*deltas, ({}, "stop")]:
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            event = {**base, "object": "chat.completion.chunk", "choices": [choice]}
            events.append(f"data: {json.dumps(event)}\n\n".encode())
        await _stream(writer, "text/event-stream", [*events, b"data: [DONE]\n\n"])


async def _body(reader: asyncio.StreamReader, headers: Headers) -> bytes:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return await reader.readexactly(int(headers.get("content-length", "0")))
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


def _fields(headers: Headers, body: bytes) -> dict[str, Any]:
    kind = headers.get("content-type", "")
    if kind.startswith("application/json"):
        return json.loads(body)
    if not kind.startswith("multipart/form-data"):
        return {}
    form = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
    fields: dict[str, Any] = {}
    for part in form.iter_parts():
        assert isinstance(part, Message)
        name = str(part.get_param("name", "", header="content-disposition"))
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        fields[name] = content if part.get_filename() else content.decode().strip()
    return fields


async def _send(writer: asyncio.StreamWriter, status: int, value: dict[str, Any]) -> None:
    body = json.dumps(value).encode()
    writer.write(
        f"HTTP/1.1 {status} Fake\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    await writer.drain()


async def _stream(writer: asyncio.StreamWriter, kind: str, pieces: list[bytes]) -> None:
    writer.write(f"HTTP/1.1 200 Fake\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
    for piece in pieces:
        writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        await writer.drain()
    writer.write(b"0\r\n\r\n")
    await writer.drain()
