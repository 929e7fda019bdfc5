"""Sockets that we open to services: the events of an account, held open, or the control of one call.

    ApiCall (ws, wss) ─► Dial ─► Listener: opened, heard …, closed
    Standing ─► Dial ─► events ─► Switchboard.happened
       ▲          └─► opened ─► which calls are there? those that are not are over
       └─ closed, or not to be reached: a wait, longer each time, never the same for two of us
    hold ─► Dial ─► RelayVisit: the words of one call, whose end is the call's

Laws: only hosts of the configuration are dialled, and no redirect is followed; messages, and what waits to be sent, are
bounded; proofs go in headers and are in no address, so in no log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from offhook.carriers.realtime import RealtimeLeg
from offhook.carriers.services.http import ApiCall, Request
from offhook.carriers.services.service import Evented, Left, Service
from offhook.carriers.services.stream import Frame
from offhook.carriers.stream import Wire
from offhook.core.errors import ProtocolError, Unreachable
from offhook.core.ids import redacted
from offhook.run.services.api import place, places
from offhook.run.services.legs import RelayVisit

if TYPE_CHECKING:
    from offhook.run.services.board import Switchboard

log: Final = structlog.get_logger("offhook.services")

OPEN_S: Final = 8.0
"""How long a service may take to open a socket."""

PING_S: Final = 20.0
"""How often it is seen whether a socket lives, and how long that may take."""

GOODBYE_S: Final = 2.0
"""How long the far end may take to close what we have closed."""

MESSAGE_LIMIT: Final = 1024 * 1024
"""Bytes of a message: what a service says of a call with all its headers is some kB."""

UNSENT_LIMIT: Final = 1000
"""Messages that may wait for a peer that does not read; then the socket is closed."""

FIRST_S: Final = 0.5
"""How long is waited before a socket that was lost is opened again; each time twice as long …"""

LONGEST_S: Final = 30.0
"""… but not longer than this."""

STEADY_S: Final = 60.0
"""How long a socket must have lived for the waits to begin anew: one that is taken from us at once is no steady one."""


CONTROL_TRIES: Final = 4
"""How often the socket of a call is tried to be opened: some seconds in all, while its caller hears silence."""


class Listener(Protocol):
    """What listens to a socket of a service, whoever has opened it."""

    def opened(self, wire: Wire) -> None:
        """Hear that it is open."""
        ...

    def heard(self, frame: Frame) -> None:
        """Take a message of it. Raises nothing."""
        ...

    def closed(self) -> None:
        """Hear that it is gone."""
        ...


Dial = Callable[[ApiCall, Listener], Awaitable[None]]
"""Opens a socket and lets a listener hear all of it; returns when it is gone. Unreachable where it can't be opened."""


class Sockets:
    """Opens sockets to `services` (`Dial`)."""

    def __init__(self, services: Sequence[Service]) -> None:
        self._places = places(services)

    async def __call__(self, order: ApiCall, listener: Listener) -> None:
        """Open a socket; returns when it is gone."""
        host = urlsplit(order.url).hostname
        if place(order.url) not in self._places:
            raise Unreachable(f"{host} is not the API of a service that is configured")
        opening = _Straight(
            order.url,
            additional_headers=dict(order.headers),
            compression=None,
            open_timeout=OPEN_S,
            ping_interval=PING_S,
            ping_timeout=PING_S,
            close_timeout=GOODBYE_S,
            max_size=MESSAGE_LIMIT,
        )
        try:
            socket = await opening
        except InvalidStatus as error:
            status = error.response.status_code
            why = "the user, the password or the key is wrong" if status in (401, 403) else "is the address right?"
            raise Unreachable(f"{host} answers {status}: {why}") from None
        except (InvalidHandshake, OSError, TimeoutError, EOFError) as error:
            raise Unreachable(f"{host}: {error or type(error).__name__}") from None
        wire = _Sent(socket)
        try:
            listener.opened(wire)
            async for frame in socket:
                listener.heard(frame)
        except ConnectionClosed:
            pass
        finally:
            wire.stop()
            listener.closed()
            await socket.close()


class _Straight(connect):
    """A connection that follows no redirect: our proof is for the host that is configured."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class _Sent:
    """The wire of a socket of ours (`carriers.stream.Wire`): messages go out in their order, behind each other."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._waiting: asyncio.Queue[Frame | None] = asyncio.Queue(UNSENT_LIMIT)
        self._sending = asyncio.get_running_loop().create_task(self._send(), name="a socket of ours")

    def send(self, frame: Frame) -> None:
        """Send a message."""
        self._put(frame)

    def close(self) -> None:
        """Close the socket, behind what was sent."""
        self._put(None)

    def stop(self) -> None:
        """Send nothing more."""
        self._sending.cancel()

    def _put(self, frame: Frame | None) -> None:
        try:
            self._waiting.put_nowait(frame)
        except asyncio.QueueFull:
            log.warning("a service does not read its socket, which is closed")
            self._socket.transport.abort()

    async def _send(self) -> None:
        try:
            while (frame := await self._waiting.get()) is not None:
                await self._socket.send(frame)
            await self._socket.close()
        except ConnectionClosed:
            pass  # whoever reads it hears that


def wait_s(tries: int, chance: float) -> float:
    """Give how long to wait before the next of several tries; `chance` is in [0, 1)."""
    return min(LONGEST_S, FIRST_S * 2**tries) * (0.5 + chance / 2)


async def hold(dial: Dial, order: ApiCall, leg: RealtimeLeg, chance: Callable[[], float]) -> None:
    """Hold the socket of one call, from its answer to its end."""
    for tries in range(CONTROL_TRIES):
        try:
            await dial(order, RelayVisit(leg))
            return
        except Unreachable as error:
            log.warning("the socket of a call was not opened", call=leg.info.id, error=redacted(str(error)))
        await asyncio.sleep(wait_s(tries, chance()))
        if leg.over:
            return


class Standing:
    """The events of one service, for as long as `run` runs."""

    def __init__(self, board: Switchboard, service: Evented, dial: Dial, say: Callable[[str], None]) -> None:
        self._board = board
        self._service = service
        self._dial = dial
        self._say = say
        self.up = False
        """Whether its events come."""
        self.counts = {"lost": 0, "unreadable": 0}
        """How often its socket was lost or not to be had, and what made no sense."""

    async def run(self) -> None:
        """Hold the socket open."""
        loop, name = asyncio.get_running_loop(), self._service.name
        tries = 0
        while True:
            began_s = loop.time()
            try:
                await self._dial(self._service.events(), self)
                why = "its socket was closed"
            except Unreachable as error:
                why = str(error)
            if loop.time() - began_s >= STEADY_S:
                tries = 0
            wanted_s = wait_s(min(tries, 10), self._board.chance())
            tries += 1
            self.counts["lost"] += 1
            self._say(f"{name}: its events do not come: {why}; again in {wanted_s:.1f} s")
            await asyncio.sleep(wanted_s)

    # Listener

    def opened(self, wire: Wire) -> None:
        """Ask which calls are there: what has happened meanwhile nobody has told."""
        self.up = True
        self._say(f"{self._service.name}: its events come")
        self._board.do(self._look())

    def heard(self, frame: Frame) -> None:
        """Take an event."""
        request = Request("POST", "/", body=frame if isinstance(frame, bytes) else frame.encode("utf-8", "replace"))
        try:
            news, orders = self._service.hook("events", request), self._service.follow(request)
        except ProtocolError:
            self.counts["unreadable"] += 1
            return
        for one in news:
            self._board.do(self._board.happened(self._service, one))
        for order in orders:
            self._board.do(self._board.order(self._service, order))

    def closed(self) -> None:
        """Hear that it is gone: calls go on by their media, and end with it."""
        self.up = False

    async def _look(self) -> None:
        known = self._board.up(self._service)
        if not known:
            return
        try:
            there = self._service.there(await self._board.ask(self._service, self._service.look()))
        except (Unreachable, ProtocolError) as error:
            log.warning("which calls are there can't be seen", service=self._service.name, error=redacted(str(error)))
            return
        for call in known:
            if call not in there:
                await self._board.happened(self._service, Left(call))
                for order in self._service.hang_up(call):  # what was made for it is still there
                    await self._board.order(self._service, order)
