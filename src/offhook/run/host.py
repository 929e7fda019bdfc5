"""The host: every call of one process, from admission to drain.

    gate ─► IncomingCall ─► whose trunk, who, what ─► route ─► SipLeg ─► Call.run(agent), one task a call ─► ended
     └► 503, 403, a challenge                          └─► 404, 486
    dial ─► allowed? caps? ─► the ways, in order ─► SipLeg ─► …

Laws: a call is a task of this host and dies with it; what an agent's code raises ends its own call and nothing else;
after `close` no task, timer, socket or port of the host is left.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Final, TextIO, cast

import structlog

from offhook.call import Agent, Call, Models
from offhook.call.agents import answers_itself
from offhook.call.events import Answered, CallEvent
from offhook.call.leg import AudioLeg, CallInfo
from offhook.carriers.brought import Brought
from offhook.carriers.plane import Engine
from offhook.carriers.port import PortVerbs
from offhook.carriers.sip import SipLeg
from offhook.carriers.trunks import added_headers
from offhook.carriers.web import WebLeg
from offhook.core.errors import ConfigError, DialFailed, NotAllowed, ProtocolError, Unreachable
from offhook.core.ids import CallId, redacted
from offhook.core.media import Address
from offhook.core.verdict import Verdict
from offhook.policy.admission import Kind
from offhook.policy.routes import Route, Wanted
from offhook.policy.screening import allows_address
from offhook.run.accounts import Accounts
from offhook.run.arrivals import Arrival, Places, arrive
from offhook.run.conversations import Conversations
from offhook.run.counts import counted
from offhook.run.dialling import Unanswered, Way, Wish, for_another, ways
from offhook.run.gate import HostGate
from offhook.run.identification import Identification
from offhook.run.line import SipLine
from offhook.run.media import EngineMedia
from offhook.run.reach import found
from offhook.run.resolver import Resolver
from offhook.run.rules import HostRules
from offhook.run.security import SecurityLog
from offhook.run.strangers import Strangers
from offhook.run.tolls import Tolls
from offhook.run.users import Users
from offhook.run.vigil import Vigil
from offhook.sip.grammar import Fields
from offhook.sip.header import NameAddr
from offhook.sip.manners import Manners
from offhook.sip.outcomes import Flow, IncomingCall
from offhook.sip.registration import Standing
from offhook.sip.sdp import Session
from offhook.sip.uri import Uri

log = structlog.get_logger("offhook.host")

AgentLike = Agent | Callable[[Call], Awaitable[None]]
"""What takes a call: an agent, or an async function."""

Taken = Callable[[Wanted], "AgentLike | Route[AgentLike] | None"]
"""Which agent takes what a call asks for, or the route with its caps; None: nobody does. `Routes.find` is one."""

LAST_WORDS_S: Final = 2.0
"""How long a drain that has run out of time waits for the far ends to be told."""


class Host:
    """Takes and places calls. Use as `async with Host(…) as host`."""

    def __init__(
        self,
        *,
        engine: Engine,
        rng: random.Random,
        rules: HostRules,
        route: Taken,
        models: Models | None = None,
        events: Callable[[CallEvent], None] | None = None,
        security: TextIO | None = None,
        security_as_json: bool = False,
        resolver: Resolver | None = None,
        identification: Identification | None = None,
    ) -> None:
        self.rules = rules
        self.listening: list[tuple[str, Address]] = []
        """What was bound, in the order of `rules.listen`."""
        self._rng = rng
        self._route = route
        self.models = models
        """What agents hear, think and speak with; may be set later."""
        self._events = events
        self._resolver = resolver or Resolver(rules.nameservers)
        self.admission = rules.admission()
        """Who is heard, and who is shut out."""
        self.security = SecurityLog(self.admission, security, as_json=security_as_json)
        """Where attacks are told."""
        self.gate = HostGate(rules, self.admission, self.security, rng)
        self._identification = identification or Identification(rules.stir)
        self._places = Places()
        self._tolls = Tolls(rules)
        self._media = EngineMedia(engine, rng)
        self._strangers = Strangers(
            lambda: self._media.engine.totals().get("dropped_source", 0), self.security, lambda: self.line.now()
        )
        self._line: SipLine | None = None
        self._accounts: Accounts | None = None
        self._users: Users | None = None
        self._legs: dict[CallId, SipLeg | WebLeg | Brought] = {}
        self.taps: dict[CallId, Callable[[CallEvent], None]] = {}  # who hears, besides, what happens in one call
        self._draining = False
        self._refusing = False
        self._vigil = Vigil(lambda: not self._legs and not self.conversations.calls)
        self.conversations = Conversations(self._vigil.look)
        """The calls that are being carried, and how many were."""

    async def __aenter__(self) -> Host:
        """Bind everything. ConfigError where something can't be bound."""
        rules = self.rules
        line = self._line = SipLine(
            media=self._media,
            rng=self._rng,
            incoming=self._incoming,
            admission=self.admission,
            security=self.security,
            dial=rules.dial,
            settings=rules.of_user_agent(self.gate, self._manners),
            reach=await found(rules),
            tls=rules.tls,
            origins=rules.origins,
            resolver=self._resolver,
        )
        line.on_ended = self.ended
        self._tolls.attach(line)
        self._users = Users(line, self.security, [user.name for user in rules.users], rules.hosts)
        self.gate.sentry = line.agent.registrar
        line.on_place = self._consult
        line.on_terms = lambda info: rules.terms(info.trunk)
        line.on_rules = lambda info: rules.transfers(info.trunk)
        line.on_credentials = lambda info: self._accounts.account(info.trunk) if self._accounts is not None else None
        self._media.start()
        try:
            for transport, address in rules.listen:
                self.listening.append((transport, await line.listen(transport, address)))
        except ConfigError:
            await self.close()
            raise
        self._accounts = Accounts(line, rules.trunks)
        self._accounts.begin()
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

    @property
    def failures(self) -> int:
        """Calls whose agent raised what it should not have."""
        return self.conversations.failures

    def counters(self) -> dict[str, int]:
        """Count what the user agent, the transports, the host and the media plane (`media_…`) saw (`run.counts`)."""
        own = {
            "failures": self.failures,
            "served": self.conversations.served,
            "live": self.live,
            "ports": self._media.ports,
            "tasks": len(asyncio.all_tasks()),
        }
        return counted(self.line, self.security, self._media.engine.totals(), own)

    def registrations(self) -> list[Standing]:
        """Give how each account of ours stands at its registrar."""
        return self._accounts.standings() if self._accounts is not None else []

    # Calls that come

    def _manners(self, flow: Flow) -> Manners | None:
        return self.rules.manners(self.admission.source(flow.remote[0]).trunk)

    def _incoming(self, outcome: IncomingCall) -> None:
        line = self.line
        ip = outcome.flow.remote[0]
        source = self.admission.source(ip)
        arrival, route = arrive(self.rules, source, outcome.invite, self._found, CallId(self._name()))
        if route is None:
            if source.kind not in (Kind.LOCAL, Kind.TRUNK):
                self.security.note(line.now(), ip, "enumeration", arrival.info.called)
            line.agent.reject(line.now(), outcome.call, 404)
            return
        look = self._identification.look(outcome.invite, arrival.info.verdict, arrival.numbers)
        take = partial(self._judged, outcome, arrival, route)
        self._identification.settle(look, take, partial(line.agent.waits, outcome.call))

    def _judged(
        self, outcome: IncomingCall, arrival: Arrival, route: Route[AgentLike], verdict: Verdict
    ) -> SipLeg | None:
        """Take a call whose caller is judged, or refuse it."""
        line, ip = self.line, outcome.flow.remote[0]
        code = self._identification.refusal(verdict)
        if code:
            return self._refuse(outcome, code)
        trunk, info = arrival.trunk, replace(arrival.info, verdict=verdict)
        if (trunk is not None and self._tolls.full(trunk.name)) or not self._places.free(route, info.caller):
            # Busy is what a carrier passes on; only a host in overload is told to be left alone for a while.
            return self._refuse(outcome, 486)
        try:
            leg = SipLeg.incoming(line, outcome, info)
        except ProtocolError as error:
            # What a description lacks is told to who sent it (RFC 3261 section 20.43), and to who reads our log.
            log.warning("an offer that can't be taken", caller=info.caller, reason=str(error))
            return self._refuse(outcome, error.code, (("Warning", f'399 offhook "{error}"'),))
        except OSError as error:
            log.warning("a call was refused: no RTP port", error=str(error))
            return self._refuse(outcome, trunk.refuse if trunk is not None else 503, self.gate.later())
        self.admission.began(line.now(), ip)
        self._places.take(info.id, route, info.caller)
        self._tolls.came(info.trunk, leg.call)
        self._take(leg)
        if isinstance(route.agent, Agent) or not answers_itself(route.agent):
            leg.ring()  # at once, before anything of the agent is made
        if verdict.state in ("valid", "invalid"):
            leg.identified(verdict)
        self._start(leg, route.agent)
        line.settle()
        return leg

    def _refuse(self, outcome: IncomingCall, code: int, headers: Fields = ()) -> None:
        self.line.agent.reject(self.line.now(), outcome.call, code, headers=headers)
        self.line.settle()

    def offered(self, offer: Session, *, remote_ip: str, local_ip: str, called: str = "web") -> WebLeg:
        """Take a call that a web page offers from `remote_ip`, which reaches us at `local_ip`; `called` is routed.

        ProtocolError with the code where it is refused, OSError where no port is free.
        """
        line = self.line
        if self.admission.admits(line.now(), remote_ip, call=True) != "take":
            raise ProtocolError("no more calls are taken now", 503)
        route = self._vacant(Wanted((called,), caller=remote_ip))
        info = CallInfo(CallId(self._name()), "inbound", "web", called, language=route.language)
        own = line.reach.address(remote_ip) or local_ip
        leg = WebLeg(line, info, offer, ip=own, remote_ip=remote_ip, gone=self.ended)
        self.admission.began(line.now(), remote_ip)
        self._places.take(info.id, route, remote_ip)
        self._take(leg)
        self._start(leg, route.agent)
        return leg

    def bring(self, make: Callable[[CallInfo], Brought], info: CallInfo, agent: AgentLike | None) -> Brought:
        """Take a call that a service brings (ProtocolError), or is to place for our `agent` (NotAllowed)."""
        wanted, now = Wanted((info.called,), info.trunk, info.caller), self.line.now()
        if agent is not None:
            self._tolls.afford(now, info.trunk, info.called)
        route = self._vacant(wanted) if agent is None else Route(agent)
        leg = make(replace(info, id=CallId(self._name()), language=route.language))
        if agent is not None:
            self._tolls.begin(now, info.trunk, leg.info.id)
        self._places.take(leg.info.id, route, info.caller)
        self._take(leg)
        self._start(leg, route.agent)
        return leg

    def _vacant(self, wanted: Wanted) -> Route[AgentLike]:
        """Give the route of a call that comes by no trunk of SIP. ProtocolError where it is refused."""
        if self._refusing:
            raise ProtocolError("no more calls are taken now", 503)
        if (route := self._found(wanted)) is None:
            raise ProtocolError(f"nobody answers {wanted.called}", 404)
        if not self._places.free(route, wanted.caller):
            raise ProtocolError("all lines are busy", 486)
        return route

    def _found(self, wanted: Wanted) -> Route[AgentLike] | None:
        taken = self._route(wanted)
        return None if taken is None else cast("Route[AgentLike]", taken) if isinstance(taken, Route) else Route(taken)

    # Calls that we place

    async def dial(
        self,
        to: str,
        agent: AgentLike,
        *,
        headers: Mapping[str, str] | None = None,
        caller: str = "",
        withhold: bool = False,
        ring_s: float | None = None,
    ) -> Call:
        """Call `to` and let `agent` speak once it is answered; give the call.

        `headers` are the agent's own (X-…, User-to-User, Alert-Info …), `caller` shows another number of ours,
        `withhold` none; it rings for `ring_s` seconds (`rules.ring_s`). A number goes through the trunks in order: the
        next one where a trunk does not answer, refuses with 408 or 5xx, or has reached its caps; what the callee said
        (486, 600, 603 …) stands.

        NotAllowed outside `dial` and its caps, DialFailed if it is not taken, Unreachable, ConfigError, ValueError for
        a header that can't be, OSError (no port).
        """
        if self._draining:
            raise NotAllowed("this phone is being closed")
        assert self._users is not None
        user = self._users.named(to)
        if user is not None:
            found: Sequence[Way] = self._users.ways(user, added_headers(headers or {}))
        else:
            found = ways(self.rules, to, Wish(headers, caller, withhold))
        patience_s = self.rules.ring_s if ring_s is None else ring_s
        for way in found[:-1]:
            try:
                return await self._dial(way, to, agent, patience_s)
            except (DialFailed, NotAllowed, Unreachable) as failed:
                if not way.tries_on(failed):
                    raise
                log.info("the next trunk is tried", failed=way.trunk and way.trunk.name, error=redacted(str(failed)))
        return await self._dial(found[-1], to, agent, patience_s)

    async def _place(self, way: Way, to: str, beside: PortVerbs | None = None) -> SipLeg:
        """Begin to call over one way, for a leg that may hear it; the order still has to settle. Raises as `dial`."""
        line = self.line
        name = way.trunk.name if way.trunk is not None else ""
        self._tolls.afford(line.now(), name, to)
        account = self._accounts.account(name) if self._accounts is not None else None
        hop = account.next_hop(way.next_hop) if account is not None else way.next_hop
        flows = way.flows or await line.ways_to(hop)
        if way.trunk is None and not way.flows:
            target = way.target
            for ip in [flow.remote[0] for flow in flows]:
                if not allows_address(self.rules.dial, target.user or "", target.host, target.port, ip=ip):
                    raise NotAllowed(f"{to} leads to {ip}, which is inside: a rule of dial.allow must name its host")
        sender = way.sender or NameAddr("", str(Uri("sip", self.rules.settings.user, flows[0].local[0])))
        info = CallInfo(CallId(self._name()), "outbound", sender.uri, to, trunk=name)
        routed = account is not None and bool(account.routes)
        headers = way.headers if way.trunk is None or routed else (*way.trunk.through, *way.headers)
        headers = (*headers, *(self._identification.signed(*way.numbers, info.id) if way.numbers else ()))
        door = await line.door(flows[0], beside)
        leg = SipLeg.outgoing(line, info, flows, way.target, sender, headers=headers, account=account, door=door)
        self._tolls.begin(line.now(), name, leg.call)
        line.dialled(flows, +1)
        self._take(leg)
        return leg

    async def _dial(self, way: Way, to: str, agent: AgentLike, patience_s: float) -> Call:
        """Call over one way. Raises as `dial`."""
        line = self.line
        leg = await self._place(way, to)
        try:
            call = self._start(leg, agent)
        except BaseException:
            await leg.hangup()
            raise
        line.settle()
        try:
            async with asyncio.timeout(patience_s):
                await leg.connected(partial(line.redirected, way.next_hop))
        except TimeoutError:
            raise Unanswered(408, f"nobody answered for {patience_s:.0f} s", "no_answer") from None
        except DialFailed as error:
            if error.code == 503 and (fault := line.ways.fault(leg.ways)):
                raise DialFailed(503, fault, error.meaning) from None
            raise
        self._tolls.watch(leg, line.now)
        await call.up()
        return call

    async def _consult(self, to: str, first: AudioLeg) -> SipLeg:
        """Call `to` for the far end of a leg: with its number or ours, as the rules of its trunk say."""
        if self._refusing:
            raise NotAllowed("this phone takes no more calls")
        assert self._users is not None
        user = self._users.named(to)
        way = self._users.ways(user)[0] if user is not None else for_another(self.rules, to, first.info)
        leg = await self._place(way, to, first if isinstance(first, PortVerbs) else None)
        self._tolls.watch(leg, self.line.now)
        return leg

    # A call's life

    def _take(self, leg: SipLeg | WebLeg | Brought) -> None:
        self._strangers.begin(lambda: self.live)
        if isinstance(leg, SipLeg):
            self.line.add(leg)
        self._legs[leg.info.id] = leg
        self._admit()

    def _start(self, leg: SipLeg | WebLeg | Brought, agent: AgentLike) -> Call:
        allow = (*self.rules.dial, *(self._users.targets if self._users is not None else ()))
        calls = self.conversations.calls
        under = self.rules.ambience
        call = Call(leg, agent, models=self.models, events=self.tell, allow=allow, calls=calls, ambience=under)
        self.conversations.begin(call)
        return call

    def tell(self, event: CallEvent) -> None:
        """Pass on what happens in a call."""
        leg = self._legs.get(event.call) if isinstance(event, Answered) else None
        if leg is not None and not isinstance(leg, SipLeg | WebLeg):
            self._tolls.watch(leg, self.line.now)
        elif leg is not None and leg.info.direction == "inbound":
            self.admission.answered(leg.remote_ip if isinstance(leg, WebLeg) else leg.first[1][0].remote[0])
        if (tap := self.taps.get(event.call)) is not None:
            tap(event)
        if self._events is not None:
            self._events(event)

    def ended(self, leg: SipLeg | WebLeg | Brought) -> None:
        """Take note that a leg is over; its conversation may still be finishing."""
        info = leg.info
        self._legs.pop(info.id, None)
        if not isinstance(leg, SipLeg):
            self._places.leave(info.id)
            if isinstance(leg, WebLeg):
                self.admission.ended(leg.remote_ip, answered=leg.answered)
            elif info.direction == "outbound":
                self._tolls.end(self.line.now(), info.trunk, info.id, answered=leg.answered)
            self._admit()
            return self._vigil.look()
        call, flows = leg.first
        self._tolls.end(self.line.now(), info.trunk, call, answered=leg.answered)
        if info.direction == "outbound":
            self.line.dialled(flows, -1)
        else:
            self._places.leave(info.id)
            self.admission.ended(flows[0].remote[0], answered=leg.answered)
        self._admit()
        self._vigil.look()

    def _admit(self) -> None:
        """Open or close the door to new calls."""
        refusing = self._draining or len(self._legs) >= self.rules.max_calls
        if refusing != self._refusing:
            self._refusing = self.gate.refusing = refusing
            self.line.agent.refuse_new(refusing)

    def _name(self) -> str:
        return f"{self._rng.getrandbits(64):016x}"

    async def finished(self, call: Call) -> None:
        """Wait until a call of this host is over and its conversation done."""
        await self.conversations.finished(call)

    # The end

    async def drain(self, patience_s: float) -> bool:
        """Refuse new calls and wait until the live ones are over, at most `patience_s`; then hang up what is left.

        Gives whether all calls ended by themselves.
        """
        self._draining = True
        self._admit()
        clean = await self._vigil.wait(patience_s)
        if not clean:
            for leg in list(self._legs.values()):
                await leg.hangup(503)
            await self._vigil.wait(LAST_WORDS_S)
        return clean

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
            await self._vigil.wait(LAST_WORDS_S)
        await self.conversations.close()
        if self._accounts is not None:
            await self._accounts.close()
        await self._identification.close()
        self._strangers.close()
        line, self._line = self._line, None
        await line.close()
        self._media.stop()
