"""The host before the answer and at the end: progress, redirections, drains, answers that nobody acknowledges."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import offhook
from offhook.call import Call, events
from offhook.core.errors import DialFailed

AGENT = "sip:agent@10.1.0.1"


async def listens(call: Call) -> None:
    async for _ in call.audio():
        pass


@offhook.answers
async def waits_and_refuses(call: Call) -> None:
    await call.ring()
    await asyncio.sleep(2)
    await call.reject("busy")


def kinds(stage: Any) -> list[str]:
    return [event.event for event in stage.events]


def test_a_marked_script_is_given_the_call_unanswered(stage: Any) -> None:
    async def story() -> None:
        async with stage.host(waits_and_refuses), stage.phone() as phone:
            caller = await phone.rings(AGENT)
            with pytest.raises(DialFailed) as refused:
                await caller.answered()
            assert (refused.value.code, refused.value.meaning) == (486, "busy")
            await stage.world.settle()

    stage.play(story())
    assert kinds(stage) == ["incoming", "ended"]
    assert stage.events[-1].meaning == "busy"


@offhook.answers
async def plays_and_refuses(call: Call) -> None:
    await call.early(bytes(16000))
    await call.reject("busy")


def test_who_can_not_hear_it_is_not_played_to_for_ever(stage: Any) -> None:
    """An INVITE without an offer: nobody knows yet where our sound is to go."""

    async def story() -> None:
        async with stage.host(plays_and_refuses):
            peer = stage.peer()
            peer.request("INVITE")
            refusal = await peer.response("INVITE", 486, within_s=4)
            assert refusal is not None
            peer.request("ACK", same=True)
            peer.close()
            await stage.world.settle()

    stage.play(story())


def test_a_call_of_ours_is_told_from_its_first_ring_to_its_end(stage: Any) -> None:
    async def story() -> None:
        async with stage.host(listens) as host:
            peer = stage.peer()
            dialling = asyncio.create_task(host.dial("sip:x@10.3.0.1", listens))
            invite = await peer.asked("INVITE")
            for code in (181, 182, 180):
                peer.reply(invite, code, "Progress", tag="t")
            peer.reply(invite, 486, "Busy", tag="t")
            with pytest.raises(DialFailed) as failed:
                await dialling
            assert failed.value.meaning == "busy"
            peer.close()
            await stage.world.settle()

    stage.play(story())
    assert kinds(stage) == ["incoming", "progress", "progress", "progress", "ended"]
    assert [event.code for event in stage.events if isinstance(event, events.Progress)] == [181, 182, 180]
    assert stage.events[-1].meaning == "busy"


def test_a_call_rings_as_long_as_it_was_asked_to_and_is_cancelled(stage: Any) -> None:
    async def story() -> None:
        async with stage.host(listens) as host:
            peer = stage.peer()
            dialling = asyncio.create_task(host.dial("sip:x@10.3.0.1", listens, ring_s=3.0))
            invite = await peer.asked("INVITE")
            peer.reply(invite, 180, "Ringing", tag="t")
            cancel = await peer.asked("CANCEL", within_s=3.1)
            assert cancel is not None
            peer.reply(cancel, 200, "OK", tag="t")
            peer.reply(invite, 487, "Request Terminated", tag="t")
            with pytest.raises(DialFailed) as failed:
                await dialling
            assert (failed.value.code, failed.value.meaning) == (408, "no_answer")
            peer.close()
            await stage.world.settle()
            assert host.live == 0

    stage.play(story())


def test_a_redirection_leads_only_where_we_may_dial(stage: Any) -> None:
    """No toll fraud by redirection: what `dial` does not list is passed over, and told in the log, not dialled."""

    async def story() -> None:
        async with stage.host(listens, dial=("+1", "sip:x@10.3.0.1", "sip:y@10.3.0.1")) as host:
            peer = stage.peer()
            dialling = asyncio.create_task(host.dial("sip:x@10.3.0.1", listens))
            invite = await peer.asked("INVITE")
            there = "<sip:+900123456@10.3.0.1>;q=1, <sip:x@10.9.9.9>;q=0.9, <tel:+900123456>;q=0.8, <sip:y@10.3.0.1>"
            peer.reply(invite, 302, "Moved", tag="m", extra=f"Contact: {there};q=0.1\r\nDiversion: <sip:x@10.3.0.1>")
            again = await peer.asked("INVITE")
            peer.reply(again, 200, "OK", peer.sdp(), tag="t")
            await peer.asked("ACK")
            call = await dialling
            lines = again.data.decode().split("\r\n")
            assert lines[0] == "INVITE sip:y@10.3.0.1 SIP/2.0"
            assert "Diversion: <sip:x@10.3.0.1>" in lines
            hanging = asyncio.create_task(call.hangup())
            peer.reply(await peer.asked("BYE"), 200, "OK")
            await hanging
            peer.close()
            await stage.world.settle()

    stage.play(story())
    (redirected,) = [event for event in stage.events if isinstance(event, events.Redirected)]
    assert redirected.code == 302


@pytest.mark.survives(12)
def test_answers_that_nobody_acknowledges_hold_no_place(stage: Any) -> None:
    """What must survive 12: ten answers never acknowledged: repeats to 32 s, BYE, room at 33 s, others served."""

    async def story() -> None:
        async with stage.host(listens, max_calls=12) as host, stage.phone() as phone:
            peers = []
            for number in range(10):
                peer = stage.peer(f"10.3.0.{number + 20}")
                peer.request("INVITE", peer.sdp())
                peers.append(peer)
            for peer in peers:
                ok = await peer.response("INVITE", 200)
                peer.confirm(ok)
            began = stage.world.loop.time()
            assert host.live == 10
            for _ in range(3):
                other = await phone.calls(AGENT)
                await other.waits(5)
                await other.hangs_up()
            for peer in peers:
                bye = await peer.asked("BYE")
                assert stage.world.loop.time() - began == pytest.approx(32.0, abs=0.5)
                assert peer.count("INVITE", 200) == 10  # 0.5, 1.5, 3.5, 7.5, 11.5 … 31.5 s
                peer.reply(bye, 200, "OK")
                peer.close()
            await asyncio.sleep(began + 33.0 - stage.world.loop.time())
            assert host.live == 0
            await stage.world.settle()

    stage.play(story())
    assert stage.reasons().count("no_ack") == 10
    assert stage.reasons().count("remote_hangup") == 3


@pytest.mark.survives(15)
def test_options_say_whether_calls_are_taken(stage: Any) -> None:
    """What must survive 15: OPTIONS get 200 while idle and 503 while draining."""

    async def story() -> None:
        async with stage.host(listens) as host, stage.phone() as phone:
            peer = stage.peer()
            peer.request("OPTIONS")
            assert (await peer.response("OPTIONS")).sip.code == 200
            caller = await phone.calls(AGENT)
            draining = asyncio.create_task(host.drain(60.0))
            await asyncio.sleep(0.01)
            peer.fresh()
            peer.request("OPTIONS")
            refused = await peer.response("OPTIONS")
            assert refused.sip.code == 503
            assert b"\r\nRetry-After: " in refused.data
            peer.close()
            await caller.hangs_up()
            assert await draining
            await stage.world.settle()

    stage.play(story())


@pytest.mark.survives(16)
@pytest.mark.parametrize("patience_s", [60.0, 10.0])
def test_a_drain_with_twenty_calls(stage: Any, patience_s: float) -> None:
    """What must survive 16: 20 calls live; new INVITEs get 503 and Retry-After at once, all finish by the deadline."""

    async def story() -> None:
        async with stage.host(listens) as host, stage.phone() as phone:
            callers = [await phone.calls(AGENT) for _ in range(20)]
            began = stage.world.loop.time()
            draining = asyncio.create_task(host.drain(patience_s))
            await asyncio.sleep(0)
            peer = stage.peer()
            peer.request("INVITE", peer.sdp())
            refused = await peer.response("INVITE", within_s=0.1)
            assert refused.sip.code == 503
            assert b"\r\nRetry-After: " in refused.data
            peer.request("ACK", same=True)
            peer.close()
            for number, caller in enumerate(callers):
                if patience_s > 20:
                    await caller.waits(1.0)
                    assert not caller.over, f"call {number} was cut"
                    await caller.hangs_up()
            assert await draining == (patience_s > 20)
            assert stage.world.loop.time() - began <= patience_s + 2.0
            for caller in callers:
                await caller.gone()
            assert host.live == 0
            await stage.world.settle()

    stage.play(story())
    assert stage.reasons() == ["remote_hangup" if patience_s > 20 else "hangup"] * 20
