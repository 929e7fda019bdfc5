"""Session timers (RFC 4028): a call that one end has forgotten comes to an end at the other.

    INVITE ─► check ─► 2xx: answer ─┐                         ┌─ half of it: refresh (renegotiation) ─► agreed
    our INVITE ─► 422: longer       ├─► Terms ─► who refreshes?
              └─► 2xx: agreed ──────┘                         └─ just before its end: BYE

Whoever asks with a Session-Expires refreshes, unless it says otherwise; where the far end only knows the extension, we
do (section 9, table 2). A far end that does not know it is looked after by us alone: any answer to a refresh says that
it is there, only 481, 408 or none ends the call (RFC 5057). Terms are made anew by each INVITE and UPDATE that is
accepted. A refresh that fails in another way is tried again, until the session expires.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from offhook.core.instants import SECOND, Duration, Instant
from offhook.sip.gate import Refusal
from offhook.sip.grammar import Fields, Malformed
from offhook.sip.header import SessionExpires, parse_session_expires
from offhook.sip.manners import Manners
from offhook.sip.meanings import because
from offhook.sip.message import Request, Response

if TYPE_CHECKING:
    from offhook.sip.calls import Call, Calls

FLOOR_S: Final = 90
"""No interval is shorter (section 5)."""

MARGIN_S: Final = 32
"""So long before the end of a session a BYE ends it, or a third of it where that is shorter (section 10)."""

RETRY_S: Final = 30
"""How long after a refresh that was refused or could not be sent the next is tried."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What was agreed: for how long, whether we refresh, and whether the far end knows of it."""

    interval_s: int
    refreshing: bool
    known: bool


class Refresh:
    """Keeps the session timers of all calls. `interval_s` is what we ask for, 0 asks for none; theirs are kept."""

    def __init__(self, calls: Calls, interval_s: int) -> None:
        self._calls = calls
        self._asking_s = interval_s
        calls.alarms["expired"] = self._expired

    def _interval_s(self, manners: Manners) -> int:
        """Give what we ask one far end for; 0: nothing."""
        return max(self._asking_s, _least_s(manners)) if self._asking_s else 0

    def _unaware(self, now: Instant, call: Call) -> Fields:
        """Look after a session alone; give what a far end that says nothing of session timers is told."""
        terms, said = _alone(self._interval_s(call.manners))
        self._keep(now, call, terms)
        return said

    def wish(self, manners: Manners) -> Fields:
        """Give what an INVITE of ours that begins a call says."""
        interval_s = self._interval_s(manners)
        asked = (("Session-Expires", str(interval_s)),) if interval_s else ()
        return (*asked, *_above_floor(manners))

    # --- where they ask

    def check(self, request: Request, manners: Manners) -> None:
        """Refuse an interval that is too short with 422, or one that can't be read with 400 (section 9)."""
        if "Session-Expires" not in request.index:
            return
        asked = parse_session_expires(request.index["Session-Expires"])
        # Whoever does not know the extension had it put in on the way, and would not understand the refusal.
        if asked.seconds < _least_s(manners) and _knows(request):
            raise Refusal(422, (("Min-SE", str(_least_s(manners))),))

    def answer(self, now: Instant, call: Call, request: Request) -> Fields:
        """Agree with a request that is about to be accepted; give what its 2xx says. It was checked."""
        index, manners = request.index, call.manners
        if "Session-Expires" not in index:
            if "Supported" not in index:
                return self._unaware(now, call)
            asked, side, known = SessionExpires(self._interval_s(manners)), "uas", _knows(request)
        else:
            asked, known = parse_session_expires(index["Session-Expires"]), _knows(request)
            side = asked.refresher or "uac"
        if not known:
            side = "uas"
        interval_s = self._shortened(asked.seconds, request, manners)
        if not interval_s:
            return self._unaware(now, call)
        self._keep(now, call, Terms(interval_s, refreshing=side == "uas", known=known))
        expires = ("Session-Expires", f"{interval_s};refresher={side}")
        return (expires, ("Require", "timer")) if known else (expires,)

    def _shortened(self, asked_s: int, request: Request, manners: Manners) -> int:
        """Give an interval not above theirs or ours, not below the least of both."""
        least_s = _least_s(manners)
        if "Min-SE" in request.index:
            with suppress(Malformed):  # it only bounds what we may choose
                least_s = max(least_s, parse_session_expires(request.index["Min-SE"]).seconds)
        return max(min(asked_s, self._interval_s(manners) or asked_s), min(least_s, asked_s), FLOOR_S) if asked_s else 0

    # --- where we ask

    def fields(self, call: Call) -> Fields:
        """Give what an INVITE or UPDATE of ours inside a call says: the terms that hold, and who refreshes now."""
        terms = call.terms
        if terms is None:
            return ()
        side = "uac" if terms.refreshing else "uas"
        return (("Session-Expires", f"{terms.interval_s};refresher={side}"), *_above_floor(call.manners))

    def longer(self, request: Request, response: Response) -> Fields | None:
        """Give what to say instead after a 422 (section 7.3); None where it asks for nothing more than was said."""
        try:
            least_s = parse_session_expires(response.index.get("Min-SE", "")).seconds
            asked = parse_session_expires(request.index.get("Session-Expires", ""))
        except Malformed:
            return None
        if least_s <= asked.seconds:
            return None
        return ("Session-Expires", str(SessionExpires(least_s, asked.params))), ("Min-SE", str(least_s))

    def agreed(self, now: Instant, call: Call, response: Response) -> None:
        """Take the 2xx to an INVITE or UPDATE of ours (section 7.2)."""
        terms = _alone(self._interval_s(call.manners))[0]
        if "Session-Expires" in response.index:
            with suppress(Malformed):  # then it said nothing
                said = parse_session_expires(response.index["Session-Expires"])
                terms = Terms(max(said.seconds, FLOOR_S), refreshing=said.refresher != "uas", known=True)
        self._keep(now, call, terms)

    # --- what time brings

    def _keep(self, now: Instant, call: Call, terms: Terms | None) -> None:
        call.terms = terms
        timers = self._calls.timers
        if terms is None:
            timers.stop(call, "refresh")
            timers.stop(call, "expired")
        elif terms.refreshing:
            timers.start(call, "refresh", now + terms.interval_s * SECOND // 2)
            timers.stop(call, "expired")
        else:
            timers.start(call, "expired", now + _lasts(terms))
            timers.stop(call, "refresh")

    def begun(self, now: Instant, call: Call) -> None:
        """Hear that a refresh was sent: half of the session is over, and it ends unless this one is answered."""
        terms = call.terms
        if terms is not None and terms.known and "expired" not in call.alarms:
            self._calls.timers.start(call, "expired", now + _lasts(terms) - terms.interval_s * SECOND // 2)

    def failed(self, now: Instant, call: Call, code: int) -> None:
        """Hear that a refresh was refused with `code`, or (0) could not be sent."""
        terms = call.terms
        if terms is None:
            return
        wait = RETRY_S * SECOND if terms.known or not code else terms.interval_s * SECOND // 2
        self._calls.timers.start(call, "refresh", now + wait)

    def _expired(self, now: Instant, call: Call) -> None:
        """End a call that was not refreshed (section 10)."""
        self._calls.bye(now, call, because(408, "session expired"))
        self._calls.end(call, 408, "expired")


@lru_cache(maxsize=64)  # nearly every call's, and a few intervals in all
def _alone(interval_s: int) -> tuple[Terms | None, Fields]:
    """Give the terms of a session that we look after alone, and what its 2xx says."""
    if not interval_s:
        return None, ()
    expires = ("Session-Expires", f"{interval_s};refresher=uas")
    return Terms(interval_s, refreshing=True, known=False), (expires,)


def _lasts(terms: Terms) -> Duration:
    return terms.interval_s * SECOND - min(MARGIN_S * SECOND, terms.interval_s * SECOND // 3)


def _least_s(manners: Manners) -> int:
    return max(manners.min_se_s, FLOOR_S)


def _above_floor(manners: Manners) -> Fields:
    least_s = _least_s(manners)
    return (("Min-SE", str(least_s)),) if least_s > FLOOR_S else ()


def _knows(message: Request) -> bool:
    for name in ("Supported", "Require"):
        for tag in message.index.get(name, "").split(","):
            if tag.strip().lower() == "timer":
                return True
    return False
