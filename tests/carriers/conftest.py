"""Two legs that talk to each other over the simulated network: ours, and a raw peer or a caller's phone."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from offhook.call.leg import CallInfo, LegEvent
from offhook.carriers.negotiation import AudioRules
from offhook.carriers.sip import SipLeg
from offhook.core.ids import CallId
from offhook.core.signals import HungUp
from offhook.run.line import SipLine
from offhook.run.media import EngineMedia
from offhook.sip.outcomes import IncomingCall
from offhook.testing.callers import CallerPhone
from offhook.testing.peers import Peer
from offhook.testing.world import SIP_PORT, World

US, PHONE, PEER = "10.1.0.1", "10.2.0.1", "10.3.0.1"


class Desk:
    """A line of ours that takes every call as a leg and writes down its events."""

    def __init__(self, world: World, audio: AudioRules | None) -> None:
        self.world = world
        self.legs: list[SipLeg] = []
        self.events: list[LegEvent] = []
        self._audio = audio
        self._rung: asyncio.Event = asyncio.Event()
        self._readers: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Desk:
        rng = self.world.rng("desk")
        self.media = EngineMedia(self.world.engine(US), rng)
        self.media.start()
        self.line = SipLine(
            media=self.media,
            rng=rng,
            incoming=self._incoming,
            allow=("10.0.0.0/8",),
            dial=("sip:*@10.9.9.9", "+1"),
            audio=self._audio,
        )
        for transport in ("udp", "tcp"):
            await self.line.listen(transport, (US, SIP_PORT))
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*self._readers)
        await self.world.settle()
        await self.line.close()
        self.media.stop()

    def _incoming(self, outcome: IncomingCall) -> None:
        self.keep(
            SipLeg.incoming(
                self.line, outcome, CallInfo(CallId("c"), "inbound", "sip:peer@10.3.0.1", "sip:desk@10.1.0.1")
            )
        )

    def keep(self, leg: SipLeg) -> None:
        """Serve a leg and write down what it tells."""
        self.line.add(leg)
        self.legs.append(leg)
        self._readers.append(asyncio.get_running_loop().create_task(self._read(leg)))
        self._rung.set()

    async def rung(self) -> SipLeg:
        """Wait for a call."""
        await self._rung.wait()
        return self.legs[-1]

    async def dials(self, target: str) -> SipLeg:
        """Invite somebody."""
        uri = self.line.parse_target(target)
        ways = await self.line.ways_to(uri)
        leg = SipLeg.outgoing(self.line, CallInfo(CallId("d"), "outbound", "sip:us@10.1.0.1", target), ways, uri)
        self.keep(leg)
        self.line.settle()
        return leg

    def stop_reading(self) -> None:
        """Let somebody else read what the legs tell."""
        for reader in self._readers:
            reader.cancel()
        self._readers.clear()

    def forget(self) -> None:
        """Keep no leg."""
        self.legs.clear()
        self._readers.clear()

    async def _read(self, leg: SipLeg) -> None:
        async for event in leg.events():
            self.events.append(event)

    def kinds(self) -> list[str]:
        """Give the kinds of what was told, audio left out, each run of one kind once."""
        names = [type(event).__name__ for event in self.events if type(event).__name__ not in ("Heard", "Quality")]
        return [name for index, name in enumerate(names) if index == 0 or names[index - 1] != name]

    def end(self) -> HungUp:
        """Give how it ended."""
        (over,) = [event for event in self.events if isinstance(event, HungUp)]
        assert self.events[-1] is over
        return over


class Stage:
    """What a test plays on."""

    def __init__(self) -> None:
        self.world = World("legs")

    def desk(self, audio: AudioRules | None = None) -> Desk:
        """Make our line."""
        return Desk(self.world, audio)

    def phone(self) -> CallerPhone:
        """Make the phone of a caller."""
        return CallerPhone(self.world, PHONE)

    def peer(self) -> Peer:
        """Make a bare SIP socket."""
        return Peer(self.world, PEER, (US, SIP_PORT), self.world.rng("peer"))

    def play(self, story: Coroutine[Any, Any, Any]) -> None:
        """Run a story; nothing that the checkers watch may be broken by it."""
        self.world.run(story)
        assert self.world.violations == []


@pytest.fixture
def stage() -> Stage:
    """An empty stage."""
    return Stage()
