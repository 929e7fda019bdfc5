"""A call that goes turn by turn: a service hears, asks us after each turn of the caller, and speaks our answer.

    webhook, Lambda event ─► take(Said, Handed or None) ─► Words, Digit, Silent ─► Call
    Call ─► say … ─┬─ wait: the caller's turn ─┐
                   ├─ hangup, transfer ────────┼─► Turn ─► the answer to that request
                   └─ not done in time ─► Again┘

    leg = TurnLeg("gather", info, controls, gone=calls.remove)
    running = create_task(Call(leg, agent, models=models).run())
    await leg.decided()                                   # DialFailed: refuse with its code
    turn = await leg.take(None, within_s=10)              # the answer to the first request
    turn = await leg.take(Said(call, "for two"), key="2", within_s=10)      # … and to each that follows

Laws: a request that comes twice changes nothing and is answered the same; the service keeps the time, so none of ours
runs while the caller has the turn; a service that asks no more has hung up.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Final

from offhook import _native as native
from offhook.agent.orders import Wait
from offhook.call.leg import CallInfo
from offhook.call.text import Words
from offhook.carriers.services.service import Handed, Said
from offhook.carriers.services.turn import Again, Connect, Leave, Then, Turn
from offhook.carriers.stream import Controls
from offhook.carriers.words import WordLeg
from offhook.core.errors import CallEnded, TransferFailed
from offhook.core.signals import Silent

ABSENT_S: Final = 600.0
"""A service that does not ask for so long has lost its caller, and told nobody."""
HAND_OVER_S: Final = 90.0
"""What becomes of a transfer is told within this, or it went well."""
KEYS_LIMIT: Final = 100
"""Keys of one turn that are taken."""
SAYS_LIMIT: Final = 200
"""Utterances that one answer holds."""
_NO_KEY: Final = re.compile(r"[^0-9*#A-D]")


class Answered:
    """The controls of a service that is told all by our answers."""

    transfers = True

    async def hang_up(self) -> None:
        """Do nothing: the answer says it."""

    async def transfer(self, target: str) -> None:
        """Do nothing: the answer says it."""


class TurnLeg(WordLeg):
    """One call, turn by turn. `tells`: the service says what became of a transfer (`Handed`); else it went well."""

    def __init__(
        self,
        name: str,
        info: CallInfo,
        controls: Controls | None = None,
        *,
        gone: Callable[[WordLeg], None],
        tells: bool = True,
        absent_s: float = ABSENT_S,
    ) -> None:
        super().__init__(name, info, controls or Answered(), words="turns", press=False, gone=gone)
        self._tells = tells
        self._absent_s = absent_s
        self._ready = asyncio.Event()
        self._says: list[str] = []
        self._pieces: list[str] = []
        self._then: Then = Again()
        self._key = ""
        self._given: Turn | None = None
        self._handed: asyncio.Future[int] | None = None
        self._absent: asyncio.TimerHandle | None = None

    async def take(self, given: Said | Handed | None, *, key: str = "", within_s: float) -> Turn:
        """Take the caller's turn; give our answer, or what there is of it after `within_s`.

        None: nothing of the caller, as at the beginning and after `Again`. A `key` is what tells requests apart: with
        that of the last one the answer is the last one. The caller's turn comes by `Said`, silence too.
        """
        if key and key == self._key:
            await self._wait(within_s)
            return self._given or self._answer(key)
        self._key, self._given = key, None
        if self._absent is not None:
            self._absent.cancel()
        if not self._arrived.is_set():
            by = self._loop.time() + within_s
            self._begin()
            await self._wait(within_s)  # who begins speaks first; only then is somebody there to listen
            within_s = by - self._loop.time()
        if not self._over and (given is None or self._ready.is_set()):
            self._feed(given)
        await self._wait(within_s)
        return self._answer(key)

    async def _wait(self, within_s: float) -> None:
        try:
            async with asyncio.timeout(within_s):
                await self._ready.wait()
        except TimeoutError:
            pass  # the answer so far says that there is more

    def _feed(self, given: Said | Handed | None) -> None:
        wanted = self._then
        if given is not None:
            self._ready.clear()
            self._then = Again()
        match given:
            case None:
                pass
            case Handed(code=code):
                if self._handed is not None and not self._handed.done():
                    self._handed.set_result(code)
            case Said(text=text, keys=keys) if text.strip() and not keys and _hears(wanted):
                self._tell(Words(self.now, text))
            case Said(text=text, keys=keys):
                for key in _NO_KEY.sub("", keys or text)[:KEYS_LIMIT]:
                    self._tell(native.Digit(0, 0, self.now, key, 100))
                self._tell(Silent(self.now))

    def _answer(self, key: str) -> Turn:
        if key != self._key:
            return Turn((), Again())  # another request has come meanwhile, and has the answer
        turn = self._given = Turn(tuple(self._says), self._then)
        self._says.clear()
        if isinstance(self._then, Again):
            self._given = None  # the rest is for whoever asks next
        elif not self._over:
            self._absent = self._loop.call_later(self._absent_s, self.left, 408, "stalled")
        return turn

    # Verbs

    def say(self, utterance: int, text: str, *, last: bool) -> None:
        """Have a piece of an utterance said with the next answer, once it is complete."""
        self._pieces.append(text)
        if last:
            whole = "".join(self._pieces).strip()
            self._pieces.clear()
            if not whole:
                return
            if len(self._says) < SAYS_LIMIT:
                self._says.append(whole)
            else:
                self._count("unsaid")

    def hush(self) -> bool:
        """Drop what is not complete: the rest is said."""
        self._pieces.clear()
        return True

    def wait(self, wanted: Wait) -> None:
        """Give the answer: it is the caller's turn."""
        self._ready_for(wanted)

    def press(self, keys: str) -> None:
        """Do nothing: there is no line to press keys on."""

    async def transfer(self, target: str) -> None:
        """Hand the far end on with the next answer. TransferFailed where the service says so, CallEnded."""
        if self._over:
            raise CallEnded("there is no call to transfer")
        if not self._controls.transfers:
            raise TransferFailed(501, "this service hands nobody on", refused=True)
        handed = self._handed = self._loop.create_future()
        self._ready_for(Connect(target))
        if self._tells:
            try:
                async with asyncio.timeout(HAND_OVER_S):
                    code = await handed
            except TimeoutError:
                code = 200
            if code != 200:
                raise TransferFailed(code, "the target did not take the call")
        self._finish(200, "transferred")

    def _ready_for(self, then: Then) -> None:
        self._then = then
        self._ready.set()

    def _closed(self) -> None:
        if self._absent is not None:
            self._absent.cancel()
        if self._handed is not None and not self._handed.done():
            self._handed.set_exception(CallEnded("the call is over"))
            self._handed.exception()  # nobody may wait for it any more
        if not isinstance(self._then, Connect):
            self._then = Leave()
        self._ready.set()


def _hears(wanted: Then) -> bool:
    """Say whether words are an answer to what is waited for: where keys are, the digits among the words count."""
    return not isinstance(wanted, Wait) or wanted.words
