"""Every socket of one user agent: UDP endpoints, listeners, connections; which of them a flow means.

    datagram ────► flood ─► received(data, flow)
    connection ──► flood ─► received(message, flow)      send(flow, data) ─► the flow's socket or connection,
                                                                             or the connection that it asks for

Laws: what a source outside the allow-list sends is counted and dropped unread, and no TLS is spoken with it;
connections are bounded in all and a source. A `Flow` names our *advertised* address, so that Via, Contact and SDP can
be made from it without asking anyone.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Any, Final

from offhook.core.errors import OffhookError, Unreachable
from offhook.core.media import Address
from offhook.policy.reach import Reach
from offhook.run.transports.connections import Connection
from offhook.run.transports.datagrams import Datagrams
from offhook.run.transports.flood import Bucket, Buckets
from offhook.run.transports.framing import Framing
from offhook.run.transports.signals import Counts, Signals
from offhook.run.transports.tls import HANDSHAKE_S, Tls, TlsRules, alt_names, verify, why
from offhook.sip.locate import SECURE, Able
from offhook.sip.outcomes import Flow
from offhook.sip.stream import alias_port

CONNECTIONS_LIMIT: Final = 1000
"""Connections at a time. A trunk uses a handful; the rest would be somebody's experiment."""

CONNECTIONS_A_SOURCE: Final = 100
"""Connections of one source that has no rate of its own: an office behind one address."""

CONNECT_S: Final = 10.0
"""How long the opening of a connection may take."""

BACKLOG: Final = 100
"""Connections that may wait to be taken; asyncio's own."""

ACCEPT_S: Final = 0.1
"""How long none is taken after that failed: the descriptors may be back by then."""

SHUTDOWN_S: Final = 2.0
"""How long the goodbye of TLS may take."""

WAITING_LIMIT: Final = 256
"""Messages that wait for a connection to be opened; more than one dead trunk's share is dropped."""

FLOWS_LIMIT: Final = 4096
"""Flows that are kept ready for the next datagram from the same source."""

STREAMS: Final = ("tcp", "tls", "ws", "wss")

_ANY: Final = ("0.0.0.0", "::")  # noqa: S104 (asking, not binding)

_Key = tuple[str, Address, str]
"""What connections of ours are told apart by: transport, far end, the name that was asked for."""


def local_towards(ip: str) -> str:
    """Give the address of ours that the routing table picks towards `ip`. Nothing is sent. OSError without a route."""
    with socket.socket(_family(ip), socket.SOCK_DGRAM) as probe:
        probe.connect((ip, 9))
        return probe.getsockname()[0]


def _family(ip: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in ip else socket.AF_INET


class Transports:
    """`reach` says which address is advertised to whom; `origins` are the web pages that may call."""

    def __init__(
        self,
        signals: Signals,
        *,
        reach: Reach | None = None,
        tls: TlsRules | None = None,
        origins: Sequence[str] = (),
    ) -> None:
        self.counts = Counts()
        self._signals = signals
        self._reach = reach or Reach()
        self._origins = origins
        self._tls = Tls(tls or TlsRules(), signals.warned)
        self._udp: list[Datagrams] = []
        self._servers: list[tuple[str, Address, asyncio.AbstractServer | socket.socket]] = []
        self._connections: dict[int, Connection] = {}
        self._towards: dict[tuple[str, Address], Connection] = {}
        self._sources: dict[str, int] = {}
        self._opening: dict[_Key, tuple[asyncio.Task[None], list[tuple[Flow, bytes]]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._handshakes = 0
        self._buckets = Buckets(signals.rate)
        self._numbers = 0
        self._local: dict[str, str] = {}
        self._flows: dict[tuple[Address, Address], tuple[Flow, Bucket | None]] = {}
        self._closed = False

    async def listen(self, transport: str, address: Address) -> Address:
        """Bind "udp", "tcp", "tls", "ws" or "wss" at an address (port 0: any free one); give what was bound.

        OSError if it can't be, ConfigError where there is no certificate for it.
        """
        if transport == "udp":
            endpoint = await Datagrams.bind(address, self.datagram, self.counts)
            self._udp.append(endpoint)
            return endpoint.bound
        if transport in SECURE:
            self._tls.listening()  # what is wrong with the certificate is told now and not to the first caller
            listener = socket.create_server(address, family=_family(address[0]), backlog=BACKLOG)
            listener.setblocking(False)
            bound: Address = listener.getsockname()[:2]
            accepting = self._accept(transport, listener)
            task = asyncio.get_running_loop().create_task(accepting, name=f"{transport} {bound}")
            self._tasks.add(task)
            self._servers.append((transport, bound, listener))
            return bound
        server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self, transport, self._framing(transport)), address[0], address[1]
        )
        bound = server.sockets[0].getsockname()[:2] if server.sockets else address
        self._servers.append((transport, bound, server))
        return bound

    def able(self) -> Able:
        """Give the transports and families that requests of ours can take."""
        bound = [endpoint.bound for endpoint in self._udp] + [address for _, address, _ in self._servers]
        families = dict.fromkeys(6 if ":" in ip else 4 for ip, _ in bound)
        return Able((*(("udp",) if self._udp else ()), *STREAMS), tuple(families))

    def flow(self, transport: str, remote: Address, name: str = "") -> Flow:
        """Give the flow on which a request of ours goes to `remote`. LookupError where we have no socket for it."""
        udp = [endpoint.bound for endpoint in self._udp]
        if transport == "udp":
            bound = self._facing(udp, remote[0])
        else:
            # Where we do not listen on it, the port in Via is another's; the answers come on the connection anyway.
            own = [address for kind, address, _ in self._servers if kind == transport]
            others = [address for _, address, _ in self._servers]
            bound = next((found for group in (own, others, udp) if (found := self._facing(group, remote[0]))), None)
        if bound is None:
            raise LookupError(f"no address to reach {remote[0]} from by {transport}: add one to sip.listen")
        return Flow(transport, self.advertised(bound, remote[0]), remote, 0, name)

    def _facing(self, addresses: Sequence[Address], ip: str) -> Address | None:
        """Choose among bound addresses the one that the way to `ip` begins at."""
        mine = [address for address in addresses if (":" in address[0]) is (":" in ip)]
        if len(mine) < 2:
            return mine[0] if mine else None
        towards = self._towards_ip(ip)
        return next((one for one in mine if one[0] == towards or one[0] in _ANY), mine[0])

    def send(self, flow: Flow, data: bytes) -> None:
        """Put bytes on a flow. What can't be sent is told by `flow_closed`, later, never by an exception."""
        if self._closed:
            return
        if flow.transport == "udp":
            endpoint = self._endpoint(flow)
            if endpoint is None:
                self.counts.unsent += 1
            else:
                endpoint.send(data, flow.remote)
            return
        connection = self._connections.get(flow.connection) or self._reusable(flow)
        if connection is not None:
            connection.write(data)
        else:
            self._open(flow, data)

    async def close(self) -> None:
        """Close every socket. Nothing is told any more."""
        self._closed = True
        for endpoint in self._udp:
            endpoint.close()
        tasks = [*[task for task, _ in self._opening.values()], *self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _, _, server in self._servers:
            server.close()
        for connection in list(self._connections.values()):
            connection.end()
        await asyncio.sleep(0)  # so that the loop may tell the protocols

    def advertised(self, bound: Address, remote_ip: str) -> Address:
        """Give our address as `remote_ip` should use it: an outer one, or that of the route there."""
        outer = self._reach.address(remote_ip)
        if outer is not None:
            return outer, bound[1]
        return bound if bound[0] not in _ANY else (self._towards_ip(remote_ip), bound[1])

    def _towards_ip(self, remote_ip: str) -> str:
        ip = self._local.get(remote_ip)
        if ip is None:
            if len(self._local) >= FLOWS_LIMIT:
                self._local.clear()
            try:
                ip = local_towards(remote_ip)
            except OSError:
                ip = "::1" if ":" in remote_ip else "127.0.0.1"
            self._local[remote_ip] = ip
        return ip

    def reread_certificates(self) -> None:
        """Read the files of TLS anew; connections that are open keep what they were opened with."""
        self._tls.reread()

    def forget(self, ip: str) -> None:
        """Ask anew how much a source may send: its class has changed."""
        for key in [key for key in self._flows if key[0][0] == ip]:
            del self._flows[key]
        bucket = self._buckets.of(ip, self._time())
        for connection in self._connections.values():
            if connection.remote[0] == ip:
                connection.bucket = bucket

    # What the sockets call

    def datagram(self, data: bytes, remote: Address, bound: Address) -> None:
        """Take a datagram."""
        if not self._signals.permits(remote[0]):
            self.counts.screened += 1
            return
        known = self._flows.get((remote, bound))
        if known is None:
            if len(self._flows) >= FLOWS_LIMIT:
                self._flows.clear()
            flow = Flow("udp", self.advertised(bound, remote[0]), remote)
            known = self._flows[remote, bound] = flow, self._buckets.of(remote[0], self._time())
        flow, bucket = known
        if bucket is not None and not bucket.take(now := self._time()):
            self.counts.flooded += 1
            if bucket.news(now):
                self._signals.flooded(remote[0])
            return
        self._signals.received(data, flow)

    def made(self, connection: Connection, wire: asyncio.Transport) -> bool:
        """Take a new connection; False where it is not wanted."""
        ip = connection.remote[0]
        opening = connection.opening
        if self._closed or (opening is None and not connection.secure and not self._wanted(ip)):
            return False
        if connection.secure:
            connection.names = alt_names(wire)
        if opening is None:
            connection.bucket = self._buckets.of(ip, self._time())
        elif connection.secure:
            try:
                verify(connection.names, opening.name or ip)
            except Unreachable as error:
                connection.why = str(error)
                return False
        self._numbers += 1
        connection.number = self._numbers
        # The port of a connection that we opened is nobody's to call: what we listen on is advertised.
        local = opening.local if opening is not None else self.advertised(connection.local, ip)
        name = opening.name if opening is not None else ""
        connection.flow = Flow(connection.transport, local, connection.remote, self._numbers, name)
        self._connections[self._numbers] = connection
        self._towards[connection.transport, connection.remote] = connection
        self._count(ip, +1)
        return True

    def message(self, connection: Connection, data: bytes) -> None:
        """Take a message of a connection."""
        assert connection.flow is not None
        if connection.names and connection.opening is None and (port := alias_port(data)) is not None:
            # RFC 5923 section 5: only who has shown by its certificate who it is may be called back on its connection.
            self._towards[connection.transport, (connection.remote[0], port)] = connection
        self._signals.received(data, connection.flow)

    def lost(self, connection: Connection, why: str) -> None:
        """Forget a connection that is gone."""
        if self._connections.pop(connection.number, None) is None:
            return
        self._count(connection.remote[0], -1)
        for key in [key for key, one in self._towards.items() if one is connection]:
            del self._towards[key]
        if not self._closed:
            assert connection.flow is not None
            self._signals.flow_closed(connection.flow, why)

    def busy(self, connection: Connection) -> bool:
        """Say whether a connection carries calls."""
        return connection.flow is not None and self._signals.carries_calls(connection.flow)

    def broke(self, connection: Connection, kind: str) -> None:
        """Count why a connection is closed, or held back."""
        match kind:
            case "idle":
                self.counts.streams_idle += 1
            case "flooded":
                self.counts.flooded += 1
                if connection.bucket is not None and connection.bucket.news(self._time()):
                    self._signals.flooded(connection.remote[0])
            case _:
                self.counts.streams_broken += 1

    # The rest

    @staticmethod
    def _time() -> float:
        return asyncio.get_running_loop().time()

    def _framing(self, transport: str, host: str | None = None) -> Framing | None:
        if transport not in ("ws", "wss"):
            return None
        from offhook.run.transports.websocket import WebFraming

        return WebFraming(host, secure=transport == "wss", origins=self._origins)

    def _endpoint(self, flow: Flow) -> Datagrams | None:
        if len(self._udp) == 1:
            return self._udp[0]
        local = flow.local
        for endpoint in self._udp:
            if endpoint.bound == local:
                return endpoint
        six = ":" in flow.remote[0]
        alike = [endpoint for endpoint in self._udp if (":" in endpoint.bound[0]) is six]
        return next((endpoint for endpoint in alike if endpoint.bound[1] == local[1]), alike[0] if alike else None)

    def _reusable(self, flow: Flow) -> Connection | None:
        """Give an open connection that leads to the far end of a flow, if there is one (RFC 3261 section 18.1.1)."""
        found = self._towards.get((flow.transport, flow.remote))
        return found if found is not None and found.wire is not None and found.leads_to(flow.name) else None

    def _open(self, flow: Flow, data: bytes) -> None:
        key = (flow.transport, flow.remote, flow.name)
        if key in self._opening:
            waiting = self._opening[key][1]
            if len(waiting) < WAITING_LIMIT:
                waiting.append((flow, data))
            else:
                self.counts.unsent += 1
            return
        waiting = [(flow, data)]
        name = f"connect {flow.transport} {flow.remote}"
        self._opening[key] = asyncio.get_running_loop().create_task(self._connect(key, waiting), name=name), waiting

    async def _connect(self, key: _Key, waiting: list[tuple[Flow, bytes]]) -> None:
        transport, remote, name = key
        host = name or remote[0]
        shown = f"[{remote[0]}]:{remote[1]}" if ":" in remote[0] else f"{remote[0]}:{remote[1]}"
        connection = Connection(self, transport, self._framing(transport, shown), waiting[0][0])
        fault = ""
        try:
            secured: dict[str, Any] = {}
            if connection.secure:
                secured = {"ssl": self._tls.calling(), "server_hostname": host, "ssl_shutdown_timeout": SHUTDOWN_S}
            async with asyncio.timeout(CONNECT_S):
                await asyncio.get_running_loop().create_connection(lambda: connection, *remote, **secured)
        except (OSError, TimeoutError, OffhookError) as error:
            fault = why(error)
        finally:
            del self._opening[key]
        if connection.wire is not None:
            for _, data in waiting:
                connection.write(data)
            return
        fault = fault or connection.why or "the far end closed the connection"
        self._signals.warned(f"no {transport} connection to {host} ({shown}): {fault}")
        for flow in dict.fromkeys(flow for flow, _ in waiting):
            self._signals.flow_closed(flow, fault)

    # Connections that come, where TLS is spoken

    async def _accept(self, transport: str, listener: socket.socket) -> None:
        """Take connections and screen them before any handshake, which is what a flood of them would cost."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, peer = await loop.sock_accept(listener)
            except OSError:  # no descriptors left, or gone before it was taken
                self.counts.streams_refused += 1
                await asyncio.sleep(ACCEPT_S)
                continue
            if not self._wanted(peer[0]):
                sock.close()
                continue
            task = loop.create_task(self._handshake(transport, sock, peer[0]), name=f"TLS with {peer[0]}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _handshake(self, transport: str, sock: socket.socket, ip: str) -> None:
        self._handshakes += 1
        self._count(ip, +1)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: Connection(self, transport, self._framing(transport)),
                sock,
                ssl=self._tls.listening(),
                ssl_handshake_timeout=HANDSHAKE_S,
                ssl_shutdown_timeout=SHUTDOWN_S,
            )
        except (OSError, TimeoutError):
            self.counts.handshakes_failed += 1
        finally:
            self._handshakes -= 1
            self._count(ip, -1)

    def _wanted(self, ip: str) -> bool:
        """Say whether one more connection from a source is."""
        if self._closed or len(self._connections) + self._handshakes >= CONNECTIONS_LIMIT:
            self.counts.streams_refused += 1
            return False
        if not self._signals.permits(ip):
            self.counts.screened += 1
            return False
        bucket = self._buckets.of(ip, self._time())
        if self._sources.get(ip, 0) >= (bucket.rate.connections if bucket is not None else CONNECTIONS_A_SOURCE):
            self.counts.streams_refused += 1
            return False
        return True

    def _count(self, ip: str, by: int) -> None:
        self._sources[ip] = self._sources.get(ip, 0) + by
        if self._sources[ip] <= 0:
            del self._sources[ip]
