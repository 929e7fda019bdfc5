"""How long a far end may send no media before it is hung up on: phones lose their network without a word.

    media stops ─ patience ─► probe ─┬─► RTCP came meanwhile, or an answer that says it lives ─► once more, then over
                                     └─► 481, 408, nothing for 5 s ───────────────────────────► over

Laws: whoever is held owes nothing; a silence is borne for twice the patience at most, however alive the far end is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol
from weakref import ref

from offhook import _native as native
from offhook.sip import codes

if TYPE_CHECKING:
    from offhook.carriers.line import Line
    from offhook.carriers.sip import SipLeg

STALLED_S: Final = 1.0
"""How far into a silence the media plane says `Stalled`."""

PROBE_S: Final = 5.0
"""How long the far end may take to say that it lives: a transaction's own 32 s would be too long for this."""

GONE: Final = codes.GONE | {503}
"""What says that nobody is there, or knows of the call (RFC 5057 section 5.1; 503: the request can't go)."""


class Watched(Protocol):
    """The call whose media is watched."""

    def reports(self) -> int:
        """Give how many RTCP packets of the far end have come."""
        ...

    def probe(self) -> None:
        """Ask the far end whether the call is still there; `Silence.answered` hears what it says."""
        ...

    def given_up(self, why: str = "stalled") -> None:
        """Hear that media will not come any more."""
        ...


class Watch:
    """The call of a leg, as it is watched."""

    def __init__(self, line: Line, leg: SipLeg) -> None:
        self._line = line
        self._kept = ref(leg)  # the leg keeps this one

    @property
    def _leg(self) -> SipLeg:
        leg = self._kept()
        assert leg is not None, "a leg that is over is not watched"
        return leg

    def reports(self) -> int:
        """Give how many RTCP packets of the far end have come."""
        return self._leg.reports()

    def probe(self) -> None:
        """Send OPTIONS inside the dialog."""
        self._line.agent.probe(self._line.now(), self._leg.call)
        self._line.settle()

    def given_up(self, why: str = "stalled") -> None:
        """End the call."""
        self._leg.expire(why)


class Silence:
    """Watches that media comes while it should.

    `first_s` bounds the wait for the first packet, the probe included; a gap of `silence_s` begins the probe.
    """

    def __init__(self, first_s: float, silence_s: float, call: Watched) -> None:
        self._first_s = first_s
        self._silence_s = silence_s
        self._call = call
        self._expected = False
        self._flowing = False
        self._reports = 0
        self._waited = False
        self._probed_at: float | None = None  # of this silence; None: not yet
        self._timer: asyncio.TimerHandle | None = None

    def expect(self, on: bool) -> None:
        """Say whether media should come (connected, and not held), as of now."""
        self._expected = on
        self._begin(max(0.0, self._first_s - PROBE_S))

    def stalled(self) -> None:
        """Hear that nothing has come for a second."""
        self._flowing = False
        self._begin(max(0.0, self._silence_s - STALLED_S))

    def flowing(self) -> None:
        """Hear that media comes."""
        self._flowing = True
        self.stop()

    def heard(self, event: object) -> None:
        """Take an event of the media plane."""
        if isinstance(event, native.Stalled):
            self.stalled()
        elif isinstance(event, native.Flowing):
            self.flowing()
        elif isinstance(event, native.Severed) and event.reason != "closed":
            self._call.given_up(event.reason)  # a goodbye of DTLS comes with one of the signalling

    def answered(self, code: int) -> None:
        """Hear what became of the probe."""
        if self._timer is None or self._probed_at is None:
            return  # media came before the answer, or the call is held
        if code in GONE:
            self._over()
        else:
            self._extend()

    def stop(self) -> None:
        """Stop watching."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _begin(self, patience_s: float) -> None:
        self.stop()
        self._probed_at = None
        # Media may flow before the ACK comes, and all through a re-INVITE: then Stalled will say when it stops.
        if self._expected and not self._flowing:
            # Asking costs a table of all counters: not each call, only those whose media has come to a stop before.
            self._reports = self._call.reports() if self._waited else 0
            self._waited = True
            self._wait(patience_s, self._probe)

    def _wait(self, patience_s: float, then: Callable[[], None]) -> None:
        self.stop()
        self._timer = asyncio.get_running_loop().call_later(patience_s, then)

    def _probe(self) -> None:
        self._probed_at = asyncio.get_running_loop().time()
        if self._call.reports() > self._reports:
            self._extend()
        else:
            self._wait(PROBE_S, self._over)
            self._call.probe()

    def _extend(self) -> None:
        """Bear it once more, up to twice the patience in all."""
        assert self._probed_at is not None
        until = self._probed_at + max(0.0, self._silence_s - STALLED_S)
        self._wait(until - asyncio.get_running_loop().time(), self._over)

    def _over(self) -> None:
        self.stop()
        self._call.given_up()
