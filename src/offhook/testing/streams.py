"""Streams (TCP) over the simulated network: reliable, in order, late, and cut wherever the seed cuts them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final

from offhook.core.instants import Duration, Instant
from offhook.core.media import Address
from offhook.testing.journal import Journal
from offhook.testing.loop import VirtualLoop

SEGMENT: Final = 1448
"""The most bytes that arrive at once: Ethernet's 1500 less the headers of IP and TCP with timestamps."""


class StreamServer(asyncio.AbstractServer):
    """A listening address. Closing it lets the streams that it made live on, as sockets do."""

    def __init__(
        self,
        loop: VirtualLoop,
        address: Address,
        factory: Callable[[], asyncio.BaseProtocol],
        listening: dict[Address, StreamServer],
    ) -> None:
        self.address = address
        self._loop = loop
        self._factory = factory
        self._listening = listening

    def accept(self) -> asyncio.BaseProtocol:
        """Make the protocol of a new stream."""
        return self._factory()

    def close(self) -> None:
        """Listen no longer."""
        if self._listening.get(self.address) is self:
            del self._listening[self.address]

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Give the loop."""
        return self._loop

    def is_serving(self) -> bool:
        """Tell whether it listens."""
        return self._listening.get(self.address) is self

    @property
    def sockets(self) -> tuple[BoundSocket, ...]:
        """What stands for the sockets: enough to ask for the name."""
        return (BoundSocket(self.address),)

    async def start_serving(self) -> None:
        """Do nothing: it listens since it was made."""

    async def serve_forever(self) -> None:
        """Wait until cancelled."""
        await self._loop.create_future()

    async def wait_closed(self) -> None:
        """Return at once: closing takes no time."""


class BoundSocket:
    """Knows its own address, like a socket."""

    def __init__(self, address: Address) -> None:
        self._address = address

    def getsockname(self) -> Address:
        """Give the address."""
        return self._address


class Stream(asyncio.Transport):
    """One end of a stream. What is written arrives at the other end in order, cut anew."""

    def __init__(
        self,
        loop: VirtualLoop,
        journal: Journal,
        local: Address,
        remote: Address,
        protocol: asyncio.BaseProtocol,
        draw: Callable[[], tuple[Duration, float]],
    ) -> None:
        super().__init__({"sockname": local, "peername": remote})
        self._loop = loop
        self._journal = journal
        self._local = local
        self._remote = remote
        self._protocol = protocol
        self._draw = draw
        self._far: Stream | None = None
        self._last: Instant = 0
        self._closing = False
        self._lost = False
        self._ended = False
        self._held: list[bytes] | None = None

    def join(self, far: Stream) -> None:
        """Tie two ends together and tell both protocols."""
        self._far, far._far = far, self
        self._loop.call_soon(far._protocol.connection_made, far)
        self._loop.call_soon(self._protocol.connection_made, self)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes."""
        rest = bytes(data)
        if self._closing or self._far is None:
            return
        self._journal.left(self._loop.now, self._local, self._remote, rest)
        while rest:
            delay, cut = self._draw()
            length = min(len(rest), SEGMENT)
            if cut < 0.25:  # a quarter of the segments end early, anywhere
                length = 1 + int(cut * 4 * (length - 1))
            self._last = max(self._last, self._loop.now + delay)
            self._loop.at(self._last, self._far._arrive, rest[:length])
            rest = rest[length:]

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        """Send several pieces as one."""
        self.write(b"".join(list_of_data))

    def write_eof(self) -> None:
        """Say that nothing more will be written."""
        if not self._ended and self._far is not None:
            self._ended = True
            self._last = max(self._last, self._loop.now + self._draw()[0])
            self._loop.at(self._last, self._far._end)

    def can_write_eof(self) -> bool:
        """Tell that a stream can be half closed."""
        return True

    def close(self) -> None:
        """Send what is left, then end."""
        if not self._closing:
            self.write_eof()
            self._closing = True
            self._loop.call_soon(self._lose, None)

    def abort(self) -> None:
        """Reset: the other end loses the connection."""
        if not self._closing:
            self._closing = True
            if self._far is not None:
                self._loop.at(self._loop.now + self._draw()[0], self._far._reset)
            self._loop.call_soon(self._lose, None)

    def is_closing(self) -> bool:
        """Tell whether it was closed here."""
        return self._closing

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Give the protocol."""
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Change the protocol."""
        self._protocol = protocol

    def get_write_buffer_size(self) -> int:
        """Give 0: the network takes everything at once."""
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Do nothing: nothing is ever kept back."""

    def is_reading(self) -> bool:
        """Tell whether it reads."""
        return not self._closing and self._held is None

    def pause_reading(self) -> None:
        """Keep what arrives until `resume_reading`; the simulated window is never full."""
        if self._held is None:
            self._held = []

    def resume_reading(self) -> None:
        """Give what was kept, and what follows."""
        held, self._held = self._held, None
        for data in held or ():
            self._loop.call_soon(self._give, data)

    def _arrive(self, data: bytes) -> None:
        if not self._closing:
            self._journal.piece(self._loop.now, self._remote, self._local, data)
            self._loop.call_soon(self._give, data)

    def _give(self, data: bytes) -> None:
        if self._held is not None:
            self._held.append(data)
        elif not self._lost and isinstance(self._protocol, asyncio.Protocol):
            self._protocol.data_received(data)

    def _end(self) -> None:
        self._loop.call_soon(self._give_end)

    def _give_end(self) -> None:
        if self._closing:
            return
        keep = self._protocol.eof_received() if isinstance(self._protocol, asyncio.Protocol) else False
        if not keep:
            self.close()

    def _reset(self) -> None:
        self._closing = True
        self._loop.call_soon(self._lose, ConnectionResetError(104, "reset by the far end"))

    def _lose(self, error: Exception | None) -> None:
        if not self._lost:
            self._lost = True
            self._protocol.connection_lost(error)
