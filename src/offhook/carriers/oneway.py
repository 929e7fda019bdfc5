"""One-way audio: noticed within three seconds of the answer, and said in plain words.

    answered ─ 2.5 s ─► nothing came · the far end reports that it hears nothing · only zeros ─► OneWay, with a hint
    later: a silence of 3 s, a report, 15 s of zeros ─► OneWay                 what comes right again is told, too

Laws: whoever is held owes nothing, and neither do we; a fault is told once, and once more when it is over. What a leg
does about a silence (`carriers.silence`) is another matter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from offhook import _native as native
from offhook.core.addresses import Reach, reach
from offhook.core.signals import Fault

LOOK_S: Final = 2.5
"""So long after the answer the line is looked at: a round trip, an ACK and a first report have had their time."""

FIRST_S: Final = 3.0
"""What is found until then is told as found at first."""

LATER_S: Final[dict[Fault, float]] = {"nothing_comes": 2.0, "unheard": 0.0, "silent": 13.0}
"""What is waited for later. The media plane says that nothing comes after 1 s, that only zeros come after 2 s."""


class OneWay:
    """Watches both directions of one far end; tells faults and their ends."""

    def __init__(self, tell: Callable[[Fault, bool], None]) -> None:
        self._tell = tell
        self._since: float | None = None  # when both directions began to be owed; None: they are not
        self._held = False
        self._flowing = False
        self._wrong: dict[Fault, None] = {}  # as the media plane sees it
        self._told: dict[Fault, None] = {}
        self._timers: dict[Fault, asyncio.TimerHandle] = {}

    def expect(self, on: bool) -> None:
        """Say whether media should go both ways (connected, and nobody is held), as of now."""
        if on == (self._since is not None):
            return
        self.stop()
        self._told.clear()
        self._held = not on
        if not on:
            self._wrong.clear()  # the media plane begins anew, too
            return
        self._since = asyncio.get_running_loop().time()
        self._settle("nothing_comes", wrong=not self._flowing)
        for fault in self._wrong:
            self._settle(fault, wrong=True)

    def hear(self, event: object) -> None:
        """Take an event of the media plane."""
        match event:
            case native.Flowing():
                self._flowing = True
                self._settle("nothing_comes", wrong=False)
            case native.Stalled():
                self._flowing = False
                self._settle("nothing_comes", wrong=True)
            case native.OneWay(fault=("unheard" | "silent") as fault, on=on) if not self._held:
                if on:
                    self._wrong[fault] = None
                else:
                    self._wrong.pop(fault, None)
                self._settle(fault, wrong=on)
            case _:
                pass

    def stop(self) -> None:
        """Stop watching."""
        self._since = None
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def end(self) -> None:
        """Stop for good, and let go of who was told."""
        self.stop()
        self._tell = _nobody

    def _settle(self, fault: Fault, *, wrong: bool) -> None:
        timer = self._timers.pop(fault, None)
        if timer is not None:
            timer.cancel()
        if self._since is None:
            return
        if not wrong:
            if fault in self._told:
                del self._told[fault]
                self._tell(fault, False)
        elif fault not in self._told:
            loop = asyncio.get_running_loop()
            passed = loop.time() - self._since
            wait_s = max(0.0, LOOK_S - passed) if passed < FIRST_S else LATER_S[fault]
            self._timers[fault] = loop.call_later(wait_s, self._say, fault)

    def _say(self, fault: Fault) -> None:
        self._timers.pop(fault, None)
        self._told[fault] = None
        self._tell(fault, True)


def _nobody(fault: Fault, on: bool) -> None:
    """Tell nobody: the call is over."""


def hint(fault: Fault, ours: str, theirs: str | None, peer: str) -> str:
    """Say what the likely cause is, and what to do about it.

    `ours` is the address that our description names, `theirs` the one in theirs, `peer` where their signalling is.
    """
    hidden = reach(ours) < min(reach(peer), Reach.PUBLIC)
    match fault:
        case "nothing_comes" if hidden:
            return (
                f"our description names {ours}, which {peer} can't reach: set sip.external_address or sip.stun to what "
                "a NAT makes of it"
            )
        case "nothing_comes":
            return (
                f"our description names {ours}: see that this is our address as {peer} sees it "
                "(sip.external_address), and that sip.rtp_ports are open for UDP"
            )
        case "unheard" if theirs is not None and reach(theirs) < reach(peer):
            return (
                f"their description names {theirs}, a private address behind {peer}: audio finds its way only once "
                "theirs has come"
            )
        case "unheard":
            return f"what we send is lost on its way to {theirs or peer}: see that no firewall holds our UDP back"
        case "silent":
            return "their microphone is muted, or something on the way sends filler instead of their audio"
