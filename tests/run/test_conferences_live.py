"""A conference and a supervisor on real sockets: two hosts on loopback, the native engine's threads, real time."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest

from offhook import _native as native
from offhook.call import Call
from offhook.core.errors import NotAllowed
from offhook.policy.routes import Wanted
from offhook.run.host import Host, HostRules
from offhook.run.serve import run_live
from tests.run.test_conferences import PITCHES, Ear, tone

HERE = "127.0.0.1"
AFTER = 8000
"""So much more is heard out once all have heard what they should: who hears too much is found out."""


class Person:
    """A far end: a call of the other host, what it hears, and its own tone."""

    def __init__(self) -> None:
        self.ear = Ear()
        self.here = asyncio.Event()
        self.heard = asyncio.Event()
        self.call: Call

    async def __call__(self, call: Call) -> None:
        self.call = call
        self.here.set()
        async for pcm in call.audio():
            self.ear.push(pcm)
            self.heard.set()

    async def hears(self, whom: set[str]) -> None:
        """Wait until these were heard, and then some more; nobody else may have been."""
        while self.ear.hears() < whom:
            await self.more()
        enough = len(self.ear.pcm) + 2 * AFTER
        while len(self.ear.pcm) < enough:
            await self.more()
        assert self.ear.hears() == whom

    async def more(self) -> None:
        self.heard.clear()
        await self.heard.wait()


class Town:
    """Our host and the one of all the others."""

    def __init__(self, threads: int) -> None:
        self.people = {name: Person() for name in ("caller", "clerk", "boss")}
        self.ours: dict[str, Call] = {}
        self.taken = asyncio.Event()
        rules = HostRules(listen=(("udp", (HERE, 0)),), dial=(f"sip:*@{HERE}",))
        engines = [
            native.Engine(ip=HERE, first_port=first, last_port=first + 99, threads=many)
            for first, many in ((26000, threads), (26100, 1))
        ]
        self.host = Host(engine=engines[0], rng=Random(1), rules=rules, route=self.agent_of)
        self.far = Host(engine=engines[1], rng=Random(2), rules=rules, route=lambda wanted: self.people["clerk"])

    def agent_of(self, wanted: Wanted) -> Any:
        name = next(name for name in self.people if name in str(wanted.called))

        async def waits(call: Call) -> None:
            self.ours[name] = call
            self.taken.set()
            async for _ in call.audio():
                pass

        return waits

    async def comes(self, name: str) -> None:
        """Let somebody call us."""
        person = self.people[name]
        self.taken.clear()
        await self.far.dial(f"sip:{name}@{HERE}:{self.host.listening[0][1][1]}", person)
        await asyncio.gather(person.here.wait(), self.taken.wait())

    @property
    def desk(self) -> str:
        return f"sip:desk@{HERE}:{self.far.listening[0][1][1]}"

    async def sound(self, expected: dict[str, set[str]]) -> None:
        """Let everybody sound until all have heard whom they should: one tone may be lost where the machine is busy."""
        for name in expected:
            self.people[name].ear = Ear()
        hearing = asyncio.gather(*[self.people[name].hears(whom) for name, whom in expected.items()])
        while not hearing.done():
            await asyncio.gather(*[self.people[name].call.play(tone(PITCHES[name])) for name in expected])
            await self.ours["caller"].play(tone(PITCHES["agent"]))
        await hearing


def test_three_hear_each_other_and_a_supervisor_all_of_them() -> None:
    async def main() -> None:
        town = Town(threads=1)
        async with asyncio.timeout(30), town.host, town.far:
            await town.comes("caller")
            guest = await town.ours["caller"].conference(town.desk)
            await town.people["clerk"].here.wait()
            await town.sound({"caller": {"agent", "clerk"}, "clerk": {"agent", "caller"}})
            await town.comes("boss")
            watch = await town.ours["boss"].supervise(town.ours["caller"])
            everybody = {"agent", "caller", "clerk"}
            await town.sound({"caller": {"agent", "clerk"}, "clerk": {"agent", "caller"}, "boss": everybody})
            await watch.talk()
            await town.sound(
                {"caller": {"agent", "clerk", "boss"}, "clerk": {"agent", "caller", "boss"}, "boss": everybody}
            )
            await town.people["caller"].call.hangup()
            await asyncio.gather(guest.left(), watch.left())
            assert town.ours["boss"].ended is None
        assert (town.host.failures, town.far.failures) == (0, 0)

    run_live(main)


def test_on_two_threads_who_is_called_is_heard_and_who_called_is_refused() -> None:
    async def main() -> None:
        town = Town(threads=2)
        async with asyncio.timeout(30), town.host, town.far:
            await town.comes("caller")
            await town.comes("boss")
            with pytest.raises(NotAllowed, match="media_threads"):
                await town.ours["boss"].supervise(town.ours["caller"])
            assert town.ours["caller"].participants == ()
            await town.ours["caller"].conference(town.desk, mode="listen")
            await town.people["clerk"].here.wait()
            await town.sound({"caller": {"agent"}, "clerk": {"agent", "caller"}})
        assert (town.host.failures, town.far.failures) == (0, 0)

    run_live(main)
