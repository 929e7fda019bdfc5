"""The calls of a host, each carried by a task from its first moment to its last.

    begin ─► Call.run ─┬─► over
                       └─► its agent raised: told, counted, hung up

Law: what an agent's code raises ends its own call, and no other notices.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

import structlog

from offhook.call import Call
from offhook.core.errors import OffhookError
from offhook.core.ids import CallId

log: Final = structlog.get_logger("offhook.host")


class Conversations:
    """What is being talked about. `ended` hears of each call that is over with all its tasks."""

    def __init__(self, ended: Callable[[], None]) -> None:
        self.calls: dict[CallId, Call] = {}
        """Those that are being carried, by id."""
        self.failures = 0
        """Calls whose agent raised what it should not have."""
        self.served = 0
        """Calls that have ended."""
        self._ended = ended
        self._tasks: dict[CallId, asyncio.Task[None]] = {}

    def begin(self, call: Call) -> None:
        """Carry a call."""
        self.calls[call.id] = call
        task = asyncio.get_running_loop().create_task(self._converse(call), name=f"call {call.id}")
        self._tasks[call.id] = task
        task.add_done_callback(partial(self._done, call.id))

    async def _converse(self, call: Call) -> None:
        try:
            await call.run()
        except OffhookError as error:
            log.warning("a call went wrong", call=call.id, error=f"{type(error).__name__}: {error}")
        except Exception:
            self.failures += 1
            log.exception("a call failed in its agent's code", call=call.id)
        finally:
            await call.leg.hangup(500)

    def _done(self, name: CallId, task: asyncio.Task[None]) -> None:
        del self._tasks[name], self.calls[name]
        self.served += 1
        self._ended()

    async def finished(self, call: Call) -> None:
        """Wait until a call is over and its conversation done."""
        task = self._tasks.get(call.id)
        if task is not None:
            await asyncio.wait([task])

    async def close(self) -> None:
        """End every conversation."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
