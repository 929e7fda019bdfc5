"""The process under test of `signalling` and `setup`: it answers every INVITE, over UDP, and echoes what it hears.

It is what `offhook serve` has below the conversation: transports, user agent, a `SipLeg` with its own RTP port a call,
one task a call that answers and reads the leg to its end.
"""

from __future__ import annotations

import asyncio
import random
import sys

from offhook import _native as native
from offhook.call.leg import CallInfo
from offhook.carriers.sip import SipLeg
from offhook.core.errors import CallEnded
from offhook.core.ids import CallId
from offhook.run.line import SipLine
from offhook.run.media import EngineMedia
from offhook.run.memory import settle_memory
from offhook.run.serve import run_live
from offhook.sip.header import parse_name_addr
from offhook.sip.outcomes import IncomingCall
from offhook.testing.bench.machine import tell


async def serve() -> None:
    """Answer calls until stdin is closed."""
    loop = asyncio.get_running_loop()
    rng = random.Random(1)
    media = EngineMedia(native.Engine(ip="127.0.0.1", first_port=10000, last_port=29999), rng)
    tasks: set[asyncio.Task[None]] = set()
    done = 0

    async def take(leg: SipLeg) -> None:
        nonlocal done
        try:
            await leg.answer()
            async for event in leg.events():
                if isinstance(event, native.Heard):
                    leg.play(1, event.pcm, event.rate_hz)
        except CallEnded:
            pass
        done += 1

    def incoming(outcome: IncomingCall) -> None:
        sender = parse_name_addr(outcome.invite.first("From") or "")
        name = CallId(f"{rng.getrandbits(64):016x}")
        info = CallInfo(name, "inbound", sender.uri, outcome.invite.uri, dict(outcome.invite.headers))
        leg = SipLeg.incoming(line, outcome, info)
        line.add(leg)
        task = loop.create_task(take(leg))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    line = SipLine(media=media, rng=rng, incoming=incoming)
    media.start()
    _, port = await line.listen("udp", ("127.0.0.1", 0))
    settle_memory()
    tell(port=port)
    while await asyncio.to_thread(sys.stdin.readline):
        tell(done=done, counters=line.agent.counters())
    await line.close()
    media.stop()


if __name__ == "__main__":
    run_live(serve)
