"""Whom far ends refer us to: what it costs, who may, and that users of ours are transfer targets by their name."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pytest

from offhook.call import Call
from offhook.carriers.trunks import Trunk
from offhook.policy.toll import Caps
from offhook.run.rules import User
from offhook.sip.uri import parse_uri
from tests.run.conftest import PEER
from tests.run.test_users import Softphone

TARGET = "sip:desk@10.3.0.7"


async def listens(call: Call) -> None:
    async for _ in call.audio():
        pass


async def calls(peer: Any) -> None:
    """Have a call with the host."""
    peer.request("INVITE", peer.sdp())
    got = await peer.response("INVITE", 200)
    peer.confirm(got)
    peer.request("ACK")


async def refers(peer: Any, target: str) -> int:
    """Refer the host to a target; give what it says in the end."""
    peer.request("REFER", extra=f"Refer-To: <{target}>")
    got = await peer.response("REFER")
    assert got is not None
    if got.sip.code >= 300:
        return got.sip.code
    code = 0
    while code < 200:
        notify = await peer.asked("NOTIFY", within_s=40)
        assert notify is not None
        peer.reply(notify, 200, "OK")
        code = int(notify.data.partition(b"\r\n\r\n")[2].split()[1])
    return code


async def leaves(peer: Any) -> None:
    peer.request("BYE")
    await peer.response("BYE")
    peer.close()


@pytest.mark.survives(34)
@pytest.mark.parametrize("caps", [{"toll": Caps(calls=0)}, {"toll": Caps(minutes_a_day=0)}, {"trunk": Caps(calls=1)}])
def test_a_referral_costs_what_a_call_of_ours_does(stage: Any, caps: dict[str, Caps]) -> None:
    trunk = Trunk("main", uri=parse_uri(f"sip:{PEER}"), networks=(PEER,), caps=caps.get("trunk", Caps()))

    async def story() -> None:
        toll = caps.get("toll", Caps())
        async with stage.host(listens, trunks=(trunk,), toll=toll, dial=("sip:*@10.3.0.*",)) as host:
            peer, desk = stage.peer(), stage.peer("10.3.0.7")
            await calls(peer)
            assert await refers(peer, TARGET) == 603
            assert await desk.asked("INVITE", within_s=1) is None
            assert host.live == 1, "and the call goes on"
            await leaves(peer)
            desk.close()
            await stage.world.settle()

    stage.play(story())


@pytest.mark.survives(34)
def test_a_referral_that_was_taken_is_counted_until_its_call_ends(stage: Any) -> None:
    trunk = Trunk("main", uri=parse_uri(f"sip:{PEER}"), networks=("10.3.0.0/24",), caps=Caps(calls=2))

    async def story() -> None:
        async with stage.host(listens, trunks=(trunk,), dial=("sip:*@10.3.0.*",)) as host:
            peer, desk = stage.peer(), stage.peer("10.3.0.7")
            await calls(peer)
            referring = asyncio.create_task(refers(peer, TARGET))
            invite = await desk.asked("INVITE")
            assert host._tolls.full("main")
            desk.reply(invite, 200, "OK", desk.sdp(), tag="d")
            assert await desk.asked("ACK") is not None
            assert await referring == 200
            bye = await peer.asked("BYE", within_s=2)
            if bye is not None:
                peer.reply(bye, 200, "OK")
            peer.close()
            assert host._tolls.full("main")
            await host.drain(0)
            assert not host._tolls.full("main")
            desk.close()

    stage.play(story())


@pytest.mark.survives(34)
@pytest.mark.parametrize("trunked", [False, True])
def test_a_referral_outside_the_rules_is_an_attack_unless_a_trunk_made_it(stage: Any, trunked: bool) -> None:
    told = io.StringIO()
    trunks = (Trunk("main", uri=parse_uri(f"sip:{PEER}"), networks=(PEER,)),) if trunked else ()

    async def story() -> None:
        async with stage.host(listens, trunks=trunks, dial=("+1",)) as host:
            host.security._out = told
            peer = stage.peer()
            await calls(peer)
            for _ in range(3):
                assert await refers(peer, "sip:+19005550123@10.3.0.9") == 603
            await leaves(peer)
            await stage.world.settle()

    stage.play(story())
    lines = told.getvalue().splitlines()
    assert len(lines) == (0 if trunked else 1)
    assert all(f" kind=toll_fraud source={PEER} " in line for line in lines)


@pytest.mark.parametrize("attended", [False, True])
def test_a_user_of_ours_is_a_transfer_target_by_its_name(stage: Any, attended: bool) -> None:
    async def hands_on(call: Call) -> None:
        await call.transfer("sip:alice@offhook", attended=attended)

    async def story() -> None:
        users = (User("alice", "wonderland"),)
        async with stage.host(hands_on, users=users, dial=()) as host, stage.phone() as phone:
            alice = Softphone(stage.world, "10.2.0.9")
            assert await alice.asks("REGISTER") == 200
            caller = await phone.calls("sip:agent@10.1.0.1")
            invite = await alice.hears()
            assert invite is not None
            assert invite.uri.startswith("sip:alice@10.2.0.9")  # type: ignore[union-attr]
            alice.close()
            await caller.hangs_up()
            await host.drain(5)

    stage.world.run(story())
    # The phone in this test says nothing; the host has done all that it should.
    assert {violation.law for violation in stage.world.violations} <= {"an INVITE is answered at once"}
