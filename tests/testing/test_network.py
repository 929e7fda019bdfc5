"""The seeded network: fates are functions of the seed, faults are counted, order is kept unless told otherwise."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import replace

import pytest

from offhook.core.instants import MILLISECOND, SECOND
from offhook.core.media import Address
from offhook.testing.journal import Journal
from offhook.testing.loop import VirtualLoop
from offhook.testing.network import PROFILES, Profile, SimulatedNetwork

A: Address = ("10.0.0.1", 10000)
B: Address = ("10.0.0.2", 20000)
C: Address = ("10.0.0.3", 30000)


class Wire:
    """A network, and what came to B."""

    def __init__(self, profile: Profile, seed: str = "1") -> None:
        self.loop = VirtualLoop()
        self.journal = Journal()
        self.network = SimulatedNetwork(self.loop, self.journal, seed=seed, profile=profile)
        self.loop.network = self.network
        self.came: list[tuple[int, int, Address]] = []
        self.network.bind(A, lambda data, source: None)
        self.network.bind(B, lambda data, source: self.came.append((int(data), self.loop.now, source)))

    def send(self, count: int, *, beside: bool = False) -> list[int]:
        """Send numbered datagrams from A to B, 20 ms apart (and others to C between them); what came, in order."""
        for number in range(count):
            when = self.loop.now + number * 20 * MILLISECOND
            self.loop.at(when, self.network.send, A, B, b"%d" % number)
            if beside:
                self.loop.at(when, self.network.send, A, C, b"x")
        self.run(count * 0.02 + 5)
        return [number for number, _, _ in self.came]

    def run(self, seconds: float) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def close(self) -> None:
        self.loop.close()


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire(PROFILES["perfect"])
    yield made
    made.close()


def through(profile: Profile, seed: str = "1", count: int = 5000, *, beside: bool = False) -> tuple[Wire, list[int]]:
    wire = Wire(profile, seed)
    came = wire.send(count, beside=beside)
    wire.close()
    return wire, came


def test_a_perfect_path_delivers_all_in_order_after_its_latency(wire: Wire) -> None:
    begun = wire.loop.now
    assert wire.send(100) == list(range(100))
    assert wire.came[0] == (0, begun + 100_000, A)


def test_the_same_seed_gives_the_same_fates_and_the_same_digest() -> None:
    one, came = through(PROFILES["hostile"])
    two, again = through(PROFILES["hostile"])
    other, different = through(PROFILES["hostile"], seed="2")
    assert came == again
    assert one.journal.digest() == two.journal.digest() != other.journal.digest()
    assert came != different


def test_traffic_elsewhere_changes_nobodys_fate() -> None:
    _, alone = through(PROFILES["hostile"])
    _, beside = through(PROFILES["hostile"], beside=True)
    assert alone == beside


def test_one_fault_more_does_not_shift_the_others() -> None:
    calm = replace(PROFILES["hostile"], duplicate=0.0, reorder=0.0)
    _, lost_calmly = through(calm)
    _, lost_wildly = through(PROFILES["hostile"])
    assert set(lost_calmly) == set(lost_wildly)


def test_losses_come_at_the_rate_and_in_the_bursts_that_the_profile_says() -> None:
    profile = Profile("bursty", latency_ms=1, burst_enter=0.01, burst_leave=0.25, burst_loss=1.0)
    wire, came = through(profile, count=20000)
    missing = sorted(set(range(20000)) - set(came))
    runs = 1 + sum(1 for one, two in itertools.pairwise(missing) if two != one + 1)
    assert 0.03 < len(missing) / 20000 < 0.047  # a chain that is 1/26 of the time in its burst
    assert 3.5 < len(missing) / runs < 4.5  # bursts of four on average
    assert wire.journal.counters["lost_in_burst"] == len(missing)


def test_order_is_kept_unless_a_datagram_is_held_back() -> None:
    _, jittered = through(Profile("jittery", latency_ms=50, jitter_ms=40))
    assert jittered == sorted(jittered)
    wire, reordered = through(Profile("reordering", latency_ms=5, reorder=0.05))
    assert reordered != sorted(reordered)
    assert sorted(reordered) == list(range(5000))
    assert 150 < wire.journal.counters["held_back"] < 350


def test_a_duplicate_comes_after_its_original() -> None:
    wire, came = through(Profile("twice", latency_ms=5, duplicate=0.1))
    assert len(came) == 5000 + wire.journal.counters["duplicated"]
    assert 400 < wire.journal.counters["duplicated"] < 600
    assert sorted(set(came)) == list(range(5000))


def test_a_rebound_nat_shows_a_new_port_and_loses_what_goes_to_the_old(wire: Wire) -> None:
    back: list[bytes] = []
    wire.network.unbind(A)
    wire.network.bind(A, lambda data, source: back.append(data))
    wire.network.send(A, B, b"1")
    new = wire.network.rebind(A)
    wire.network.send(A, B, b"2")
    wire.network.send(B, A, b"to the old")
    wire.network.send(B, new, b"to the new")
    wire.run(1)
    assert [(number, source) for number, _, source in wire.came] == [(1, A), (2, new)]
    assert new != A
    assert back == [b"to the new"]
    assert wire.journal.counters["nat_closed"] == 1


def test_a_datagram_to_nobody_is_counted_and_a_taken_address_is_refused(wire: Wire) -> None:
    wire.network.send(A, C, b"hello?")
    wire.run(1)
    assert wire.journal.counters["nobody_there"] == 1
    with pytest.raises(OSError, match="taken"):
        wire.network.bind(B, lambda data, source: None)


def test_asyncio_speaks_udp_over_it(wire: Wire) -> None:
    class Echo(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.DatagramTransport)
            self.transport = transport

        def datagram_received(self, data: bytes, addr: Address) -> None:
            self.transport.sendto(data.upper(), addr)

    class Ask(asyncio.DatagramProtocol):
        def __init__(self) -> None:
            self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def datagram_received(self, data: bytes, addr: Address) -> None:
            self.answer.set_result(data)

    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        echo, _ = await loop.create_datagram_endpoint(Echo, local_addr=("10.0.0.9", 5060))
        asking, ask = await loop.create_datagram_endpoint(Ask, local_addr=("10.0.0.8", 0))
        asking.sendto(b"ping", ("10.0.0.9", 5060))
        answer = await ask.answer
        asking.close()
        echo.close()
        return answer

    assert wire.loop.run_until_complete(main()) == b"PING"
    assert wire.network.bound == [A, B]


def test_a_stream_brings_every_byte_in_order_cut_anywhere() -> None:
    wire = Wire(PROFILES["hostile"])
    sizes: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        text = b""
        while piece := await reader.read(100_000):
            sizes.append(len(piece))
            text += piece
        writer.write(text[::-1])
        writer.close()

    async def main() -> bytes:
        server = await asyncio.start_server(serve, "10.0.0.9", 5060)
        reader, writer = await asyncio.open_connection("10.0.0.9", 5060)
        writer.write(bytes(range(256)) * 40)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        server.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("10.0.0.9", 5060)
        return answer

    begun = wire.loop.now
    assert wire.loop.run_until_complete(main()) == (bytes(range(256)) * 40)[::-1]
    assert wire.loop.now - begun > SECOND * 0.28  # a handshake and two ways of 70 ms at the least
    assert len(sizes) > 4
    wire.close()
