"""The host: every call of one process, from admission to drain.

    IncomingCall ─► room? ─► route ─► SipLeg ─► Call.run(agent), one task a call ─► ended
         503 ◄──────┘ no      └─► 404

Laws: a call is a task of this host and dies with it; what an agent's code raises ends its own call and nothing else;
after `close` no task, timer, socket or port of the host is left.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from types import TracebackType
from typing import Final

import structlog

from offhook.call import Agent, Call, Models
from offhook.call.events import CallEvent
from offhook.call.leg import CallInfo
from offhook.carriers.negotiation import AudioRules
from offhook.carriers.plane import Engine
from offhook.carriers.sip import SipLeg
from offhook.core.errors import ConfigError, DialFailed, NotAllowed, OffhookError, ProtocolError
from offhook.core.ids import CallId
from offhook.core.media import Address
from offhook.policy.screening import allows_address, allows_number, number_of
from offhook.run.line import SipLine
from offhook.run.media import EngineMedia
from offhook.sip.header import parse_name_addr
from offhook.sip.outcomes import IncomingCall
from offhook.sip.uri import Uri, unescape
from offhook.sip.useragent import Settings

log = structlog.get_logger("offhook.host")

AgentLike = Agent | Callable[[Call], Awaitable[None]]
"""What takes a call: an agent, or an async function."""

Route = Callable[[str], AgentLike | None]
"""Which agent answers a called number; None: nobody does."""

LAST_WORDS_S: Final = 2.0
"""How long a drain that has run out of time waits for the far ends to be told."""


@dataclass(frozen=True, slots=True)
class HostRules:
    """How a host behaves. Times in seconds.

    `listen` are (transport, (ip, port)). `allow` are the networks whose SIP is read at all. `dial` are the rules of
    `policy.screening`. `trunk` is where bare numbers go. `external` is the address that others reach us at, where it is
    not the socket's own.
    """

    listen: tuple[tuple[str, Address], ...] = (("udp", ("127.0.0.1", 5060)), ("tcp", ("127.0.0.1", 5060)))
    external: str | None = None
    allow: tuple[str, ...] = ("127.0.0.0/8",)
    dial: tuple[str, ...] = ()
    trunk: Uri | None = None
    max_calls: int = 1000
    ring_s: float = 60.0
    audio: AudioRules = field(default_factory=AudioRules)
    settings: Settings = field(default_factory=Settings)


class Host:
    """Takes and places calls. Use as `async with Host(…) as host`."""

    def __init__(
        self,
        *,
        engine: Engine,
        rng: random.Random,
        rules: HostRules,
        route: Route,
        models: Models | None = None,
        events: Callable[[CallEvent], None] | None = None,
    ) -> None:
        self.rules = rules
        self.listening: list[tuple[str, Address]] = []
        """What was bound, in the order of `rules.listen`."""
        self.failures = 0
        """Calls whose agent raised what it should not have."""
        self.served = 0
        """Calls that have ended."""
        self._rng = rng
        self._route = route
        self.models = models
        """What agents hear, think and speak with; may be set later."""
        self._events = events
        self._media = EngineMedia(engine, rng)
        self._line: SipLine | None = None
        self._tasks: dict[CallId, asyncio.Task[None]] = {}
        self._legs: dict[CallId, SipLeg] = {}
        self._draining = False
        self._refusing = False
        self._empty: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Host:
        """Bind everything. ConfigError where something can't be bound."""
        rules = self.rules
        line = self._line = SipLine(
            media=self._media,
            rng=self._rng,
            incoming=self._incoming,
            allow=rules.allow,
            dial=rules.dial,
            audio=rules.audio,
            settings=rules.settings,
            external=rules.external,
        )
        line.on_ended = self._ended
        line.on_screened = self._screened
        self._media.start()
        try:
            for transport, address in rules.listen:
                self.listening.append((transport, await line.listen(transport, address)))
        except ConfigError:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close everything at once."""
        await self.close()

    @property
    def line(self) -> SipLine:
        """The line; only while the host is open."""
        assert self._line is not None, "the host is not open"
        return self._line

    @property
    def live(self) -> int:
        """How many calls are up or being set up."""
        return len(self._legs)

    def counters(self) -> dict[str, int]:
        """Count what the user agent, the transports, the host and the media plane (`media_…`) saw.

        `guard` is what the last resort caught. Every SIP message `received` is in one of `sip.useragent.FATES`, every
        datagram on an RTP port (`media_given`) in one of `media_received_…` and `media_dropped_…`.
        """
        counts = self.line.transports.counts
        return {
            **self.line.agent.counters(),
            "screened": counts.screened,
            "unsent": counts.unsent,
            "streams_broken": counts.streams_broken,
            "streams_refused": counts.streams_refused,
            "streams_idle": counts.streams_idle,
            "socket_errors": counts.socket_errors,
            "guard": self.line.guarded,
            "failures": self.failures,
            "served": self.served,
            **{f"media_{name}": count for name, count in self._media.engine.totals().items()},
        }

    # Calls that come

    def _incoming(self, outcome: IncomingCall) -> None:
        line = self.line
        invite = outcome.invite
        sender = parse_name_addr(invite.first("From") or "")
        agent = self._route(_user_of(invite.uri))
        if agent is None:
            line.agent.reject(line.now(), outcome.call, 404)
            return
        info = CallInfo(CallId(self._name()), "inbound", sender.uri, invite.uri, dict(invite.headers))
        try:
            leg = SipLeg.incoming(line, outcome, info)
        except ProtocolError as error:
            line.agent.reject(line.now(), outcome.call, error.code)
            return
        except OSError as error:
            log.warning("a call was refused: no RTP port", error=str(error))
            line.agent.reject(line.now(), outcome.call, 503, headers=(("Retry-After", str(self._rng.randint(1, 10))),))
            return
        self._take(leg)
        self._start(leg, agent)

    # Calls that we place

    async def dial(self, to: str, agent: AgentLike) -> Call:
        """Call `to` and let `agent` speak once it is answered; give the call.

        NotAllowed outside `dial`, DialFailed if it is not taken, Unreachable, ConfigError, OSError (no port).
        """
        line = self.line
        if self._draining:
            raise NotAllowed("this phone is being closed")
        target, next_hop = target_of(self.rules, to)
        flow = await line.flow_to(next_hop)
        sender = Uri("sip", self.rules.settings.user, flow.local[0])
        info = CallInfo(CallId(self._name()), "outbound", str(sender), to)
        leg = SipLeg.outgoing(line, info, flow, target, sender)
        line.dialled(flow.remote[0], +1)
        self._take(leg)
        line.settle()
        try:
            async with asyncio.timeout(self.rules.ring_s):
                await leg.connected()
        except TimeoutError:
            raise DialFailed(408, f"nobody answered for {self.rules.ring_s:.0f} s") from None
        return self._start(leg, agent)

    # A call's life

    def _take(self, leg: SipLeg) -> None:
        self.line.add(leg)
        self._legs[leg.info.id] = leg
        self._admit()

    def _start(self, leg: SipLeg, agent: AgentLike) -> Call:
        name = leg.info.id
        call = Call(leg, agent, models=self.models, events=self._events, allow=self.rules.dial)
        task = asyncio.get_running_loop().create_task(self._converse(call, leg), name=f"call {name}")
        self._tasks[name] = task
        task.add_done_callback(partial(self._done, name))
        return call

    async def _converse(self, call: Call, leg: SipLeg) -> None:
        try:
            await call.run()
        except OffhookError as error:
            log.warning("a call went wrong", call=leg.info.id, error=f"{type(error).__name__}: {error}")
        except Exception:
            self.failures += 1
            log.exception("a call failed in its agent's code", call=leg.info.id)
        finally:
            await leg.hangup(500)

    def _done(self, name: CallId, task: asyncio.Task[None]) -> None:
        self._tasks.pop(name, None)
        self.served += 1
        self._look_empty()

    def _ended(self, leg: SipLeg) -> None:
        """Take note that a leg is over; its conversation may still be finishing."""
        self._legs.pop(leg.info.id, None)
        if leg.info.direction == "outbound":
            self.line.dialled(leg.flow.remote[0], -1)
        self._admit()
        self._look_empty()

    def _admit(self) -> None:
        """Open or close the door to new calls."""
        refusing = self._draining or len(self._legs) >= self.rules.max_calls
        if refusing != self._refusing:
            self._refusing = refusing
            self.line.agent.refuse_new(refusing)

    def _name(self) -> str:
        return f"{self._rng.getrandbits(64):016x}"

    def _screened(self, ip: str) -> None:
        log.warning("SIP from outside the allow-list is dropped unread", source=ip, fix="add its network to sip.allow")

    async def finished(self, call: Call) -> None:
        """Wait until a call of this host is over and its conversation done."""
        task = self._tasks.get(call.leg.info.id)
        if task is not None:
            await asyncio.wait([task])

    # The end

    async def drain(self, patience_s: float) -> bool:
        """Refuse new calls and wait until the live ones are over, at most `patience_s`; then hang up what is left.

        Gives whether all calls ended by themselves.
        """
        self._draining = True
        self._admit()
        clean = await self._emptied(patience_s)
        if not clean:
            for leg in list(self._legs.values()):
                await leg.hangup(503)
            await self._emptied(LAST_WORDS_S)
        return clean

    async def _emptied(self, patience_s: float) -> bool:
        if not self._legs and not self._tasks:
            return True
        self._empty = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(patience_s):
                await self._empty
        except TimeoutError:
            return False
        finally:
            self._empty = None
        return True

    def _look_empty(self) -> None:
        if self._empty is not None and not self._empty.done() and not self._legs and not self._tasks:
            self._empty.set_result(None)

    async def close(self) -> None:
        """Hang up what is up, end every task, give back every socket, timer and port. Idempotent."""
        if self._line is None:
            return
        self._draining = True
        self._admit()
        legs = list(self._legs.values())
        for leg in legs:
            await leg.hangup(503)
        if any(not leg.over for leg in legs):
            # A callee may not say goodbye before the ACK (RFC 3261 section 15): give it a moment to come.
            await self._emptied(LAST_WORDS_S)
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        line, self._line = self._line, None
        await line.close()
        self._media.stop()


def target_of(rules: HostRules, to: str) -> tuple[Uri, Uri]:
    """Give whom to call for `to` and where the request goes first.

    NotAllowed outside `rules.dial` or where it is nobody's address, ConfigError for a number without a trunk.
    """
    number = number_of(to)
    if number is None:
        uri = SipLine.parse_target(to)
        if uri.headers or not allows_address(rules.dial, uri.user or "", uri.host, uri.port):
            raise NotAllowed(f"{to} is not among the addresses that dial.allow lists")
        return uri, uri
    if not allows_number(rules.dial, number):
        raise NotAllowed(f"{to} is not among the numbers that dial.allow lists")
    if rules.trunk is None:
        raise ConfigError(f"{to} is a number and there is no trunk to call it through: add [trunks.main]")
    return replace(rules.trunk, user=number), rules.trunk


def _user_of(uri: str) -> str:
    """Give the user part of a request's URI, unescaped; "" where there is none (RFC 3261 section 19.1.1)."""
    _, _, rest = uri.partition(":")
    user, at, _ = rest.rpartition("@")
    return unescape(user.partition(":")[0].partition(";")[0]) if at else ""
