"""Peers that do REFER and Replaces badly, against a whole host: nobody dials for them, and nothing is left behind."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from offhook.call import Call
from offhook.core.errors import OffhookError
from offhook.testing import referrers
from offhook.testing.peers import Peer
from offhook.testing.world import SIP_PORT
from tests.run.conftest import HOST, PEER


async def listens(call: Call) -> None:
    """Stay until the caller leaves."""
    async for _ in call.audio():
        pass


async def empty(host: Any) -> None:
    """Wait until nothing of any call is left."""
    await host.drain(5.0)
    await asyncio.sleep(120.0)
    counters = host.counters()
    assert (counters["guard"], host.failures, counters["calls"], counters["transactions"]) == (0, 0, 0, 0)
    assert host.line.legs == {}
    assert host.line.called.calls == {}


@pytest.mark.parametrize("manner", sorted({one.__name__ for one in referrers.CALLS_US}))
@pytest.mark.parametrize("seed", range(8))
def test_who_refers_us_badly_leaves_nothing_behind(stage: Any, manner: str, seed: int) -> None:
    async def story() -> None:
        async with stage.host(listens) as host:
            peer = Peer(stage.world, PEER, (HOST, SIP_PORT), stage.world.rng(f"{manner} {seed}"))
            await getattr(referrers, manner)(peer)
            peer.close()
            await empty(host)

    stage.play(story())


@pytest.mark.survives(10)
@pytest.mark.parametrize("attended", [False, True])
@pytest.mark.parametrize("seed", range(16))
def test_who_is_handed_on_badly_leaves_nothing_behind(stage: Any, attended: bool, seed: int) -> None:
    async def story() -> None:
        async with stage.host(listens) as host:
            peer = Peer(stage.world, PEER, (HOST, SIP_PORT), stage.world.rng(f"handed on {seed}"))
            being = asyncio.create_task(referrers.is_handed_on(peer))
            call = await host.dial(f"sip:x@{PEER}", listens)
            with suppress(OffhookError):
                await call.transfer("sip:x@10.3.0.77", attended=attended)
            await call.hangup()
            await being
            peer.close()
            await empty(host)

    stage.play(story())
