"""Callers handed on by a whole host: to a phone that takes REFER, and by a bridge where none does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from offhook.call import Call, events
from offhook.carriers.negotiation import AudioRules
from offhook.carriers.sip import SipLeg
from offhook.carriers.transfers import TransferRules
from offhook.carriers.trunks import Trunk
from offhook.core.codecs import PCMA, PCMU
from offhook.core.errors import TransferFailed
from offhook.run.rules import HostRules
from offhook.testing.callers import CallerPhone
from offhook.testing.spelled import spell
from tests.run.conftest import HOST, PEER, PHONE

HERE = f"sip:agent@{HOST}"
CLERK = "10.2.0.9"
DESK = f"sip:desk@{CLERK}"
DIVERTED = f"<sip:agent@{PEER}>;reason=deflection;counter=1"
DIAL = ("sip:*@10.2.0.*",)
OWN = TransferRules(refer=False)


def told(stage: Any) -> list[tuple[int, str]]:
    return [(event.code, event.kind) for event in stage.events if isinstance(event, events.Transfer)]


async def transfers(call: Call) -> None:
    """Hand every caller on at once."""
    await call.transfer(DESK)


async def attends(call: Call) -> None:
    """Hand every caller on once the desk has taken the call."""
    await call.transfer(DESK, attended=True)


async def to_the_peer(call: Call) -> None:
    """Hand every caller on to where a bare socket listens."""
    await call.transfer(f"sip:desk@{PEER}")


async def talk(caller: Any, clerk: Any) -> None:
    """Let the two say something to each other and hear it."""
    await caller.says("good evening")
    await clerk.hears("good evening")
    await clerk.says("what can i do")
    await caller.hears("what can i do")


@pytest.mark.survives(10)
@pytest.mark.parametrize(("agent", "kind"), [(transfers, "blind"), (attends, "attended")])
def test_a_phone_that_takes_refer_speaks_with_the_desk_itself(stage: Any, agent: Any, kind: str) -> None:
    async def story() -> None:
        async with (
            stage.host(agent, dial=DIAL) as host,
            stage.phone() as phone,
            CallerPhone(stage.world, CLERK) as desk,
        ):
            calling = asyncio.create_task(phone.calls(HERE))
            clerk = await desk.answers(rings_s=1.0)
            caller = await calling
            await caller.waits(2.0)
            await talk(caller, clerk)
            assert host.live == 0, "we are out of it"
            await caller.hangs_up()
            await clerk.gone()
            assert host.line.legs == {}
            assert host.line.called.calls == {}
        assert stage.reasons() == ["transferred"]
        assert told(stage) == [(200, kind)]

    stage.play(story())


@pytest.mark.survives(10)
@pytest.mark.parametrize("attended", [False, True])
@pytest.mark.parametrize("rules", [TransferRules(), OWN])
def test_a_desk_that_declines_gives_the_caller_back(stage: Any, attended: bool, rules: TransferRules) -> None:
    async def agent(call: Call) -> None:
        with pytest.raises(TransferFailed) as failed:
            await call.transfer(DESK, attended=attended)
        assert failed.value.code == 480
        await call.play(spell("nobody is there"))
        async for _ in call.audio():
            pass

    async def story() -> None:
        host = stage.host(agent, dial=DIAL, handing_on=rules)
        async with host, stage.phone() as phone, CallerPhone(stage.world, CLERK) as desk:
            desk.declines()
            caller = await phone.calls(HERE)
            await caller.hears("nobody is there")
            await caller.waits(1.0)
            assert not caller.over
            await caller.hangs_up()
            await host.drain(5.0)
            assert host.line.called.calls == {}
        assert host.failures == 0
        assert stage.reasons() == ["remote_hangup"]
        kind = ("attended" if attended else "blind") if rules.refer else "bridged"
        assert told(stage) == [(480, kind)]

    stage.play(story())


@pytest.mark.parametrize("ends", ["the caller", "the clerk"])
def test_a_bridge_carries_voices_and_keys_and_ends_with_either(stage: Any, ends: str) -> None:
    async def story() -> None:
        host = stage.host(transfers, dial=DIAL, handing_on=OWN)
        # One speaks A-law, the other mu-law: what passes between them is decoded and coded again.
        clerks = CallerPhone(stage.world, CLERK, audio=AudioRules(codecs=(PCMA,)))
        callers = CallerPhone(stage.world, PHONE, audio=AudioRules(codecs=(PCMU,)))
        async with host, callers as phone, clerks as desk:
            calling = asyncio.create_task(phone.calls(HERE))
            clerk = await desk.answers(rings_s=2.0)
            caller = await calling
            plans = [one.leg.negotiation.plan for one in (caller, clerk) if isinstance(one.leg, SipLeg)]
            assert [plan.send[1] for plan in plans if plan is not None] == ["PCMU", "PCMA"]
            await caller.waits(1.0)
            await talk(caller, clerk)
            caller.presses("42")
            await clerk.waits(2.0)
            clerk.presses("7")
            await caller.waits(2.0)
            assert (clerk.keys, caller.keys) == ("42", "7")
            assert host.live == 2
            await (caller if ends == "the caller" else clerk).hangs_up()
            await caller.gone(within_s=2.0)
            await clerk.gone(within_s=2.0)
            await host.drain(5.0)
            assert host.line.legs == {}
            assert host.line.called.calls == {}
            assert host.counters()["media_relay_refused"] == 0
        assert stage.reasons() == ["transferred"]
        assert told(stage) == [(200, "bridged")]
        assert stage.world.engine(HOST).open_ports == []

    stage.play(story())


def test_both_can_speak_at_once_over_a_bridge(stage: Any) -> None:
    async def story() -> None:
        host = stage.host(transfers, dial=DIAL, handing_on=OWN)
        async with host, stage.phone() as phone, CallerPhone(stage.world, CLERK) as desk:
            calling = asyncio.create_task(phone.calls(HERE))
            clerk = await desk.answers()
            caller = await calling
            await caller.waits(1.0)
            await asyncio.gather(
                caller.says("one two three four"),
                clerk.says("five six seven eight"),
                clerk.hears("one two three four"),
                caller.hears("five six seven eight"),
            )
            await caller.hangs_up()
            await clerk.gone()
            await host.drain(5.0)

    stage.play(story())


def test_a_bridge_has_its_place_among_the_calls(stage: Any) -> None:
    async def agent(call: Call) -> None:
        with pytest.raises(TransferFailed):
            await call.transfer(DESK)

    async def story() -> None:
        host = stage.host(agent, dial=DIAL, handing_on=OWN, max_calls=1)
        async with host, stage.phone() as phone, CallerPhone(stage.world, CLERK) as desk:
            caller = await phone.calls(HERE)
            await caller.gone()
            assert desk._rung.empty()
        assert host.failures == 0

    stage.play(story())


def test_a_trunk_says_how_its_callers_are_handed_on() -> None:
    rules = HostRules(trunks=(Trunk("line", refer=False, shows="caller", diversion=False),))
    assert rules.transfers("line") == TransferRules(refer=False, show="caller", diversion=False)
    assert rules.transfers("") == TransferRules()


@pytest.mark.parametrize(
    ("rules", "sender", "diversion"),
    [
        (TransferRules(refer=False), "sip:offhook@10.1.0.1", DIVERTED),
        (
            TransferRules(refer=False, show="caller"),
            f"sip:peer@{PEER}",
            DIVERTED,
        ),
        (TransferRules(refer=False, diversion=False), "sip:offhook@10.1.0.1", None),
    ],
)
def test_whose_number_the_desk_sees(stage: Any, rules: TransferRules, sender: str, diversion: str | None) -> None:
    async def story() -> None:
        peer = stage.peer()
        async with stage.host(to_the_peer, handing_on=rules) as host:
            peer.request("INVITE", peer.sdp())
            ok = await peer.response("INVITE")
            peer.confirm(ok)
            peer.request("ACK")
            invite = await peer.asked("INVITE")
            lines = invite.data.decode().split("\r\n")
            assert next(line for line in lines if line.startswith("From: ")).split(";")[0] == f"From: <{sender}>"
            diverted = [line[11:] for line in lines if line.startswith("Diversion: ")]
            assert diverted == ([] if diversion is None else [diversion])
            peer.reply(invite, 486, "Busy Here", tag="x")
            peer.reply(await peer.asked("BYE"), 200, "OK")
            peer.close()
            await host.drain(5.0)

    stage.play(story())
