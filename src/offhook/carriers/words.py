"""What all text legs of services have in common: a call that is offered, decided on, and in the end over.

    webhook ─► leg ─► answer ─► `decided` ─► the control document ─► `_begin` ─► Connected … ─► HungUp, told once
                   └─► reject ─► DialFailed from `decided`: the document refuses

A leg of this kind adds how words come and go: over a socket (`relay`), or in the answers to requests (`turns`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, Literal

from offhook.call.feed import Feed
from offhook.call.leg import CallInfo, Capabilities
from offhook.call.text import TextEvent
from offhook.carriers.stream import ARRIVE_S, Controls
from offhook.core.errors import CallEnded, DialFailed, TransferFailed
from offhook.core.instants import SECOND, Instant
from offhook.core.signals import AnsweredBy, Answerer, Connected, HungUp, Ringing
from offhook.sip.meanings import COMMON

EVENTS: Final = 10_000
"""Events that wait for the call, which takes them at once; of more the oldest go."""


class WordLeg:
    """One call of a service that hears and speaks.

    `controls` is what can be done beside the words, `gone` hears that the call is over.
    """

    def __init__(
        self,
        name: str,
        info: CallInfo,
        controls: Controls,
        *,
        words: Literal["live", "turns"],
        press: bool,
        gone: Callable[[WordLeg], None],
    ) -> None:
        self.name = name
        self.odd: dict[str, int] = {}
        """What made no sense, by a word for it."""
        self._info = info
        self._controls = controls
        self._words: Literal["live", "turns"] = words
        self._press = press
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._inbox: Feed[TextEvent] = Feed(EVENTS, newest=True)
        self._decision: asyncio.Future[None] = self._loop.create_future()
        self._arrived = asyncio.Event()
        self._over = False
        self._rung = self._begun = False
        self._ending: asyncio.Task[None] | None = None

    # What it is

    @property
    def info(self) -> CallInfo:
        """Who calls whom."""
        return self._info

    @property
    def capabilities(self) -> Capabilities:
        """What can be done."""
        return Capabilities(
            press=self._press,
            transfer=self._controls.transfers,
            hold=False,
            bridge=False,
            tape=False,
            words=self._words,
        )

    @property
    def over(self) -> bool:
        """Whether the call has ended."""
        return self._over

    @property
    def answered(self) -> bool:
        """Whether words could ever pass."""
        return self._begun

    @property
    def now(self) -> Instant:
        """The loop's clock, in nanoseconds."""
        return round(self._loop.time() * SECOND)

    def events(self) -> Feed[TextEvent]:
        """Give every event once, in order; ends after `HungUp`."""
        return self._inbox

    def counters(self) -> Mapping[str, int]:
        """Count what made no sense."""
        return dict(self.odd)

    # Verbs of signalling

    async def decided(self) -> None:
        """Wait until the call is to be answered. DialFailed with the code where it is refused, or over before."""
        await asyncio.shield(self._decision)

    def ring(self) -> None:
        """Do nothing: a service rings by itself."""

    async def answer(self) -> None:
        """Take the call; returns when words can pass. CallEnded if they never can."""
        if not self._decision.done():
            self._decision.set_result(None)
        try:
            async with asyncio.timeout(ARRIVE_S):
                await self._arrived.wait()
        except TimeoutError:
            self._finish(408, "no_media")
        if self._over:
            raise CallEnded("the call is over")

    async def reject(self, meaning: str) -> None:
        """Refuse the call: `busy`, `declined` … ValueError for what can't be said so."""
        code, _ = COMMON.refusal(meaning)
        self._finish(code, "rejected")

    async def connected(self) -> None:
        """Wait until a call that the service placed for us is answered. DialFailed with the code if it is not."""
        await self._arrived.wait()
        if self._over:
            raise self._decision.exception() or DialFailed(487, "the call is over")

    async def hangup(self, code: int = 200) -> None:
        """End the call, behind what was said; before the answer refuse it with `code`, or cancel ours. Idempotent."""
        if self._over:
            return
        ours = self._info.direction == "outbound"
        answered = self._decision.done()
        self._last_words("hangup")
        self._finish(code if answered or code >= 300 else 487 if ours else 480, "hangup")
        if answered or ours:
            await self._controls.hang_up()

    async def transfer(self, target: str) -> None:
        """Have the service hand the far end to `target`. TransferFailed, CallEnded if the call is over."""
        if not self._controls.transfers:
            raise TransferFailed(501, "this service hands nobody on", refused=True)
        if self._over or not self._arrived.is_set():
            raise CallEnded("there is no call to transfer")
        await self._controls.transfer(target)
        self._finish(200, "transferred")

    def rings(self) -> None:
        """Hear from the service that a call that it places for us rings; told once, and not after the answer."""
        if not self._rung and not self._arrived.is_set():
            self._rung = True
            self._tell(Ringing(self.now, 180))

    def answerer(self, what: Answerer) -> None:
        """Hear from the service what has answered: before the answer, or at any time while the call lasts."""
        self._tell(AnsweredBy(self.now, what))

    def left(self, code: int = 200, reason: str = "remote_hangup", meaning: str = "") -> None:
        """Hear from the service that the call is over; `meaning` where its word says more than the code."""
        self._finish(code, reason, meaning)

    def expire(self, why: str) -> None:
        """End the call now because a rule of ours says so; `why` is what `HungUp` tells."""
        if not self._over:
            self._last_words(why)
            self._finish(200, why)
            self._ending = self._loop.create_task(self._controls.hang_up())

    # For those who carry the words

    def _begin(self) -> None:
        """Words can pass."""
        if not self._decision.done():
            self._decision.set_result(None)
        if not self._arrived.is_set() and not self._over:
            self._begun = True
            self._arrived.set()
            self._inbox.put(Connected(self.now))

    def _tell(self, event: TextEvent) -> None:
        if not self._over:
            self._inbox.put(event)

    def _count(self, why: str) -> None:
        self.odd[why] = self.odd.get(why, 0) + 1

    def _last_words(self, reason: str) -> None:
        """Say goodbye in the service's way."""

    def _closed(self) -> None:
        """Let go of what carried the words."""

    def _finish(self, code: int, reason: str, meaning: str = "") -> None:
        """Be over, and tell it last."""
        if self._over:
            return
        self._over = True
        self._closed()
        meaning = meaning or COMMON.of(code)
        if not self._decision.done():
            self._decision.set_exception(DialFailed(code, reason, meaning))
            self._decision.exception()  # whoever asked for it may have gone
        self._inbox.put(HungUp(self.now, code, reason, meaning))
        self._inbox.close()
        self._arrived.set()
        self._gone(self)
