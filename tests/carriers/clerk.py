"""What the tests of services' fakes share: a day in virtual time, and agents that take no call or hand it on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import offhook
from offhook import TransferFailed
from offhook.testing.loop import VirtualLoop

ELSEWHERE = "+15559990000"


def live(main: Callable[[], Coroutine[Any, Any, None]], limit_s: float = 600.0) -> None:
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(limit_s=limit_s)) as runner:
        runner.run(main())


@offhook.answers
async def busy(call: offhook.Call) -> None:
    await call.reject("busy")


class Clerk:
    """Hands each call on, and takes it back where nobody is there; `outcomes` are what came of it."""

    def __init__(self) -> None:
        self.outcomes: list[object] = []

    async def __call__(self, call: offhook.Call) -> None:
        await call.say("One moment.")
        try:
            await call.transfer(ELSEWHERE)
            self.outcomes.append("done")
        except TransferFailed as failed:
            self.outcomes.append(failed.code)
            await call.hangup("Nobody is there. Goodbye.")
