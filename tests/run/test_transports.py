"""SIP's sockets: streams that arrive in pieces, that lie, that say nothing; connections that we open."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from ipaddress import ip_network
from typing import Any

import pytest
import uvloop

from offhook.core.media import Address
from offhook.policy.reach import Reach
from offhook.run.transports import Rate, Transports
from offhook.run.transports.connections import FIRST_MESSAGE_S, IDLE_S, MESSAGE_S, PING_S, PONG_S
from offhook.run.transports.sockets import CONNECTIONS_A_SOURCE, CONNECTIONS_LIMIT
from offhook.sip.outcomes import Flow
from offhook.testing.world import World

US, THEM = "10.1.0.1", "10.2.0.1"
MESSAGE = b"OPTIONS sip:a@10.1.0.1 SIP/2.0\r\nContent-Length: 4\r\n\r\nbody"


class Ear:
    """Remembers what transports tell."""

    def __init__(self) -> None:
        self.messages: list[tuple[bytes, Flow]] = []
        self.closed: list[Flow] = []
        self.reasons: list[str] = []
        self.calls: dict[int, bool] = {}
        self.strangers: tuple[str, ...] = ()
        self.rates: dict[str, Rate] = {}
        self.floods: list[str] = []

    def received(self, data: bytes, flow: Flow) -> None:
        self.messages.append((data, flow))

    def flow_closed(self, flow: Flow, why: str) -> None:
        self.closed.append(flow)
        self.reasons.append(why)

    def rate(self, ip: str) -> Rate | None:
        return self.rates.get(ip)

    def warned(self, text: str) -> None:
        self.reasons.append(text)

    def flooded(self, ip: str) -> None:
        self.floods.append(ip)

    def permits(self, ip: str) -> bool:
        return ip not in self.strangers

    def carries_calls(self, flow: Flow) -> bool:
        return flow.connection in self.calls


class Far(asyncio.Protocol):
    """The far end of a stream."""

    def __init__(self) -> None:
        self.got = b""
        self.lost = False
        self.wire: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.wire = transport

    def data_received(self, data: bytes) -> None:
        self.got += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True


Story = Callable[[Transports, Ear, Address], Awaitable[None]]


@pytest.fixture
def play() -> Callable[[Story], None]:
    """Run a story with transports that listen on UDP and TCP; all must be given back at the end."""

    def run(story: Story) -> None:
        world = World("transports", checkers=())

        async def whole() -> None:
            ear = Ear()
            transports = Transports(ear)
            address = await transports.listen("tcp", (US, 5060))
            await transports.listen("udp", (US, 5060))
            try:
                await story(transports, ear, address)
            finally:
                await transports.close()
                await asyncio.sleep(1.0)
            assert world.network.bound == []

        world.run(whole())

    return run


async def dial(address: Address, source: Address | None = None) -> Far:
    local = source or (THEM, 0)
    _, far = await asyncio.get_running_loop().create_connection(Far, address[0], address[1], local_addr=local)
    await asyncio.sleep(0.5)
    assert isinstance(far, Far)
    return far


def test_a_message_in_pieces_is_one_message(play: Callable[[Story], None]) -> None:
    async def story(transports: Transports, ear: Ear, address: Address) -> None:
        far = await dial(address)
        for index in range(0, len(MESSAGE), 7):
            far.wire.write(MESSAGE[index : index + 7])
            await asyncio.sleep(0.1)
        far.wire.write(MESSAGE + MESSAGE)
        await asyncio.sleep(0.5)
        assert [data for data, _ in ear.messages] == [MESSAGE] * 3
        flow = ear.messages[0][1]
        assert (flow.transport, flow.local, flow.remote[0]) == ("tcp", (US, 5060), THEM)
        assert flow.connection > 0
        transports.send(flow, b"answer")
        await asyncio.sleep(0.5)
        assert far.got == b"answer"

    play(story)


def test_a_double_line_break_is_answered_by_a_single_one(play: Callable[[Story], None]) -> None:
    async def story(transports: Transports, ear: Ear, address: Address) -> None:
        far = await dial(address)
        far.wire.write(b"\r\n\r\n" + MESSAGE)
        await asyncio.sleep(0.5)
        assert far.got == b"\r\n"
        assert [data for data, _ in ear.messages] == [MESSAGE]

    play(story)


def test_a_stream_that_makes_no_sense_is_closed(play: Callable[[Story], None]) -> None:
    async def story(transports: Transports, ear: Ear, address: Address) -> None:
        far = await dial(address)
        far.wire.write(b"OPTIONS sip:a SIP/2.0\r\nContent-Length: many\r\n\r\n")
        await asyncio.sleep(0.1)
        far.wire.write(MESSAGE)
        await asyncio.sleep(3.0)
        assert far.lost
        assert transports.counts.streams_broken == 1
        assert len(ear.closed) == 1
        assert [data for data, _ in ear.messages] == [b"OPTIONS sip:a SIP/2.0\r\nContent-Length: many\r\n\r\n"]

    play(story)


def test_what_a_stream_that_ends_leaves_unfinished_is_told(play: Callable[[Story], None]) -> None:
    async def story(transports: Transports, ear: Ear, address: Address) -> None:
        far = await dial(address)
        far.wire.write(b"OPTIONS sip:a SIP/2.0\r\nContent-Length: 9\r\n\r\nabc")
        await asyncio.sleep(0.1)
        assert ear.messages == []
        far.wire.write_eof()
        await asyncio.sleep(0.5)
        assert [data for data, _ in ear.messages] == [b"OPTIONS sip:a SIP/2.0\r\nContent-Length: 9\r\n\r\nabc"]

    play(story)


def test_a_head_without_end_is_closed(play: Callable[[Story], None]) -> None:
    async def story(transports: Transports, ear: Ear, address: Address) -> None:
        far = await dial(address)
        for _ in range(80):
            if not far.lost:
                far.wire.write(b"X: " + b"y" * 997)
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)
        assert far.lost
        assert ear.messages == []

    play(story)


def test_who_connects_and_says_nothing_is_let_go(play: Callable[[Story], None]) -> None:
    async def story(transports: Transports, ear: Ear, address: Address) -> None:
        far = await dial(address)
        await asyncio.sleep(FIRST_MESSAGE_S - 1)
        assert not far.lost
        await asyncio.sleep(2)
        assert far.lost
        assert transports.counts.streams_idle == 1

    play(story)


@pytest.mark.survives(29)
@pytest.mark.parametrize("before", [b"", MESSAGE], ids=["the first message", "a later one"])
def test_who_drips_a_message_is_let_go(play: Callable[[Story], None], before: bytes) -> None:
    async def story(transports: Transports, ear: Ear, address: Address) -> None:
        far = await dial(address)
        far.wire.write(before)
        for byte in MESSAGE * 2:
            if not far.lost:
                far.wire.write(bytes([byte]))
            await asyncio.sleep(0.5)
        assert far.lost
        assert transports.counts.streams_broken == 1
        assert len(ear.messages) == bool(before)

    play(story)


def test_a_message_may_take_its_time_within_reason(play: Callable[[Story], None]) -> None:
    async def story(transports: Transports, ear: Ear, address: Address) -> None:
        far = await dial(address)
        for _ in range(5):
            far.wire.write(MESSAGE[:20])
            await asyncio.sleep(MESSAGE_S - 1)
            far.wire.write(MESSAGE[20:])
            await asyncio.sleep(MESSAGE_S - 1)
        assert not far.lost
        assert len(ear.messages) == 5

    play(story)


@pytest.mark.survives(29)
@pytest.mark.parametrize("length", ["10485760", "99999999999999999999999", "-1", "many"])
def test_a_length_that_can_not_be_is_answered_and_the_connection_given_up(
    play: Callable[[Story], None], length: str
) -> None:
    async def story(transports: Transports, ear: Ear, address: Address) -> None:
        far = await dial(address)
        head = f"OPTIONS sip:a SIP/2.0\r\nContent-Length: {length}\r\n\r\n".encode()
        far.wire.write(MESSAGE + head + b"x" * 1000)
        await asyncio.sleep(0.5)
        assert [data for data, _ in ear.messages] == [MESSAGE, head]
        assert far.lost
        assert transports.counts.streams_broken == 1

    play(story)


def test_a_quiet_connection_is_kept_while_it_carries_a_call(play: Callable[[Story], None]) -> None:
    async def story(transports: Transports, ear: Ear, address: Address) -> None:
        far = await dial(address)
        far.wire.write(MESSAGE)
        await asyncio.sleep(0.5)
        connection = ear.messages[0][1].connection
        ear.calls[connection] = True
        await asyncio.sleep(2 * IDLE_S)
        assert not far.lost
        del ear.calls[connection]
        await asyncio.sleep(FIRST_MESSAGE_S + 1)
        assert far.lost

    play(story)


def test_a_connection_of_ours_is_asked_for_signs_of_life(play: Callable[[Story], None]) -> None:
    async def story(transports: Transports, ear: Ear, address: Address) -> None:
        met: list[Far] = []

        def meet() -> Far:
            met.append(Far())
            return met[-1]

        server = await asyncio.get_running_loop().create_server(meet, THEM, 5060)
        transports.send(transports.flow("tcp", (THEM, 5060)), MESSAGE)
        await asyncio.sleep(PING_S + 1)
        assert met[0].got == MESSAGE + b"\r\n\r\n"
        await asyncio.sleep(2 * PONG_S)
        assert not met[0].lost, "a far end that answers no pings is no worse for it"
        await asyncio.sleep(PING_S - PONG_S)
        assert met[0].got == MESSAGE + b"\r\n\r\n" * 2
        met[0].wire.write(b"\r\n")
        await asyncio.sleep(PING_S + PONG_S + 2)
        assert met[0].lost, "but one that did, and does no more, is gone"
        assert ear.reasons == ["the far end does not answer any more"]
        server.close()

    play(story)


def test_a_flood_of_datagrams_from_one_source_is_not_read(play: Callable[[Story], None]) -> None:
    async def story(transports: Transports, ear: Ear, address: Address) -> None:
        ear.rates[THEM] = Rate(10, 20)
        loop = asyncio.get_running_loop()
        wires = [
            (await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=local))[0]
            for local in ((THEM, 5060), (THEM, 5061), ("10.3.0.1", 5060))
        ]
        for _ in range(100):
            for wire in wires:
                wire.sendto(MESSAGE, (US, 5060))
            await asyncio.sleep(0.01)
        heard = [flow.remote[0] for _, flow in ear.messages]
        assert heard.count("10.3.0.1") >= 99
        assert 20 <= heard.count(THEM) <= 31
        assert ear.floods == [THEM]
        assert transports.counts.flooded >= 160
        await asyncio.sleep(2.0)
        wires[0].sendto(MESSAGE, (US, 5060))
        await asyncio.sleep(0.5)
        assert ear.messages[-1][1].remote == (THEM, 5060)
        del ear.rates[THEM]
        transports.forget(THEM)
        before = len(ear.messages)
        for _ in range(100):
            wires[0].sendto(MESSAGE, (US, 5060))
        await asyncio.sleep(0.5)
        assert len(ear.messages) == before + 100
        for wire in wires:
            wire.close()

    play(story)


def test_a_flood_over_a_connection_is_read_no_faster_than_its_rate(play: Callable[[Story], None]) -> None:
    async def story(transports: Transports, ear: Ear, address: Address) -> None:
        ear.rates[THEM] = Rate(10, 20)
        far = await dial(address)
        for _ in range(60):
            far.wire.write(MESSAGE)
            await asyncio.sleep(0.01)
        assert len(ear.messages) <= 31
        assert ear.floods == [THEM]
        assert not far.lost

    play(story)


def test_strangers_are_not_read(play: Callable[[Story], None]) -> None:
    async def story(transports: Transports, ear: Ear, address: Address) -> None:
        ear.strangers = (THEM,)
        far = await dial(address)
        assert far.lost
        loop = asyncio.get_running_loop()
        wire, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=(THEM, 5060))
        wire.sendto(MESSAGE, (US, 5060))
        await asyncio.sleep(0.5)
        wire.close()
        assert ear.messages == []
        assert transports.counts.screened == 2

    play(story)


def test_connections_are_counted_and_bounded(play: Callable[[Story], None]) -> None:
    async def story(transports: Transports, ear: Ear, address: Address) -> None:
        sources = [(f"10.3.{index // 50}.1", 1024 + index) for index in range(CONNECTIONS_LIMIT + 1)]
        far = await asyncio.gather(*[dial(address, source) for source in sources])
        assert sum(one.lost for one in far) == 1
        assert transports.counts.streams_refused == 1

    play(story)


def test_one_source_may_not_have_all_the_connections(play: Callable[[Story], None]) -> None:
    async def story(transports: Transports, ear: Ear, address: Address) -> None:
        ear.rates["10.4.0.1"] = Rate(10, 10, connections=3)
        for ip, allowed in ((THEM, CONNECTIONS_A_SOURCE), ("10.4.0.1", 3)):
            far = await asyncio.gather(*[dial(address, (ip, 1024 + number)) for number in range(allowed + 2)])
            assert sum(one.lost for one in far) == 2
            far[0].wire.close()
            await asyncio.sleep(0.5)
            assert not (await dial(address, (ip, 9))).lost

    play(story)


def test_a_connection_is_opened_once_for_all_that_waits(play: Callable[[Story], None]) -> None:
    async def story(transports: Transports, ear: Ear, address: Address) -> None:
        met: list[Far] = []

        def meet() -> Far:
            met.append(Far())
            return met[-1]

        server = await asyncio.get_running_loop().create_server(meet, THEM, 5060)
        flow = transports.flow("tcp", (THEM, 5060))
        assert flow.local == (US, 5060)
        transports.send(flow, b"one ")
        transports.send(flow, b"two ")
        await asyncio.sleep(1.0)
        transports.send(flow, b"three")
        await asyncio.sleep(1.0)
        assert [far.got for far in met] == [b"one two three"]
        met[0].wire.write(MESSAGE)
        await asyncio.sleep(0.5)
        assert ear.messages[0][1].connection > 0
        server.close()

    play(story)


def test_a_connection_that_can_not_be_opened_is_told(play: Callable[[Story], None]) -> None:
    async def story(transports: Transports, ear: Ear, address: Address) -> None:
        flow = transports.flow("tcp", (THEM, 5060))
        transports.send(flow, MESSAGE)
        transports.send(flow, MESSAGE)
        await asyncio.sleep(15.0)
        assert ear.closed == [flow]
        assert ear.reasons[-1] == "nobody listens there"

    play(story)


@pytest.mark.parametrize("loop", [None, uvloop.new_event_loop])
@pytest.mark.parametrize("remote", [("::1", 5060), ("127.0.0.1", 0)])
def test_what_can_not_be_sent_is_counted_and_never_raised(loop: Any, remote: Address) -> None:
    async def story() -> None:
        transports = Transports(Ear())
        local = await transports.listen("udp", ("127.0.0.1", 0))
        try:
            transports.send(Flow("udp", local, remote), MESSAGE)
        finally:
            await transports.close()
        assert transports.counts.unsent + transports.counts.socket_errors == 1

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(story())


def test_a_wildcard_is_advertised_as_the_address_on_the_way() -> None:
    transports = Transports(Ear())
    assert transports.advertised(("0.0.0.0", 5060), "127.0.0.1") == ("127.0.0.1", 5060)
    assert transports.advertised(("10.0.0.5", 5060), "127.0.0.1") == ("10.0.0.5", 5060)
    outside = Transports(Ear(), reach=Reach("203.0.113.9", (ip_network("10.0.0.0/8"),)))
    assert outside.advertised(("0.0.0.0", 5060), "198.51.100.7") == ("203.0.113.9", 5060)
    assert outside.advertised(("10.0.0.5", 5060), "198.51.100.7") == ("203.0.113.9", 5060)
    # What is on our side of the NAT is told where we are there.
    assert outside.advertised(("10.0.0.5", 5060), "10.0.0.9") == ("10.0.0.5", 5060)
    assert outside.advertised(("0.0.0.0", 5060), "127.0.0.1") == ("127.0.0.1", 5060)
