"""The process under test of `carriers`: a host behind the door for services, whose agent speaks without a pause.

It is what `offhook serve --carrier twilio` has: uvicorn, signed webhooks, media sockets, a leg and a call each, ports
whose gates listen. Speech goes out all the time and comes in all the time.

orders    {"clears": N, "every_ms": 20} → hushes so many calls one after the other, says when each was
          decided, and how many frames were heard
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from contextlib import AsyncExitStack

from offhook import _native as native
from offhook.call import Call
from offhook.carriers.services.table import make
from offhook.console.door import web_door
from offhook.run.config import Web
from offhook.run.host import Host, HostRules
from offhook.run.memory import settle_memory
from offhook.run.serve import run_live
from offhook.testing.bench.machine import tell
from offhook.testing.bench.subject_media import speech
from offhook.testing.carriers.twilio import ACCOUNT, TOKEN

CLIP = speech(random.Random(1), 8)


class Talk:
    """One call's: it speaks until it is told to stop, hushes, and speaks again. `decided` is when it hushed."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self.stop = asyncio.Event()
        self.decided: list[float] = []

    async def live(self) -> None:
        """Speak until the caller hangs up."""
        while True:
            speaking = asyncio.create_task(self._speak())
            try:
                await self.stop.wait()
            finally:
                speaking.cancel()
            self.stop.clear()
            self.decided.append(time.monotonic())
            self._call.leg.hush()
            await self._call.heard()

    async def _speak(self) -> None:
        while True:
            await self._call.play(CLIP, rate_hz=8000)


TALKS: list[Talk] = []
"""All calls', in the order in which they came."""


async def talks(call: Call) -> None:
    """Speak until the caller hangs up."""
    TALKS.append(Talk(call))
    await TALKS[-1].live()


talks.needs_models = False  # type: ignore[attr-defined]


async def serve(port: int) -> None:
    """Take calls until stdin is closed."""
    loop = asyncio.get_running_loop()
    public = f"http://127.0.0.1:{port}"
    rules = Web(listen=f"127.0.0.1:{port}", public_url=public)
    service = make("twilio", {"account": ACCOUNT, "token": TOKEN})
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(
            Host(
                engine=native.Engine(ip="127.0.0.1", first_port=10000, last_port=19999),
                rng=random.Random(1),
                rules=HostRules(listen=(), max_calls=2000),
                route=lambda wanted: talks,
            )
        )
        await stack.enter_async_context(web_door(rules, [service])(host))
        settle_memory()
        tell(port=port)
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            order = json.loads(line)
            for number in range(order["clears"]):
                TALKS[number % len(TALKS)].stop.set()
                await asyncio.sleep(order["every_ms"] / 1000)
            heard = host.counters()["media_received_audio"]
            tell(decided=[talk.decided for talk in TALKS], live=host.live, heard=heard)


if __name__ == "__main__":
    run_live(lambda: serve(int(sys.argv[1])))
