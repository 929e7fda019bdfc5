"""The line: what waits to be read is read before a deadline fires, and a bug of ours costs one message."""

from __future__ import annotations

import asyncio
import io
import socket
import time
from random import Random
from typing import Any

import pytest
import structlog

from offhook.core.errors import NotAllowed
from offhook.run.line import SipLine
from offhook.run.media import EngineMedia
from offhook.run.security import SecurityLog
from offhook.sip.outcomes import Flow, IncomingCall
from offhook.sip.uri import parse_uri
from offhook.testing.peers import Peer
from offhook.testing.world import SIP_PORT, World

US = "10.1.0.1"
PEER = parse_uri("sip:+15550001111@10.3.0.1:5070")


def line_in(world: World, **more: Any) -> SipLine:
    """Make a line that takes no calls; inside the world's loop."""
    rng = world.rng("line")
    return SipLine(media=EngineMedia(world.engine(US), rng), rng=rng, incoming=lambda outcome: None, **more)


def test_what_came_while_the_process_slept_is_read_before_its_timers_fire() -> None:
    """On a real loop: datagrams lie in the socket when a deadline has passed."""
    order: list[str] = []

    class Agent:
        """In the place of the user agent: one deadline, and a diary."""

        due: int | None = None

        def receive(self, now: int, data: bytes, flow: object) -> str:
            order.append(data.decode())
            return "request_options"

        def expire(self, now: int) -> None:
            order.append("deadline")
            self.due = None

        def deadline(self) -> int | None:
            return self.due

        def take(self) -> list[object]:
            return []

    async def story() -> None:
        loop = asyncio.get_running_loop()
        line = SipLine(media=_NoMedia(), rng=Random(1), incoming=lambda outcome: None)  # type: ignore[arg-type]
        agent = Agent()
        line.agent = agent  # type: ignore[assignment]
        address = await line.listen("udp", ("127.0.0.1", 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
            agent.due = line.now() + 20_000_000
            line.settle()
            for number in range(100):
                far.sendto(f"{number}".encode(), address)
            time.sleep(0.1)  # noqa: ASYNC251 - the process is stopped: nothing is read, and the deadline passes
            deadline = loop.time() + 10
            while "deadline" not in order:
                assert loop.time() < deadline
                await asyncio.sleep(0.001)
        await line.close()

    asyncio.run(story())
    assert order == [*map(str, range(100)), "deadline"]


class _NoMedia:
    def drain(self) -> None:
        pass


def test_a_bug_of_ours_costs_one_message_and_is_counted() -> None:
    world = World("line", checkers=())

    async def story() -> None:
        line = line_in(world, allow=("10.0.0.0/8",))
        await line.listen("udp", (US, SIP_PORT))
        receive = line.agent.receive

        def breaks(now: int, data: bytes, flow: Any) -> str:
            if b"bug" in data:
                raise ZeroDivisionError
            return receive(now, data, flow)

        line.agent.receive = breaks  # type: ignore[method-assign]
        world.network.bind(("10.2.0.1", 5060), lambda data, source: None)
        with structlog.testing.capture_logs() as logs:
            for data in (b"bug\r\n\r\n", b"nonsense\r\n\r\n"):
                world.network.send(("10.2.0.1", 5060), (US, SIP_PORT), data)
            await asyncio.sleep(1.0)
        world.network.unbind(("10.2.0.1", 5060))
        assert line.guarded == 1
        assert line.agent.counters()["received"] == 1
        assert [entry["event"] for entry in logs] == ["a bug: a message was not served"]
        await line.close()

    world.run(story())


def test_a_bug_of_ours_ends_the_call_that_it_hit_and_no_other() -> None:
    world = World("line", checkers=())
    came: list[IncomingCall] = []

    async def story() -> None:
        line = line_in(world, allow=("10.0.0.0/8",))

        def breaks(outcome: IncomingCall) -> None:
            came.append(outcome)
            if len(came) == 1:
                raise ZeroDivisionError
            line.agent.reject(line.now(), outcome.call, 486)

        line._incoming = breaks
        await line.listen("udp", (US, SIP_PORT))
        peers = [Peer(world, ip, (US, SIP_PORT), world.rng(ip)) for ip in ("10.3.0.1", "10.3.0.2")]
        with structlog.testing.capture_logs() as logs:
            for peer, code in zip(peers, (500, 486), strict=True):
                peer.request("INVITE", peer.sdp())
                assert await peer.response("INVITE", code) is not None
                peer.request("ACK", same=True)
            await asyncio.sleep(1.0)
        assert [entry["event"] for entry in logs] == ["a bug: an outcome was not served"]
        assert (line.guarded, line.agent.counters()["calls"]) == (1, 0)
        for peer in peers:
            peer.close()
        await line.close()

    world.run(story())


@pytest.mark.parametrize(
    ("target", "gives"),
    [
        ("+1 (555) 222-3333", "sip:+15552223333@10.3.0.1:5070"),
        ("tel:+15552223333", "sip:+15552223333@10.3.0.1:5070"),
        ("sip:front@pbx.example", "sip:front@pbx.example"),
        ("sip:front@pbx.example;transport=tcp", "sip:front@pbx.example;transport=tcp"),
        ("+49301234567", None),
        ("sip:front@elsewhere.example", None),
        ("sip:front@pbx.example?Replaces=x", None),
        ("sip:front@pbx.example;maddr=10.0.0.1", None),
        ("sip:a@evil.example@pbx.example", None),
        ("front", None),
        ("tel:front", None),
    ],
)
def test_a_transfer_goes_only_where_the_rules_let_it(target: str, gives: str | None) -> None:
    world = World("line", checkers=())

    async def story() -> None:
        line = line_in(world, dial=("+1", "sip:*@pbx.example"))
        if gives is None:
            with pytest.raises(NotAllowed):
                line.screen(target, PEER)
        else:
            assert str(line.screen(target, PEER)) == gives

    world.run(story())


def test_a_far_end_is_asked_whether_it_is_there() -> None:
    world = World("line")

    async def story() -> None:
        line = line_in(world, allow=("192.0.2.0/24",))
        await line.listen("udp", (US, SIP_PORT))
        peer = Peer(world, "10.3.0.1", (US, SIP_PORT), world.rng("peer"))
        asking = asyncio.create_task(line.ask(parse_uri("sip:10.3.0.1")))
        options = await peer.asked("OPTIONS")
        assert options is not None
        peer.reply(options, 200, "OK", tag="t")
        assert await asking == 200
        assert await line.ask(parse_uri("sip:10.3.0.9")) == 408
        assert not line.permits("10.3.0.1"), "half a minute after it was asked"
        peer.close()
        await line.close()

    world.run(story())
    assert world.violations == []


def test_strangers_are_named_once() -> None:
    world = World("line", checkers=())

    async def story() -> None:
        line = line_in(world, allow=("192.0.2.0/24",))
        told = io.StringIO()
        line._security = SecurityLog(line.admission, told)
        verdicts = [line.permits(ip) for ip in ("192.0.2.7", "198.51.100.1", "198.51.100.1", "not an address")]
        assert verdicts == [True, False, False, False]
        sources = [text.partition(" class=")[0].rpartition("source=")[2] for text in told.getvalue().splitlines()]
        assert sources == ["198.51.100.1", '"not an address"']
        flow = Flow("udp", (US, SIP_PORT), ("198.51.100.1", 5060))
        line.dialled((flow,), +1)
        assert line.permits("198.51.100.1")
        line.dialled((flow,), -1)
        assert line.permits("198.51.100.1"), "it may still answer our BYE"
        await asyncio.sleep(32)
        assert not line.permits("198.51.100.1")

    world.run(story())
