"""The load of `carriers`: calls of a fake Twilio over real sockets, each with a signed webhook and a Media Stream.

It opens them one after the other, then sends 20 ms of speech to each every 20 ms, and notes what comes back: audio, and
when each `clear` came. What it sends was made before, so that it costs little; its messages are masked with zeros,
which RFC 6455 allows.

orders    {"open": N} → {"open": N}        {"run": seconds} → {"sent": …, "ms": […], "clears": […], "late": …}
"""

from __future__ import annotations

import asyncio
import json
import random
import struct
import sys
import time
from base64 import b64encode
from typing import Any
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree as ET

from offhook import _native as native
from offhook.carriers.services.twilio.signature import HEADER, signature
from offhook.run.serve import run_live
from offhook.testing.bench.machine import tell
from offhook.testing.bench.subject_media import speech
from offhook.testing.carriers.twilio import ACCOUNT, TOKEN

FRAME_S = 0.02
NOBODY = "MZ" + "0" * 32
"""What a frame says whose it is, until it is sent: then its stream's own name stands there, which is as long."""


def masked(text: str) -> bytes:
    """Give a text as the one frame of a client."""
    data = text.encode()
    head = b"\x81" + (bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + struct.pack(">H", len(data)))
    return head + b"\0\0\0\0" + data


class Stream(asyncio.Protocol):
    """One Media Stream."""

    def __init__(self, sid: str) -> None:
        self.sid = sid
        self.name = sid.encode()
        self.ready = asyncio.get_running_loop().create_future()
        self.transport: asyncio.WriteTransport
        self.bytes_b64 = 0
        self.clears: list[float] = []
        self._rest = b""
        self._shaken = False

    def data_received(self, data: bytes) -> None:
        """Count what comes."""
        now = time.monotonic()
        data = self._rest + data
        if not self._shaken:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self._rest = head
                return
            self._shaken = True
            self.ready.set_result(head.split(b" ", 2)[1] == b"101")
        at = 0
        while len(data) - at >= 2:
            length, start = data[at + 1] & 127, at + 2
            if length == 126:
                if len(data) - at < 4:
                    break
                length, start = struct.unpack_from(">H", data, at + 2)[0], at + 4
            if len(data) < start + length:
                break
            message = data[start : start + length]
            if b'"media"' in message[:40]:
                self.bytes_b64 += len(json.loads(message)["media"]["payload"])
            elif b'"clear"' in message:
                self.clears.append(now)
            elif b'"mark"' in message:
                self.transport.write(masked(message.decode()))
            at = start + length
        self._rest = data[at:]


class Load:
    """All calls."""

    def __init__(self, port: int, seed: int) -> None:
        self.port = port
        self.base = f"http://127.0.0.1:{port}"
        self.streams: list[Stream] = []
        codes = native.encode("PCMU", speech(random.Random(seed), 4))
        frames = [
            masked(
                json.dumps(
                    {
                        "event": "media",
                        "sequenceNumber": str(number + 3),
                        "media": {
                            "track": "inbound",
                            "chunk": str(number + 1),
                            "timestamp": str(20 * number),
                            "payload": b64encode(codes[160 * (number % 200) :][:160]).decode(),
                        },
                        "streamSid": NOBODY,
                    },
                    separators=(",", ":"),
                )
            )
            for number in range(50 * 60)
        ]
        self.frames = [(head, tail) for head, _, tail in (frame.partition(NOBODY.encode()) for frame in frames)]
        self.at = 0

    async def open(self, count: int) -> None:
        """Open so many calls more."""
        for _ in range(count):
            await self._open(len(self.streams))

    async def _open(self, number: int) -> None:
        call = f"CA{number:032x}"
        fields = {"CallSid": call, "AccountSid": ACCOUNT, "From": "+15550001111", "To": "+15552223333"}
        fields |= {"CallStatus": "ringing", "Direction": "inbound"}
        path = "/services/twilio/voice"
        signed = signature(TOKEN, self.base + path, list(fields.items()))
        document = await self._post(path, urlencode(fields), signed)
        stream = ET.fromstring(document).find("Connect/Stream")  # noqa: S314 - our own side wrote it
        assert stream is not None, document
        url = stream.attrib["url"]
        target = urlsplit(url).path
        transport, made = await asyncio.get_running_loop().create_connection(
            lambda: Stream(f"MZ{number:032x}"), "127.0.0.1", self.port
        )
        made.transport = transport
        transport.write(
            f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            f"{HEADER}: {signature(TOKEN, url)}\r\n\r\n".encode()
        )
        assert await made.ready, "a media socket was refused"
        start: dict[str, Any] = {
            "event": "start",
            "sequenceNumber": "1",
            "start": {
                "accountSid": ACCOUNT,
                "streamSid": made.sid,
                "callSid": call,
                "tracks": ["inbound"],
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
                "customParameters": {},
            },
            "streamSid": made.sid,
        }
        made.transport.write(masked('{"event":"connected","protocol":"Call","version":"1.0.0"}'))
        made.transport.write(masked(json.dumps(start)))
        self.streams.append(made)

    async def _post(self, path: str, body: str, signed: str) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nContent-Length: {len(body)}\r\n"
            f"Content-Type: application/x-www-form-urlencoded\r\n{HEADER}: {signed}\r\nConnection: close\r\n\r\n"
            f"{body}".encode()
        )
        reply = await reader.read()
        writer.close()
        return reply.partition(b"\r\n\r\n")[2]

    async def run(self, seconds: float) -> dict[str, Any]:
        """Send for so long, spread over each 20 ms; give what came meanwhile."""
        loop, streams = asyncio.get_running_loop(), self.streams
        before = [one.bytes_b64 for one in streams]
        for one in streams:
            one.clears.clear()
        began, late = loop.time(), 0.0
        for turn in range(int(seconds / FRAME_S)):
            head, tail = self.frames[self.at % len(self.frames)]
            self.at += 1
            for part in range(10):
                due = began + turn * FRAME_S + part * FRAME_S / 10
                if (left := due - loop.time()) > 0:
                    await asyncio.sleep(left)
                late = max(late, loop.time() - due)
                for one in streams[part::10]:
                    one.transport.write(head + one.name + tail)
        sent_ms = int(seconds / FRAME_S) * 20
        got = [(one.bytes_b64 - was) * 3 // 4 // 8 for one, was in zip(streams, before, strict=True)]
        return {"sent_ms": sent_ms, "got_ms": got, "clears": [one.clears for one in streams], "late_ms": late * 1000}


async def work(port: int, seed: int) -> None:
    """Carry out orders."""
    load = Load(port, seed)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    tell(ready=True)
    while line := await reader.readline():
        order = json.loads(line)
        if "open" in order:
            await load.open(order["open"])
            tell(open=len(load.streams))
        else:
            tell(**await load.run(order["run"]))


if __name__ == "__main__":
    run_live(lambda: work(int(sys.argv[1]), int(sys.argv[2])))
