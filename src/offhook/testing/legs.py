"""The contract of `call.leg.AudioLeg`, checked: every leg, whatever carries it, does the same for a call.

    make ─► a leg and the person at its far end ─► one law after the other, each on a new pair ─► LegBroken, or nothing

    await check_leg(make)            # make() is an async context manager that gives a Pair

What a leg lacks is in its `Capabilities`, and only that is let pass. All waits are by the loop's clock: on a
`VirtualLoop` the whole check takes less than a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, TypeVar

from offhook import _native as native
from offhook.call.leg import AudioLeg, LegEvent
from offhook.call.rates import SteadyRate
from offhook.core.errors import OffhookError
from offhook.core.instants import SECOND
from offhook.core.signals import Connected, HungUp
from offhook.testing.callers import Handset
from offhook.testing.spelled import Reader, duration_ms, fold, spell

_E = TypeVar("_E")

WAIT_S: Final = 20.0
SLACK_MS: Final = 60
"""How far what a leg says may be from what truly was: a packet, and what a person's own phone adds."""

SOON_S: Final = 1.0
"""What comes with something else comes within this."""

WORDS: Final = "the quick brown fox jumps over the lazy dog"
LONG: Final = " ".join([WORDS] * 4)


class LegBroken(AssertionError):
    """A leg breaks a law of the contract; the text says which."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A leg that rings, and the handset of who calls by it. `rtt_s` is the way there and back."""

    leg: AudioLeg
    far: Handset
    rtt_s: float = 0.0


Make = Callable[[], AbstractAsyncContextManager[Pair]]


class Watch:
    """One pair, with what each side has told so far."""

    def __init__(self, pair: Pair) -> None:
        self.leg = pair.leg
        self.far = pair.far
        self.rtt_s = pair.rtt_s
        self.told: list[tuple[float, LegEvent]] = []
        """What the leg told, and when."""
        self.there: list[tuple[float, Any]] = []
        """What the far end noticed, and when."""
        self.sounds: list[tuple[float, bytes]] = []
        self._reader = Reader()
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.began = self._loop.time()
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._read_there())]

    async def close(self) -> None:
        """Hang up and stop watching."""
        await self.hangs_up()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def heard(self) -> str:
        """The words that the far end has heard."""
        return self._reader.text

    def of(self, kind: type[_E]) -> list[_E]:
        """Give what the leg told of one kind."""
        return [event for _, event in self.told if isinstance(event, kind)]

    async def until(self, what: str, is_so: Callable[[], object], within_s: float = WAIT_S) -> None:
        """Wait for something; LegBroken with the law `what` where it does not come."""
        try:
            async with asyncio.timeout(within_s):
                while not is_so():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            kinds = [type(event).__name__ for _, event in self.told if not isinstance(event, native.Heard)]
            raise LegBroken(f"{what}; told: {kinds}, heard: {self.heard!r}") from None

    async def _read(self) -> None:
        async for event in self.leg.events():
            self.told.append((self._loop.time(), event))
            self._changed.set()

    async def _read_there(self) -> None:
        self.far.listen("all")
        async for event in self.far.events():
            if isinstance(event, native.Heard):
                if any(event.pcm):
                    self.sounds.append((self._loop.time(), event.pcm))
                self._reader.push(event.pcm)
            else:
                self.there.append((self._loop.time(), event))
            self._changed.set()

    async def hangs_up(self) -> None:
        """Hang up on our side; LegBroken where that does not return."""
        try:
            await asyncio.wait_for(self.leg.hangup(), WAIT_S)
        except TimeoutError:
            raise LegBroken("hangup returns, whatever becomes of the call") from None

    async def plays(self, utterance: int, text: str) -> None:
        """Play words to the far end, as there is room."""
        pcm = spell(text)
        while pcm:
            taken = self.leg.play(utterance, pcm, 8000)
            law(0 <= taken <= len(pcm) and taken % 2 == 0, "play says how many bytes it took")
            pcm = pcm[taken:]
            if pcm:
                await self._room()
        self.leg.end(utterance)

    async def _room(self) -> None:
        before = len(self.of(native.Room))
        await self.until("Room comes when there is space again", lambda: len(self.of(native.Room)) > before)

    async def says(self, text: str) -> None:
        """Let the far end say words."""
        pcm = spell(text)
        while pcm:
            taken = self.far.play(1, pcm, 8000)
            pcm = pcm[taken:]
            await asyncio.sleep(0.1)
        self.far.end(1)


def law(holds: bool, text: str) -> None:
    """Raise LegBroken where a law does not hold."""
    if not holds:
        raise LegBroken(text)


async def check_leg(make: Make) -> None:
    """Check a leg. LegBroken names the first law that it breaks."""
    for check in CHECKS:
        async with make() as pair:
            watch = Watch(pair)
            try:
                await _answered(watch)
                await check(watch)
            finally:
                await watch.close()


async def _answered(watch: Watch) -> None:
    await asyncio.wait_for(watch.leg.answer(), WAIT_S)
    await watch.until("Connected comes with the answer", lambda: watch.of(Connected), SOON_S)


async def _is_heard(watch: Watch) -> None:
    """What is played is heard, whole and in order, and then it is Played, once."""
    await watch.plays(1, WORDS)
    await watch.plays(2, "and again")
    await watch.until("Played follows what was heard", lambda: len(watch.of(native.Played)) == 2)
    played = watch.of(native.Played)
    law([one.utterance for one in played] == [1, 2], "Played comes once an utterance, in order")
    law(abs(played[0].sent_ms - duration_ms(WORDS)) <= 20, "Played says how much was sent")
    told = [(when, event.at / SECOND) for when, event in watch.told if isinstance(event, native.Played)]
    law(all(abs(when - at) <= SOON_S for when, at in told), "what is told has the instant at which it was")
    at = next(when for when, event in watch.told if isinstance(event, native.Played) and event.utterance == 2)
    await asyncio.sleep(0.5)
    law(fold(f"{WORDS} and again") == fold(watch.heard), f"all that is played is heard as it is: {watch.heard!r}")
    last = watch.sounds[-1][0]
    law(at >= last - (watch.rtt_s + SLACK_MS / 1000), "Played is not told before the end has sounded")
    law(at <= last + 0.7 + watch.rtt_s, "Played is told soon after the end has sounded")


async def _rates(watch: Watch) -> None:
    """What is played at another rate than the line's sounds as it should."""
    pcm = native.Resampler(8000, 16000).push(spell("wide words")) + bytes(640)
    law(watch.leg.play(1, pcm, 16000) == len(pcm), "play takes what there is room for")
    watch.leg.end(1)
    await watch.until("Played follows what was heard", lambda: watch.of(native.Played))
    await asyncio.sleep(0.5)
    law(fold(watch.heard) == "wide words", f"the rate of what is played is heeded: {watch.heard!r}")


async def _marks(watch: Watch) -> None:
    """A mark is told when all before it has sounded, and not before."""
    leg = watch.leg
    leg.play(1, spell("one two three"), 8000)
    leg.mark(1, 7)
    leg.play(1, spell("four five six"), 8000)
    leg.mark(1, 8)
    leg.end(1)
    await watch.until("marks are told", lambda: len(watch.of(native.Marked)) == 2 and watch.of(native.Played))
    marked = [(one.utterance, one.mark) for one in watch.of(native.Marked)]
    law(marked == [(1, 7), (1, 8)], "marks are told in order, each of its utterance")
    first = next(when for when, event in watch.told if isinstance(event, native.Marked))
    began = watch.sounds[0][0]
    before = duration_ms("one two three") / 1000
    law(first >= began + before - (watch.rtt_s + SLACK_MS / 1000), "a mark is not told before its place has sounded")


async def _hushes(watch: Watch) -> None:
    """A hush stops the sound, and says what was heard of each utterance."""
    leg = watch.leg
    playing = asyncio.create_task(watch.plays(1, LONG))
    await watch.until("what is played is heard", lambda: watch.sounds)
    await asyncio.sleep(1.5)
    playing.cancel()
    leg.hush()
    at = asyncio.get_running_loop().time()
    await watch.until("Cut follows a hush", lambda: watch.of(native.Cut), 1.0)
    await asyncio.sleep(0.4)
    bound_s = watch.rtt_s + 0.1 + (leg.capabilities.carriage.buffer_ms if not _clears(leg) else 0) / 1000
    late = [when - at for when, _ in watch.sounds if when > at + bound_s]
    law(not late, f"a hush stops the sound: {max(late, default=0.0):.3f} s later it sounded still")
    cut = watch.of(native.Cut)
    law([one.utterance for one in cut] == [1], "each utterance that was not heard in full is Cut, once")
    law(cut[0].heard_ms <= cut[0].sent_ms, "no more is heard than was sent")
    truly = round((watch.sounds[-1][0] - watch.sounds[0][0]) * 1000) + 20
    law(-100 <= cut[0].heard_ms - truly <= 20, f"Cut says what was heard: {cut[0].heard_ms} ms, and it was {truly}")
    law(leg.play(1, spell("stale"), 8000) == len(spell("stale")), "what is stale is taken and forgotten")
    leg.end(1)
    await watch.plays(2, "and on")
    await watch.until("after a hush the next is heard", lambda: watch.of(native.Played))
    law([one.utterance for one in watch.of(native.Played)] == [2], "what was Cut is not Played")
    await asyncio.sleep(0.3)
    law(fold(watch.heard).endswith("and on") and "stale" not in fold(watch.heard), "what is stale is not heard")


def _clears(leg: AudioLeg) -> bool:
    carriage = leg.capabilities.carriage
    return carriage.paced_by == "us" or carriage.clear != "none"


async def _hears(watch: Watch) -> None:
    """What the far end says is told, with the edges of its speech."""
    watch.leg.listen("speech")
    await asyncio.sleep(0.5)
    await watch.says("a table for two please")
    await watch.until("speech begins and ends", lambda: watch.of(native.SpeechEnded))
    edges = [type(one) for _, one in watch.told if isinstance(one, native.SpeechBegan | native.SpeechEnded)]
    in_turn = edges == [native.SpeechBegan, native.SpeechEnded] * (len(edges) // 2)
    law(in_turn, "SpeechBegan comes before SpeechEnded, each once")
    reader, rate = Reader(), SteadyRate(8000)
    for one in watch.of(native.Heard):
        reader.push(rate.push(one.pcm, one.rate_hz))
    law("table for two" in reader.text, f"what was said is heard: {reader.text!r}")
    heard_ms = sum([len(one.pcm) * 500 / one.rate_hz for one in watch.of(native.Heard)])
    law(heard_ms <= (asyncio.get_running_loop().time() - watch.began) * 1000 + SLACK_MS, "nothing is heard twice")
    law(not watch.of(native.Digit), "no key is told that nobody pressed")
    watch.leg.listen("none")
    await asyncio.sleep(0.5)
    before = len(watch.of(native.Heard))
    await watch.says("not for you")
    await asyncio.sleep(1.0)
    law(len(watch.of(native.Heard)) == before, "with listen none nothing is heard")


async def _keys(watch: Watch) -> None:
    """Keys are told once each, in order; and ours arrive."""
    watch.far.press("15#")
    await watch.until("keys are told", lambda: len(watch.of(native.Digit)) >= 3)
    await asyncio.sleep(1.0)
    law("".join(one.key for one in watch.of(native.Digit)) == "15#", "each key is told once, in order")
    if watch.leg.capabilities.press and watch.leg.capabilities.carriage.keys:
        watch.leg.press("42")
        keys = lambda: "".join([one.key for _, one in watch.there if isinstance(one, native.Digit)])  # noqa: E731
        await watch.until("keys that are pressed arrive", lambda: keys() == "42")


async def _tapes(watch: Watch) -> None:
    """A tape has both sides, without a gap, to the moment of its end."""
    if not watch.leg.capabilities.tape:
        return
    watch.leg.tape(True)
    at = asyncio.get_running_loop().time()
    await watch.plays(1, "for the record")
    await watch.until("what is played is heard", lambda: watch.of(native.Played))
    await watch.says("thank you")
    await asyncio.sleep(duration_ms("thank you") / 1000 + watch.rtt_s)
    watch.leg.tape(False)
    taped_s = asyncio.get_running_loop().time() - at
    await watch.until("Taped comes", lambda: watch.of(native.Taped))
    await asyncio.sleep(0.3)
    pieces = watch.of(native.Taped)
    frames = sum([len(one.pcm) // 4 for one in pieces])
    law(abs(frames / pieces[0].rate_hz - taped_s) <= 0.2, "the tape is as long as it ran")
    for one, other in pairwise(pieces):
        law(abs(other.at - one.at - len(one.pcm) // 4 * SECOND // one.rate_hz) <= SECOND // 1000, "it has no gap")
    for side, words in ((0, "thank you"), (2, "for the record")):
        reader, rate = Reader(), SteadyRate(8000)
        for one in pieces:
            mono = b"".join([one.pcm[at : at + 2] for at in range(side, len(one.pcm), 4)])
            reader.push(rate.push(mono, one.rate_hz))
        law(fold(reader.text) == words, f"the tape has the far end left and ours right: {reader.text!r}")


async def _ends(watch: Watch) -> None:
    """The end is told once, and last; after it nothing raises."""
    leg = watch.leg
    await watch.plays(1, "farewell")
    await watch.far.hangup()
    await watch.until("HungUp follows the far end's", lambda: watch.of(HungUp))
    await _is_over(watch, "remote_hangup")
    law(leg.play(2, b"\0\0", 8000) == 2, "after the end all is taken")
    leg.end(2)
    leg.hush()
    leg.listen("all")
    leg.tape(False)
    await leg.hangup()
    await asyncio.sleep(0.2)
    law(len(watch.of(HungUp)) == 1, "HungUp is told once")


async def _hangs_up(watch: Watch) -> None:
    """We hang up: it is told once, and the far end is told."""
    await watch.hangs_up()
    await watch.hangs_up()
    await watch.until("HungUp follows ours", lambda: watch.of(HungUp))
    await _is_over(watch, "hangup")
    await watch.until("the far end is told", lambda: [one for _, one in watch.there if isinstance(one, HungUp)])


async def _is_over(watch: Watch, reason: str) -> None:
    law(isinstance(watch.told[-1][1], HungUp), "nothing is told after HungUp")
    over = watch.of(HungUp)[0]
    law((over.reason, over.code) == (reason, 200), f"HungUp says why: {reason} 200, not {over.reason} {over.code}")
    law(len(watch.of(Connected)) == 1, "Connected is told once")


async def _refuses(watch: Watch) -> None:
    """What can't be done says so, and nothing else happens."""
    for verb in (lambda: watch.leg.press("x"), lambda: watch.leg.play(1, b"\0", 8000)):
        try:
            verb()
        except ValueError:
            continue
        except OffhookError as error:
            raise LegBroken(f"a wrong argument is a ValueError, not {error!r}") from None
        raise LegBroken("a wrong argument is a ValueError")


CHECKS: Final[tuple[Callable[[Watch], Awaitable[None]], ...]] = (
    _is_heard,
    _rates,
    _marks,
    _hushes,
    _hears,
    _keys,
    _tapes,
    _ends,
    _hangs_up,
    _refuses,
)
"""The laws, one a call."""
