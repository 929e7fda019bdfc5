"""Media before the answer: what of it is heard, and which of several early dialogs has the port (RFC 3960, RFC 5009).

    18x + SDP ─► EarlyMedia ─► plan ─► the one port          far end's events ─► Threshold ─► answered ─► inbox
                 a foretaste a tag; 199 ends one                                 before: kept out

Law: before the answer nobody has agreed to be listened to. What the far end sounds or presses stays outside: it is not
heard, transcribed or taped. What lasts beyond the answer (media flows, somebody speaks) is told when it is there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from offhook import _native as native
from offhook.call.leg import LegEvent
from offhook.carriers.negotiation import Negotiation
from offhook.core.errors import ProtocolError
from offhook.core.instants import Instant
from offhook.core.media import MediaPlan
from offhook.sip.grammar import Malformed
from offhook.sip.message import Response
from offhook.sip.outcomes import Progress

OUTSIDE: Final = (
    native.Heard,
    native.SpeechBegan,
    native.SpeechEnded,
    native.Digit,
    native.Taped,
    native.Flowing,
    native.Stalled,
    native.Ducked,
)
"""What the far end does. The others are about what we play."""


class Threshold:
    """Keeps outside what the far end does before the answer."""

    __slots__ = ("_flowing", "_speaking", "opened")

    def __init__(self) -> None:
        self.opened = False
        self._flowing: native.Flowing | None = None
        self._speaking: native.SpeechBegan | None = None

    def lets(self, event: LegEvent) -> bool:
        """Say whether an event may be told."""
        if self.opened or not isinstance(event, OUTSIDE):
            return True
        if isinstance(event, native.Flowing):
            self._flowing = event
        elif isinstance(event, native.Stalled):
            self._flowing = None
        elif isinstance(event, native.SpeechBegan):
            self._speaking = event
        elif isinstance(event, native.SpeechEnded):
            self._speaking = None
        return False

    def open(self, now: Instant) -> list[LegEvent]:
        """Let everything in from here on; give what has lasted until now, as beginning now."""
        if self.opened:
            return []
        self.opened = True
        told: list[LegEvent] = []
        if self._flowing is not None:
            told.append(native.Flowing(self._flowing.port, self._flowing.seq, now))
        if self._speaking is not None:
            told.append(native.SpeechBegan(self._speaking.port, self._speaking.seq, now))
        return told


class EarlyMedia:
    """What the early dialogs of one call have said of their media: the last one that sounds has the port."""

    __slots__ = ("_negotiation", "_plans")

    def __init__(self, negotiation: Negotiation) -> None:
        self._negotiation = negotiation
        self._plans: dict[str, MediaPlan] = {}

    @property
    def sounds(self) -> bool:
        """Whether the network plays something. If not, who wants a ringing tone makes it (RFC 3960 section 3.2)."""
        return bool(self._plans) and next(reversed(self._plans.values())).receiving

    def progressed(self, news: Progress) -> MediaPlan | None:
        """Take a provisional response; give the plan that the port goes by from now on, None where it stays."""
        known = self._plans.pop(news.tag, None)
        if news.response.code == 199:
            return next(reversed(self._plans.values()), None) if known is not None else None
        plan = known
        if news.description is not None:
            try:
                plan = self._negotiation.foretaste(news.description)
            except ProtocolError:
                plan = None  # an answer that can't be taken: the 2xx will say so
        if plan is None:
            return None
        plan = self._plans[news.tag] = _authorised(plan, news.response)
        return plan


def _authorised(plan: MediaPlan, response: Response) -> MediaPlan:
    """Leave what the network does not vouch for unheard (RFC 5009 section 5); who says nothing of it, vouches."""
    if "P-Early-Media" not in response.index:
        return plan
    try:
        words = {word.strip().lower() for word in response.values("P-Early-Media")}
    except Malformed:
        return plan
    return replace(plan, receiving=plan.receiving and bool(words & {"sendrecv", "sendonly"}))
