"""Another far end underneath a leg: the call that its far end refers it to, or that comes to take its place.

    Referred ─► may they? ─► INVITE beside the call ─┬─► answered ─► leg.go_on          (RFC 3515, 5589 section 6)
                     └─► 603                         └─► failed: the call goes on as it was
    Replacing ─► may they? ─► 200 ─► leg.go_on, BYE to the old one                       (RFC 3891 section 3)

Laws: the port stays, and with it all that was said and heard; there is one successor at a time; who is being called is
told to stop when the leg is over; who refers us may leave at once, and the leg then waits for the other alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING
from weakref import ref

from offhook.carriers.line import far_end
from offhook.core.errors import ConfigError, NotAllowed, ProtocolError, Unreachable
from offhook.sip.outcomes import Answered, Ended, Flow, Progress, Redirected, Referred, Replacing, SipCall
from offhook.sip.uri import Uri

if TYPE_CHECKING:
    from offhook.carriers.line import Line, Outcome
    from offhook.carriers.negotiation import Negotiation
    from offhook.carriers.sip import SipLeg
    from offhook.core.media import MediaPlan


class _Next:
    """Whom we were referred to, while they are being called."""

    __slots__ = ("call", "negotiation", "task", "ways")

    def __init__(self, negotiation: Negotiation) -> None:
        self.call: SipCall | None = None
        self.ways: Sequence[Flow] = ()
        self.negotiation = negotiation
        self.task: asyncio.Task[None] | None = None


class Succession:
    """Who comes next on one leg."""

    def __init__(self, line: Line, leg: SipLeg) -> None:
        self.alone = False
        """Whether the far end has left, and the leg waits for the one that it was referred to."""
        self._line = line
        self._kept = ref(leg)  # the leg keeps this one
        self._next: _Next | None = None

    @property
    def _leg(self) -> SipLeg:
        leg = self._kept()
        assert leg is not None, "a leg that is over has no successor"
        return leg

    # Referred (RFC 3515)

    def referred(self, asked: Referred) -> None:
        """Call whom the far end refers us to, where that is allowed."""
        line, leg = self._line, self._leg
        transfers = line.agent.transfers
        try:
            target = line.follows(asked.target, far_end(leg.info, leg.flow), asked.flow)
        except NotAllowed:
            transfers.refuse(line.now(), leg.call, 603)
            return
        if not leg.up or self._next is not None:
            transfers.refuse(line.now(), leg.call, 491)
            return
        transfers.accept(line.now(), leg.call)
        following = self._next = _Next(leg.negotiation)
        following.task = asyncio.get_running_loop().create_task(self._call(following, asked, target), name="referral")

    async def _call(self, following: _Next, asked: Referred, target: Uri) -> None:
        line = self._line
        try:
            ways = await line.ways_to(target)
            line.lands(target, ways)
            line.affords(self._leg.info)
        except (NotAllowed, ConfigError):
            self._failed(Ended(self._leg.call, 603, "refused"))
            return
        except Unreachable:
            self._failed(Ended(self._leg.call, 404, "refused"))
            return
        following.ways = ways
        following.negotiation = self._leg.negotiation.beside(ways[0])
        by = (("Referred-By", asked.referred_by),) if asked.referred_by else ()
        place = (("Replaces", str(asked.replaces)), ("Require", "replaces")) if asked.replaces is not None else ()
        offer = following.negotiation.offer()
        account = line.account(self._leg.info)
        manners = line.terms(self._leg.info).manners
        following.call = line.agent.invite(
            line.now(), target, ways, offer, headers=(*by, *place), account=account, manners=manners
        )
        line.serve(self._leg, following.call, ways, placed=True)
        line.settle()

    def told(self, outcome: Outcome) -> None:
        """Take news of whom we were referred to, or of who is to take our far end's place; all else is old."""
        if isinstance(outcome, Replacing):
            self._replacing(outcome)
            return
        following = self._next
        if following is None or outcome.call != following.call:
            return
        line, leg = self._line, self._leg
        match outcome:
            case Progress():
                line.agent.transfers.progress(line.now(), leg.call, outcome.response.code)
            case Answered():
                try:
                    plan = following.negotiation.agreed(outcome.answer)
                except ProtocolError as error:
                    line.agent.hangup(line.now(), outcome.call)
                    self._failed(Ended(outcome.call, error.code, "refused"))
                    return
                self._next = None
                self.alone = False
                line.agent.transfers.progress(line.now(), leg.call, 200)
                self._succeed(outcome.call, following.ways, following.negotiation, plan)
            case Ended():
                self._failed(outcome)
            case Redirected():
                line.agent.skip(line.now(), outcome.call)
            case _:
                pass

    def _failed(self, end: Ended) -> None:
        """Stay with the far end, if it is still there."""
        following, self._next = self._next, None
        line, leg = self._line, self._leg
        if following is not None and following.call is not None:
            line.release(following.call)
        line.agent.transfers.progress(line.now(), leg.call, max(end.code, 300))
        if self.alone:
            leg.finish(end, "remote_hangup")
        line.settle()

    # Replaced (RFC 3891)

    def _replacing(self, asked: Replacing) -> None:
        """Let a new call take the place of the leg's."""
        line, leg = self._line, self._leg
        if not line.beside(asked.flow, leg.flow):
            line.agent.reject(line.now(), asked.call, 403)
            return
        negotiation = leg.negotiation.beside(asked.flow)
        try:
            if asked.offer is None:
                body = negotiation.offer()
                plan = negotiation.early()
            else:
                body, plan = negotiation.answer(asked.offer)
        except ProtocolError as error:
            line.agent.reject(line.now(), asked.call, error.code)
            return
        self.stop()
        old = leg.call
        line.serve(leg, asked.call, (asked.flow,))
        line.agent.answer(line.now(), asked.call, body)
        self._succeed(asked.call, (asked.flow,), negotiation, plan)
        line.agent.hangup(line.now(), old)

    def _succeed(self, call: SipCall, ways: Sequence[Flow], negotiation: Negotiation, plan: MediaPlan) -> None:
        self._line.release(self._leg.call)
        negotiation.succeed(self._leg.negotiation)
        self._leg.go_on(call, ways, negotiation, plan)

    # The end

    def left(self) -> bool:
        """Hear that the far end has hung up; give whether the leg lives on, for the one that it was referred to."""
        if self._next is None:
            return False
        self.alone = True
        self._leg.quiet()
        return True

    def stop(self) -> None:
        """Call nobody any more."""
        following, self._next = self._next, None
        if following is None:
            return
        if following.task is not None:
            following.task.cancel()
        if following.call is not None:
            self._line.release(following.call)
            self._line.agent.hangup(self._line.now(), following.call)
