"""Gain for quiet callers is an agent's wish: it is asked of the leg with what is heard."""

from __future__ import annotations

from typing import Any

import pytest

from offhook.call import Agent


@pytest.mark.parametrize("wanted", [False, True])
def test_the_leg_is_asked_for_what_the_agent_wants(play: Any, begin: Any, wanted: bool) -> None:
    async def main() -> None:
        call = begin(Agent(greeting="Hello!", gain_control=wanted), [])
        await call.until(1.0)
        assert (call.leg.mode, call.leg.gain_control) == ("speech", wanted)
        call.leg.hangs_up()
        await call.over()

    play(main())
