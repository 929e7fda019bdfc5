"""Two processes of `memory`: a host with whole sessions, and callers that hold calls to it.

host       Host, Agent, Conversation, scripted models: what `offhook serve` has in memory for a call
callers    user agent and media plane of the other side; they call and stay

orders     host: anything → {"live": n}        callers: {"call": N, "to": port} → {"up": n}
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import sys

from offhook import _native as native
from offhook.call import Agent, Models
from offhook.call.leg import CallInfo
from offhook.carriers.sip import SipLeg
from offhook.core.ids import CallId
from offhook.run.host import Host, HostRules
from offhook.run.line import SipLine
from offhook.run.media import EngineMedia
from offhook.run.serve import run_live
from offhook.sip.uri import Uri
from offhook.sip.useragent import Settings
from offhook.testing.bench.machine import tell
from offhook.testing.scripted import ScriptedBrain, ScriptedStt, ScriptedTts

AT_ONCE = 20
"""So many calls are placed together: the memory of a call is asked for here, not the memory of a storm."""


async def host() -> None:
    """Answer every call with an agent that greets and then listens."""
    agent = Agent("You answer the phone.", greeting="Good evening, how can I help you?")
    brain = ScriptedBrain(["Certainly."])
    models = Models(brain=lambda agent: brain, stt=ScriptedStt(), tts=ScriptedTts())
    rules = HostRules(listen=(("udp", ("127.0.0.1", 0)),), max_calls=2000)
    engine = native.Engine(ip="127.0.0.1", first_port=10000, last_port=14999)
    async with Host(
        engine=engine,
        rng=random.Random(1),
        rules=rules,
        route=lambda called: agent,
        models=await models.prepared(agent),
    ) as host:
        gc.collect()
        gc.freeze()
        tell(port=host.listening[0][1][1])
        while await asyncio.to_thread(sys.stdin.readline):
            gc.collect()
            tell(live=host.live)


async def callers() -> None:
    """Place calls as told, and hold them."""
    rng = random.Random(2)
    media = EngineMedia(native.Engine(ip="127.0.0.1", first_port=15000, last_port=19999), rng)
    line = SipLine(media=media, rng=rng, incoming=lambda outcome: None, settings=Settings(user="caller"))
    media.start()
    await line.listen("udp", ("127.0.0.1", 0))
    legs: list[SipLeg] = []

    async def call(to: Uri) -> None:
        ways = await line.ways_to(to)
        info = CallInfo(CallId(f"{rng.getrandbits(64):016x}"), "outbound", "sip:caller@127.0.0.1", str(to))
        leg = SipLeg.outgoing(line, info, ways, to, Uri("sip", "caller", ways[0].local[0]))
        line.dialled(ways, +1)
        line.add(leg)
        leg.listen("none")
        line.settle()
        await leg.connected()
        legs.append(leg)

    tell(ready=True)
    while text := await asyncio.to_thread(sys.stdin.readline):
        order = json.loads(text)
        to = Uri("sip", "agent", "127.0.0.1", order["to"])
        for start in range(0, order["call"], AT_ONCE):
            await asyncio.gather(*(call(to) for _ in range(min(AT_ONCE, order["call"] - start))))
        tell(up=sum(not leg.over for leg in legs))
    await line.close()
    media.stop()


if __name__ == "__main__":
    run_live(host if sys.argv[1] == "host" else callers)
