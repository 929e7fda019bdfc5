"""Services whose events come by a socket that we hold: an Asterisk's calls, whatever becomes of the socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, cast

import pytest
from websockets.asyncio.server import ServerConnection, serve

import offhook
from offhook.call import events
from offhook.carriers.services.asterisk import Asterisk, AsteriskAccount
from offhook.carriers.services.asterisk.ari import MEDIA
from offhook.carriers.services.http import ApiCall
from offhook.carriers.services.stream import Frame
from offhook.carriers.stream import Wire
from offhook.core.errors import DialFailed, Unreachable
from offhook.run.services import Switchboard
from offhook.run.services.dialled import LONGEST_S, MESSAGE_LIMIT, Sockets, wait_s
from offhook.testing.carriers.ari import FakeAri
from offhook.testing.loop import VirtualLoop

TO, OURS = "+15557770001", "+15552223333"


async def desk(call: offhook.Call) -> None:
    heard = await call.ask("what can i do", timeout_s=10)
    if heard == "four":
        await call.transfer(TO)
    else:
        await call.hangup(f"you said {heard} goodbye")


async def silent(call: offhook.Call) -> None:
    await call.say("what can i do")
    await asyncio.Event().wait()


@offhook.answers
async def busy(call: offhook.Call) -> None:
    await call.reject("busy")


def story(main: Callable[[FakeAri], Coroutine[Any, Any, None]], agent: Any = desk, **options: Any) -> None:
    async def run() -> None:
        async with FakeAri(agent, **options) as phone:
            await main(phone)
            await asyncio.sleep(30)
            board = cast("Switchboard", phone.board)
            assert (board.host.live, board.host.counters()["failures"], board.waiting) == (0, 0, 0)
            assert phone.bridges == {}, "a bridge is left"
            assert [one for one in phone.channels.values() if one.inside] == [], "a channel is left"

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(limit_s=600)) as runner:
        runner.run(run())


def reasons(phone: FakeAri) -> list[str]:
    return [one.reason for one in phone.events if isinstance(one, events.Ended)]


def test_a_call_is_taken_and_ended_and_nothing_is_left() -> None:
    async def main(phone: FakeAri) -> None:
        caller = await phone.call()
        await caller.hears("what can i do")
        await caller.says("six")
        await caller.hears("you said six goodbye")
        await caller.gone()
        [incoming] = [one for one in phone.events if isinstance(one, events.Incoming)]
        assert (incoming.caller, incoming.called) == ("+15550001111", OURS)
        assert reasons(phone) == ["hangup"]

    story(main)


def test_who_hangs_up_is_gone_at_once() -> None:
    async def main(phone: FakeAri) -> None:
        caller = await phone.call()
        await caller.hears("what can i do")
        await caller.hangs_up()
        await asyncio.sleep(1)
        assert reasons(phone) == ["remote_hangup"]

    story(main)


def test_who_is_refused_hears_why() -> None:
    async def main(phone: FakeAri) -> None:
        with pytest.raises(DialFailed) as failed:
            await phone.call()
        assert failed.value.code == 486

    story(main, busy)


@pytest.mark.parametrize("after_s", [0.0, 0.03, 0.06, 0.1, 0.2, 0.3])
def test_who_gives_up_while_being_answered_leaves_nothing(after_s: float) -> None:
    async def main(phone: FakeAri) -> None:
        calling = asyncio.ensure_future(phone.call())
        await asyncio.sleep(after_s)
        [channel] = [one for one in phone.channels.values() if not one.name.startswith(MEDIA)]
        phone.over(channel, 16)
        await asyncio.gather(calling, return_exceptions=True)

    story(main)


def test_a_call_goes_on_in_the_dialplan() -> None:
    async def main(phone: FakeAri) -> None:
        caller = await phone.call()
        await caller.hears("what can i do")
        await caller.says("four")
        await asyncio.sleep(3)
        assert phone.went == [TO]
        assert reasons(phone) == ["transferred"]

    story(main, context="agents")


def test_without_a_place_for_it_nobody_is_sent_on() -> None:
    async def main(phone: FakeAri) -> None:
        caller = await phone.call()
        await caller.hears("what can i do")
        assert cast("Switchboard", phone.board).host.live == 1
        [call] = cast("Switchboard", phone.board).host.conversations.calls.values()
        assert not call.leg.capabilities.transfer
        await caller.hangs_up()

    story(main)


async def dial(phone: FakeAri) -> offhook.Call:
    return await cast("Switchboard", phone.board).dial("asterisk", TO, desk, caller=OURS, ring_s=30)


@pytest.mark.parametrize("line", ["answers", "at once"])
def test_who_is_called_hears_the_agent(line: str) -> None:
    async def main(phone: FakeAri) -> None:
        phone.lines[TO] = line
        await dial(phone)
        [end] = phone.ends.values()
        callee = phone.caller(end)
        await callee.hears("what can i do")
        await callee.says("six")
        await callee.hears("you said six goodbye")
        await callee.gone()
        assert [one.code for one in phone.events if isinstance(one, events.Progress)] == [180]

    story(main)


@pytest.mark.parametrize(("line", "code"), [("busy", 486), ("no-answer", 480), ("invalid", 500)])
def test_who_is_not_reached_says_why(line: str, code: int) -> None:
    async def main(phone: FakeAri) -> None:
        phone.lines[TO] = line
        with pytest.raises(DialFailed) as failed:
            await dial(phone)
        assert failed.value.code == code

    story(main)


# The socket of events


def test_a_call_outlives_the_socket_of_events_and_ends_as_if_nothing_was() -> None:
    async def main(phone: FakeAri) -> None:
        caller = await phone.call()
        await caller.hears("what can i do")
        phone.drop()
        await asyncio.sleep(3)
        assert len(phone.holders) == 1
        await caller.says("six")
        await caller.hears("you said six goodbye")
        await caller.gone()
        assert reasons(phone) == ["hangup"]

    story(main)


def test_what_ended_while_nobody_was_told_is_over_when_the_events_come_again() -> None:
    async def main(phone: FakeAri) -> None:
        caller = await phone.call()
        await caller.hears("what can i do")
        phone.deaf = True
        phone.drop()
        await asyncio.sleep(1)
        await caller.hangs_up()
        await asyncio.sleep(3)
        assert reasons(phone) == []
        phone.deaf = False
        await asyncio.sleep(6)
        assert reasons(phone) == ["remote_hangup"]

    story(main, silent)


def test_a_call_whose_media_is_lost_is_ended_in_the_asterisk_too() -> None:
    async def main(phone: FakeAri) -> None:
        caller = await phone.call()
        await caller.hears("what can i do")
        [end] = phone.ends.values()
        phone.close_socket(end)
        await asyncio.sleep(2)
        assert reasons(phone) == ["remote_hangup"]

    story(main)


def test_what_makes_no_sense_is_counted_and_changes_nothing() -> None:
    async def main(phone: FakeAri) -> None:
        [standing] = cast("Switchboard", phone.board).standing
        for frame in (
            "",
            "{",
            "[]",
            b"\xff",
            '{"type":"StasisStart"}',
            '{"type":"StasisEnd","channel":{"id":"nobody"}}',
        ):
            phone.holders[0].tell(frame)
        caller = await phone.call()
        await caller.hears("what can i do")
        assert standing.counts == {"lost": 0, "unreadable": 4}
        await caller.hangs_up()

    story(main)


def test_waits_grow_to_a_bound_and_two_of_us_do_not_come_together() -> None:
    assert [wait_s(tries, 0.999999) for tries in (0, 1, 2)] == pytest.approx([0.5, 1, 2], rel=1e-3)
    assert wait_s(10, 0.999999) == pytest.approx(LONGEST_S, rel=1e-3)
    assert wait_s(10, 0.0) == LONGEST_S / 2


def test_an_asterisk_that_takes_us_and_drops_us_is_not_asked_in_a_rush() -> None:
    async def main(phone: FakeAri) -> None:
        [standing] = cast("Switchboard", phone.board).standing
        opened = 0
        for _ in range(600):
            await asyncio.sleep(0.5)
            opened += len(phone.holders)
            phone.drop()
        assert standing.counts["lost"] == opened
        assert opened < 25

    story(main)


# Sockets that are real


class Ear:
    """Writes down what a socket says."""

    def __init__(self) -> None:
        self.told: list[Frame | str] = []
        self.wire: Wire | None = None

    def opened(self, wire: Wire) -> None:
        self.wire = wire
        wire.send("hello")

    def heard(self, frame: Frame) -> None:
        self.told.append(frame)
        assert self.wire is not None
        if frame == "bye":
            self.wire.close()

    def closed(self) -> None:
        self.told.append("closed")


@asynccontextmanager
async def asterisk(
    live: Callable[[ServerConnection], Coroutine[Any, Any, None]], **options: Any
) -> AsyncGenerator[Any]:
    async with serve(live, "127.0.0.1", 0, **options) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield Asterisk(AsteriskAccount("a", "b", "user", "the password", api=f"http://127.0.0.1:{port}/ari"))


async def echo(socket: ServerConnection) -> None:
    assert socket.request is not None
    await socket.send(socket.request.headers["authorization"])
    async for frame in socket:
        await socket.send(frame)
        await socket.send("bye")


def test_a_socket_of_ours_brings_its_proof_and_closes_behind_what_was_sent() -> None:
    async def main() -> None:
        async with asterisk(echo) as service:
            ear = Ear()
            await Sockets([service])(service.events(), ear)
            assert ear.told == [service.events().headers["authorization"], "hello", "bye", "closed"]

    asyncio.run(main())


def test_a_message_beyond_all_bounds_ends_the_socket() -> None:
    async def flood(socket: ServerConnection) -> None:
        await socket.send("x" * (MESSAGE_LIMIT + 1))
        await socket.wait_closed()

    async def main() -> None:
        async with asterisk(flood) as service:
            ear = Ear()
            await Sockets([service])(service.events(), ear)
            assert ear.told == ["closed"]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (HTTPStatus.UNAUTHORIZED, "401: the user"),
        (HTTPStatus.NOT_FOUND, "404: is the address"),
        (HTTPStatus.FOUND, "302"),
    ],
)
def test_a_socket_that_is_refused_says_why_and_no_redirect_is_followed(status: HTTPStatus, words: str) -> None:
    async def main() -> None:
        def refuse(connection: ServerConnection, request: Any) -> Any:
            response = connection.respond(status, "")
            response.headers["location"] = "/ari/elsewhere"
            return None if "elsewhere" in request.path else response

        async with asterisk(echo, process_request=refuse) as service:
            ear = Ear()
            with pytest.raises(Unreachable) as refused:
                await Sockets([service])(service.events(), ear)
            assert words in str(refused.value)
            assert "password is" not in str(refused.value).replace("the password or", "")
            assert ear.told == []

    asyncio.run(main())


def test_no_socket_is_opened_to_a_host_of_nobodys() -> None:
    service = Asterisk(AsteriskAccount("a", "b", "user", "password", api="http://127.0.0.1:9/ari"))

    async def main() -> None:
        for url in ("ws://127.0.0.2:9/ari/events", "wss://127.0.0.1:9/ari/events", "ws://127.0.0.1:8/ari/events"):
            with pytest.raises(Unreachable, match="is not the API"):
                await Sockets([service])(ApiCall("GET", url), Ear())
        with pytest.raises(Unreachable, match=r"^127.0.0.1: "):
            await Sockets([service])(service.events(), Ear())

    asyncio.run(main())
