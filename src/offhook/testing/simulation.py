"""One simulated call, whole: an agent's host as `serve` runs it, a caller's phone, and often somebody rude beside them.

      simulate(seed, number, profile) ─► Outcome(digest, violations, what was done)

Each call is a world of its own, from a seed of its own; so a run of a thousand is the same on one core or eight, and a
call that went wrong is played again alone.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any, Final, cast

from offhook import _native as native
from offhook.agent.history import History
from offhook.call import Agent, Call, Models
from offhook.call.conference import Role
from offhook.call.events import Answered, CallEvent, Cut, Digit, Ended, Heard, Said, as_json
from offhook.call.room import Mode
from offhook.carriers.negotiation import AudioRules
from offhook.core.codecs import PCMA, PCMU
from offhook.core.errors import CallEnded, DialFailed, NotAllowed, OffhookError
from offhook.core.instants import SECOND
from offhook.run.host import Host, HostRules
from offhook.testing import callees, changers, doorkeepers, early_peers, peers, referrers, stream_peers
from offhook.testing.callers import Caller, CallerPhone
from offhook.testing.checkers.echoes import NotItself
from offhook.testing.moods import Mood, MoodyBrain, MoodyStt, MoodyTts
from offhook.testing.network import PROFILES, Profile
from offhook.testing.scripted import ScriptedStt, ScriptedTts
from offhook.testing.speakerphones import Room, Speakerphone
from offhook.testing.story import GREETING, Clerk, said, visits
from offhook.testing.world import SIP_PORT, World

AGENT, CALLER, PEER, NONSENSE = "10.1.0.1", "10.2.0.1", "10.3.0.1", "10.4.0.1"

MIX: Final = (("lan", 2), ("wan", 3), ("wifi", 2), ("lte", 2), ("hostile", 1))
"""Which paths are drawn where none is asked for, and how often."""

ECHOING: Final = 0.25
"""So many callers speak through a speakerphone, and return the agent's voice."""

ANNOUNCED: Final = ("", "", "A caller for you.")
"""What somebody who is called in, or handed a caller, is told first."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one simulated call. `counts` are faults of the network and facts of the talk, by name."""

    number: int
    profile: str
    digest: str
    violations: tuple[str, ...]
    rows: frozenset[str]
    counts: Mapping[str, int]
    seconds: float
    talk_s: float
    cpu_s: float


@dataclass(slots=True)
class _Facts:
    """What is noted of the main call."""

    began: float = 0.0
    talk_s: float = 0.0
    counts: Counter[str] = field(default_factory=Counter[str])
    calls: dict[str, Call] = field(default_factory=dict[str, Call])


def simulate(
    seed: int, number: int, profile: str | None = None, *, plant: Callable[[World], None] | None = None
) -> Outcome:
    """Live one call of a run. `plant` puts a fault into the world before anything is made in it."""
    name = f"{seed}/{number}"
    rng = Random(f"{name}/plot")
    chosen = profile or rng.choices([one for one, _ in MIX], [weight for _, weight in MIX])[0]
    gc.disable()  # what is collected when must not be a matter of how much other memory there is
    began = time.process_time()
    try:
        world = World(name, PROFILES[chosen])
        if plant is not None:
            plant(world)
        plot = _Plot(world, rng, PROFILES[chosen])
        error = ""
        try:
            world.run(plot.live())
        except Exception as raised:  # noqa: BLE001 (whatever breaks a world is a finding of the simulator)
            error = f"{world.seconds:.6f} s  the world broke: {raised!r}"
    finally:
        gc.enable()
    counts = plot.facts.counts + world.journal.counters
    itself = {id(one) for one in world.violations if one.law == NotItself.law and counts["echoing"]}
    if itself:
        counts["itself"] += (
            1  # on a bad path not every echo is known in time: the run says of how many calls that holds
        )
    violations = [str(violation) for violation in world.violations if id(violation) not in itself]
    if error:
        violations.append(error)
    return Outcome(
        number, chosen, world.journal.digest(), tuple(violations), frozenset(plot.rows), dict(counts), world.seconds,
        plot.facts.talk_s, time.process_time() - began,
    )  # fmt: skip


class _Plot:
    """One world's cast and course."""

    def __init__(self, world: World, rng: Random, profile: Profile) -> None:
        self.world = world
        self.rng = rng
        self.profile = profile
        self.facts = _Facts()
        self.rows: set[str] = set()
        self._words: dict[str, list[tuple[str, bool]]] = {}
        self._heard: dict[str, list[str]] = {}
        self._visitor: Caller | None = None
        self._visited = ""
        self._sip_names: dict[str, str] = {}

    async def live(self) -> None:
        world, rng = self.world, self.rng
        codecs = (PCMU, PCMA) if rng.random() < 0.6 else (PCMA, PCMU)
        agent = await self._agent()
        host = self._host(agent)
        self._furnish()
        phone = CallerPhone(world, CALLER, audio=AudioRules(codecs=codecs), hearing="speech")
        async with host, phone:
            world.lines[AGENT] = host.counters
            world.reports = {(AGENT, SIP_PORT): host.line.flow_closed, (CALLER, SIP_PORT): phone.line.flow_closed}
            async with asyncio.TaskGroup() as group:
                outbound = rng.random() < 0.2
                group.create_task(self._main_call(host, phone, agent, outbound))
                if rng.random() < 0.4:
                    group.create_task(self._rude_caller(AGENT))
                if rng.random() < 0.2 and not outbound:
                    group.create_task(self._porter(phone))
                    group.create_task(self._rude_caller(CALLER))
                if rng.random() < 0.15:
                    group.create_task(self._unreachable())
                if rng.random() < 0.3:
                    group.create_task(self._rude_callee(host, agent))
                if rng.random() < 0.04:
                    group.create_task(self._drain(host))
            phone.declines()
            await world.settle()
            self.rows.update(str(row) for line in (host.line, phone.line) for row in line.agent.taken)
            counters = host.counters()
            if counters["guard"] or counters["failures"]:
                world.told(
                    AGENT, "", "raised", {"error": f"guard {counters['guard']}, failures {counters['failures']}"}
                )

    # The cast

    async def _agent(self) -> Agent:
        agent = Agent("You take bookings.", greeting=GREETING)
        rng = self.world.rng
        slow, quick = Mood(0.15, 0.9, stall=0.02, stall_s=6.0, fail=0.01), Mood(0.02, 0.25, stall=0.01, stall_s=4.0)
        clerk = Clerk(rng("clerk"), self._seen)
        self._models = await Models(
            brain=lambda _: MoodyBrain(clerk, slow, rng("mind")),
            stt=MoodyStt(ScriptedStt(delay_s=0.0), quick, rng("ear")),
            tts=MoodyTts(ScriptedTts(delay_s=0.0), quick, rng("voice")),
        ).prepared(agent)
        return agent

    def _host(self, agent: Agent) -> Host:
        listen = tuple((transport, (AGENT, SIP_PORT)) for transport in ("udp", "tcp"))
        dial = ("sip:*@10.2.0.1", "sip:*@10.3.0.*")
        rng = self.world.rng("door")
        door = doorkeepers.doorkeeper(rng, agent) if rng.random() < 0.25 else agent
        return Host(
            engine=self.world.engine(AGENT),
            rng=self.world.rng("host"),
            rules=HostRules(listen=listen, allow=("10.0.0.0/8",), dial=dial, ring_s=12.0),
            route=lambda wanted: {"agent": door, "desk": agent}.get(wanted.called),
            models=self._models,
            events=self._event,
        )

    def _furnish(self) -> None:
        """Put some callers before a speakerphone."""
        rng, counts = self.world.rng("room"), self.facts.counts
        if rng.random() < ECHOING:
            room = Room.drawn(rng)
            self.world.make_port[CALLER] = cast("Any", partial(Speakerphone, room, self.profile))
            counts["echoing"] += 1
            counts["echo_loss_db"] += round(room.loss_db)
            counts["echo_delay_ms"] += room.delay_ms

    # The course

    async def _main_call(self, host: Host, phone: CallerPhone, agent: Agent, outbound: bool) -> None:
        rng, loop = self.world.rng("main"), self.world.loop
        self.facts.began = loop.time()
        ringing: asyncio.Task[Caller] | None = None
        try:
            if outbound:
                ringing = loop.create_task(phone.answers(rings_s=rng.choice((0.0, 1.5))))
                await host.dial(f"sip:caller@{CALLER}", agent)
                caller = await ringing
            else:
                caller = await phone.calls(f"sip:agent@{AGENT}")
        except (DialFailed, CallEnded, NotAllowed, TimeoutError) as failed:
            if ringing is not None:
                ringing.cancel()
                await asyncio.wait([ringing])
            self.facts.counts["not_connected"] += 1
            self.world.journal.event(loop.now, f"not connected: {failed}")
            return
        self._visitor = caller
        self._plan_rebinds(phone, caller)
        await visits(caller, rng)
        await caller.gone()
        self.facts.talk_s = loop.time() - self.facts.began

    def _plan_rebinds(self, phone: CallerPhone, caller: Caller) -> None:
        """Let the caller's NAT move the media port as often as the path's profile says."""
        rng = self.world.rng("rebinds")
        rate = self.profile.rebinds_a_minute
        engine = next(engine for engine in self.world.engines if engine.ip == phone.ip)

        def rebind() -> None:
            if not caller.over:
                for port in engine.open_ports:
                    self.world.network.rebind(engine.local(port))

        if rate:
            first = rng.expovariate(rate / 60)
            if first < 120:
                self.world.loop.at(self.world.loop.now + round(first * SECOND), rebind)

    async def _porter(self, phone: CallerPhone) -> None:
        """Let the caller's phone ring and be answered when somebody else calls it."""
        rng = self.world.rng("porter")
        for _ in range(3):
            try:
                visitor = await phone.answers(within_s=60, rings_s=rng.uniform(0.0, 2.0))
                await visitor.says("hello who is there")
                await visitor.waits(rng.uniform(0.0, 4.0))
                await visitor.hangs_up()
            except (TimeoutError, CallEnded):
                continue

    async def _unreachable(self) -> None:
        """Let the operating system report now and then that a peer can't be reached (ICMP), where it can be."""
        rng = self.world.rng("icmp")
        self.facts.counts["unreachable"] += 1
        for _ in range(8):
            await asyncio.sleep(rng.expovariate(1 / 5))
            for ip in (AGENT, CALLER):
                for remote in (CALLER, AGENT, PEER, "10.3.0.2"):
                    if remote != ip and rng.random() < 0.5:
                        self.world.unreachable((ip, SIP_PORT), (remote, SIP_PORT))

    async def _rude_caller(self, target: str) -> None:
        rng = self.world.rng(f"rude to {target}")
        manner = rng.choice(
            (
                *(peers.CALLS_US if target == AGENT else peers.RINGS_A_PHONE),
                *changers.CALLS_US,
                *early_peers.CALLS_US,
                *(referrers.CALLS_US if target == AGENT else ()),
                *stream_peers.CALLS_US_BY_TCP * 2,
            )
        )
        await asyncio.sleep(rng.uniform(0, 8))
        kind = stream_peers.StreamPeer if manner in stream_peers.CALLS_US_BY_TCP else peers.Peer
        ip = NONSENSE if manner is peers.talks_nonsense else PEER
        peer = kind(self.world, ip if target == AGENT else ip[:-1] + "3", (target, SIP_PORT), rng)
        self.facts.counts[f"rude: {manner.__name__}"] += 1
        try:
            await manner(peer)
        finally:
            peer.close()

    async def _rude_callee(self, host: Host, agent: Agent) -> None:
        rng = self.world.rng("rude callee")
        odd = (*changers.IS_HELD, *early_peers.IS_CALLED, *referrers.IS_HANDED_ON, *referrers.IS_JOINED)
        manner = rng.choice((*callees.IS_CALLED, *odd, *stream_peers.IS_CALLED_BY_TCP * 2))
        await asyncio.sleep(rng.uniform(0, 8))
        by_tcp = manner in stream_peers.IS_CALLED_BY_TCP
        kind = stream_peers.StreamPeer if by_tcp else peers.Peer
        peer = kind(self.world, "10.3.0.2", (AGENT, SIP_PORT), rng)
        self.facts.counts[f"rude: {manner.__name__}"] += 1
        rudeness = self.world.loop.create_task(_await(manner, peer), name="rude callee")
        try:
            await asyncio.sleep(0.001)
            call = await host.dial("sip:x@10.3.0.2" + (";transport=tcp" if by_tcp else ""), agent)
            await asyncio.sleep(rng.uniform(0.5, 8))
            if manner is early_peers.takes_keys and call.leg.capabilities.press:
                await call.press("12#")
            if manner in changers.IS_HELD:
                await call.hold()
                await asyncio.sleep(rng.uniform(0.0, 4))
                await call.resume()
            if manner in referrers.IS_HANDED_ON:
                await self._hands_on(call, rng)
            if manner in referrers.IS_JOINED:
                await self._calls_in(call, rng)
            await call.hangup()
        except OffhookError as error:
            self.world.journal.event(self.world.loop.now, f"rude callee: {error}")
        await rudeness
        peer.close()

    async def _hands_on(self, call: Call, rng: Random) -> None:
        """Transfer a far end, blind, attended or by a bridge, to somebody who may be rude as well, or is not there."""
        async with self._somebody_else(rng) as target:
            await call.transfer(target, attended=rng.random() < 0.5, announce=rng.choice(ANNOUNCED))

    async def _calls_in(self, call: Call, rng: Random) -> None:
        """Call somebody in, who may be rude as well, or is not there, and let it be heard in one way and another."""
        modes: tuple[Mode, ...] = ("talk", "talk", "whisper", "listen")
        roles: tuple[Role, ...] = ("aside", "active")
        async with self._somebody_else(rng) as target:
            guest = await call.conference(
                target, mode=rng.choice(modes), agent=rng.choice(roles), announce=rng.choice(ANNOUNCED)
            )
            self.facts.counts["conferences"] += 1
            for _ in range(rng.randrange(4)):
                await asyncio.sleep(rng.uniform(0.0, 2.0))
                await rng.choice((guest.talk, guest.whisper, guest.listen))()
            if rng.random() < 0.5:
                await guest.say("One moment, please.")
            if rng.random() < 0.5:
                await guest.remove()

    @asynccontextmanager
    async def _somebody_else(self, rng: Random) -> AsyncGenerator[str]:
        """Give where somebody may be called, and wait at the end for what they do."""
        manner = rng.choice((*callees.IS_CALLED, *early_peers.IS_CALLED, *(referrers.picks_up,) * 6))
        self.facts.counts[f"rude: {manner.__name__}"] += 1
        peer = peers.Peer(self.world, "10.3.0.78", (AGENT, SIP_PORT), rng)
        called = self.world.loop.create_task(_await(manner, peer), name="target")
        try:
            yield f"sip:x@10.3.0.7{rng.choice((7, 8, 8, 8))}"
        finally:
            await called
            peer.close()

    async def _drain(self, host: Host) -> None:
        rng = self.world.rng("drain")
        await asyncio.sleep(rng.uniform(0.5, 40))
        self.facts.counts["drained"] += 1
        patience_s = rng.uniform(1, 90)
        until = round((self.world.loop.time() + patience_s) * SECOND)
        self.world.told(AGENT, "", "drain", {"until": until})
        await host.drain(patience_s)

    # What is noted

    def _seen(self, history: History, call: Call) -> None:
        self._history(history, call)

    def _history(self, history: History, call: Call) -> None:
        self._sip_names[call.id] = call.headers.get("Call-ID", "")
        if any(name.endswith(f"@{CALLER}") for name in (call.caller, call.called)):
            self._visited = call.id
        self._compare(call.id, said(history))

    def _compare(self, call: str, words: list[tuple[str, bool]]) -> None:
        """Let the checkers compare what a call believes to have said with what left."""
        spoken = self._visitor.spoken if self._visitor is not None and call == self._visited else None
        history = {
            "said": self.world.rewrite(words),
            "sip_call": self._sip_names.get(call, ""),
            "heard": self._heard.get(call, []),
            "spoken": spoken,
        }
        self.world.told(AGENT, call, "history", history)

    def _event(self, event: CallEvent) -> None:
        world, counts = self.world, self.facts.counts
        fields: dict[str, Any] = as_json(event)
        name, kind = fields.pop("call"), fields.pop("event")
        fields.pop("t")
        match event:
            case Answered():
                counts["answered"] += 1
            case Heard(text=text):
                counts["turns"] += 1
                self._heard.setdefault(name, []).append(text)
            case Said(text=text, whole=whole):
                counts["said"] += 1
                self._words.setdefault(name, []).append((text, whole))
            case Cut():
                counts["cuts"] += 1
            case Digit():
                counts["keys"] += 1
            case Ended(reason=reason):
                counts[f"ended: {reason}"] += 1
            case _:
                pass
        if isinstance(event, Ended):
            self._compare(name, self._words.pop(name, []))
        world.told(AGENT, name, kind, fields)


async def _await(manner: peers.Manner, peer: peers.Peer) -> None:
    await manner(peer)


__all__ = ["AGENT", "CALLER", "Outcome", "native", "simulate"]
