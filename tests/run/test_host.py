"""The host: admission, routes, drain, and what the world does to it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from offhook.call import Call
from offhook.carriers.trunks import Trunk
from offhook.core.errors import ConfigError, DialFailed, NotAllowed, Unreachable
from offhook.core.instants import SECOND
from offhook.policy.routes import Wanted
from offhook.run.called import AFTER
from offhook.run.transports.connections import IDLE_S
from offhook.sip.uri import parse_uri

AGENT = "sip:agent@10.1.0.1"


async def listens(call: Call) -> None:
    async for _ in call.audio():
        pass


async def leaves(call: Call) -> None:
    await asyncio.sleep(1.0)


async def breaks(call: Call) -> None:
    raise ZeroDivisionError


async def echoes(call: Call) -> None:
    async for pcm in call.audio():
        await call.play(pcm)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_caller_is_answered_heard_and_let_go(stage: Any, transport: str) -> None:
    async def story() -> None:
        async with stage.host(echoes) as host, stage.phone() as phone:
            caller = await phone.calls(f"{AGENT};transport={transport}")
            await caller.says("hello there")
            await caller.hears("hello there")
            await caller.hangs_up()
            await asyncio.sleep(IDLE_S)  # then a connection without a call is closed, too
            await stage.world.settle()
            assert host.live == 0
            assert host.counters()["guard"] == host.counters()["failures"] == 0

    stage.play(story())
    assert stage.reasons() == ["remote_hangup"]


def test_a_full_house_refuses_and_says_when_to_come_again(stage: Any) -> None:
    async def story() -> None:
        async with stage.host(listens, max_calls=2) as host, stage.phone() as phone:
            first, second = await phone.calls(AGENT), await phone.calls(AGENT)
            with pytest.raises(DialFailed) as refused:
                await phone.calls(AGENT)
            assert refused.value.code == 503
            peer = stage.peer()
            peer.request("INVITE", peer.sdp())
            answer = await peer.response("INVITE")
            assert answer.sip.code == 503
            (after,) = [line for line in answer.data.decode().split("\r\n") if line.startswith("Retry-After: ")]
            assert 1 <= int(after.removeprefix("Retry-After: ")) <= 10
            peer.request("ACK", same=True)
            peer.close()
            await first.hangs_up()
            await second.waits(0.5)
            third = await phone.calls(AGENT)
            assert host.live == 2
            for caller in (second, third):
                await caller.hangs_up()
            await stage.world.settle()

    stage.play(story())


def test_nobody_is_behind_an_unknown_number(stage: Any) -> None:
    async def story() -> None:
        async with stage.host(listens, user="+15551234567"), stage.phone() as phone:
            with pytest.raises(DialFailed) as refused:
                await phone.calls("sip:+15550000000@10.1.0.1")
            assert refused.value.code == 404
            caller = await phone.calls("sip:%2B15551234567;x=y@10.1.0.1")
            await caller.hangs_up()
            await stage.world.settle()

    stage.play(story())


def test_an_offer_that_fits_nothing_is_refused(stage: Any) -> None:
    async def story() -> None:
        async with stage.host(listens) as host:
            peer = stage.peer()
            peer.request("INVITE", peer.sdp(codecs="111"))
            answer = await peer.response("INVITE")
            peer.confirm(answer)
            peer.request("ACK", same=True)
            assert answer.sip.code == 488
            assert host.live == 0
            peer.close()
            await stage.world.settle()

    stage.play(story())


def test_an_agent_that_breaks_takes_only_its_own_call_along(stage: Any) -> None:
    async def story() -> None:
        def pick(wanted: Wanted) -> Any:
            return breaks if wanted.called == "broken" else echoes

        host = stage.host(echoes)
        host._route = pick
        async with host, stage.phone() as phone:
            good = await phone.calls(AGENT)
            bad = await phone.calls("sip:broken@10.1.0.1")
            assert (await bad.gone()).reason == "remote_hangup"
            await good.says("still here")
            await good.hears("still here")
            await good.hangs_up()
            await stage.world.settle()
            assert host.counters()["failures"] == 1

    stage.play(story())
    assert sorted(stage.reasons()) == ["failed", "remote_hangup"]


def test_a_drain_lets_live_calls_end_and_refuses_new_ones(stage: Any) -> None:
    async def story() -> None:
        async with stage.host(listens) as host, stage.phone() as phone:
            caller = await phone.calls(AGENT)
            draining = asyncio.create_task(host.drain(60.0))
            await asyncio.sleep(0.1)
            with pytest.raises(DialFailed) as refused:
                await phone.calls(AGENT)
            assert refused.value.code == 503
            peer = stage.peer()
            peer.request("OPTIONS")
            assert (await peer.response("OPTIONS")).sip.code == 503
            peer.close()
            with pytest.raises(NotAllowed):
                await host.dial("sip:caller@10.2.0.1", listens)
            await caller.waits(5.0)
            assert not draining.done()
            await caller.hangs_up()
            assert await draining is True
            await stage.world.settle()

    stage.play(story())


def test_a_drain_hangs_up_what_does_not_end_in_time(stage: Any) -> None:
    async def story() -> None:
        async with stage.host(listens) as host, stage.phone() as phone:
            caller = await phone.calls(AGENT)
            assert await host.drain(3.0) is False
            assert (await caller.gone()).reason == "remote_hangup"
            assert host.live == 0
            await stage.world.settle()

    stage.play(story())


def test_closing_hangs_up_and_leaves_nothing(stage: Any) -> None:
    async def story() -> None:
        async with stage.phone() as phone:
            async with stage.host(listens):
                caller = await phone.calls(AGENT)
            assert (await caller.gone()).reason == "remote_hangup"
            await stage.world.settle()

    stage.play(story())


def test_we_call_and_the_agent_speaks_once_it_is_answered(stage: Any) -> None:
    async def story() -> None:
        async with stage.host(listens) as host, stage.phone() as phone:
            ringing = asyncio.create_task(phone.answers())
            call = await host.dial("sip:caller@10.2.0.1", echoes)
            caller = await ringing
            await caller.says("who is there")
            await caller.hears("who is there")
            await caller.hangs_up()
            await host.finished(call)
            assert call.ended is not None
            assert call.ended.reason == "remote_hangup"
            await stage.world.settle()

    stage.play(story())


def test_a_script_that_ends_hangs_up(stage: Any) -> None:
    async def story() -> None:
        async with stage.host(leaves), stage.phone() as phone:
            caller = await phone.calls(AGENT)
            assert (await caller.gone()).reason == "remote_hangup"
            await stage.world.settle()

    stage.play(story())
    assert stage.reasons() == ["hangup"]


def test_a_call_that_nobody_takes_is_given_up(stage: Any) -> None:
    async def story() -> None:
        async with stage.host(listens, ring_s=5.0) as host:
            peer = stage.peer()
            dialling = asyncio.create_task(host.dial("sip:x@10.3.0.1", listens))
            invite = await peer.asked("INVITE")
            peer.reply(invite, 180, "Ringing", tag="t")
            cancel = await peer.asked("CANCEL")
            peer.reply(cancel, 200, "OK")
            peer.reply(invite, 487, "Request Terminated", tag="t")
            await peer.asked("ACK")
            with pytest.raises(DialFailed) as failed:
                await dialling
            assert failed.value.code == 408
            assert host.live == 0
            peer.close()
            await stage.world.settle()

    stage.play(story())


def test_a_refusal_comes_with_its_code(stage: Any) -> None:
    async def story() -> None:
        async with stage.host(listens) as host:
            peer = stage.peer()
            dialling = asyncio.create_task(host.dial("sip:x@10.3.0.1", listens))
            peer.reply(await peer.asked("INVITE"), 486, "Busy Here", tag="t")
            await peer.asked("ACK")
            with pytest.raises(DialFailed) as failed:
                await dialling
            assert failed.value.code == 486
            peer.close()
            await stage.world.settle()

    stage.play(story())


@pytest.mark.parametrize(
    ("to", "error"),
    [
        ("sip:x@192.0.2.1", NotAllowed),
        ("sip:x@10.3.0.1?Subject=x", NotAllowed),
        ("mailto:x", NotAllowed),
        ("+15551234567", NotAllowed),
        ("+49301234567", ConfigError),
        ("sip:x@10.3.0.9;transport=sctp", NotAllowed),
    ],
)
def test_what_may_not_be_dialled_is_not(stage: Any, to: str, error: type[Exception]) -> None:
    async def story() -> None:
        async with stage.host(listens, dial=("sip:*@10.3.0.*", "+49")) as host:
            with pytest.raises(error):
                await host.dial(to, listens)
            assert host.live == 0

    stage.play(story())


def test_a_host_that_refuses_connections_is_no_answer(stage: Any) -> None:
    async def story() -> None:
        async with stage.host(listens) as host:
            with pytest.raises(DialFailed) as failed:
                await host.dial("sip:x@10.3.0.7;transport=tcp", listens)
            assert failed.value.code == 503
            assert host.live == 0
            await stage.world.settle()

    stage.play(story())


def test_a_name_that_nobody_knows_is_unreachable(stage: Any) -> None:
    async def story() -> None:
        async with stage.host(listens, dial=("sip:*@*",)) as host:
            with pytest.raises(Unreachable):
                await host.dial("sip:x@nowhere.invalid", listens)

    stage.play(story())


def test_a_number_goes_through_the_trunk(stage: Any) -> None:
    async def story() -> None:
        async with stage.host(listens, dial=("+1",), trunks=(Trunk("main", uri=parse_uri("sip:10.3.0.1")),)) as host:
            peer = stage.peer()
            dialling = asyncio.create_task(host.dial("+1 (555) 123-4567", listens))
            invite = await peer.asked("INVITE")
            assert invite.data.startswith(b"INVITE sip:+15551234567@10.3.0.1 SIP/2.0\r\n")
            peer.reply(invite, 404, "Not Found", tag="t")
            await peer.asked("ACK")
            with pytest.raises(DialFailed):
                await dialling
            peer.close()
            await stage.world.settle()

    stage.play(story())


def test_strangers_are_not_read_but_whom_we_call_may_answer(stage: Any) -> None:
    async def story() -> None:
        async with stage.host(listens, allow=("10.2.0.0/16",)) as host:
            peer = stage.peer()
            peer.request("OPTIONS")
            assert await peer.response("OPTIONS", within_s=5.0) is None
            assert host.counters()["screened"] == 1
            assert host.counters()["received"] == 0
            dialling = asyncio.create_task(host.dial("sip:x@10.3.0.1", listens))
            peer.fresh()
            peer.reply(await peer.asked("INVITE"), 480, "Temporarily Unavailable", tag="t")
            await peer.asked("ACK")
            with pytest.raises(DialFailed):
                await dialling
            peer.request("OPTIONS")
            refused = await peer.response("OPTIONS", within_s=5.0)
            assert refused is not None
            assert refused.sip.code == 403, "what was on its way is heard, and no more than that"
            await asyncio.sleep(AFTER / SECOND)
            peer.request("OPTIONS")
            assert await peer.response("OPTIONS", within_s=5.0) is None
            peer.close()
            await stage.world.settle()

    stage.play(story())


def test_who_sends_no_media_is_hung_up_on(stage: Any) -> None:
    async def story() -> None:
        async with stage.host(listens):
            peer = stage.peer()
            peer.request("INVITE", peer.sdp())
            peer.confirm(await peer.response("INVITE"))
            peer.request("ACK")
            began = stage.world.seconds
            peer.reply(await peer.asked("BYE", within_s=60.0), 200, "OK")
            assert 30.0 <= stage.world.seconds - began < 30.5
            peer.close()
            await stage.world.settle()

    stage.play(story())
    assert stage.reasons() == ["stalled"]


def test_who_stops_sending_media_is_hung_up_on(stage: Any) -> None:
    async def story() -> None:
        async with stage.host(listens), stage.phone() as phone:
            caller = await phone.calls(AGENT)
            await caller.says("a few words")
            # The phone's media dies; its signalling does not.
            phone._media.engine.close(caller.leg._number)
            began = stage.world.seconds
            await caller.gone()
            assert 28.0 <= stage.world.seconds - began < 30.0  # it was asked, and said that it lives
            await stage.world.settle()

    stage.play(story())
    assert stage.reasons() == ["stalled"]
