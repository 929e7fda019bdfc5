"""What calls of ours cost while they are up: the meters of `policy.toll` for each trunk, and the timer that ends one.

why_not ─► begin ─► watch … leg.expire("toll") ─► end
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING

import structlog

from offhook.call.leg import CallInfo
from offhook.carriers.brought import Brought
from offhook.carriers.sip import SipLeg
from offhook.core.errors import NotAllowed
from offhook.core.instants import Instant
from offhook.policy.toll import Meter
from offhook.run.rules import HostRules
from offhook.sip.outcomes import SipCall

if TYPE_CHECKING:
    from offhook.run.line import SipLine

log = structlog.get_logger("offhook.tolls")


class Tolls:
    """What is being spent: a meter a trunk, and one for all."""

    def __init__(self, rules: HostRules) -> None:
        self._all = Meter("dial", rules.toll)
        self._timers: dict[int | str, asyncio.TimerHandle] = {}
        self._trunks = {trunk.name: Meter(f"the trunk {trunk.name}", trunk.caps) for trunk in rules.trunks}

    def full(self, trunk: str) -> bool:
        """Say whether a trunk carries all the calls that it may."""
        meter = self._trunks.get(trunk)
        return meter is not None and meter.full

    def why_not(self, now: Instant, trunk: str) -> str | None:
        """Say which cap stands against one more call of ours through a trunk ("": none); None where none does."""
        return next((why for meter in self._meters(trunk) if (why := meter.why_not(now)) is not None), None)

    def afford(self, now: Instant, trunk: str, to: str) -> None:
        """Say whether one more call of ours may be placed. NotAllowed, with the cap that stands against it."""
        if (why := self.why_not(now, trunk)) is not None:
            raise NotAllowed(f"{to} can't be called now: {why}")

    def begin(self, now: Instant, trunk: str, call: int | str) -> None:
        """Count a call of ours."""
        for meter in self._meters(trunk):
            meter.begin(now, call)

    def came(self, trunk: str, call: int) -> None:
        """Count a call that came through a trunk."""
        if trunk in self._trunks:
            self._trunks[trunk].came(call)

    def end(self, now: Instant, trunk: str, call: int | str, *, answered: bool) -> None:
        """Stop counting a call."""
        if (timer := self._timers.pop(call, None)) is not None:
            timer.cancel()
        for meter in self._meters(trunk):
            meter.end(now, call, answered=answered)

    def attach(self, line: SipLine) -> None:
        """Count the calls that far ends refer us to, as calls of the trunk that they came by."""
        now = line.now

        def affords(info: CallInfo) -> None:
            self.afford(now(), info.trunk, "another")

        def spend(leg: SipLeg, call: SipCall) -> None:
            self.begin(now(), leg.info.trunk, call)
            self.watch(leg, now)

        def spent(leg: SipLeg, call: SipCall) -> None:
            # The leg has gone on with it where it was answered.
            for meter in self._meters(leg.info.trunk):
                meter.end(now(), call, answered=leg.call == call)

        line.on_affords, line.on_spend, line.on_spent = affords, spend, spent

    def left_s(self, now: Instant, trunk: str) -> float:
        """Give how long the calls of ours through a trunk may go on, all together."""
        return min([meter.left_s(now) for meter in self._meters(trunk)])

    def watch(self, leg: SipLeg | Brought, now: Callable[[], Instant]) -> None:
        """Hang a call of ours up when the minutes of a day are used up; looked at again when that may be."""
        if not isinstance(leg, SipLeg) and leg.info.direction == "inbound":
            return  # it costs nothing
        left_s = self.left_s(now(), leg.info.trunk)
        if leg.over or left_s == inf:
            return
        if left_s <= 0:
            log.warning("a call was ended: its minutes are used up", call=leg.info.id, trunk=leg.info.trunk)
            leg.expire("toll")
            return
        key = leg.first[0] if isinstance(leg, SipLeg) else leg.info.id
        if (timer := self._timers.pop(key, None)) is not None:
            timer.cancel()
        wait_s = max(1.0, left_s / max(1, self._all.live))
        self._timers[key] = asyncio.get_running_loop().call_later(wait_s, self.watch, leg, now)

    def _meters(self, trunk: str) -> list[Meter]:
        return [self._all, *([self._trunks[trunk]] if trunk in self._trunks else [])]
