"""The door for services, over real sockets: what a stranger gets, and that what is wrong ends no other call."""

from __future__ import annotations

import asyncio
import json
import os
import random
from base64 import b64encode
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from socket import SO_RCVBUF, SOL_SOCKET
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree as ET

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from offhook import _native as native
from offhook.call import Call
from offhook.carriers.services.http import ApiCall
from offhook.carriers.services.service import Direct
from offhook.carriers.services.table import make
from offhook.carriers.services.twilio.signature import HEADER, signature
from offhook.console import patience, services, sockets
from offhook.console.door import web_door
from offhook.console.hooks import BODY_LIMIT
from offhook.console.sockets import MESSAGE_LIMIT
from offhook.core.errors import ConfigError, Unreachable
from offhook.run.config import Web
from offhook.run.host import Host, HostRules
from offhook.run.services.api import HttpApi
from offhook.testing.carriers.twilio import ACCOUNT, TOKEN

VOICE = "/services/twilio/voice"


async def listens(call: Call) -> None:
    async for _ in call.audio():
        pass


class Door:
    """A host with its door open, and Twilio's ways to knock."""

    def __init__(self, host: Host, base: str, said: list[str]) -> None:
        self.host = host
        self.base = base
        self.said = said
        self.calls = 0

    def fields(self, call: str) -> dict[str, str]:
        return {
            "CallSid": call,
            "AccountSid": ACCOUNT,
            "From": "+15550001111",
            "To": "+15552223333",
            "CallStatus": "ringing",
            "Direction": "inbound",
        }

    async def post(self, path: str, fields: dict[str, str], signed: str | None = None) -> httpx2.Response:
        sign = signature(TOKEN, self.base + path, list(fields.items())) if signed is None else signed
        headers = {"content-type": "application/x-www-form-urlencoded", HEADER: sign}
        async with httpx2.AsyncClient() as client:
            return await client.post(self.base + path, content=urlencode(fields), headers=headers)

    async def offer(self) -> tuple[str, str]:
        """Call; give the name of the call and the URL of its media socket."""
        self.calls += 1
        call = f"CA{self.calls:032x}"
        reply = await self.post(VOICE, self.fields(call))
        assert reply.status_code == 200
        stream = ET.fromstring(reply.content).find("Connect/Stream")
        assert stream is not None
        return call, stream.attrib["url"]

    @asynccontextmanager
    async def socket(self, url: str, signed: str | None = None) -> AsyncGenerator[ClientConnection]:
        headers = {HEADER: signature(TOKEN, url) if signed is None else signed}
        async with connect(url, additional_headers=headers, max_size=None, compression=None) as socket:
            yield socket

    @asynccontextmanager
    async def streaming(self) -> AsyncGenerator[tuple[str, ClientConnection]]:
        call, url = await self.offer()
        async with self.socket(url) as socket:
            await socket.send('{"event":"connected","protocol":"Call","version":"1.0.0"}')
            await socket.send(start(call))
            await self.until(lambda: self.host.live > 0)
            yield call, socket

    async def until(self, is_so: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not is_so():  # noqa: ASYNC110 - another thread's doing: there is nothing to be woken by
                await asyncio.sleep(0.01)


def start(call: str) -> str:
    stream = f"MZ{call}"
    begun = {
        "accountSid": ACCOUNT,
        "streamSid": stream,
        "callSid": call,
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {},
    }
    return json.dumps({"event": "start", "sequenceNumber": "1", "start": begun, "streamSid": stream})


def media(number: int) -> str:
    payload = b64encode(bytes([0xFF]) * 160).decode()
    piece = {"track": "inbound", "chunk": str(number), "timestamp": str(20 * number), "payload": payload}
    return json.dumps({"event": "media", "sequenceNumber": str(number + 1), "media": piece, "streamSid": "MZ"})


def knock(story: Callable[[Door], Awaitable[None]]) -> None:
    async def main() -> None:
        said: list[str] = []
        service = make("twilio", {"account": ACCOUNT, "token": TOKEN})
        host = Host(
            engine=native.Engine(ip="127.0.0.1", first_port=32_000, last_port=32_100),
            rng=random.Random(1),
            rules=HostRules(listen=()),
            route=lambda wanted: listens,
        )
        port = 20_000 + os.getpid() % 10_000
        base = f"http://127.0.0.1:{port}"
        rules = Web(listen=f"127.0.0.1:{port}", public_url=base)
        async with host, web_door(rules, [service], said.append)(host):
            await story(Door(host, base, said))

    asyncio.run(main())


def test_the_urls_to_paste_are_told_and_looked_at_from_outside() -> None:
    async def story(door: Door) -> None:
        await door.until(lambda: any("leads here" in line for line in door.said))
        assert any(line.endswith(door.base + VOICE) for line in door.said)

    knock(story)


def test_who_does_not_sign_gets_nothing_and_leaves_nothing() -> None:
    async def story(door: Door) -> None:
        for signed, code in (("", 401), ("bm9uZQ==", 403)):
            assert (await door.post(VOICE, door.fields("CA1"), signed)).status_code == code
        assert door.host.live == 0
        _, url = await door.offer()
        with pytest.raises(InvalidStatus) as refused:
            async with door.socket(url, "bm9uZQ=="):
                pass
        assert refused.value.response.status_code == 403
        assert len([line for line in door.said if "was refused" in line]) == 2  # once each, and not again at once

    knock(story)


def test_a_media_socket_is_let_in_once() -> None:
    async def story(door: Door) -> None:
        call, url = await door.offer()
        forged = url.rsplit("/", 1)[0] + "/guessed"
        with pytest.raises(InvalidStatus):
            async with door.socket(forged):
                pass
        async with door.socket(url) as socket:
            await socket.send(start(call))
            with pytest.raises(InvalidStatus) as refused:
                async with door.socket(url):
                    pass
            assert refused.value.response.status_code == 403
            assert door.host.live == 1
        await door.until(lambda: door.host.live == 0)

    knock(story)


def test_a_webhook_that_is_sent_again_begins_no_second_call() -> None:
    async def story(door: Door) -> None:
        one = await door.post(VOICE, door.fields("CA1"))
        again = await door.post(VOICE, door.fields("CA1"))
        assert one.content == again.content
        assert door.host.live == 1

    knock(story)


def test_a_body_that_is_too_long_is_not_read() -> None:
    async def story(door: Door) -> None:
        reply = await door.post(VOICE, door.fields("CA1") | {"x": "y" * BODY_LIMIT})
        assert reply.status_code == 413

    knock(story)


@pytest.mark.parametrize(
    "path", ["/services/nobody/voice", "/services/twilio/nokey/status", "/services/twilio/nothing", "/services/twilio/"]
)
def test_a_path_that_is_none_is_not_found(path: str) -> None:
    async def story(door: Door) -> None:
        assert (await door.post(path, door.fields("CA1"))).status_code in (400, 404)
        assert door.host.live == 0

    knock(story)


WRONG: dict[str, list[str | bytes]] = {
    "a megabyte": ["x" * (1024 * 1024)],
    "binary for text": [b"\x00\x01\x02"],
    "no JSON": ["{", "[]", "null", '"text"', "17"],
    "unknown events": ['{"event":"new"}', '{"event":17}', "{}"],
    "bad base64": ['{"event":"media","media":{"payload":"%%%%"},"streamSid":"MZ"}'],
    "fields of other kinds": ['{"event":"media","media":[],"streamSid":7}', '{"event":"dtmf","dtmf":{"digit":null}}'],
    "a second start": [start("CA1")],
    "marks that nobody set": ['{"event":"mark","mark":{"name":"999999999999999999999"}}', '{"event":"mark"}'],
    "deep JSON": ["[" * 100_000],
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_ends_at_most_its_own_call(what: str) -> None:
    async def story(door: Door) -> None:
        async with door.streaming() as (_, good), door.streaming() as (_, bad):
            await good.send(media(1))
            for frame in WRONG[what]:
                try:
                    await bad.send(frame)
                    await bad.send(media(2))
                except ConnectionClosed:
                    break
            await asyncio.sleep(0.1)
            for number in range(2, 12):
                await good.send(media(number))
                await asyncio.sleep(0.01)
            assert door.host.live >= 1
            await good.ping()
        await door.until(lambda: door.host.live == 0)
        assert door.host.failures == 0
        assert door.host.line.guarded == 0

    knock(story)


def test_a_message_beyond_the_limit_closes_its_socket() -> None:
    async def story(door: Door) -> None:
        async with door.streaming() as (_, socket):
            await socket.send("x" * (MESSAGE_LIMIT + 1))
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1009

    knock(story)


def test_a_socket_that_is_cut_in_mid_word_ends_its_call() -> None:
    async def story(door: Door) -> None:
        call, url = await door.offer()
        parts = urlsplit(url)
        reader, writer = await asyncio.open_connection("127.0.0.1", parts.port)
        writer.write(
            f"GET {parts.path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            f"{HEADER}: {signature(TOKEN, url)}\r\n\r\n".encode()
        )
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        data = start(call).encode()
        writer.write(b"\x81\xfe" + len(data).to_bytes(2, "big") + bytes(4) + data + b"\x81\xfe\x01")
        await door.until(lambda: door.host.live == 1)
        writer.transport.abort()
        await door.until(lambda: door.host.live == 0)

    knock(story)


SLOW = {
    "nothing": b"",
    "a letter": b"P",
    "half a header": b"POST /services/twilio/voice HTTP/1.1\r\nHost: x\r\nX-A: ",
    "half a body": b"POST /services/twilio/voice HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nA=1",
}


@pytest.mark.parametrize(("what", "after"), [*((what, False) for what in SLOW), ("a letter", True)])
def test_who_asks_ever_so_slowly_is_hung_up_on(what: str, after: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "REQUEST_S", 0.3)

    async def story(door: Door) -> None:
        _, good = await door.offer()
        async with door.socket(good) as socket:
            reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(door.base).port)
            if after:
                writer.write(b"GET /services/nobody/voice HTTP/1.1\r\nHost: x\r\n\r\n")
                assert b" 404 " in await reader.readuntil(b"\r\n\r\n")
            writer.write(SLOW[what])
            async with asyncio.timeout(4):  # uvicorn itself waits 5 s for another request, for the rest forever
                with suppress(ConnectionResetError):
                    await reader.read()
            writer.close()
            await (await socket.ping())  # a socket has another limit

    knock(story)


def test_who_asks_for_pongs_and_reads_none_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "UNSENT_LIMIT", 64 * 1024)

    async def story(door: Door) -> None:
        async with door.streaming() as (_, socket):
            socket.transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_RCVBUF, 4096)
            socket.transport.pause_reading()

            async def ask() -> None:
                with suppress(ConnectionClosed):
                    while True:
                        await socket.ping(os.urandom(16) + bytes(100))

            asking = asyncio.create_task(ask())
            await door.until(lambda: door.host.live == 0)
            asking.cancel()

    knock(story)


def test_services_need_to_know_where_they_find_us() -> None:
    async def main(public: str | None) -> None:
        service = make("twilio", {"account": ACCOUNT, "token": TOKEN})
        host = Host(
            engine=native.Engine(ip="127.0.0.1", first_port=32_000, last_port=32_100),
            rng=random.Random(1),
            rules=HostRules(listen=()),
            route=lambda wanted: listens,
        )
        async with host, web_door(Web(listen="127.0.0.1:0", public_url=public), [service])(host):
            pass

    for public, words in ((None, "web.public_url"), ("http://agent.example", "https")):
        with pytest.raises(ConfigError, match=words):
            asyncio.run(main(public))


def test_connections_of_an_audiosocket_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "SPARE", 2)
    port = 20_000 + os.getpid() % 10_000

    async def main() -> None:
        service = make("audiosocket", {"listen": f"127.0.0.1:{port}"})
        host = Host(
            engine=native.Engine(ip="127.0.0.1", first_port=32_000, last_port=32_100),
            rng=random.Random(1),
            rules=HostRules(listen=(), max_calls=1),
            route=lambda wanted: listens,
        )
        async with host, web_door(Web(listen="127.0.0.1:0"), [service])(host):
            writers: list[asyncio.StreamWriter] = []

            async def connect_once() -> asyncio.StreamReader:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writers.append(writer)
                return reader

            async with asyncio.timeout(10):
                for _ in range(3):
                    await connect_once()
                assert await (await connect_once()).read() == b"", "one too many"
                writers[0].close()
                while not host.live:  # until the door has seen it go
                    reader = await connect_once()
                    writers[-1].write(b"\x01\x00\x10" + bytes(16))
                    with suppress(TimeoutError, ConnectionResetError):
                        async with asyncio.timeout(0.2):
                            await reader.read()  # b"" at once where it is one too many
            for writer in writers:
                writer.close()
                with suppress(ConnectionError):
                    await writer.wait_closed()

    asyncio.run(main())


def test_an_address_that_can_be_none_is_said_to_lead_nowhere() -> None:
    async def main() -> None:
        service = make("twilio", {"account": ACCOUNT, "token": TOKEN})
        assert not isinstance(service, Direct)
        async with HttpApi([service]) as api:
            with pytest.raises(Unreachable):
                await api(ApiCall("POST", service.api + "/" + "x" * 100_000))

    asyncio.run(main())
