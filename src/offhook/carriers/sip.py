"""A leg over SIP and the native media plane: `AudioLeg` made of a user agent's call and an engine's port.

    outcomes (Confirmed, Reoffered, Ended …) ─► SipLeg ─┬─► inbox ─► Call
    engine events (Heard, Digit, Played …) ────────────►┘
    Call ─► answer, hangup, transfer ─► user agent          play, hush, press, bridge … ─► engine
    Referred, Replacing ─► another far end, underneath the same port (carriers.succession)

Laws: the port is open before the far end is told of it and closed when the call is; every agreed description raises the
generation of `configure`, a refused one changes nothing; `HungUp` is told once, behind all that the media plane had to
tell; a far end that sends no media is hung up on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from offhook.call.leg import AudioLeg, CallInfo, Capabilities, LegEvent
from offhook.carriers.door import Door
from offhook.carriers.early import EarlyMedia
from offhook.carriers.holding import Holding
from offhook.carriers.line import Follow, Line, Outcome, far_end, open_door
from offhook.carriers.negotiation import Negotiation
from offhook.carriers.port import PortVerbs
from offhook.carriers.silence import Silence, Watch
from offhook.carriers.succession import Succession
from offhook.carriers.transfers import Transfer
from offhook.core import signals
from offhook.core.errors import CallEnded, DialFailed, ProtocolError, TransferFailed
from offhook.core.media import MediaPlan
from offhook.core.signals import Connected, Held, HungUp
from offhook.core.verdict import Verdict
from offhook.sip.grammar import Fields
from offhook.sip.header import NameAddr
from offhook.sip.offer import accept_answer
from offhook.sip.outcomes import (
    Answered,
    Confirmed,
    EarlyAnswered,
    Ended,
    Flow,
    IncomingCall,
    Keyed,
    Probed,
    Progress,
    Reanswered,
    Redirected,
    Referred,
    Reoffered,
    Replacing,
    SipCall,
    Texted,
    TransferProgress,
)
from offhook.sip.requests import Account
from offhook.sip.sdp import Session
from offhook.sip.uri import Uri


class SipLeg(PortVerbs):
    """One far end over SIP. Made by `incoming` or `outgoing`; the host passes it its outcomes through `tell`."""

    def __init__(self, line: Line, info: CallInfo, ways: Sequence[Flow], door: Door | None = None) -> None:
        self.call = SipCall(0)
        self.ways = tuple(ways)
        """Where its requests come from or may go."""
        self.flow = flow = ways[0]
        terms = self._terms = line.terms(info)
        self._line = line
        self._info = info
        self._door = (door or open_door(line, flow)).give(self._heard)
        super().__init__(line.media.engine, self._door.number, terms.tones)
        self.negotiation = Negotiation(terms.audio, self._engine, self._door, flow, line.rng)
        self._silence = Silence(terms.audio.first_packet_s, terms.audio.silence_s, Watch(line, self))
        self._transfer = Transfer()
        self._succession = Succession(line, self)
        self._first: tuple[SipCall, Sequence[Flow]] | None = None
        self._holding = Holding()
        self._early = EarlyMedia(self.negotiation)
        self._redirection: Redirected | None = None
        self._follows = False
        self._rung = False
        self._body: Session | None = None  # what we answer with
        self._plan: MediaPlan | None = None  # what holds once we have
        self._state: Literal["new", "answering", "up", "over"] = "new"
        self._hanging = ""
        self._failure: DialFailed | None = None  # how an outbound call was not answered
        self.answered = False
        """Whether the call was ever up."""
        self._decided = asyncio.Event()

    # Making one

    @classmethod
    def incoming(cls, line: Line, outcome: IncomingCall, info: CallInfo) -> SipLeg:
        """Make the leg of an INVITE. ProtocolError where its offer can't be taken, OSError where no port is free."""
        leg = cls(line, info, (outcome.flow,))
        leg.call = outcome.call
        try:
            leg._body, leg._plan = leg.negotiation.describe(outcome.offer)
        except ProtocolError:
            leg._door.close()
            raise
        return leg

    async def _reached(self) -> bool:
        """Wait until the address of our port is known; give whether the call is still there."""
        if await self._door.known() and self.negotiation.plan is None:
            self._body, self._plan = self.negotiation.described()
        return not self._hanging and not self.over

    @classmethod
    def outgoing(
        cls,
        line: Line,
        info: CallInfo,
        ways: Sequence[Flow],
        target: Uri,
        sender: NameAddr | Uri | None = None,
        *,
        headers: Fields = (),
        account: Account | None = None,
        door: Door | None = None,
    ) -> SipLeg:
        """Make a leg and invite `target` over the first of `ways` that can be gone; the order still has to settle.

        `door` is its port, where that was opened before. OSError where no port is free.
        """
        leg = cls(line, info, ways, door)
        offer = leg.negotiation.offer()
        leg._state = "answering"
        manners = leg._terms.manners
        leg.call = line.agent.invite(
            line.now(), target, ways, offer, sender=sender, headers=headers, account=account, manners=manners
        )
        return leg

    # What it is

    @property
    def info(self) -> CallInfo:
        """Who calls whom."""
        return self._info

    @property
    def capabilities(self) -> Capabilities:
        """What can be done: keys always, as events, by INFO or as tones; transfers as the trunk has it."""
        rules = self._line.rules(self._info)
        return Capabilities(transfer=rules.refer, bridge=rules.bridge)

    @property
    def _by_info(self) -> bool:
        """Whether keys go by INFO: the trunk wants them so, or nothing else was agreed and INFO is taken."""
        plan = self.negotiation.plan
        agreed = plan is not None and plan.dtmf_send is not None
        return self._terms.dtmf == "info" or (not agreed and self._line.agent.takes(self.call, "INFO"))

    def press(self, keys: str) -> None:
        """Send keys as RFC 4733 events, or by INFO. ValueError for what is no key."""
        if not self._by_info:
            super().press(keys)
        elif not self.over:
            self._line.agent.press(self._line.now(), self.call, keys)
            self._line.settle()

    @property
    def first(self) -> tuple[SipCall, Sequence[Flow]]:
        """The call that the leg began with, and where its requests came from or went."""
        return self._first or (self.call, self.ways)

    @property
    def up(self) -> bool:
        """Whether the call is up and nobody is hanging up."""
        return self._state == "up" and not self._hanging

    @property
    def over(self) -> bool:
        """Whether the call has ended."""
        return self._state == "over"

    # Verbs of signalling

    def ring(self) -> None:
        """Say that an inbound call rings (180), once."""
        if self._state == "new" and not self._hanging and not self._rung:
            self._rung = True
            self._line.agent.ring(self._line.now(), self.call)
            self._line.settle()

    async def early(self) -> None:
        """Let our sound out before the answer (183 with our description): an announcement, a ringing tone of ours."""
        unsaid = self._state == "new" and not self._hanging and self.negotiation.plan is None
        if unsaid and await self._reached():
            assert self._plan is not None
            self._apply(self._plan)
            self._line.agent.ring(self._line.now(), self.call, 183, self._body)
            self._line.settle()

    async def reject(self, meaning: str) -> None:
        """Refuse an inbound call: `busy`, `declined`, `unavailable` … ValueError for what can't be said so."""
        code, headers = self._terms.meanings.refusal(meaning)
        if self._state == "new" and not self._hanging:
            self._hanging = "rejected"
            self._line.agent.reject(self._line.now(), self.call, code, headers=headers)
            self._line.settle()

    async def answer(self) -> None:
        """Take an inbound call; returns when the ACK came. CallEnded if it went away meanwhile."""
        if self._state == "new" and not self._hanging:
            self._state = "answering"
            self._let_in(self._line.now())
            if not await self._reached():
                raise CallEnded("the call went away meanwhile")
            # Media may flow as soon as the 200 is out, before its ACK: RFC 3261 section 13.3.1.4, RFC 3264 section 5.1.
            assert self._body is not None and self._plan is not None  # noqa: PT018
            if self.negotiation.plan is None:
                self._apply(self._plan)
            self._line.agent.answer(self._line.now(), self.call, self._body)
            self._line.settle()
        await self._decided.wait()
        if self._state == "over":
            raise CallEnded("the call is over")

    async def connected(self, follow: Follow | None = None) -> None:
        """Wait until an outbound call is answered. DialFailed with the code if it is not; cancelled, it hangs up.

        Without `follow` no redirection is followed.
        """
        self._follows = follow is not None
        try:
            while True:
                await self._decided.wait()
                proposed, self._redirection = self._redirection, None
                if proposed is None:
                    break
                self._decided.clear()
                assert follow is not None
                self._redirected(proposed.code, await follow(proposed.target))
            if self._state == "over":
                raise self._failure or DialFailed(487)
        except asyncio.CancelledError:
            self._hang_up(200, "hangup")
            raise

    def _redirected(self, code: int, way: tuple[Uri, Sequence[Flow]] | None) -> None:
        line = self._line
        if self._state == "over":
            self._decided.set()
        elif way is not None:
            target, flows = way
            self.flow = flows[0]
            self.ways = (*self.ways, *flows)
            self._inbox.put(signals.Redirected(line.now(), code, str(target)))
            line.agent.follow(line.now(), self.call, target, flows)
        else:
            line.agent.skip(line.now(), self.call)
        line.settle()

    async def hangup(self, code: int = 200) -> None:
        """End the call now; before an answer refuse it with `code` (below 300: 480). Idempotent."""
        self._hang_up(code, "hangup")

    def expire(self, why: str) -> None:
        """End the call now because a rule of ours says so; `why` is what `HungUp` tells."""
        self.hush()  # nobody is to hear it out: what waits is told as cut
        self._hang_up(200, why)

    async def transfer(self, target: str, consultation: AudioLeg | None = None) -> None:
        """Hand the far end to `target` (RFC 3515), then leave; to who is at the end of `consultation`, if it is given.

        NotAllowed outside the rules, TransferFailed if the target does not take it, CallEnded if the call is over.
        """
        if self._line.inside(target):
            raise TransferFailed(501, "a user of ours is called by us alone", refused=True)
        uri = self._line.screen(target, far_end(self._info, self.flow))
        if not self.up:
            raise CallEnded("there is no call to transfer")
        self._transfer.begin()
        other = consultation.call if isinstance(consultation, SipLeg) else None
        self._line.agent.transfers.refer(self._line.now(), self.call, uri, other)
        self._line.settle()
        await self._transfer.wait()
        self.expire("transferred")

    async def consult(self, target: str) -> SipLeg:
        """Call `target` for the far end; give the leg, which is not answered yet (`connected` waits for that).

        NotAllowed outside the rules, Unreachable, CallEnded if the call is over.
        """
        if not self.up:
            raise CallEnded("there is no call to consult for")
        return await self._line.place(target, self)

    async def hold(self, on: bool) -> bool:
        """Put the far end on hold, or take it back; give whether it went along. CallEnded if the call is over."""
        if not self.up:
            raise CallEnded("there is no call to hold")
        return await self._holding.turn(on, self._hold)

    def _hold(self, on: bool) -> None:
        self.negotiation.holding = on
        self._line.agent.reoffer(self._line.now(), self.call, self.negotiation.wished())
        self._line.settle()

    # What the user agent tells

    def identified(self, verdict: Verdict) -> None:
        """Take note of what was found of the caller's signature."""
        self._info = replace(self._info, verdict=verdict)
        self._inbox.put(signals.Identified(self._line.now(), verdict))

    def tell(self, outcome: Outcome) -> None:
        """Take an outcome of this call, or of one that may take its place."""
        if outcome.call != self.call:
            self._succession.told(outcome)
            return
        match outcome:
            case Confirmed():
                self._confirmed(outcome)
            case Answered():
                self._answered(outcome)
            case Reoffered():
                self._reoffered(outcome)
            case Reanswered():
                self._reanswered(outcome)
            case TransferProgress():
                self._transfer.told(outcome)
            case Probed():
                self._silence.answered(outcome.code)
            case Ended():
                self._ended(outcome)
            case Progress():
                self._progressed(outcome)
            case Redirected():
                if self._follows:
                    self._redirection = outcome
                    self._decided.set()
                else:
                    self._line.agent.skip(self._line.now(), self.call)
            case EarlyAnswered():
                self._agreed(outcome.answer)
            case Keyed():
                self._pressed(self._line.now(), outcome.key, outcome.duration_ms)
            case Texted():
                self._inbox.put(signals.Texted(self._line.now(), outcome.text))
            case Referred():
                self._succession.referred(outcome)
            case Replacing():
                pass  # it has a number of its own: see above

    def _confirmed(self, outcome: Confirmed) -> None:
        if outcome.answer is None or self._agreed(outcome.answer):
            self._connect()

    def _agreed(self, answer: Session | None) -> bool:
        try:
            self._apply(self.negotiation.agreed(answer))
        except ProtocolError:
            self._hang_up(488, "refused")
            return False
        return True

    def _progressed(self, news: Progress) -> None:
        if (plan := self._early.progressed(news)) is not None:
            self._apply(plan)
        if news.response.code != 199:
            self._inbox.put(signals.Ringing(self._line.now(), news.response.code, self._early.sounds))

    def _answered(self, outcome: Answered) -> None:
        try:
            plan = self.negotiation.agreed(outcome.answer)
        except ProtocolError as error:
            self._failure = DialFailed(error.code, str(error), self._terms.meanings.of(error.code))
            self._hang_up(error.code, "refused")
            return
        self._let_in(self._line.now())
        self._apply(plan)
        self._connect()

    def _reoffered(self, outcome: Reoffered) -> None:
        now = self._line.now()
        if self._hanging or self._state == "over":
            return
        try:
            if outcome.offer is None:
                self._line.agent.accept_reoffer(now, self.call, self.negotiation.offer())
                return
            body, plan = self.negotiation.answer(outcome.offer)
        except ProtocolError as error:
            self._line.agent.refuse_reoffer(now, self.call, error.code)
            return
        self._apply(plan)
        self._line.agent.accept_reoffer(now, self.call, body)

    def _reanswered(self, outcome: Reanswered) -> None:
        taken = outcome.answer is not None and outcome.offer is not None
        if outcome.answer is not None and outcome.offer is not None:
            try:
                self._apply(accept_answer(outcome.offer, outcome.answer))
            except ProtocolError:
                taken = False  # what they said makes no sense; media goes on as it did
        if outcome.asked:
            self.negotiation.holding = self._holding.told(taken)

    # Another far end (carriers.succession)

    def go_on(self, call: SipCall, ways: Sequence[Flow], negotiation: Negotiation, plan: MediaPlan) -> None:
        """Go on with another far end underneath the same port."""
        self._transfer.replaced(self.call)
        self._holding.ended()
        self._first = self.first
        self.call, self.ways, self.flow, self.negotiation = call, tuple(ways), ways[0], negotiation
        self._apply(plan)
        self._expect_media()

    def quiet(self) -> None:
        """Neither send nor expect anything: the far end has gone, and another is to come."""
        if (plan := self.negotiation.plan) is not None:
            self._apply(replace(plan, sending=False, receiving=False))

    # The end

    def _ended(self, outcome: Ended) -> None:
        if outcome.reason == "remote_hangup" and not self._hanging and self._succession.left():
            return
        reason = outcome.reason
        if self._hanging not in ("", "hangup") and reason == "hangup":
            reason = self._hanging
        if self._transfer.ended(self.call, reason):
            reason = "transferred"
        self.finish(outcome, reason)

    def finish(self, outcome: Ended, reason: str) -> None:
        """Be over, and tell it last."""
        self._succession.stop()
        self._line.media.drain()  # what was heard before the end is told before it
        self._state = "over"
        self._silence.stop()
        self._closed(self._door.close())
        meaning = self._terms.meanings.of(outcome.code, outcome.causes)
        if meaning == "timeout" and outcome.reason == "no_answer":
            meaning = "no_answer"  # it did ring
        if self._failure is None and self._info.direction == "outbound":
            self._failure = DialFailed(outcome.code, outcome.reason, meaning)
        self._holding.ended()
        self._inbox.put(HungUp(self._line.now(), outcome.code, reason, meaning))
        self._decided.set()
        self._line.forget(self)

    # What the media plane tells

    def _heard(self, event: LegEvent) -> None:
        self._silence.heard(event)
        if self._passes(event):
            self._inbox.put(event)

    # The rest

    def _apply(self, plan: MediaPlan) -> None:
        """Put an agreed plan into the port."""
        if self._state == "over":
            return
        was = self.negotiation.apply(plan)
        if plan.sending != (was is None or was.sending):
            self._inbox.put(Held(self._line.now(), not plan.sending))
        if was is not None and was.receiving != plan.receiving:
            self._expect_media()  # held: not at all; resumed: from here
        self._watch_ways(plan, self._state == "up")

    def _expect_media(self) -> None:
        plan = self.negotiation.plan
        self._silence.expect(plan is not None and plan.receiving and self._state == "up")

    def _suspect(self, fault: signals.Fault) -> str:
        return self.negotiation.suspect(fault, self.flow.remote[0])

    def _connect(self) -> None:
        if self._state != "answering":
            return
        self._state = "up"
        self.answered = True
        self._expect_media()
        self._watch_ways(self.negotiation.plan, up=True)
        self._inbox.put(Connected(self._line.now()))
        self._decided.set()

    def _hang_up(self, code: int, why: str) -> None:
        if self._state == "over" or self._hanging:
            return
        self._hanging = why
        line = self._line
        if self._state == "new":
            line.agent.reject(line.now(), self.call, code if 300 <= code < 700 else 480)
        elif self._succession.alone:
            self.finish(Ended(self.call, 200, why), why)
        else:
            line.agent.hangup(line.now(), self.call)
        line.settle()
