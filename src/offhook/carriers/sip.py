"""A leg over SIP and the native media plane: `AudioLeg` made of a user agent's call and an engine's port.

    outcomes (Confirmed, Reoffered, Ended …) ─► SipLeg ─┬─► inbox ─► Call
    engine events (Heard, Digit, Played …) ────────────►┘
    Call ─► answer, hangup, transfer ─► user agent          play, hush, press … ─► engine

Laws: the port is open before the far end is told of it and closed when the call is; every agreed description raises the
generation of `configure`, a refused one changes nothing; `HungUp` is told once, behind all that the media plane had to
tell; a far end that sends no media is hung up on.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol

from offhook import _native as native
from offhook.call.leg import CallInfo, Capabilities, LegEvent
from offhook.carriers.inbox import Inbox
from offhook.carriers.plane import MediaPlane, configure
from offhook.core.codecs import AUDIO, Codec
from offhook.core.errors import CallEnded, DialFailed, NotAllowed, ProtocolError, TransferFailed
from offhook.core.instants import Instant
from offhook.core.media import MediaPlan
from offhook.core.signals import Connected, Held, HungUp
from offhook.sip.offer import accept_answer, answer_offer, make_offer
from offhook.sip.outcomes import (
    Answered,
    Confirmed,
    Ended,
    Flow,
    IncomingCall,
    Progress,
    Reoffered,
    SipCall,
    TransferProgress,
)
from offhook.sip.sdp import Session
from offhook.sip.uri import Uri, parse_uri
from offhook.sip.useragent import UserAgent

TRANSFER_S: Final = 60.0
"""How long the target of a transfer may ring before it counts as not taken."""

Outcome = Progress | Answered | Confirmed | Reoffered | TransferProgress | Ended
"""What a user agent tells of a call that is there."""


@dataclass(frozen=True, slots=True)
class AudioRules:
    """What a leg offers, takes and bears.

    `codecs` in order of preference. `send` overrides the codec that we send, where the far end offered it too: the two
    directions may differ (RFC 3264 section 6.1). `first_packet_s` and `silence_s` bound how long a connected call may
    bring no media.
    """

    codecs: tuple[Codec, ...] = AUDIO
    send: Codec | None = None
    first_packet_s: float = 30.0
    silence_s: float = 15.0


class Line(Protocol):
    """What a leg needs of the host: its clock, its user agent, its media plane and its rules."""

    @property
    def agent(self) -> UserAgent:
        """The user agent that the leg's call belongs to."""
        ...

    @property
    def media(self) -> MediaPlane:
        """Where the leg's port is."""
        ...

    @property
    def rng(self) -> random.Random:
        """Where session ids come from."""
        ...

    @property
    def audio(self) -> AudioRules:
        """What the leg offers, takes and bears."""
        ...

    def now(self) -> Instant:
        """The loop's time in nanoseconds."""
        ...

    def settle(self) -> None:
        """Send and deal out what the user agent's orders gave."""
        ...

    def screen(self, target: str, peer: Uri) -> Uri:
        """Give where a transfer to `target` goes; `peer` is the far end. NotAllowed outside the rules."""
        ...


class SipLeg:
    """One far end over SIP. Made by `incoming` or `outgoing`; the host passes it its outcomes through `tell`."""

    def __init__(self, line: Line, info: CallInfo, flow: Flow) -> None:
        self.call = SipCall(0)
        self.flow = flow
        self._line = line
        self._info = info
        self._inbox = Inbox()
        self._number, self._rtp_port = line.media.open(self._heard)
        self._engine = line.media.engine
        self._session_id = line.rng.getrandbits(62)
        self._version = 0
        self._generation = 0
        self._plan: MediaPlan | None = None
        self._offered: Session | None = None  # an offer of ours that waits for its answer
        self._body: Session | None = None  # what we answer with
        self._state: Literal["new", "answering", "up", "over"] = "new"
        self._hung_up: HungUp | None = None
        self._hanging = ""
        self._answer_code = (0, "")
        self._decided = asyncio.Event()
        self._transfer: asyncio.Future[tuple[int, str]] | None = None
        self._silence: asyncio.TimerHandle | None = None
        self._flowing = False
        self._final_counters: Mapping[str, int] = {}

    # Making one

    @classmethod
    def incoming(cls, line: Line, outcome: IncomingCall, info: CallInfo) -> SipLeg:
        """Make the leg of an INVITE. ProtocolError where its offer can't be taken, OSError where no port is free."""
        leg = cls(line, info, outcome.flow)
        leg.call = outcome.call
        try:
            if outcome.offer is None:
                leg._body = leg._offered = leg._make_offer()
            else:
                leg._body, leg._plan = leg._answer(outcome.offer)
        except ProtocolError:
            line.media.close(leg._number)
            raise
        return leg

    @classmethod
    def outgoing(cls, line: Line, info: CallInfo, flow: Flow, target: Uri, sender: Uri | None = None) -> SipLeg:
        """Make a leg and invite `target`; the order still has to settle. OSError where no port is free."""
        leg = cls(line, info, flow)
        leg._offered = leg._make_offer()
        leg._hear()
        leg._state = "answering"
        leg.call = line.agent.invite(line.now(), target, flow, leg._offered, sender=sender)
        return leg

    # What it is

    @property
    def info(self) -> CallInfo:
        """Who calls whom."""
        return self._info

    @property
    def capabilities(self) -> Capabilities:
        """What can be done: keys only where telephone-event was agreed."""
        return Capabilities(press=self._plan is None or self._plan.dtmf_send is not None)

    @property
    def over(self) -> bool:
        """Whether the call has ended."""
        return self._state == "over"

    def events(self) -> AsyncIterator[LegEvent]:
        """Give every event once, in order; ends after `HungUp`. One reader only."""
        return self._inbox

    def counters(self) -> Mapping[str, int]:
        """Give the media counters by reason, and `unread`: pieces of audio that no one took in time."""
        counts = self._final_counters if self.over else self._engine.counters(self._number)
        return {**counts, "unread": self._inbox.dropped}

    # Verbs of signalling

    async def answer(self) -> None:
        """Take an inbound call; returns when the ACK came. CallEnded if it went away meanwhile."""
        if self._state == "new" and not self._hanging:
            self._state = "answering"
            self._hear()
            # Media may flow as soon as the 200 is out, before its ACK: RFC 3261 section 13.3.1.4, RFC 3264 section 5.1.
            assert self._body is not None
            if self._offered is not None:
                # Our offer is out before their answer is here: all that it names may come, from wherever.
                all_of_it = accept_answer(self._offered, self._offered)
                self._plan = replace(all_of_it, remote=None, remote_rtcp=None, sending=False)
            self._apply(self._plan)
            self._line.agent.answer(self._line.now(), self.call, self._body)
            self._line.settle()
        await self._settled()

    async def connected(self) -> None:
        """Wait until an outbound call is answered. DialFailed with the code if it is not; cancelled, it hangs up."""
        try:
            await self._settled()
        except CallEnded:
            raise DialFailed(*self._answer_code) from None
        except asyncio.CancelledError:
            self._hang_up(200, "hangup")
            raise

    async def hangup(self, code: int = 200) -> None:
        """End the call now; before an answer refuse it with `code` (below 300: 480). Idempotent."""
        self._hang_up(code, "hangup")

    async def transfer(self, target: str) -> None:
        """Hand the far end to `target` (blind, RFC 3515), then leave.

        NotAllowed outside the rules, TransferFailed if the target does not take it, CallEnded if the call is over.
        """
        far = self._info.caller if self._info.direction == "inbound" else self._info.called
        uri = self._line.screen(target, _readable(far, self.flow.remote[0]))
        if self._state != "up" or self._hanging:
            raise CallEnded("there is no call to transfer")
        if self._transfer is not None:
            raise NotAllowed("a transfer is under way already")
        self._transfer = asyncio.get_running_loop().create_future()
        try:
            self._line.agent.refer(self._line.now(), self.call, uri)
            self._line.settle()
            try:
                async with asyncio.timeout(TRANSFER_S):
                    code, reason = await self._transfer
            except TimeoutError:
                code, reason = 408, "no news of the transfer"
        finally:
            self._transfer = None
        if code == 0:
            raise CallEnded("the call ended before the transfer was taken")
        if not 200 <= code < 300:
            # A subscription that ends on a provisional status never tells what became of it.
            raise TransferFailed(code if code >= 300 else 408, reason)
        self._hang_up(200, "hangup")

    # Verbs of media

    def listen(self, mode: Literal["all", "speech", "none"]) -> None:
        """Say which audio comes as `Heard`."""
        self._engine.listen(self._number, mode)

    def play(self, utterance: int, pcm: bytes, rate_hz: int) -> int:
        """Queue 16-bit mono PCM; give how many bytes were taken. After the end all is taken and nothing sounds."""
        return len(pcm) if self.over else self._engine.play(self._number, utterance, pcm, rate_hz)

    def end(self, utterance: int) -> None:
        """Say that an utterance is complete."""
        self._engine.end(self._number, utterance)

    def mark(self, utterance: int, mark: int) -> None:
        """Queue a mark behind what is queued."""
        self._engine.mark(self._number, utterance, mark)

    def hush(self) -> None:
        """Stop sounding now."""
        self._engine.hush(self._number)

    def arm(self, depth_db: float | None) -> None:
        """Arm or disarm the reflex that ducks our voice."""
        self._engine.arm(self._number, depth_db)

    def restore(self) -> None:
        """Bring a ducked voice back."""
        self._engine.restore(self._number)

    def press(self, keys: str) -> None:
        """Send keys as RFC 4733 events. ValueError for what is no key."""
        self._engine.press(self._number, keys)

    def tape(self, on: bool) -> None:
        """Begin or end `Taped` events."""
        self._engine.tape(self._number, on)

    # What the user agent tells

    def tell(self, outcome: Outcome) -> None:
        """Take an outcome of this call."""
        match outcome:
            case Confirmed():
                self._confirmed(outcome)
            case Answered():
                self._answered(outcome)
            case Reoffered():
                self._reoffered(outcome)
            case TransferProgress():
                if outcome.final and self._transfer is not None and not self._transfer.done():
                    self._transfer.set_result((outcome.code, outcome.reason))
            case Ended():
                self._ended(outcome)
            case Progress():
                pass  # it rings; early media is not asked for

    def _confirmed(self, outcome: Confirmed) -> None:
        if self._offered is not None:
            try:
                if outcome.answer is None:
                    raise ProtocolError("an ACK without the answer to our offer")
                self._apply(accept_answer(self._offered, outcome.answer))
            except ProtocolError:
                self._hang_up(488, "refused")
                return
            finally:
                self._offered = None
        self._connect()

    def _answered(self, outcome: Answered) -> None:
        assert self._offered is not None
        try:
            if outcome.answer is None:
                raise ProtocolError("a 200 without the answer to our offer", 488)
            self._apply(accept_answer(self._offered, outcome.answer))
        except ProtocolError as error:
            self._answer_code = (error.code, str(error))
            self._hang_up(error.code, "refused")
            return
        finally:
            self._offered = None
        self._connect()

    def _reoffered(self, outcome: Reoffered) -> None:
        now = self._line.now()
        if self._hanging or self._state == "over":
            return
        try:
            if outcome.offer is None:
                self._offered = self._make_offer()
                self._line.agent.accept_reoffer(now, self.call, self._offered)
                return
            body, plan = self._answer(outcome.offer)
        except ProtocolError as error:
            self._line.agent.refuse_reoffer(now, self.call, error.code)
            return
        self._apply(plan)
        self._line.agent.accept_reoffer(now, self.call, body)

    def _ended(self, outcome: Ended) -> None:
        self._line.media.drain()  # what was heard before the end is told before it
        self._state = "over"
        if self._silence is not None:
            self._silence.cancel()
        self._final_counters = self._line.media.close(self._number)
        if self._answer_code == (0, ""):
            self._answer_code = (outcome.code, outcome.reason)
        reason = outcome.reason
        if self._hanging not in ("", "hangup") and reason == "hangup":
            reason = self._hanging
        if self._transfer is not None and not self._transfer.done():
            # A far end that was told to call someone else and hangs up has gone there; its end comes after that.
            self._transfer.set_result((200, "") if outcome.reason == "remote_hangup" else (0, ""))
        self._hung_up = HungUp(self._line.now(), outcome.code, reason)
        self._inbox.put(self._hung_up)
        self._decided.set()

    # What the media plane tells

    def _heard(self, event: native.Event) -> None:
        if isinstance(event, native.Stalled):
            self._flowing = False
            self._watch(max(0.0, self._line.audio.silence_s - 1.0))  # Stalled comes a second into the silence
        elif isinstance(event, native.Flowing):
            self._flowing = True
            if self._silence is not None:
                self._silence.cancel()
                self._silence = None
        self._inbox.put(event)

    def _watch(self, patience_s: float) -> None:
        if self._silence is not None:
            self._silence.cancel()
        self._silence = None
        # Media may flow before the ACK comes, and all through a re-INVITE: then Stalled will say when it stops.
        if self._plan is not None and self._plan.receiving and self._state == "up" and not self._flowing:
            self._silence = asyncio.get_running_loop().call_later(patience_s, self._stalled)

    def _stalled(self) -> None:
        self._silence = None
        self._hang_up(200, "stalled")

    # The rest

    def _answer(self, offer: Session) -> tuple[Session, MediaPlan]:
        self._version += 1
        rules = self._line.audio
        body, plan = answer_offer(
            offer,
            address=self.flow.local[0],
            port=self._rtp_port,
            codecs=rules.codecs,
            session_id=self._session_id,
            version=self._version,
        )
        return body, self._outward(plan, offer)

    def _outward(self, plan: MediaPlan, offer: Session) -> MediaPlan:
        """Send the codec that the rules ask for, under the number that the offer gives it, where it does."""
        wanted = self._line.audio.send
        if wanted is None or plan.send[1] == wanted.name:
            return plan
        try:
            _, other = answer_offer(offer, address="0.0.0.0", port=9, codecs=(wanted,), session_id=0, version=0)  # noqa: S104
        except ProtocolError:
            return plan
        return replace(plan, send=other.send)

    def _make_offer(self) -> Session:
        self._version += 1
        return make_offer(
            address=self.flow.local[0],
            port=self._rtp_port,
            codecs=self._line.audio.codecs,
            session_id=self._session_id,
            version=self._version,
        )

    def _hear(self) -> None:
        # The far end is about to be told of the port, and RTP may come before the ACK does (RFC 3264 section 5.1): what
        # is said first must not be lost.
        self._engine.listen(self._number, "all")

    def _apply(self, plan: MediaPlan | None) -> None:
        """Put an agreed plan into the port."""
        if plan is None or self._state == "over":
            return
        was = self._plan
        self._plan = plan
        self._generation += 1
        configure(self._engine, self._number, self._generation, plan)
        if plan.sending != (was is None or was.sending):
            self._inbox.put(Held(self._line.now(), not plan.sending))
        if was is not None and was.receiving != plan.receiving:
            self._watch(self._line.audio.first_packet_s)  # held: not at all; resumed: from here

    def _connect(self) -> None:
        if self._state != "answering":
            return
        self._state = "up"
        self._watch(self._line.audio.first_packet_s)
        self._inbox.put(Connected(self._line.now()))
        self._decided.set()

    def _hang_up(self, code: int, why: str) -> None:
        if self._state == "over" or self._hanging:
            return
        self._hanging = why
        line = self._line
        if self._state == "new":
            line.agent.reject(line.now(), self.call, code if 300 <= code < 700 else 480)
        else:
            line.agent.hangup(line.now(), self.call)
        line.settle()

    async def _settled(self) -> None:
        """Wait until the call is up. CallEnded if it ends instead."""
        await self._decided.wait()
        if self._state == "over":
            raise CallEnded("the call is over")


def _readable(text: str, fallback: str) -> Uri:
    """Read the URI of the far end; where it is a bare number or broken, the host that it came from."""
    try:
        return parse_uri(text)
    except ProtocolError:
        return Uri("sip", None, fallback)
