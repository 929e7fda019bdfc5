"""An asyncio event loop whose clock is virtual: a minute of calls passes as fast as it can be computed.

      asyncio's timers ──┐
                         ├─► whatever is next in virtual time ─► runs ─► the clock has jumped there
      the world's events ┘

Two kinds of things happen. The *process* is ordinary asyncio: tasks, timers, readers, protocols. The *world* is what is
outside of the process: packets under way, the media threads. World events are plain calls at an instant (`at`), run
between two turns of the process, before any timer that is due at the same instant, so that input is always seen before
a deadline fires.

Laws: no wall clock is read; the order depends on nothing but the order of the calls (no hashes, no threads, no garbage
collection); waiting for what can never come is an error (`Deadlock`), and so is an instant that never passes
(`Standstill`).

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())
"""

from __future__ import annotations

import asyncio
import heapq
import signal
import socket
from collections.abc import Callable
from concurrent.futures import Executor
from contextvars import Context, copy_context
from typing import Any, Final, Protocol, TypeVar, TypeVarTuple, Unpack

from offhook.core.instants import SECOND, Duration, Instant
from offhook.core.media import Address

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")

START: Final[Instant] = 1_000 * SECOND
"""Where a virtual clock begins, unless told otherwise: not at zero, as no machine's monotonic clock does."""

FIRST_DESCRIPTOR: Final = 1_000_000
"""Pseudo file descriptors begin here, far above what an operating system gives out."""

STANDSTILL_TURNS: Final = 20_000
"""So many turns of the loop within one instant are a standstill; the busiest real instants take some hundreds."""


class Deadlock(RuntimeError):
    """Everything waits and nothing will ever happen: the text names the tasks and where they wait."""


class Standstill(RuntimeError):
    """The loop turns and turns and no time passes: something reschedules itself at the same instant for ever."""


class Network(Protocol):
    """What the loop needs of a simulated network (`offhook.testing.network.SimulatedNetwork` is one)."""

    def bind(self, address: Address, receive: Callable[[bytes, Address], None]) -> Address:
        """Take a UDP address (port 0: any); OSError if it is taken. Gives the address that was bound."""
        ...

    def unbind(self, address: Address) -> None:
        """Give a UDP address back."""
        ...

    def send(self, source: Address, destination: Address, data: bytes) -> None:
        """Send one datagram; what becomes of it is the network's business."""
        ...

    def listen(
        self, loop: VirtualLoop, address: Address, factory: Callable[[], asyncio.BaseProtocol]
    ) -> asyncio.AbstractServer:
        """Listen for streams (TCP)."""
        ...

    async def connect(
        self, loop: VirtualLoop, source: Address | None, destination: Address, protocol: asyncio.BaseProtocol
    ) -> asyncio.Transport:
        """Open a stream; ConnectionRefusedError where nobody listens."""
        ...


class VirtualLoop(asyncio.BaseEventLoop):
    """An asyncio loop in virtual time, with a simulated network in place of sockets.

    `network` may be set after construction, but before anything is bound. `limit_s` ends a run that should long have
    been over (Standstill).
    """

    def __init__(self, *, start: Instant = START, network: Network | None = None, limit_s: float | None = None) -> None:
        super().__init__()
        self._start = self._now = start
        self._now_s = start / SECOND
        self._limit: Instant | None = None if limit_s is None else start + round(limit_s * SECOND)
        self._world: list[tuple[Instant, int, Callable[..., object], tuple[Any, ...]]] = []
        self._order = 0
        self._turns = 0
        self._stirred = False
        self._readers: dict[int, tuple[Callable[..., Any], tuple[Any, ...], Context]] = {}
        self._descriptor = FIRST_DESCRIPTOR
        self._signals: dict[int, tuple[Callable[..., object], tuple[Any, ...]]] = {}
        self._selector = _Selector(self)  # asyncio.BaseEventLoop turns by this attribute
        self._scheduled: list[asyncio.TimerHandle]  # and keeps its timers in this one
        self.network = network

    # The clock

    def time(self) -> float:
        """Give the virtual time in seconds."""
        return self._now_s

    @property
    def now(self) -> Instant:
        """The virtual time in nanoseconds."""
        return self._now

    @property
    def age(self) -> Duration:
        """The virtual nanoseconds since the loop was made."""
        return self._now - self._start

    def timers(self) -> list[str]:
        """Name the process's timers that are still to fire, soonest first: what is left of calls that are over."""
        handles: list[asyncio.TimerHandle] = sorted(handle for handle in self._scheduled if not handle.cancelled())
        return [f"{handle!r}".split(" created at")[0].split(" at 0x")[0] for handle in handles]

    # The world outside of the process

    def at(self, when: Instant, callback: Callable[[Unpack[_Ts]], object], *args: *_Ts) -> None:
        """Let the world call `callback` at an instant (not before now). It can't be taken back: check when called."""
        self._order += 1
        heapq.heappush(self._world, (when if when > self._now else self._now, self._order, callback, args))

    def descriptor(self) -> int:
        """Give a new pseudo file descriptor for `add_reader` and `wake`."""
        self._descriptor += 1
        return self._descriptor

    def wake(self, descriptor: int) -> None:
        """Make a pseudo file descriptor readable once: its reader runs in the next turn."""
        reader = self._readers.get(descriptor)
        if reader is not None:
            callback, args, context = reader
            self.call_soon(callback, *args, context=context)

    def raise_signal(self, number: int) -> None:
        """Let a signal come in, as the operator's SIGTERM would; KeyError if nobody handles it."""
        callback, args = self._signals[number]
        self.call_soon(callback, *args)

    # What asyncio asks of a loop

    def call_soon(
        self, callback: Callable[[Unpack[_Ts]], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Run a callback in the next turn."""
        self._stirred = True
        return super().call_soon(callback, *args, context=context)

    def add_reader(self, fd: Any, callback: Callable[[Unpack[_Ts]], Any], *args: *_Ts) -> None:
        """Watch a pseudo file descriptor. A real one is refused: no real input belongs into virtual time."""
        if not isinstance(fd, int) or fd < FIRST_DESCRIPTOR:
            raise ValueError(f"{fd!r} is no pseudo file descriptor of this loop")
        self._readers[fd] = (callback, args, copy_context())

    def remove_reader(self, fd: Any) -> bool:
        """Watch a pseudo file descriptor no longer."""
        return self._readers.pop(fd, None) is not None

    def add_signal_handler(self, sig: int, callback: Callable[[Unpack[_Ts]], object], *args: *_Ts) -> None:
        """Remember a handler for `raise_signal`; real signals are not touched."""
        self._signals[signal.Signals(sig)] = (callback, args)

    def remove_signal_handler(self, sig: int) -> bool:
        """Forget a handler."""
        return self._signals.pop(sig, None) is not None

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[[Unpack[_Ts]], _T], *args: *_Ts
    ) -> asyncio.Future[_T]:
        """Run a function here and now; no virtual time passes, and no thread is used."""
        future: asyncio.Future[_T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 (whatever it raised belongs to whoever awaits it)
            future.set_exception(error)
        return future

    async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> list[Any]:
        """Resolve numeric addresses only: there is no name service in this world."""
        flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        return socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=flags)

    async def create_datagram_endpoint(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        local_addr: Address | None = None,
        remote_addr: Address | None = None,
        **_: Any,
    ) -> tuple[asyncio.DatagramTransport, asyncio.BaseProtocol]:
        """Open a UDP socket on the simulated network."""
        protocol = protocol_factory()
        assert isinstance(protocol, asyncio.DatagramProtocol)
        transport = _DatagramTransport(self, self._wires(), local_addr or ("0.0.0.0", 0), remote_addr, protocol)  # noqa: S104
        self.call_soon(protocol.connection_made, transport)
        await asyncio.sleep(0)
        return transport, protocol

    async def create_server(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str | None = None,
        port: int | None = None,
        **_: Any,
    ) -> asyncio.AbstractServer:
        """Listen for streams on the simulated network."""
        return self._wires().listen(self, (host or "0.0.0.0", port or 0), protocol_factory)  # noqa: S104

    async def create_connection(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str | None = None,
        port: int | None = None,
        *,
        local_addr: Address | None = None,
        **_: Any,
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """Open a stream on the simulated network."""
        assert host is not None
        assert port is not None
        protocol = protocol_factory()
        return await self._wires().connect(self, local_addr, (host, port), protocol), protocol

    def _wires(self) -> Network:
        if self.network is None:
            raise OSError("this virtual loop has no network: set `loop.network` first")
        return self.network

    # What asyncio.BaseEventLoop asks of its heir

    def _process_events(self, event_list: list[Any]) -> None:
        """Take what the selector found: never anything, since `wake` puts readers straight into the next turn."""

    def _write_to_self(self) -> None:
        """Wake the selector from another thread: it never sleeps."""

    def pass_time(self, timeout: float | None) -> None:
        """Jump to what is next: a world event, or the timer due in `timeout` seconds (0: the process is busy)."""
        world = self._world
        busy = timeout == 0
        if busy:
            self._turns += 1
            if self._turns > STANDSTILL_TURNS:
                raise Standstill(f"{self._turns} turns at {self._now_s:.6f} s and no time passes: {self._waiting()}")
            timer: Instant | None = self._now
        elif timeout is None:
            timer = None
            if not world:
                raise Deadlock(f"at {self._now_s:.6f} s nothing will ever happen: {self._waiting()}")
        else:
            timer = self._now + round(timeout * SECOND)
        self._stirred = False
        while world and (timer is None or world[0][0] <= timer):
            when, _, callback, args = heapq.heappop(world)
            if when > self._now:
                self._advance(when)
            callback(*args)
            if self._stirred and not busy:
                return
        if timer is not None and timer > self._now:
            self._advance(timer)

    def _advance(self, when: Instant) -> None:
        self._now = when
        self._now_s = when / SECOND
        self._turns = 0
        if self._limit is not None and when > self._limit:
            self._limit = None  # so that the cleanup may still run
            raise Standstill(f"still running at the limit of {self._now_s:.3f} s: {self._waiting()}")

    def _waiting(self) -> str:
        """Name the tasks and where each of them waits."""
        lines: list[str] = []
        for task in sorted(asyncio.all_tasks(self), key=lambda task: task.get_name()):
            stack = task.get_stack(limit=1)
            place = f"{stack[0].f_code.co_filename}:{stack[0].f_lineno}" if stack else "not begun"
            lines.append(f"{task.get_name()} {task.get_coro()!r} at {place}")
        return "; ".join(lines) if lines else "no tasks"


class _Selector:
    """What asyncio.BaseEventLoop calls once a turn to sleep: here it jumps."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        self._loop.pass_time(timeout)
        return []


class _DatagramTransport(asyncio.DatagramTransport):
    """One UDP socket of the process, on the simulated network."""

    def __init__(
        self,
        loop: VirtualLoop,
        network: Network,
        local: Address,
        remote: Address | None,
        protocol: asyncio.DatagramProtocol,
    ) -> None:
        self._loop = loop
        self._network = network
        self._remote = remote
        self._protocol = protocol
        self._closing = False
        self._local = network.bind(local, self._receive)
        super().__init__({"sockname": self._local, "peername": remote})

    def _receive(self, data: bytes, source: Address) -> None:
        self._loop.call_soon(self._deliver, data, source)

    def _deliver(self, data: bytes, source: Address) -> None:
        if not self._closing and self._remote in (None, source):
            self._protocol.datagram_received(data, source)

    def sendto(self, data: Any, addr: Any = None) -> None:
        if self._closing:
            return
        destination = addr or self._remote
        if destination is None:
            raise ValueError("a datagram needs an address")
        self._network.send(self._local, (destination[0], destination[1]), bytes(data))

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._network.unbind(self._local)
            self._loop.call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        self.close()

    def is_closing(self) -> bool:
        return self._closing

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def get_write_buffer_size(self) -> int:
        return 0
