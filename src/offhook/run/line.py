"""The line: one user agent with its sockets, its one timer and the legs that it serves.

    sockets ─► received ─► UserAgent ─► settle ─┬─► sockets
    timer ───► expire ────►                     ├─► legs (tell)
    legs' orders ─────────►                     └─► incoming (the host decides)

Laws: the only clock is the loop's, and it never runs backwards here; everything that waits to be read is read before a
deadline fires, so that a process that slept ends no call that went on; an outcome that is dealt out may give orders,
whose outcomes are dealt out behind it.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog

from offhook.call.leg import AudioLeg, CallInfo
from offhook.carriers.door import Door
from offhook.carriers.line import reached_door
from offhook.carriers.negotiation import AudioRules
from offhook.carriers.port import PortVerbs
from offhook.carriers.sip import SipLeg
from offhook.carriers.terms import LegTerms
from offhook.carriers.transfers import TransferRules
from offhook.core.errors import ConfigError, NotAllowed, OffhookError
from offhook.core.ids import redacted
from offhook.core.instants import SECOND, Instant
from offhook.core.media import Address
from offhook.policy.admission import Admission, Kind, Source
from offhook.policy.reach import Reach
from offhook.policy.screening import allows_address, allows_number, number_of
from offhook.run.called import Called
from offhook.run.dialling import parse_target
from offhook.run.media import EngineMedia
from offhook.run.resolver import Resolver
from offhook.run.security import SecurityLog
from offhook.run.transports import Rate, TlsRules, Transports
from offhook.run.ways import Ways
from offhook.sip.grammar import write_host_port
from offhook.sip.outcomes import (
    AccountOutcome,
    Asked,
    Flow,
    IncomingCall,
    Outcome,
    Reoffered,
    Replacing,
    Send,
    SipCall,
    Unproven,
    UserOutcome,
)
from offhook.sip.requests import Account
from offhook.sip.transaction import same_flow
from offhook.sip.uri import Uri
from offhook.sip.useragent import Settings, UserAgent

log = structlog.get_logger("offhook.line")

QUIET_S: Final = 0.5
"""How long a deadline gives way to input that still comes in: under a flood it must fire all the same."""

RATES: Final = {Kind.NETWORK: Rate(200, 400), Kind.USER: Rate(50, 100), Kind.UNKNOWN: Rate(20, 40, connections=10)}
"""Messages that are read from a source of each class: ten times what its calls need, where admission counts calls.

This machine and trunks are without one: benches run here, and a trunk has its own cap."""

ODD: Final = ("malformed_", "stray_response")
"""How the fates of messages begin that no phone sends often."""


class SipLine:
    """What legs call their line (`carriers.line.Line`) and transports their signals (`run.transports.Signals`)."""

    def __init__(
        self,
        *,
        media: EngineMedia,
        rng: random.Random,
        incoming: Callable[[IncomingCall], None],
        allow: Sequence[str] = ("127.0.0.0/8",),
        admission: Admission | None = None,
        security: SecurityLog | None = None,
        dial: Sequence[str] = (),
        audio: AudioRules | None = None,
        settings: Settings | None = None,
        reach: Reach | None = None,
        tls: TlsRules | None = None,
        origins: Sequence[str] = (),
        resolver: Resolver | None = None,
    ) -> None:
        self.media = media
        self.rng = rng
        usual = LegTerms(audio or AudioRules())
        self.on_terms: Callable[[CallInfo], LegTerms] = lambda info: usual
        self.reach = reach or Reach()
        """Which address others reach us by."""
        self.transports = Transports(self, reach=self.reach, tls=tls, origins=origins)
        self.ways = Ways(self.transports, resolver or Resolver(), rng)
        """Where requests of ours go."""
        self.agent = UserAgent(rng=rng, settings=settings or Settings(), way=self.ways.known)
        self.legs: dict[SipCall, SipLeg] = {}
        self.on_ended: Callable[[SipLeg], None] = lambda leg: None
        self.on_place: Callable[[str, AudioLeg], Awaitable[SipLeg]] = _nobody
        self.on_rules: Callable[[CallInfo], TransferRules] = lambda info: TransferRules()
        self.on_credentials: Callable[[CallInfo], Account | None] = lambda info: None
        self.on_inside: Callable[[str], bool] = lambda target: False
        self.on_affords: Callable[[CallInfo], None] = lambda info: None
        self.on_spend: Callable[[SipLeg, SipCall], None] = lambda leg, call: None
        self.on_spent: Callable[[SipLeg, SipCall], None] = lambda leg, call: None
        self.on_account: Callable[[AccountOutcome], None] = lambda outcome: None
        self.on_user: Callable[[UserOutcome], None] = lambda outcome: None
        self._incoming = incoming
        # Who is heard is the host's to say; a line without one hears the networks that it is given.
        self.admission = admission or Admission([(network, Source(Kind.LOCAL)) for network in allow])
        self._security = security or SecurityLog(self.admission)
        self._dial = tuple(dial)
        self.called = Called()
        self._placed: set[SipCall] = set()
        self._reached: dict[SipCall, Sequence[Flow]] = {}
        self._questions: dict[SipCall, asyncio.Future[int]] = {}
        self._loop = asyncio.get_running_loop()
        self._now: Instant = 0
        self._settling = False
        self._timer: asyncio.TimerHandle | None = None
        self._due: Instant = 0
        self._inputs = 0
        self._looking = False
        self._closed = False
        self.guarded = 0
        """How often the last resort caught what no room may raise: always a bug of ours."""

    # What legs ask (carriers.line.Line)

    def now(self) -> Instant:
        """Give the loop's time in nanoseconds."""
        # round: a deadline goes to the loop as a float and must not come back a nanosecond early.
        now = round(self._loop.time() * SECOND)
        if now > self._now:
            self._now = now
        return self._now

    def settle(self) -> None:
        """Send and deal out what the user agent gave, until it gives nothing more; then set the timer."""
        if self._settling or self._closed:
            return
        self._settling = True
        take = self.agent.take
        send = self.transports.send
        while outcomes := take():
            for outcome in outcomes:
                try:
                    if isinstance(outcome, Send):
                        send(outcome.flow, outcome.data)
                    elif isinstance(outcome, IncomingCall):
                        self._incoming(outcome)
                    elif isinstance(outcome, Asked):
                        self._asked(outcome)
                    elif isinstance(outcome, AccountOutcome):
                        self.on_account(outcome)
                    elif isinstance(outcome, UserOutcome):
                        self.on_user(outcome)
                    elif isinstance(outcome, Unproven):
                        self._unproven(outcome)
                    else:
                        number = outcome.replaced if isinstance(outcome, Replacing) else outcome.call
                        leg = self.legs.get(number)
                        if leg is not None:
                            leg.tell(outcome)
                        else:
                            self._stray(outcome)
                except Exception:
                    self.guarded += 1
                    log.exception("a bug: an outcome was not served", outcome=type(outcome).__name__)
                    self._give_up(outcome)
        self._settling = False
        self._arm()

    def _unproven(self, outcome: Unproven) -> None:
        # A trunk of ours that refuses a password is no attack: the account says so.
        ip = outcome.flow.remote[0]
        if self.admission.source(ip).kind is not Kind.TRUNK:
            self._security.note(self.now(), ip, "digest_leak", f"our {outcome.method} was asked for a password")

    def _give_up(self, outcome: Outcome) -> None:
        """End the call that a bug of ours has hit: nobody else would, and the others go on."""
        if isinstance(outcome, IncomingCall | Replacing):
            self.agent.reject(self.now(), outcome.call, 500)
        elif not isinstance(outcome, Send | AccountOutcome | UserOutcome | Unproven):
            self.agent.hangup(self.now(), outcome.call)

    def screen(self, target: str, peer: Uri) -> Uri:
        """Give the URI that a transfer to `target` names; a bare number belongs to the far end's own host.

        NotAllowed outside the rules.
        """
        number = number_of(target)
        if number is not None:
            if not allows_number(self._dial, number):
                raise NotAllowed(f"{target} is not among the numbers that dial.allow lists")
            return Uri("sip", number, peer.host, peer.port)
        uri = self.parse_target(target)
        if uri.params and any(name.lower() not in ("transport", "user") for name, _ in uri.params):
            raise NotAllowed(f"{target} has parameters that a target may not have")
        if (
            number_of(uri.user or "") is not None
            and allows_number(self._dial, uri.user or "")
            and uri.host == peer.host
        ):
            return uri
        if uri.headers or not allows_address(self._dial, uri.user or "", uri.host, uri.port):
            raise NotAllowed(f"{target} is not among the addresses that dial.allow lists")
        return uri

    def follows(self, target: Uri, peer: Uri, flow: Flow) -> Uri:
        """Give where a referral to `target` goes that came by `flow`.

        NotAllowed where who sent it is no trunk, user or network of ours, or the target is outside the rules; that is
        told, unless a trunk or this machine did it.
        """
        ip = flow.remote[0]
        kind = self.admission.source(ip).kind
        try:
            if kind is Kind.UNKNOWN:
                raise NotAllowed("who refers us is none of ours")
            return self.screen(str(target), peer)
        except NotAllowed:
            if kind not in (Kind.LOCAL, Kind.TRUNK):
                self._security.note(self.now(), ip, "toll_fraud", f"REFER to {target}")
            raise

    def inside(self, target: str) -> bool:
        """Say whether a target is a user of ours, whom only we can call."""
        return self.on_inside(target)

    def affords(self, info: CallInfo) -> None:
        """Raise NotAllowed where a cap stands against one more call for the far end of this one."""
        self.on_affords(info)

    def lands(self, target: Uri, ways: Sequence[Flow]) -> None:
        """Raise NotAllowed where a target that was allowed by its name has led to an address that is not."""
        user = target.user or ""
        if number_of(user) is not None and allows_number(self._dial, user):
            return  # it stayed at the far end's own host
        for ip in [flow.remote[0] for flow in ways]:
            if not allows_address(self._dial, user, target.host, target.port, ip=ip):
                raise NotAllowed(f"{target.host} leads to {ip}, which is inside: a rule of dial.allow must name it")

    async def redirected(self, peer: Uri, target: Uri) -> tuple[Uri, Sequence[Flow]] | None:
        """Give where a redirection by `peer` leads and the ways there; None where we may not call it by ourselves."""
        try:
            uri = self.screen(str(target), peer)
            ways = await self.ways_to(uri)
            if uri.host != peer.host:
                self.lands(uri, ways)
        except OffhookError as error:
            log.warning("a redirection was not followed", target=redacted(str(target)), error=redacted(str(error)))
            return None
        self.dialled(ways, +1)
        return uri, ways

    def beside(self, one: Flow, other: Flow) -> bool:
        """Say whether who is at the end of one flow may take the place of who is at the end of the other.

        They may where both are the same host, or belong to the same trunk, user or network of ours.
        """
        if one.remote[0] == other.remote[0]:
            return True
        source = self.admission.source(one.remote[0])
        return source.kind is not Kind.UNKNOWN and source == self.admission.source(other.remote[0])

    def terms(self, info: CallInfo) -> LegTerms:
        """Give what the leg of a call goes by, as its trunk wants it."""
        return self.on_terms(info)

    def rules(self, info: CallInfo) -> TransferRules:
        """Give how the far end of a call is handed on."""
        return self.on_rules(info)

    def account(self, info: CallInfo) -> Account | None:
        """Give who answers challenges on the trunk of a call."""
        return self.on_credentials(info)

    async def place(self, target: str, first: AudioLeg) -> SipLeg:
        """Call `target` for the far end of `first`. Raises as the host's `dial`."""
        leg = await self.on_place(target, first)
        self.settle()
        return leg

    def serve(self, leg: SipLeg, call: SipCall, ways: Sequence[Flow], *, placed: bool = False) -> None:
        """Tell the outcomes of another call to a leg, too, and take what comes from its far end; `placed`: it is ours.

        A call of ours costs what any does.
        """
        self.legs[call] = leg
        if placed:
            self._placed.add(call)
            self.on_spend(leg, call)
        self._reached[call] = ways
        self.dialled(ways, +1)

    def release(self, call: SipCall) -> None:
        """Tell the outcomes of a call to nobody any more."""
        leg = self.legs.pop(call, None)
        if leg is not None and call in self._placed:
            self._placed.discard(call)
            self.on_spent(leg, call)
        self.dialled(self._reached.pop(call, ()), -1)

    def forget(self, leg: SipLeg) -> None:
        """Hear that a leg is over."""
        known = self.legs.get(leg.call) is leg
        self.release(leg.call)
        if known:
            self.on_ended(leg)

    parse_target = staticmethod(parse_target)

    async def door(self, flow: Flow, beside: PortVerbs | None = None) -> Door:
        """Open a port for a call of ours, where that of another leg is; its address is known. OSError: none is free."""
        return await reached_door(self, flow, beside)

    # What the host asks

    async def listen(self, transport: str, address: Address) -> Address:
        """Bind a socket for SIP. ConfigError where it can't be bound."""
        try:
            return await self.transports.listen(transport, address)
        except OSError as error:
            raise ConfigError(
                f"can't listen on {transport}://{write_host_port(*address)}: "
                f"{os.strerror(error.errno) if error.errno else error}; `offhook doctor` says what to do"
            ) from error

    def add(self, leg: SipLeg) -> None:
        """Serve a leg from now on."""
        self.legs[leg.call] = leg

    async def ways_to(self, uri: Uri) -> tuple[Flow, ...]:
        """Find where a request to `uri` goes, best first. Raises as `ways.Ways.to`."""
        return await self.ways.to(uri)

    async def ask(self, uri: Uri) -> int:
        """Send OPTIONS to `uri`; give the code of the answer, 408 after 32 s without one. Raises as `ways_to`."""
        ways = await self.ways_to(uri)
        self.dialled(ways, +1)
        question = self.agent.options(self.now(), uri, ways)
        answer = self._questions[question] = self._loop.create_future()
        self.settle()
        try:
            return await answer
        finally:
            del self._questions[question]
            self.dialled(ways, -1)

    def dialled(self, ways: Sequence[Flow], by: int) -> None:
        """Take answers from addresses that we call, for as long as we do (`by` +1 or -1)."""
        self.called.count(self.now(), ways, by)

    async def close(self) -> None:
        """Close sockets and timer. Legs that are still up are not told."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self.ways.close()
        await self.transports.close()

    # What the sockets tell (run.transports.Signals)

    def received(self, data: bytes, flow: Flow) -> None:
        """Take a message."""
        if self._closed:
            return
        self._inputs += 1
        try:
            fate = self.agent.receive(self.now(), data, flow)
            if fate.startswith(ODD):
                self._security.note(self.now(), flow.remote[0], "garbage", fate)
        except Exception:
            self.guarded += 1
            log.exception("a bug: a message was not served", source=flow.remote[0], transport=flow.transport)
        self.settle()

    def flow_closed(self, flow: Flow, why: str) -> None:
        """Hear that a connection is gone or can't be opened."""
        if not self._closed:
            self.ways.failed(flow, why)
            self.agent.flow_closed(self.now(), flow)
            self.settle()

    def permits(self, ip: str) -> bool:
        """Say whether a source may speak to us: it is listed and not shut out, or we have called it."""
        now = self.now()
        if self.called.hears(now, ip) or self.admission.hears(now, ip):
            return True
        if not self.admission.banned(now, ip):
            self._security.note(now, ip, "scan", "not listed: if it is yours, add it to sip.allow or a trunk")
        return False

    def rate(self, ip: str) -> Rate | None:
        """Say how many messages a source may send; whom we call, as many as it likes."""
        return None if self.called.hears(self.now(), ip) else RATES.get(self.admission.source(ip).kind)

    def warned(self, text: str) -> None:
        """Log what whoever runs this should know."""
        log.warning(text)

    def flooded(self, ip: str) -> None:
        """Note that a source sends too much."""
        self._security.note(self.now(), ip, "flood", "more messages than are read from there")

    def carries_calls(self, flow: Flow) -> bool:
        """Say whether a call lives on a connection, or a registration: that of a user of ours, or ours elsewhere."""
        registrar = self.agent.registrar
        if registrar is not None and registrar.holds(flow.connection):
            return True
        standings = self.agent.registrations.standings()
        if any(one.flow is not None and same_flow(one.flow, flow) for one in standings):
            return True
        return any(same_flow(way, flow) for leg in self.legs.values() for way in leg.ways)

    # The timer

    def _asked(self, outcome: Asked) -> None:
        answer = self._questions.get(outcome.call)
        if answer is not None and not answer.done():
            answer.set_result(outcome.code)

    def _stray(self, outcome: Outcome) -> None:
        """Refuse what is asked of a call that no leg has any more."""
        if isinstance(outcome, Replacing):
            self.agent.reject(self.now(), outcome.call, 481)
        elif isinstance(outcome, Reoffered):
            self.agent.refuse_reoffer(self.now(), outcome.call)

    def _arm(self) -> None:
        due = self.agent.deadline()
        if self._looking:
            return
        if due is None:
            if self._timer is not None:  # nothing waits any more: neither does the line
                self._timer.cancel()
                self._timer = None
            return
        if self._timer is not None:
            if due >= self._due:
                return  # it will look again when it fires
            self._timer.cancel()
        self._due = due
        self._timer = self._loop.call_at(due / SECOND, self._fire)

    def _fire(self) -> None:
        self._timer = None
        if not self._closed:
            # The loop may run timers before it reads sockets, and it runs what is called soon before that too: so two
            # turns, and again for as long as there was something to read.
            self._looking = True
            self._loop.call_soon(self._look_again, self._due, -1, self._loop.time() + QUIET_S)

    def _look_again(self, due: Instant, inputs: int, until: float) -> None:
        if self._closed:
            return
        if inputs != self._inputs and self._loop.time() < until:
            self._loop.call_soon(self._look_again, due, self._inputs, until)
            return
        self.media.drain()
        # A loop whose clock is coarse may wake us a fraction early: then it is `due` already.
        self._now = max(self.now(), due)
        self._looking = False
        try:
            self.agent.expire(self._now)
        except Exception:
            self.guarded += 1
            log.exception("a bug: a deadline was not served")
        self.settle()


async def _nobody(target: str, first: AudioLeg) -> SipLeg:
    raise NotAllowed("this line places no calls")
