"""One UDP socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final, cast

from offhook.core.media import Address
from offhook.run.transports.signals import Counts

RECEIVE_BUFFER: Final = 4 << 20
"""What is asked of the kernel for a UDP socket: about a second of signalling at 500 calls a second."""


class Datagrams(asyncio.DatagramProtocol):
    """Gives each datagram to `take` with its source and the address that was bound."""

    def __init__(self, take: Callable[[bytes, Address, Address], None], counts: Counts) -> None:
        self._take = take
        self._counts = counts
        self._wire: asyncio.DatagramTransport | None = None
        self.bound: Address = ("", 0)

    @classmethod
    async def bind(cls, address: Address, take: Callable[[bytes, Address, Address], None], counts: Counts) -> Datagrams:
        """Bind an address (port 0: any free one). OSError if it can't be."""
        loop = asyncio.get_running_loop()
        endpoint = cls(take, counts)
        if address[0] == "::":
            # Of its own family only: what came over IPv4 would show as ::ffff:192.0.2.1, and udp://0.0.0.0 be taken.
            sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            try:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.bind(address)
                sock.setblocking(False)
                wire, _ = await loop.create_datagram_endpoint(lambda: endpoint, sock=sock)
            except OSError:
                sock.close()
                raise
        else:
            wire, _ = await loop.create_datagram_endpoint(lambda: endpoint, local_addr=address)
        endpoint.bound = wire.get_extra_info("sockname")[:2]
        inner = wire.get_extra_info("socket")
        if inner is not None:
            inner.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        return endpoint

    def send(self, data: bytes, remote: Address) -> None:
        """Send; what can't be sent is counted."""
        try:
            if self._wire is not None:
                self._wire.sendto(data, remote)
                return
        except (OSError, ValueError):  # an address of another family: uvloop raises what asyncio tells later
            pass
        self._counts.unsent += 1

    def close(self) -> None:
        """Give the socket back."""
        if self._wire is not None:
            self._wire.close()

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Have a socket."""
        # Not an isinstance: uvloop's transports are of no class of asyncio's.
        self._wire = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Take a datagram."""
        self._take(data, addr if len(addr) == 2 else addr[:2], self.bound)

    def error_received(self, exc: Exception) -> None:
        """Hear of an ICMP error."""
        # An ICMP error says nothing that can be trusted; the transaction's timer will notice a dead peer.
        self._counts.socket_errors += 1

    def connection_lost(self, exc: Exception | None) -> None:
        """Hear that it is closed."""
        self._wire = None
