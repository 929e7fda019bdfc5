"""Who ties up connections over real sockets, while UDP is served as ever."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest
import uvloop

from offhook import _native as native
from offhook.call import Call
from offhook.run.host import Host
from offhook.run.rules import HostRules
from offhook.run.transports import connections
from offhook.run.transports.sockets import CONNECTIONS_A_SOURCE

HERE = "127.0.0.1"
IDLE = 500
BODY = f"v=0\r\no=- 1 1 IN IP4 {HERE}\r\ns=-\r\nc=IN IP4 {HERE}\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n".encode()

Wire = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def waits(call: Call) -> None:
    await call.up()


def said(method: str, number: int, *, to: str = "", body: bytes = b"") -> bytes:
    """Write a request of the one call that there is."""
    head = (
        f"{method} sip:a@{HERE} SIP/2.0",
        f"Via: SIP/2.0/UDP {HERE}:9;rport;branch=z9hG4bK{method}{number}",
        f"From: <sip:b@{HERE}>;tag=b",
        f"To: <sip:a@{HERE}>{to}",
        f"Call-ID: {'call' if to or body else number}",
        f"CSeq: {number} {method}",
        f"Contact: <sip:b@{HERE}>",
        *(("Content-Type: application/sdp",) if body else ()),
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join([*head, "", ""]).encode() + body


class Far(asyncio.DatagramProtocol):
    """A bare phone on UDP, which waits for what it is told to."""

    def __init__(self) -> None:
        self.wire: Any = None
        self._got: asyncio.Queue[bytes] = asyncio.Queue()

    def connection_made(self, transport: Any) -> None:
        self.wire = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._got.put_nowait(data)

    async def answer(self, request: bytes, code: int) -> bytes:
        """Send a request; give the answer with that code."""
        self.wire.sendto(request)
        which = request.partition(b"\r\nCSeq: ")[2].partition(b"\r\n")[0]
        while not (got := await self._got.get()).startswith(b"SIP/2.0 %d " % code) or which not in got:
            pass
        return got

    async def served(self, number: int) -> None:
        """Ask whether anyone is there, make a call and end it."""
        await self.answer(said("OPTIONS", number), 200)
        ok = await self.answer(said("INVITE", number, body=BODY), 200)
        to = ";tag=" + ok.partition(b"\r\nTo: ")[2].partition(b"\r\n")[0].partition(b";tag=")[2].decode()
        self.wire.sendto(said("ACK", number, to=to))
        await self.answer(said("BYE", number + 1, to=to), 200)


async def ended(reader: asyncio.StreamReader) -> bytes:
    """Read what comes until the far end has closed, however it did."""
    got = b""
    try:
        while data := await reader.read(4096):
            got += data
    except ConnectionError:
        pass
    return got


async def drips(wire: Wire, data: bytes) -> bool:
    """Write a byte now and then; say whether that was cut off."""
    reader, writer = wire
    closed = asyncio.create_task(ended(reader))
    for byte in data:
        if writer.is_closing() or (await asyncio.wait({closed}, timeout=0.05))[0]:
            await closed
            return True
        writer.write(bytes([byte]))
    return False


async def pours(wire: Wire, length: int) -> bytes:
    """Announce a body of that length and send of it what is taken; give what was answered."""
    reader, writer = wire
    hearing = asyncio.create_task(ended(reader))
    writer.write(said("OPTIONS", 9).replace(b"Content-Length: 0", b"Content-Length: %d" % length))
    try:
        for _ in range(0, length, 65536):
            if hearing.done():
                break
            writer.write(b"x" * 65536)
            await writer.drain()
    except ConnectionError:
        pass
    return await hearing


@pytest.mark.survives(29)
@pytest.mark.parametrize("loop", [None, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_idle_and_slow_connections_cost_their_own_only(monkeypatch: pytest.MonkeyPatch, loop: Any) -> None:
    async def story() -> None:
        engine = native.Engine(ip=HERE, first_port=23200, last_port=23299, threads=1)
        rules = HostRules(listen=(("udp", (HERE, 0)), ("tcp", (HERE, 0))))
        async with Host(engine=engine, rng=Random(1), rules=rules, route=lambda wanted: waits) as host:
            (_, udp), (_, tcp) = host.listening
            _, far = await asyncio.get_running_loop().create_datagram_endpoint(Far, remote_addr=udp)
            await far.served(1)

            opened: list[Wire] = []
            for _ in range(0, IDLE, 5):
                opened += await asyncio.gather(*[asyncio.open_connection(*tcp) for _ in range(5)])
            waiting = {asyncio.create_task(ended(reader)) for reader, _ in opened}
            while len(waiting) > CONNECTIONS_A_SOURCE:
                _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            assert host.line.transports.counts.streams_refused == IDLE - CONNECTIONS_A_SOURCE
            await far.served(10)

            slow = await asyncio.open_connection(*tcp, local_addr=("127.0.0.2", 0))
            large = await asyncio.open_connection(*tcp, local_addr=("127.0.0.3", 0))
            dripping = asyncio.create_task(drips(slow, said("OPTIONS", 8)))
            pouring = asyncio.create_task(pours(large, 10_000_000))
            await far.served(20)
            assert await dripping, "a head that drips is cut off"
            assert (await pouring).startswith(b"SIP/2.0 400 "), "a body that is too large is refused by its head"
            await asyncio.wait(waiting)
            await far.served(30)

            counts = host.line.transports.counts
            assert (counts.streams_idle, counts.streams_broken) == (CONNECTIONS_A_SOURCE, 2)
            assert (host.counters()["guard"], host.counters()["failures"], host.live) == (0, 0, 0)
            for _, writer in (*opened, slow, large):
                writer.close()
            far.wire.close()

    async def bounded() -> None:
        async with asyncio.timeout(30):
            await story()

    # The same patience, only shorter.
    monkeypatch.setattr(connections, "FIRST_MESSAGE_S", 4.0)
    monkeypatch.setattr(connections, "MESSAGE_S", 1.0)
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(bounded())
