"""A fake text leg: a caller whose service hears and speaks, on the loop's clock, for tests of agents over words.

    leg.says("a table for two") ─► Words ─► Call
    Call ─► say ─► spoken at `letter_ms` a letter, in order ─► leg.heard_text;  says over it: cut there, and told

It keeps the contract of `call.text.TextLeg`. With `words="turns"` it takes one answer a turn, as services do that call
back for each: `await leg.turn("a table for two")` gives what is said to it, up to where the caller may speak.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Literal

from offhook import _native as native
from offhook.agent.orders import Wait
from offhook.call.feed import Feed
from offhook.call.leg import CallInfo, Capabilities
from offhook.call.text import TextEvent, Uttered, Words
from offhook.core.errors import CallEnded, TransferFailed
from offhook.core.ids import CallId
from offhook.core.instants import SECOND
from offhook.core.signals import Connected, HungUp, Interrupted, Silent
from offhook.sip.meanings import COMMON


class FakeTextLeg:
    """One far end, played by a test.

    `letter_ms` is how fast it speaks, `tells` whether it says when an utterance was heard. `drops`: it can be hushed.
    `transfer_code` is what comes of a transfer.
    """

    def __init__(
        self,
        *,
        words: Literal["live", "turns"] = "live",
        letter_ms: int = 60,
        tells: bool = True,
        drops: bool = False,
        transfer_code: int = 200,
        caller: str = "+15551234567",
        called: str = "+15557654321",
        direction: Literal["inbound", "outbound"] = "inbound",
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.name = "fake service"
        self.info = CallInfo(CallId("call-1"), direction, caller, called)
        self.capabilities = Capabilities(hold=False, bridge=False, tape=False, words=words)
        self.said: list[tuple[int, str, bool]] = []
        """Every piece that was to be spoken: of which utterance, text, whether it was the last."""
        self.waited: list[Wait] = []
        """When it was the caller's turn, and for what."""
        self.pressed = ""
        self.transferred: list[str] = []
        self.over = False
        self.rang = False
        self._letter_s = letter_ms / 1000
        self._tells = tells
        self._drops = drops
        self._code = transfer_code
        self._events: Feed[TextEvent] = Feed(10_000)
        self._heard: list[str] = []
        self._speaking: list[tuple[float, str, int, bool]] = []  # when it begins, text, utterance, last
        self._until = 0.0
        self._answered = asyncio.Event()
        self._turn: list[str] = []

    # What the test does

    @property
    def now(self) -> int:
        """The loop's clock in nanoseconds."""
        return round(self.loop.time() * SECOND)

    def says(self, text: str, *, final: bool = True) -> None:
        """Speak. Over our voice it interrupts it first, as services do, and is understood half a second later."""
        if self.speaking:
            self.interrupts()
            self.loop.call_later(0.5, self._tell, Words(self.now, text, final))
        else:
            self._tell(Words(self.now, text, final))

    def interrupts(self) -> None:
        """Make a sound over our voice: the service stops it, and tells what was heard of this talk."""
        heard = self._stop()
        self._tell(Interrupted(self.now, heard, round(len(heard) * self._letter_s * 1000)))

    def presses(self, keys: str) -> None:
        """Press keys."""
        for key in keys:
            self._tell(native.Digit(0, 0, self.now, key, 100))

    def hangs_up(self) -> None:
        """End the call from the far side."""
        self._finish(200, "remote_hangup")

    async def turn(self, text: str = "", *, keys: str = "") -> str:
        """Take a turn, with words or keys or silence, where they are wanted; give what is said to it then."""
        self._turn.clear()
        self._answered.clear()
        if text:
            self._tell(Words(self.now, text))
        else:
            self.presses(keys)
            self._tell(Silent(self.now))
        return await self.answer_given()

    async def answer_given(self) -> str:
        """Wait until all is said; give it."""
        await self._answered.wait()
        return "".join(self._turn).strip()

    @property
    def speaking(self) -> bool:
        """Whether the caller hears us."""
        return self.loop.time() < self._until

    @property
    def heard_text(self) -> str:
        """What the caller has heard by now."""
        return "".join([*self._heard, self._part()])

    def _part(self) -> str:
        now = self.loop.time()
        return "".join(text[: max(0, int((now - at) / self._letter_s))] for at, text, _, _ in self._speaking)

    def _stop(self) -> str:
        heard = self._part()
        self._heard.append(f"{heard} | ")
        self._speaking.clear()
        self._until = self.loop.time()
        return heard

    # What a text leg is

    def events(self) -> AsyncIterator[TextEvent]:
        """Give the events."""
        return self._events

    def ring(self) -> None:
        """Ring."""
        self.rang = True

    async def reject(self, meaning: str) -> None:
        """Refuse the call."""
        code, _ = COMMON.refusal(meaning)
        self._finish(code, "rejected", meaning)

    async def answer(self) -> None:
        """Take the call."""
        if self.over:
            raise CallEnded("the caller went away")
        self._tell(Connected(self.now))

    async def hangup(self, code: int = 200) -> None:
        """End the call from our side."""
        self._finish(code, "hangup")

    async def connected(self) -> None:
        """Answer at once."""
        await self.answer()

    async def transfer(self, target: str) -> None:
        """Take the far end elsewhere, or refuse."""
        if self.over:
            raise CallEnded("the caller went away")
        if self._code != 200:
            raise TransferFailed(self._code, "as the script says")
        self.transferred.append(target)

    def say(self, utterance: int, text: str, *, last: bool) -> None:
        """Speak behind what is being spoken."""
        self.said.append((utterance, text, last))
        self._turn.append(text + (" " if last else ""))
        begins = max(self.loop.time(), self._until)
        self._until = begins + len(text) * self._letter_s
        self._speaking.append((begins, text + (" " if last else ""), utterance, last))
        if last:
            self.loop.call_at(self._until, self._uttered, utterance)

    def _uttered(self, utterance: int) -> None:
        mine = [piece for piece in self._speaking if piece[2] == utterance]
        if not mine or not mine[-1][3]:
            return  # it was cut
        self._heard += [text for _, text, number, _ in self._speaking if number <= utterance]
        self._speaking = [piece for piece in self._speaking if piece[2] > utterance]
        if self._tells:
            self._tell(Uttered(self.now, utterance))

    def hush(self) -> bool:
        """Be silent, where it can."""
        if self._drops:
            self._stop()
        return self._drops

    def wait(self, wanted: Wait) -> None:
        """Give the caller the turn."""
        self.waited.append(wanted)
        self._answered.set()

    def press(self, keys: str) -> None:
        """Press keys towards the caller."""
        self.pressed += keys

    def counters(self) -> Mapping[str, int]:
        """Count the pieces."""
        return {"said": len(self.said)}

    def _tell(self, event: TextEvent) -> None:
        if not self.over:
            self._events.put(event)

    def _finish(self, code: int, reason: str, meaning: str = "ended") -> None:
        if not self.over:
            self.over = True
            self._events.put(HungUp(self.now, code, reason, meaning))
            self._events.close()
            self._answered.set()
