"""A flood of INVITEs from one source while five calls are up: nothing of them changes, and nothing grows."""

from __future__ import annotations

import asyncio
import gc
import io
import tracemalloc
from typing import Any

import pytest

from offhook.call import Call
from offhook.run.rules import User
from offhook.testing.attackers import Attacker, floods

AGENT = "sip:agent@10.1.0.1"
FLOODER = "10.66.0.1"
CALLS = 5
A_SECOND = 200
GROWTH_OCTETS = 65_536
"""What 4 000 requests more may leave behind."""

OURS = [
    tracemalloc.Filter(inclusive=True, filename_pattern="*/src/offhook/*"),
    tracemalloc.Filter(inclusive=False, filename_pattern="*/src/offhook/testing/*"),
]
"""What the host itself keeps; the simulated network and its checkers keep books."""


async def echoes(call: Call) -> None:
    """Give back what the caller says."""
    async for pcm in call.audio():
        if any(pcm):
            await call.play(pcm)


@pytest.mark.survives(28)
def test_five_calls_do_not_notice_two_hundred_invites_a_second(stage: Any) -> None:
    """What must survive 28. The play-out clock and the cadence of every call are watched by the stage's checkers."""
    told = io.StringIO()

    async def story() -> None:
        users = (User("desk", "correct horse"),)
        async with stage.host(echoes, allow=("10.2.0.0/16",), users=users) as host, stage.phone() as phone:
            host.security._out = told
            callers = [await phone.calls(AGENT) for _ in range(CALLS)]
            attacker = Attacker(stage.world, FLOODER, ("10.1.0.1", 5060), stage.world.rng("flooder"))

            async def flooded_while_they_talk(for_s: float) -> None:
                flooding = asyncio.create_task(floods(attacker, a_second=A_SECOND, for_s=for_s))
                for number, caller in enumerate(callers):
                    await caller.says(f"number {number} is well")
                    await caller.hears(f"number {number} is well", within_s=3)
                await flooding

            await flooded_while_they_talk(10)
            tracemalloc.start()
            await flooded_while_they_talk(20)
            gc.collect()
            kept = tracemalloc.take_snapshot().filter_traces(OURS).statistics("lineno")
            tracemalloc.stop()
            assert sum(one.size for one in kept) < GROWTH_OCTETS, kept[:5]
            assert set(attacker.answers) <= {401, 403, 503}, "refused or silence"
            # Each refusal is repeated for 32 s, since nobody acknowledges it (RFC 3261 section 17.2.1).
            assert sum(attacker.answers.values()) < 40 * 20, "forty are answered, the other 6 000 not even read"
            assert host.live == CALLS
            for caller in callers:
                assert not caller.over
                await caller.hangs_up()
            attacker.close()
            await asyncio.sleep(60)
        (line,) = told.getvalue().splitlines()
        assert f" kind=flood source={FLOODER} " in line

    stage.world.run(story())
    # The flood is left without an answer, and that is all that the checkers have to say: no gap, no late piece.
    assert {violation.law for violation in stage.world.violations} == {"an INVITE is answered at once"}
