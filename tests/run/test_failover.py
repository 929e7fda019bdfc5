"""Where a call goes when an address fails (RFC 3263 section 4.3): a host in virtual time, and on real sockets."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest

from offhook import _native as native
from offhook.call import Call
from offhook.carriers.trunks import Trunk
from offhook.core.errors import DialFailed
from offhook.run.host import Host
from offhook.run.resolver import Resolver
from offhook.run.rules import HostRules
from offhook.sip.uri import parse_uri
from offhook.testing.nameserver import NameServer
from offhook.testing.peers import Peer
from offhook.testing.world import SIP_PORT

PBX = "sip:front@pbx.example"
RULES = {"dial": ("sip:*@pbx.example",), "ring_s": 50.0}


async def leaves(call: Call) -> None:
    await call.up()
    await asyncio.sleep(0.5)


def peers(stage: Any, *last: int) -> list[Peer]:
    """Peers at 10.3.0.x, which the name service gives in this order."""
    records = [f"{number} 1 5060 h{number}.example." for number in last]
    stage.names.zone |= {("SRV", "_sip._udp.pbx.example"): records}
    stage.names.zone |= {("A", f"h{number}.example"): [f"10.3.0.{number}"] for number in last}
    return [
        Peer(stage.world, f"10.3.0.{number}", ("10.1.0.1", SIP_PORT), stage.world.rng(f"peer {number}"))
        for number in last
    ]


async def takes(peer: Peer) -> None:
    """Answer the call that comes and see it to its end."""
    invite = await peer.asked("INVITE")
    assert invite is not None
    peer.reply(invite, 200, "OK", peer.sdp(), tag="t")
    assert await peer.asked("ACK") is not None
    bye = await peer.asked("BYE")
    assert bye is not None
    peer.reply(bye, 200, "OK")


def test_a_dead_address_a_busy_server_and_then_one_that_answers(stage: Any) -> None:
    async def story() -> None:
        async with stage.host(leaves, **RULES) as host:
            dead, busy, well = peers(stage, 1, 2, 3)
            dialling = asyncio.create_task(host.dial(PBX, leaves))
            first = await dead.asked("INVITE")
            assert first is not None
            second = await busy.asked("INVITE")
            assert second is not None
            busy.reply(second, 503, "Service Unavailable", tag="b")
            assert await busy.asked("ACK") is not None
            serving = asyncio.create_task(takes(well))
            await host.finished(await dialling)
            await serving
            branches = {got.sip.branch for got in (first, second)}
            assert len(branches) == 2, "each try is a transaction of its own"
            for peer in (dead, busy, well):
                peer.close()

    stage.play(story())


@pytest.mark.parametrize("code", [404, 486, 600, 603])
def test_what_the_callee_says_stands(stage: Any, code: int) -> None:
    async def story() -> None:
        async with stage.host(leaves, **RULES) as host:
            first, second = peers(stage, 1, 2)
            dialling = asyncio.create_task(host.dial(PBX, leaves))
            invite = await first.asked("INVITE")
            assert invite is not None
            first.reply(invite, code, "No", tag="n")
            with pytest.raises(DialFailed) as failed:
                await dialling
            assert failed.value.code == code
            assert await second.asked("INVITE", within_s=5.0) is None
            first.close()
            second.close()

    stage.play(story())


def test_the_next_hop_of_a_dialog_may_be_a_name(stage: Any) -> None:
    async def story() -> None:
        async with stage.host(leaves, **RULES) as host:
            proxy, far = peers(stage, 1, 2)
            stage.names.zone["A", "elsewhere.example"] = ["10.3.0.2"]
            dialling = asyncio.create_task(host.dial(PBX, leaves))
            invite = await proxy.asked("INVITE")
            assert invite is not None
            route = "Record-Route: <sip:elsewhere.example;lr>"
            proxy.reply(invite, 200, "OK", proxy.sdp(), tag="t", extra=route)
            # Its name is not known yet when the ACK goes out: that takes the way of the INVITE.
            assert await proxy.asked("ACK") is not None
            call = await dialling
            bye = await far.asked("BYE")
            assert bye is not None
            assert b"Route: <sip:elsewhere.example;lr>\r\n" in bye.data
            await host.finished(call)
            proxy.close()
            far.close()

    stage.play(story())


def test_a_trunk_behind_an_outbound_proxy(stage: Any) -> None:
    trunk = Trunk("main", uri=parse_uri("sip:trunk.example"), outbound_proxy=parse_uri("sip:10.3.0.1"), country="US")

    async def story() -> None:
        async with stage.host(leaves, dial=("+1",), trunks=(trunk,)) as host:
            (proxy,) = peers(stage, 1)
            serving = asyncio.create_task(takes(proxy))
            got: list[bytes] = []
            receive = proxy._receive

            def noted(data: bytes, source: Any) -> None:
                got.append(data)
                receive(data, source)

            stage.world.network._bound[proxy.address] = noted
            await host.finished(await host.dial("+15551234567", leaves))
            await serving
            invite = next(data for data in got if data.startswith(b"INVITE "))
            assert invite.startswith(b"INVITE sip:+15551234567@trunk.example SIP/2.0\r\n")
            assert b"\r\nRoute: <sip:10.3.0.1;lr>\r\n" in invite
            proxy.close()

    stage.play(story())


class Answering(asyncio.DatagramProtocol):
    """A bare far end over real UDP: answers each request with one code."""

    def __init__(self, code: int) -> None:
        self._code = code
        self._wire: Any = None
        self.asked: list[str] = []

    def connection_made(self, transport: Any) -> None:
        self._wire = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        start, *lines = data.decode().split("\r\n")
        self.asked.append(start.partition(" ")[0])
        if not start.startswith("ACK"):
            kept = [line for line in lines if line.startswith(("Via:", "From:", "To:", "Call-ID:", "CSeq:"))]
            kept = [f"{line};tag=x" if line.startswith("To:") else line for line in kept]
            answer = "\r\n".join([f"SIP/2.0 {self._code} Said", *kept, "Content-Length: 0", "", ""])
            self._wire.sendto(answer.encode(), addr)


def test_over_real_sockets_a_refused_connection_and_a_503_go_on_and_a_busy_does_not() -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        ports: list[int] = []
        far = [Answering(503), Answering(486), Answering(200)]
        wires: list[asyncio.DatagramTransport] = []
        for one in far:
            wire, _ = await loop.create_datagram_endpoint(lambda one=one: one, local_addr=("127.0.0.1", 0))
            wires.append(wire)
            ports.append(wire.get_extra_info("sockname")[1])
        zone = {
            ("NAPTR", "pbx.example"): [
                '10 1 "s" "SIP+D2T" "" _sip._tcp.pbx.example.',
                '20 1 "s" "SIP+D2U" "" _sip._udp.pbx.example.',
            ],
            # Nobody listens on TCP there.
            ("SRV", "_sip._tcp.pbx.example"): [f"1 1 {ports[0]} h.example."],
            ("SRV", "_sip._udp.pbx.example"): [f"{at} 1 {port} h.example." for at, port in enumerate(ports)],
            ("A", "h.example"): ["127.0.0.1"],
        }
        engine = native.Engine(ip="127.0.0.1", first_port=23000, last_port=23099, threads=1)
        rules = HostRules(listen=(("udp", ("127.0.0.1", 0)),), dial=("sip:*@pbx.example",), ring_s=5.0)
        async with NameServer(zone) as names:
            resolver = Resolver([names.address])
            host = Host(engine=engine, rng=Random(1), rules=rules, route=lambda wanted: None, resolver=resolver)
            async with host:
                with pytest.raises(DialFailed) as failed:
                    await host.dial(PBX, leaves)
            assert failed.value.code == 486
            assert [one.asked for one in far] == [["INVITE", "ACK"], ["INVITE", "ACK"], []]
        for wire in wires:
            wire.close()

    async def bounded() -> None:
        async with asyncio.timeout(20):
            await story()

    asyncio.run(bounded())
