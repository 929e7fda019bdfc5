"""What calls of ours cost while they are up: the meters of `policy.toll` for each trunk, and the timer that ends one.

why_not ─► begin ─► watch … leg.expire("toll") ─► end
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf

import structlog

from offhook.carriers.sip import SipLeg
from offhook.core.instants import Instant
from offhook.policy.toll import Meter
from offhook.run.rules import HostRules

log = structlog.get_logger("offhook.tolls")


class Tolls:
    """What is being spent: a meter a trunk, and one for all."""

    def __init__(self, rules: HostRules) -> None:
        self._all = Meter("dial", rules.toll)
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._trunks = {trunk.name: Meter(f"the trunk {trunk.name}", trunk.caps) for trunk in rules.trunks}

    def full(self, trunk: str) -> bool:
        """Say whether a trunk carries all the calls that it may."""
        meter = self._trunks.get(trunk)
        return meter is not None and meter.full

    def why_not(self, now: Instant, trunk: str) -> str | None:
        """Say which cap stands against one more call of ours through a trunk ("": none); None where none does."""
        return next((why for meter in self._meters(trunk) if (why := meter.why_not(now)) is not None), None)

    def begin(self, now: Instant, trunk: str, call: int) -> None:
        """Count a call of ours."""
        for meter in self._meters(trunk):
            meter.begin(now, call)

    def came(self, trunk: str, call: int) -> None:
        """Count a call that came through a trunk."""
        if trunk in self._trunks:
            self._trunks[trunk].came(call)

    def end(self, now: Instant, trunk: str, call: int, *, answered: bool) -> None:
        """Stop counting a call."""
        if (timer := self._timers.pop(call, None)) is not None:
            timer.cancel()
        for meter in self._meters(trunk):
            meter.end(now, call, answered=answered)

    def left_s(self, now: Instant, trunk: str) -> float:
        """Give how long the calls of ours through a trunk may go on, all together."""
        return min([meter.left_s(now) for meter in self._meters(trunk)])

    def watch(self, leg: SipLeg, now: Callable[[], Instant]) -> None:
        """Hang a call of ours up when the minutes of a day are used up; looked at again when that may be."""
        left_s = self.left_s(now(), leg.info.trunk)
        if leg.over or left_s == inf:
            return
        if left_s <= 0:
            log.warning("a call was ended: its minutes are used up", call=leg.info.id, trunk=leg.info.trunk)
            leg.expire("toll")
            return
        wait_s = max(1.0, left_s / max(1, self._all.live))
        self._timers[leg.first[0]] = asyncio.get_running_loop().call_later(wait_s, self.watch, leg, now)

    def _meters(self, trunk: str) -> list[Meter]:
        return [self._all, *([self._trunks[trunk]] if trunk in self._trunks else [])]
