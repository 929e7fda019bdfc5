"""SIP's sockets: UDP endpoints, TCP listeners and TCP connections, all on the running loop.

    datagram ───────────────► receive(data, flow)
    stream ─► StreamParser ─► receive(message, flow)         send(flow, data) ─► the flow's socket
                                                             or the connection that it asks for

Laws: what a source outside the allow-list sends is counted and dropped unread; a stream that can't be cut into
messages, stays silent before its first message, or is not read by the far end is closed; every buffer has a bound. A
`Flow` names our *advertised* address, so that Via, Contact and SDP can be made from it without asking anyone.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import dataclass
from typing import Final, Protocol, cast

from offhook.core.errors import ProtocolError
from offhook.core.media import Address
from offhook.sip.outcomes import Flow
from offhook.sip.stream import StreamParser

CONNECTIONS_LIMIT: Final = 1000
"""TCP connections at a time. A trunk uses a handful; the rest would be somebody's experiment."""

FIRST_MESSAGE_S: Final = 30.0
"""A connection that has brought no whole message by then is closed (RFC 3261's Timer B is 32 s)."""

IDLE_S: Final = 900.0
"""A connection that carries no call and was silent so long is closed."""

CONNECT_S: Final = 10.0
"""How long the opening of a connection may take."""

LINGER_S: Final = 2.0
"""How long what comes on a connection that was given up is still read, and forgotten."""

WRITE_LIMIT: Final = 1 << 20
"""Bytes that may wait for a far end that does not read."""

FLOWS_LIMIT: Final = 4096
"""Flows that are kept ready for the next datagram from the same source."""

RECEIVE_BUFFER: Final = 4 << 20
"""What is asked of the kernel for a UDP socket: about a second of signalling at 500 calls a second."""


class Signals(Protocol):
    """Whom the transports tell."""

    def received(self, data: bytes, flow: Flow) -> None:
        """A whole message came."""
        ...

    def flow_closed(self, flow: Flow) -> None:
        """A connection is gone, or could not be opened."""
        ...

    def permits(self, ip: str) -> bool:
        """Whether a source may speak to us."""
        ...

    def carries_calls(self, connection: int) -> bool:
        """Whether a call lives on a connection, which is then kept however quiet it is."""
        ...


@dataclass(slots=True)
class Counts:
    """What the transports dropped, and why."""

    screened: int = 0
    unsent: int = 0
    socket_errors: int = 0
    streams_broken: int = 0
    streams_refused: int = 0
    streams_idle: int = 0


def local_towards(ip: str) -> str:
    """Give the address of ours that the routing table picks towards `ip`. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((ip, 9))
        return probe.getsockname()[0]


class Transports:
    """Every socket of one user agent. `external` overrides the address that is advertised."""

    def __init__(self, signals: Signals, *, external: str | None = None) -> None:
        self.counts = Counts()
        self._signals = signals
        self._external = external
        self._udp: list[_Datagrams] = []
        self._servers: list[tuple[Address, asyncio.AbstractServer]] = []
        self._streams: dict[int, _Stream] = {}
        self._opening: dict[tuple[Address, Address], tuple[asyncio.Task[None], list[tuple[Flow, bytes]]]] = {}
        self._numbers = 0
        self._local: dict[str, str] = {}
        self._flows: dict[tuple[Address, Address], Flow] = {}
        self._closed = False

    async def listen(self, transport: str, address: Address) -> Address:
        """Bind "udp" or "tcp" at an address (port 0: any free one); give what was bound. OSError if it can't be."""
        loop = asyncio.get_running_loop()
        if transport == "udp":
            endpoint = _Datagrams(self)
            wire, _ = await loop.create_datagram_endpoint(lambda: endpoint, local_addr=address)
            bound: Address = wire.get_extra_info("sockname")[:2]
            endpoint.bound = bound
            sock = wire.get_extra_info("socket")
            if sock is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            self._udp.append(endpoint)
            return bound
        server = await loop.create_server(lambda: _Stream(self, None), address[0], address[1])
        bound = server.sockets[0].getsockname()[:2] if server.sockets else address
        self._servers.append((bound, server))
        return bound

    def flow(self, transport: str, remote: Address) -> Flow:
        """Give the flow on which a request of ours goes to `remote`. LookupError where we don't listen on that."""
        if transport == "udp":
            if not self._udp:
                raise LookupError("no UDP address to send from: add one to sip.listen")
            bound = self._udp[0].bound
        else:
            # Where we only listen on UDP, the port in Via is that one; the answers come on the connection anyway.
            bound = self._servers[0][0] if self._servers else self._udp[0].bound
        return Flow(transport, self.advertised(bound, remote[0]), remote)

    def send(self, flow: Flow, data: bytes) -> None:
        """Put bytes on a flow. What can't be sent is told by `flow_closed`, later, never by an exception."""
        if self._closed:
            return
        if flow.transport == "udp":
            endpoint = self._endpoint(flow.local)
            if endpoint is None or endpoint.wire is None:
                self.counts.unsent += 1
                return
            try:
                endpoint.wire.sendto(data, flow.remote)
            except (OSError, ValueError):  # an address of another family: uvloop raises what asyncio tells later
                self.counts.unsent += 1
            return
        stream = self._streams.get(flow.connection)
        if stream is None:
            stream = next((s for s in self._streams.values() if s.wire is not None and s.remote == flow.remote), None)
        if stream is not None:
            stream.write(data)
        else:
            self._open(flow, data)

    async def close(self) -> None:
        """Close every socket. Nothing is told any more."""
        self._closed = True
        for endpoint in self._udp:
            if endpoint.wire is not None:
                endpoint.wire.close()
        for _, server in self._servers:
            server.close()
        opening = [task for task, _ in self._opening.values()]
        for task in opening:
            task.cancel()
        await asyncio.gather(*opening, return_exceptions=True)
        for stream in list(self._streams.values()):
            stream.end()
        await asyncio.sleep(0)  # so that the loop may tell the protocols

    def advertised(self, bound: Address, remote_ip: str) -> Address:
        """Give our address as `remote_ip` should use it: the external one, or that of the route there."""
        if self._external is not None:
            return self._external, bound[1]
        if bound[0] != "0.0.0.0":  # noqa: S104 (asking, not binding)
            return bound
        ip = self._local.get(remote_ip)
        if ip is None:
            if len(self._local) >= 4096:
                self._local.clear()
            try:
                ip = local_towards(remote_ip)
            except OSError:
                ip = "127.0.0.1"
            self._local[remote_ip] = ip
        return ip, bound[1]

    # What the sockets call

    def datagram(self, data: bytes, remote: Address, bound: Address) -> None:
        """Take a datagram."""
        if not self._signals.permits(remote[0]):
            self.counts.screened += 1
            return
        key = (remote, bound)
        flow = self._flows.get(key)
        if flow is None:
            if len(self._flows) >= FLOWS_LIMIT:
                self._flows.clear()
            flow = self._flows[key] = Flow("udp", self.advertised(bound, remote[0]), remote)
        self._signals.received(data, flow)

    def made(self, stream: _Stream) -> bool:
        """Take a new connection; False where it is not wanted."""
        if self._closed or len(self._streams) >= CONNECTIONS_LIMIT:
            self.counts.streams_refused += 1
            return False
        if not stream.ours and not self._signals.permits(stream.remote[0]):
            self.counts.screened += 1
            return False
        self._numbers += 1
        stream.number = self._numbers
        stream.flow = Flow("tcp", self.advertised(stream.local, stream.remote[0]), stream.remote, self._numbers)
        self._streams[self._numbers] = stream
        return True

    def message(self, stream: _Stream, data: bytes) -> None:
        """Take a message of a stream."""
        assert stream.flow is not None
        self._signals.received(data, stream.flow)

    def lost(self, stream: _Stream) -> None:
        """Forget a connection that is gone."""
        if self._streams.pop(stream.number, None) is not None and not self._closed:
            assert stream.flow is not None
            self._signals.flow_closed(stream.flow)

    def busy(self, stream: _Stream) -> bool:
        """Say whether a connection carries calls."""
        return self._signals.carries_calls(stream.number)

    # Connections that we open

    def _endpoint(self, local: Address) -> _Datagrams | None:
        for endpoint in self._udp:
            if endpoint.bound == local:
                return endpoint
        return next((endpoint for endpoint in self._udp if endpoint.bound[1] == local[1]), None)

    def _open(self, flow: Flow, data: bytes) -> None:
        key = (flow.local, flow.remote)
        if key in self._opening:
            self._opening[key][1].append((flow, data))
            return
        waiting = [(flow, data)]
        task = asyncio.get_running_loop().create_task(self._connect(key, waiting), name=f"connect {flow.remote}")
        self._opening[key] = task, waiting

    async def _connect(self, key: tuple[Address, Address], waiting: list[tuple[Flow, bytes]]) -> None:
        (_, remote) = key
        stream = _Stream(self, remote)
        try:
            async with asyncio.timeout(CONNECT_S):
                await asyncio.get_running_loop().create_connection(lambda: stream, remote[0], remote[1])
        except (OSError, TimeoutError):
            pass
        finally:
            del self._opening[key]
        if stream.number:
            for _, data in waiting:
                stream.write(data)
        else:
            for flow in dict.fromkeys(flow for flow, _ in waiting):
                self._signals.flow_closed(flow)


class _Datagrams(asyncio.DatagramProtocol):
    """One UDP socket."""

    def __init__(self, owner: Transports) -> None:
        self._owner = owner
        self.bound: Address = ("", 0)
        self.wire: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not an isinstance: uvloop's transports are of no class of asyncio's.
        self.wire = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._owner.datagram(data, addr, self.bound)

    def error_received(self, exc: Exception) -> None:
        # An ICMP error says nothing that can be trusted; the transaction's timer will notice a dead peer.
        self._owner.counts.socket_errors += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self.wire = None


class _Stream(asyncio.Protocol):
    """One TCP connection; `remote` is given where we opened it."""

    def __init__(self, owner: Transports, remote: Address | None) -> None:
        self._owner = owner
        self._parser = StreamParser()
        self._watch: asyncio.TimerHandle | None = None
        self._heard_at = 0.0
        self._spoke = False
        self.ours = remote is not None
        self.remote: Address = remote or ("", 0)
        self.local: Address = ("", 0)
        self.number = 0
        self.flow: Flow | None = None
        self.wire: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast("asyncio.Transport", transport)
        self.remote = stream.get_extra_info("peername")[:2]
        self.local = stream.get_extra_info("sockname")[:2]
        if not self._owner.made(self):
            stream.abort()
            return
        self.wire = stream
        stream.set_write_buffer_limits(high=WRITE_LIMIT)
        loop = asyncio.get_running_loop()
        self._heard_at = loop.time()
        self._watch = loop.call_later(FIRST_MESSAGE_S, self._look)

    def data_received(self, data: bytes) -> None:
        if self.wire is None or self._parser.broken:
            return
        self._heard_at = asyncio.get_running_loop().time()
        try:
            messages = self._parser.push(data)
        except ProtocolError:
            # There is no telling where the next message begins: RFC 3261 section 18.3 gives up the connection.
            self._owner.counts.streams_broken += 1
            self.wire.abort()
            return
        if self._parser.pings:
            # RFC 5626 section 4.4.1: a double CRLF asks for a single one.
            self.wire.write(b"\r\n" * self._parser.pings)
            self._parser.pings = 0
        for message in messages:
            self._spoke = True
            self._owner.message(self, message)
        if self._parser.broken:
            self._give_up(self.wire)

    def _give_up(self, wire: asyncio.Transport) -> None:
        """Say no more behind the answer to what broke the stream; closed at once, what still comes would undo it."""
        self._owner.counts.streams_broken += 1
        if wire.can_write_eof():
            wire.write_eof()
        if self._watch is not None:
            self._watch.cancel()
        self._watch = asyncio.get_running_loop().call_later(LINGER_S, wire.abort)

    def eof_received(self) -> None:
        self._answer_unfinished()

    def _answer_unfinished(self) -> None:
        """Have a message answered whose rest will not come: section 18.3 owes its sender a 400."""
        if unfinished := self._parser.unfinished():
            self._owner.message(self, unfinished)

    def pause_writing(self) -> None:
        # The far end has not read a megabyte of signalling: it is gone or worse.
        if self.wire is not None:
            self._owner.counts.streams_broken += 1
            self.wire.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.wire = None
        if self._watch is not None:
            self._watch.cancel()
        self._owner.lost(self)

    def write(self, data: bytes) -> None:
        if self.wire is not None and not self.wire.is_closing():
            self.wire.write(data)

    def end(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        if self.wire is not None:
            with contextlib.suppress(OSError):
                self.wire.close()

    def _look(self) -> None:
        """See whether this connection is still worth its descriptor."""
        if self.wire is None:
            return
        loop = asyncio.get_running_loop()
        quiet_s = loop.time() - self._heard_at
        forgotten = (not self._spoke and not self.ours) or quiet_s >= IDLE_S
        if forgotten and not self._owner.busy(self):
            self._owner.counts.streams_idle += 1
            self._answer_unfinished()
            self.wire.close()
            return
        self._watch = loop.call_later(max(FIRST_MESSAGE_S, IDLE_S - quiet_s), self._look)
