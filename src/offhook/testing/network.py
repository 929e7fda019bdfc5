"""A seeded network: every datagram's fate is a function of the seed, its flow and its place in the flow.

      send ─► NAT ─► lost? ─► in a burst? ─► latency + jitter ─► out of order? ─► twice? ─► NAT ─► receive

Laws: each flow (one address to another) has its own streams of randomness, one a kind of fault, and every datagram
draws once from each, so that a fault here never changes the fate of a datagram elsewhere. Datagrams of a flow keep
their order unless `reorder` says otherwise. Each fault is counted under its name. Streams (TCP) are reliable and see
only delay and arbitrary cuts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from math import log
from random import Random
from typing import Final

from offhook.core.instants import MILLISECOND, SECOND, Duration, Instant
from offhook.core.media import Address
from offhook.testing.journal import Journal
from offhook.testing.loop import VirtualLoop
from offhook.testing.streams import Stream, StreamServer

Receive = Callable[[bytes, Address], None]
Mangle = Callable[[Instant, Address, Address, bytes], "bytes | None"]

EPHEMERAL: Final = 49152
"""Where port 0 and rebound NAT ports are taken from (RFC 6335 section 6)."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a path does to datagrams; the same both ways.

    Losses are a Gilbert–Elliott chain: `loss` is the probability of losing a datagram between bursts; a burst begins
    with probability `burst_enter` a datagram, ends with `burst_leave`, and loses `burst_loss` of what it meets. Jitter
    is exponential with mean `jitter_ms`, cut at eight times that. A reordered datagram is held back 20 to 80 ms while
    later ones pass. `rebinds_a_minute`: how often a NAT in front of the caller moves a media port.
    """

    name: str
    latency_ms: float
    jitter_ms: float = 0.0
    loss: float = 0.0
    burst_enter: float = 0.0
    burst_leave: float = 1.0
    burst_loss: float = 0.0
    reorder: float = 0.0
    duplicate: float = 0.0
    rebinds_a_minute: float = 0.0


PROFILES: Final[dict[str, Profile]] = {
    profile.name: profile
    for profile in (
        Profile("perfect", latency_ms=0.1),
        Profile("lan", latency_ms=0.4, jitter_ms=0.05),
        Profile("wan", latency_ms=28, jitter_ms=1.5, loss=0.001, reorder=0.0005),
        Profile(
            "wifi", latency_ms=9, jitter_ms=5, loss=0.004, burst_enter=0.002, burst_leave=0.25, burst_loss=0.6,
            duplicate=0.001,
        ),
        Profile(
            "lte", latency_ms=42, jitter_ms=9, loss=0.006, burst_enter=0.001, burst_leave=0.15, burst_loss=0.7,
            reorder=0.004, duplicate=0.002, rebinds_a_minute=0.3,
        ),
        Profile(
            "hostile", latency_ms=70, jitter_ms=18, loss=0.03, burst_enter=0.004, burst_leave=0.2, burst_loss=0.8,
            reorder=0.02, duplicate=0.02, rebinds_a_minute=1.0,
        ),
    )
}  # fmt: skip
"""The named paths, best first. `perfect` is for tests of agents."""


class _Flow:
    """One direction between two addresses: its randomness, its burst state, and the last arrival."""

    __slots__ = ("burst", "bursting", "delay", "duplicate", "last", "loss", "reorder")

    def __init__(self, seed: str) -> None:
        self.loss = Random(f"{seed}/loss").random
        self.burst = Random(f"{seed}/burst").random
        self.delay = Random(f"{seed}/delay").random
        self.reorder = Random(f"{seed}/reorder").random
        self.duplicate = Random(f"{seed}/duplicate").random
        self.bursting = False
        self.last: Instant = 0


class SimulatedNetwork:
    """All wires of one world. `profile` may be changed at any instant; what is under way is not touched.

    `mangle` sees every datagram as it leaves and may alter it, or swallow it by giving None: the door for faults.
    """

    def __init__(self, loop: VirtualLoop, journal: Journal, *, seed: str, profile: Profile) -> None:
        self.profile = profile
        self.mangle: Mangle | None = None
        self._loop = loop
        self._journal = journal
        self._seed = seed
        self._flows: dict[tuple[Address, Address], _Flow] = {}
        self._bound: dict[Address, Receive] = {}
        self._listening: dict[Address, StreamServer] = {}
        self._outside: dict[Address, Address] = {}
        self._inside: dict[Address, Address] = {}
        self._gone: dict[Address, None] = {}
        self._next_port: dict[str, int] = {}

    # Datagrams

    def bind(self, address: Address, receive: Receive) -> Address:
        """Take a UDP address (port 0: any); OSError if it is taken."""
        ip, port = address
        bound = (ip, port or self._free_port(ip))
        if bound in self._bound:
            raise OSError(98, f"{ip}:{port} is taken")
        self._bound[bound] = receive
        return bound

    def unbind(self, address: Address) -> None:
        """Give a UDP address back."""
        self._bound.pop(address, None)

    @property
    def bound(self) -> list[Address]:
        """The UDP addresses that are taken, oldest first."""
        return list(self._bound)

    def send(self, source: Address, destination: Address, data: bytes) -> None:
        """Send one datagram."""
        now = self._loop.now
        if self.mangle is not None:
            mangled = self.mangle(now, source, destination, data)
            if mangled is None:
                self._journal.count("swallowed")
                return
            data = mangled
        flow = self._flows.get((source, destination))
        if flow is None:
            flow = _Flow(f"{self._seed}/{source[0]}:{source[1]}>{destination[0]}:{destination[1]}")
            self._flows[source, destination] = flow
        seen = self._outside.get(source, source)
        journal = self._journal
        journal.left(now, source, destination, data)
        journal.counters["sent"] += 1
        profile = self.profile
        loss, burst, reorder, duplicate = flow.loss(), flow.burst(), flow.reorder(), flow.duplicate()
        delay = _delay(profile, flow)
        if flow.bursting:
            flow.bursting = burst >= profile.burst_leave
        else:
            flow.bursting = burst < profile.burst_enter
        if loss < (profile.burst_loss if flow.bursting else profile.loss):
            journal.counters["lost_in_burst" if flow.bursting else "lost"] += 1
            return
        arrival = now + delay
        if reorder < profile.reorder:
            arrival += round((20 + 60 * reorder / profile.reorder) * MILLISECOND)
            journal.counters["held_back"] += 1
        else:
            if arrival < flow.last:
                arrival = flow.last
            flow.last = arrival
        self._loop.at(arrival, self._arrive, seen, destination, data)
        if duplicate < profile.duplicate:
            journal.counters["duplicated"] += 1
            copy = arrival + round(10 * MILLISECOND * duplicate / profile.duplicate)
            self._loop.at(copy, self._arrive, seen, destination, data)

    def _arrive(self, source: Address, destination: Address, data: bytes) -> None:
        if destination in self._gone:
            self._journal.count("nat_closed")
            return
        inside = self._inside.get(destination, destination)
        receive = self._bound.get(inside)
        if receive is None:
            self._journal.count("nobody_there")
            return
        self._journal.arrived(self._loop.now, source, inside, data)
        receive(data, source)

    # NAT

    def rebind(self, address: Address) -> Address:
        """Let the NAT in front of a bound address move it to another port, as it does after a reboot or a roam.

        What is sent from it is seen to come from the new port; what is sent to the old one is lost.
        """
        old = self._outside.get(address, address)
        new = (address[0], self._free_port(address[0]))
        self._inside.pop(old, None)
        self._gone[old] = None
        self._outside[address] = new
        self._inside[new] = address
        self._journal.count("rebound")
        self._journal.event(self._loop.now, f"rebound {old} to {new}")
        return new

    def outside(self, address: Address) -> Address:
        """Give the address under which the world sees a bound one."""
        return self._outside.get(address, address)

    def forget_nat(self, address: Address) -> None:
        """Let the NAT forget a bound address that was given back."""
        outside = self._outside.pop(address, None)
        if outside is not None:
            self._inside.pop(outside, None)
        self._gone.pop(address, None)

    # Streams

    def listen(
        self, loop: VirtualLoop, address: Address, factory: Callable[[], asyncio.BaseProtocol]
    ) -> asyncio.AbstractServer:
        """Listen for streams; OSError if the address is taken."""
        ip, port = address
        bound = (ip, port or self._free_port(ip))
        if bound in self._listening:
            raise OSError(98, f"{ip}:{port} is taken")
        server = StreamServer(loop, bound, factory, self._listening)
        self._listening[bound] = server
        return server

    async def connect(
        self, loop: VirtualLoop, source: Address | None, destination: Address, protocol: asyncio.BaseProtocol
    ) -> asyncio.Transport:
        """Open a stream; a round trip later it is there, or ConnectionRefusedError."""
        local = source or ("10.255.0.1", 0)
        local = (local[0], local[1] or self._free_port(local[0]))
        flows = [
            _Flow(f"{self._seed}/tcp/{one[0]}:{one[1]}>{two[0]}:{two[1]}")
            for one, two in ((local, destination), (destination, local))
        ]
        profile = self.profile
        await asyncio.sleep((_delay(profile, flows[0]) + _delay(profile, flows[1])) / SECOND)
        server = self._listening.get(destination)
        if server is None:
            raise ConnectionRefusedError(111, f"nobody listens at {destination[0]}:{destination[1]}")
        near = Stream(loop, self._journal, local, destination, protocol, self._stream_delay(flows[0]))
        far = Stream(loop, self._journal, destination, local, server.accept(), self._stream_delay(flows[1]))
        near.join(far)
        await asyncio.sleep(0)  # both protocols know of it before anyone writes
        return near

    def _stream_delay(self, flow: _Flow) -> Callable[[], tuple[Duration, float]]:
        def draw() -> tuple[Duration, float]:
            """Give the delay of one segment (a lost one comes 200 ms later) and a number that says where to cut."""
            delay = _delay(self.profile, flow)
            if flow.loss() < self.profile.loss:
                delay += 200 * MILLISECOND
            return delay, flow.reorder()

        return draw

    def _free_port(self, ip: str) -> int:
        port = self._next_port.get(ip, EPHEMERAL)
        self._next_port[ip] = port + 1
        return port


def _delay(profile: Profile, flow: _Flow) -> Duration:
    """Draw the delay of one datagram: latency and exponential jitter."""
    wait = -log(1.0 - flow.delay())
    return round((profile.latency_ms + profile.jitter_ms * (wait if wait < 8.0 else 8.0)) * MILLISECOND)
