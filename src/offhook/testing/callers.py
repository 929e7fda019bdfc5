"""A simulated caller: a whole phone of its own, with ears, a mouth, fingers and little patience.

      Caller ─ says, presses ─► SipLeg ─► the same `run/` line, user agent and media Port as any agent's
             ◄─ hears ─────────        ◄─ RTP over the simulated network

The words are spelled into audio and read back from it (`offhook.testing.spelled`), so a caller hears what came through,
and only that.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Final, Literal, Protocol

from offhook import _native as native
from offhook.call.leg import CallInfo
from offhook.call.rates import SteadyRate
from offhook.carriers.negotiation import AudioRules
from offhook.carriers.sip import SipLeg
from offhook.core.errors import CallEnded, ProtocolError
from offhook.core.ids import CallId
from offhook.core.signals import Connected, HungUp
from offhook.run.line import SipLine
from offhook.run.media import EngineMedia
from offhook.sip.header import parse_name_addr
from offhook.sip.outcomes import IncomingCall
from offhook.sip.useragent import Settings
from offhook.testing.spelled import RATE_HZ, Reader, fold, spell
from offhook.testing.world import SIP_PORT, World

QUIET_S: Final = 0.6
"""So long nothing was heard: the other side has finished speaking."""


class NotHeard(AssertionError):
    """What the caller waited for was not said in time; the text tells what was heard instead."""


class Home(Protocol):
    """Where a caller is at home."""

    @property
    def hearing(self) -> Literal["all", "speech"]:
        """What reaches the caller's ears."""
        ...

    def told(self, call: CallId, event: str, data: Mapping[str, object]) -> None:
        """Hear what happens to a call."""
        ...


class Handset(Protocol):
    """What a caller speaks into and hears by: the verbs of a leg that a person needs."""

    @property
    def info(self) -> CallInfo:
        """Who calls whom."""
        ...

    def events(self) -> AsyncIterator[object]:
        """Give what is heard, and what happens."""
        ...

    def listen(self, mode: Literal["all", "speech"]) -> None:
        """Say what is to be heard."""
        ...

    def play(self, utterance: int, pcm: bytes, rate_hz: int) -> int:
        """Queue words; give how many bytes were taken."""
        ...

    def end(self, utterance: int) -> None:
        """Say that the words are complete."""
        ...

    def press(self, keys: str) -> None:
        """Press keys."""
        ...

    async def connected(self) -> None:
        """Wait for the answer."""
        ...

    async def hold(self, on: bool) -> bool:
        """Hold the far end, or take it back; give whether it went along."""
        ...

    async def hangup(self) -> None:
        """Hang up."""
        ...


class CallerPhone:
    """A machine with one SIP line, from which callers call. Use as an async context manager."""

    def __init__(
        self,
        world: World,
        ip: str,
        *,
        name: str = "caller",
        audio: AudioRules | None = None,
        hearing: Literal["all", "speech"] = "all",
    ) -> None:
        self.world = world
        self.ip = ip
        self.name = name
        self.audio = audio
        self.hearing: Literal["all", "speech"] = hearing
        self.line: SipLine
        self._media: EngineMedia
        self._calls = 0
        self._rung: asyncio.Queue[IncomingCall] = asyncio.Queue()
        self._deaf = False

    async def __aenter__(self) -> CallerPhone:
        """Bind the sockets."""
        world = self.world
        rng = world.rng(f"{self.ip}/line")
        self._media = EngineMedia(world.engine(self.ip), rng)
        self._media.start()
        self.line = SipLine(
            media=self._media,
            rng=rng,
            incoming=self._ring,
            allow=("10.0.0.0/8",),
            dial=("sip:*@10.*", "+"),
            audio=self.audio,
            settings=Settings(user=self.name),
        )
        for transport in ("udp", "tcp"):
            await self.line.listen(transport, (self.ip, SIP_PORT))
        world.lines[self.ip] = self.line.agent.counters
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close them."""
        await self.line.close()
        self._media.stop()

    def told(self, call: CallId, event: str, data: Mapping[str, object]) -> None:
        """Tell the world what happens to a call."""
        self.world.told(self.ip, call, event, data)

    async def calls(self, target: str) -> Caller:
        """Call an address and wait for the answer. DialFailed if there is none."""
        caller = await self.rings(target)
        await caller.answered()
        return caller

    async def answers(self, *, within_s: float = 30.0, rings_s: float = 0.0) -> Caller:
        """Wait to be called, let it ring for a while and take the call.

        TimeoutError if nobody calls, CallEnded if the other side gave up.
        """
        leg = await self.rung(within_s=within_s)
        caller = Caller(self, leg)
        try:
            await caller.waits(rings_s)
            await leg.answer()
        except asyncio.CancelledError:
            await leg.hangup(486)
            raise
        return caller

    async def rung(self, *, within_s: float = 30.0) -> SipLeg:
        """Wait to be called; the leg rings. TimeoutError if nobody calls, CallEnded if it can't be taken."""
        async with asyncio.timeout(within_s):
            outcome = await self._rung.get()
        self._calls += 1
        name = CallId(f"{self.ip}-{self._calls}")
        sender = parse_name_addr(outcome.invite.first("From") or "").uri
        info = CallInfo(name, "inbound", sender, outcome.invite.uri)
        try:
            leg = SipLeg.incoming(self.line, outcome, info)
        except ProtocolError as error:
            self.line.agent.reject(self.line.now(), outcome.call, error.code)
            self.line.settle()
            raise CallEnded("what they offer can't be taken") from error
        self.line.add(leg)
        self.told(name, "rung", {})
        return leg

    def declines(self) -> None:
        """Answer nobody any more: refuse who still rings unheard, and whoever calls from now on."""
        self._deaf = True
        while not self._rung.empty():
            self._ring(self._rung.get_nowait())

    def _ring(self, outcome: IncomingCall) -> None:
        if self._deaf:
            self.line.agent.reject(self.line.now(), outcome.call, 480)
            self.line.settle()
        else:
            self._rung.put_nowait(outcome)

    async def rings(self, target: str) -> Caller:
        """Call an address and don't wait."""
        leg = await self.dials(target)
        caller = Caller(self, leg)
        self.line.settle()
        return caller

    async def dials(self, target: str) -> SipLeg:
        """Call an address; give the leg. What it is to send leaves when the line settles next."""
        self._calls += 1
        name = CallId(f"{self.ip}-{self._calls}")
        uri = self.line.parse_target(target)
        ways = await self.line.ways_to(uri)
        self.line.dialled(ways, +1)
        info = CallInfo(name, "outbound", f"sip:{self.name}@{self.ip}", target)
        leg = SipLeg.outgoing(self.line, info, ways, uri)
        self.line.add(leg)
        self.told(name, "dialling", {"to": target})
        return leg


class Caller:
    """One call of a simulated caller. Every wait is bounded by virtual seconds."""

    def __init__(self, phone: Home, leg: Handset) -> None:
        self.phone = phone
        self.leg = leg
        self.ended: HungUp | None = None
        self.keys = ""
        """Every key that the far end pressed."""
        self.spoken: list[str] = []
        """All that was said, or begun to be said."""
        self._loop = asyncio.get_running_loop()
        self._reader = Reader()
        self._rate = SteadyRate(RATE_HZ)
        self._taken = 0
        self._utterances = 0
        self._played: dict[int, bool] = {}
        self._changed = asyncio.Event()
        self._heard_at = self._loop.time()
        self._room = asyncio.Event()
        self._ears = self._loop.create_task(self._listen(), name=f"ears of {leg.info.id}")

    @property
    def heard(self) -> str:
        """All that the caller heard so far: folded words (see `spelled.fold`)."""
        return self._reader.text

    @property
    def over(self) -> bool:
        """Whether the call has ended."""
        return self.ended is not None

    async def answered(self) -> None:
        """Wait until the far end answers. DialFailed if it does not."""
        await self.leg.connected()

    async def says(self, text: str) -> None:
        """Say words; returns when the last of them has left. CallEnded if the call is over before that."""
        pcm = spell(text)
        self.spoken.append(text)
        self._utterances += 1
        utterance = self._utterances
        self._played[utterance] = False
        while pcm and not self.over:
            self._room.clear()
            taken = self.leg.play(utterance, pcm, 8000)
            pcm = pcm[taken:]
            if pcm:
                await self._either(self._room)
        self.leg.end(utterance)
        while not self._played[utterance] and not self.over:
            await self._change()
        if self.over:
            raise CallEnded("the call is over")

    async def hears(self, text: str, *, within_s: float = 15.0) -> str:
        """Wait until the far end said `text`, after what was waited for before; give all heard up to there.

        NotHeard if it was not said in time, or the call ended without it.
        """
        wanted = fold(text)
        try:
            async with asyncio.timeout(within_s):
                while (at := self.heard.find(wanted, self._taken)) < 0:
                    if self.over:
                        raise NotHeard(f"the call ended; waited for {wanted!r}, heard {self.heard[self._taken :]!r}")
                    await self._change()
        except TimeoutError:
            unheard = f"waited {within_s} s for {wanted!r}, heard {self.heard[self._taken :]!r}"
            raise NotHeard(unheard) from None
        before, self._taken = self._taken, at + len(wanted)
        return self.heard[before : self._taken].strip()

    async def hears_more(self, *, within_s: float = 15.0) -> None:
        """Wait until the far end says anything at all, or the call ends, or it is too late."""
        before = len(self.heard)
        deadline = self._loop.time() + within_s
        while not self.over and len(self.heard) == before and (left := deadline - self._loop.time()) > 1e-9:
            await self._change(left)

    async def hears_out(self, *, quiet_s: float = QUIET_S, within_s: float = 30.0) -> str:
        """Wait until the far end has said something and fallen silent (or hung up); give what it said."""
        before = self._taken
        deadline = self._loop.time() + within_s
        while not self.over and self._loop.time() < deadline:
            said = len(self.heard) > before
            quiet_at = self._heard_at + quiet_s
            if said and self._loop.time() >= quiet_at:
                break
            until = min(quiet_at, deadline) if said else deadline
            await self._change(max(0.001, until - self._loop.time()))
        self._taken = len(self.heard)
        return self.heard[before:].strip()

    async def waits(self, seconds: float) -> None:
        """Let time pass, or the call end."""
        deadline = self._loop.time() + seconds
        while not self.over and (left := deadline - self._loop.time()) > 1e-9:
            await self._change(left)

    def presses(self, keys: str) -> None:
        """Press keys (0-9*#A-D)."""
        self.leg.press(keys)

    async def holds(self) -> bool:
        """Put the far end on hold; give whether it went along. CallEnded if the call is over."""
        return await self.leg.hold(True)

    async def resumes(self) -> bool:
        """Take the far end off hold; give whether it went along. CallEnded if the call is over."""
        return await self.leg.hold(False)

    async def hangs_up(self) -> None:
        """End the call."""
        await self.leg.hangup()
        await self.gone()

    async def gone(self, *, within_s: float = 90.0) -> HungUp:
        """Wait until the call is over. TimeoutError if it goes on."""
        async with asyncio.timeout(within_s):
            await asyncio.shield(self._ears)
        assert self.ended is not None
        return self.ended

    async def _listen(self) -> None:
        self.leg.listen(self.phone.hearing)
        async for event in self.leg.events():
            match event:
                case native.Heard():
                    if self._reader.push(self._rate.push(event.pcm, event.rate_hz)):
                        self._heard_at = self._loop.time()
                        self._stir()
                case native.Played():
                    self._played[event.utterance] = True
                    self._stir()
                case native.Digit():
                    self.keys += event.key
                    self._stir()
                case native.Room():
                    self._room.set()
                case HungUp():
                    self.ended = event
                case Connected():
                    self._stir()
                case _:
                    pass
        assert self.ended is not None
        self.phone.told(self.leg.info.id, "ended", {"reason": self.ended.reason})
        self._room.set()
        self._stir()

    def _stir(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _change(self, within_s: float | None = None) -> None:
        """Wait until something is heard, played or over, at most so long."""
        try:
            async with asyncio.timeout(within_s):
                await self._changed.wait()
        except TimeoutError:
            pass

    async def _either(self, event: asyncio.Event) -> None:
        """Wait for room in the play queue; the end of the call makes room too."""
        async with asyncio.timeout(10.0):
            await event.wait()
