"""Misbehaving peers on streams: connections that break in every state of a transaction.

A datagram can't fail; a connection can, between any two messages. These scripts break it there, so that every row of
the transaction tables that speaks of a fault is taken.
"""

from __future__ import annotations

import asyncio
from typing import Final

from offhook.testing.peers import Got, Manner, Peer


class StreamPeer(Peer):
    """A peer whose messages go over one TCP connection: its own, or the one that the agent opened to it."""

    transport = "TCP"
    wire: asyncio.Transport | None = None

    async def connect(self) -> None:
        """Open a connection to the agent. ConnectionRefusedError if it does not listen."""
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: _Wire(self), *self.agent, local_addr=(self.address[0], 0))

    async def listen(self) -> asyncio.AbstractServer:
        """Let the agent open one."""
        loop = asyncio.get_running_loop()
        return await loop.create_server(lambda: _Wire(self), *self.address)

    def close(self) -> None:
        """Give everything back."""
        self.breaks()
        super().close()

    def send(self, data: bytes) -> None:
        """Send on the connection; into the void if there is none."""
        if self.wire is not None:
            self.wire.write(data)

    def breaks(self) -> None:
        """Reset the connection."""
        if self.wire is not None:
            self.wire.abort()
            self.wire = None

    def hears(self, data: bytes) -> None:
        """Take a message off the connection."""
        self._receive(data, self.agent)


class _Wire(asyncio.Protocol):
    """Cuts a stream into messages by Content-Length."""

    def __init__(self, peer: StreamPeer) -> None:
        self._peer = peer
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._peer.wire = transport

    def data_received(self, data: bytes) -> None:
        self._rest += data
        while b"\r\n\r\n" in self._rest:
            head, _, rest = self._rest.partition(b"\r\n\r\n")
            fields = (line.lower().partition(b":") for line in head.split(b"\r\n"))
            length = next((int(value) for name, _, value in fields if name == b"content-length"), 0)
            if len(rest) < length:
                return
            self._rest = rest[length:]
            self._peer.hears(head + b"\r\n\r\n" + rest[:length])


async def breaks_somewhere(peer: Peer) -> None:
    """Call over a connection and reset it at a random point: ringing, unacknowledged, confirmed, refused, over."""
    assert isinstance(peer, StreamPeer)
    await peer.connect()
    place = peer.rng.randrange(6)
    peer.request("INVITE", peer.sdp(codecs="3") if place in (1, 2) else peer.sdp())
    if place == 0:
        await peer.sleep(0.0, 0.6)
        peer.breaks()
        return
    got = await peer.response("INVITE")
    if got is None:
        return
    peer.confirm(got)
    if place == 1:  # refused, and gone before the ACK
        peer.breaks()
        await asyncio.sleep(2)
        return
    if place == 2:
        peer.request("ACK", same=True)
        await peer.sleep(0.0, 0.2)
        peer.breaks()
        return
    if place == 3:  # answered, and gone before the ACK: the agent repeats its 200 elsewhere, in vain
        peer.breaks()
        await asyncio.sleep(40)
        return
    peer.request("ACK")
    await peer.sleep(0.5, 4)
    if place == 4:
        peer.breaks()
        await asyncio.sleep(1)
        await peer.connect()
    peer.request("BYE")
    await peer.response("BYE", within_s=5)
    peer.breaks()


async def refuses_connections(peer: Peer) -> None:
    """Be called over TCP and not be there."""
    await asyncio.sleep(5)


async def hangs_up_the_wire(peer: Peer) -> None:
    """Be called over TCP and reset the connection at a random point."""
    assert isinstance(peer, StreamPeer)
    server = await peer.listen()
    place = peer.rng.randrange(6)
    invite = await peer.asked("INVITE", within_s=10)
    if invite is None:
        server.close()
        return
    if place == 0:
        peer.breaks()
    elif place == 1:
        peer.reply(invite, 180, "Ringing", tag="w")
        await peer.sleep(0.1, 1)
        peer.breaks()
    elif place == 2:
        peer.reply(invite, 486, "Busy Here", tag="w")
        await peer.sleep(0, 0.3)
        peer.breaks()
    else:
        await _answer(peer, invite, place)
    server.close()
    await asyncio.sleep(1)


async def _answer(peer: StreamPeer, invite: Got, place: int) -> None:
    peer.reply(invite, 200, "OK", peer.sdp(), tag="w")
    await peer.asked("ACK", within_s=5)
    if place == 3:
        await peer.sleep(0.1, 2)
        peer.breaks()
    bye = await peer.asked("BYE", within_s=30)
    if bye is None:
        return
    if place == 4:
        peer.reply(bye, 100, "Trying")
        await peer.sleep(0.1, 0.4)
        peer.breaks()
    elif place == 5:
        peer.breaks()
    else:
        peer.reply(bye, 200, "OK")


CALLS_US_BY_TCP: Final[tuple[Manner, ...]] = (breaks_somewhere,)
IS_CALLED_BY_TCP: Final[tuple[Manner, ...]] = (refuses_connections, hangs_up_the_wire)
