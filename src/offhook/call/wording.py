"""A text leg in the place of an audio leg: the service's own ear and voice under the conversation that all calls have.

    Words, Interrupted ─► SpeechBegan, what was said, SpeechEnded ─► Conversation (its turns, its history, its tools)
    phrases ─► WordVoice ─► mouthpiece ─► say ─► the service ─► Played, Cut, by what it tells or by letters (`aloud`)

Laws: the service says when the caller's turn is over, we say what comes of it; what was heard of us is what the service
says of it, and only where it says nothing what its clock makes likely; who can only hear words is played nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, Literal

from offhook import _native as native
from offhook.agent.inputs import Transcribed
from offhook.agent.manners import Manners
from offhook.agent.orders import Wait
from offhook.call.alarm import Alarm
from offhook.call.aloud import Aloud
from offhook.call.feed import Feed
from offhook.call.leg import AudioLeg, CallInfo, Capabilities, Heard, LegEvent
from offhook.call.models import Models
from offhook.call.pipeline import Stage
from offhook.call.protocols import Speech
from offhook.call.text import TextEvent, TextLeg, Uttered, Words
from offhook.core.errors import NotAllowed
from offhook.core.ids import Turn
from offhook.core.instants import SECOND, Instant
from offhook.core.signals import Connected, HungUp, Interrupted, Reworded

EVENTS: Final = 10_000
"""Events that wait for the call; it takes them as they come."""
WORDS_S: Final = 6.0
"""Who began to speak, and is not understood within this, said nothing."""
HOLD_OPEN_MS: Final = 600
"""A service ends a turn by silence alone: after "and", and among digits, wait so much longer."""


class WordVoice:
    """A Tts for a service that speaks: it hands on what it is given, a sentence or a piece of one."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def check(self) -> None:
        """Say nothing: the service shows itself."""

    async def speak(self, sentences: AsyncIterator[str], *, voice: str | None = None) -> AsyncIterator[Speech]:
        """Give each text as it is, with its blanks."""
        number = 0
        async for text in sentences:
            yield Speech(number, b"", 8000, text=text)
            number += 1


class Dictation:
    """The ear of a call whose service hears: it has the words before they are asked for."""

    def __init__(self, name: str, tell: Callable[[Transcribed], None]) -> None:
        self.language = ""
        self._name = name
        self._tell = tell
        self._said: list[str] = []
        self._turn: Turn | None = None

    def stage(self, down: Stage) -> Stage:
        """Say who turns sound into words, and where they go."""
        return Stage(self._name, down)

    def hear(self, piece: native.Heard) -> None:
        """Do nothing: no sound comes."""

    def begin(self, turn: Turn, at: Instant) -> None:
        """Open a turn."""
        self._turn = turn
        self._said.clear()

    def words(self, text: str) -> None:
        """Take what was said; nothing if nobody listens."""
        if self._turn is not None:
            self._said.append(text)

    def pause(self, turn: Turn, number: int) -> None:
        """Give the words so far, once what is going on is done."""
        if turn == self._turn:
            given = Transcribed(turn, number, " ".join(self._said))
            asyncio.get_running_loop().call_soon(self._tell, given)

    def end(self, turn: Turn) -> None:
        """Close a turn."""
        if turn == self._turn:
            self._turn = None

    async def run(self, turn: Turn) -> None:
        """Do nothing: who listens is elsewhere."""


class Wording:
    """An `AudioLeg` made of a `TextLeg`."""

    def __init__(self, leg: TextLeg) -> None:
        self._leg = leg
        self._loop = asyncio.get_running_loop()
        self._events: Feed[TextEvent | LegEvent] = Feed(EVENTS, newest=True)
        self._aloud = Aloud()
        self._alarm = Alarm(lambda: self._aloud.due, self._heard)
        self._dictation: Dictation | None = None
        self._speaking = False
        self._unheard_of: asyncio.TimerHandle | None = None
        self._interrupted: Interrupted | None = None
        self._cuts: list[LegEvent] = []
        self._seq = 0

    # What the call is given in the place of its models

    def ear(self, tell: Callable[[Transcribed], None]) -> Dictation:
        """Give the ear."""
        self._dictation = Dictation(self._leg.name, tell)
        return self._dictation

    def models(self, models: Models) -> Models:
        """Give the same mind with the service's voice."""
        return replace(models, stt=None, tts=WordVoice(self._leg.name), rendered={})

    def manners(self, manners: Manners) -> Manners:
        """Give the same manners without the waits that are the service's."""
        turns = self.capabilities.words == "turns"
        return replace(
            manners,
            greeting_wait_ms=0,
            hold_complete_ms=0,
            hold_ms=0,
            hold_open_ms=0 if turns else HOLD_OPEN_MS,
            keys_wait_ms=0 if turns else manners.keys_wait_ms,
            fillers=() if turns else manners.fillers,
        )

    # What it is

    @property
    def info(self) -> CallInfo:
        """Who calls whom."""
        return self._leg.info

    @property
    def capabilities(self) -> Capabilities:
        """What this leg can do: nothing that needs sound."""
        return replace(self._leg.capabilities, hold=False, bridge=False, tape=False)

    @property
    def rate_hz(self) -> int:
        """What its audio would run at."""
        return 8000

    def pipeline(self) -> tuple[str, str]:
        """Name the service, either way."""
        return self._leg.name, self._leg.name

    def counters(self) -> Mapping[str, int]:
        """Give the leg's counters."""
        return self._leg.counters()

    # Events

    async def events(self) -> AsyncIterator[LegEvent]:
        """Give every event once, in order; ends after `HungUp`."""
        pump = self._loop.create_task(self._pump())
        try:
            async for event in self._events:
                for told in self._translate(event):
                    yield told
            await pump
        finally:
            self._alarm.stop()
            self._close()
            pump.cancel()
            await asyncio.wait([pump])

    async def _pump(self) -> None:
        try:
            async for event in self._leg.events():
                self._events.put(event)
        finally:
            self._events.close()

    def _translate(self, event: TextEvent | LegEvent) -> Iterable[LegEvent]:
        match event:
            case Words(text=text, final=final):
                return self._words(text.strip(), final=final)
            case Interrupted():
                return self._stopped(event)
            case Uttered():
                for utterance in self._aloud.uttered(self.now, event.utterance):
                    self._tell(native.Played, utterance, 0)
                self._alarm.follow()
                return []
            case Reworded():
                self._aloud.reworded(event.utterance, event.asked, event.said)
                return [event]
            case native.Digit():
                return [event, *self._ended()]
            case Connected():
                return [event, native.Flowing(0, self._number(), self.now)]
            case HungUp():
                self._close()
                return [event]
            case _:
                return [event]

    def _words(self, text: str, *, final: bool) -> Iterator[LegEvent]:
        """What was said goes to the ear between the beginning and the end: by then the call has opened it."""
        if final and not text:
            yield from self._ended()
            return
        yield from self._began()
        if final and self._dictation is not None:
            self._dictation.words(text)
            yield from self._ended()

    def _stopped(self, event: Interrupted) -> Iterator[LegEvent]:
        self._interrupted = event
        yield from self._began()
        yield event
        self._interrupted = None
        cuts, self._cuts = self._cuts, []
        yield from cuts  # before all that has come since

    def _began(self) -> list[LegEvent]:
        if self._unheard_of is not None:
            self._unheard_of.cancel()
        self._unheard_of = self._loop.call_later(WORDS_S, self._nothing)
        if self._speaking:
            return []
        self._speaking = True
        return [native.SpeechBegan(0, self._number(), self.now)]

    def _ended(self) -> list[LegEvent]:
        self._close()
        if not self._speaking:
            return []
        self._speaking = False
        return [native.SpeechEnded(0, self._number(), self.now)]

    def _nothing(self) -> None:
        self._events.put(Words(self.now, ""))

    def _close(self) -> None:
        if self._unheard_of is not None:
            self._unheard_of.cancel()
            self._unheard_of = None

    # Verbs of signalling

    def ring(self) -> None:
        """Say that it rings."""
        self._leg.ring()

    async def early(self) -> None:
        """Do nothing: before the answer there is no way to the caller."""

    async def reject(self, meaning: str) -> None:
        """Refuse the call. ValueError for what can't be said so."""
        await self._leg.reject(meaning)

    async def answer(self) -> None:
        """Take the call. CallEnded if it went away."""
        await self._leg.answer()

    async def hangup(self, code: int = 200) -> None:
        """End the call."""
        await self._leg.hangup(code)

    async def connected(self) -> None:
        """Wait for the answer. DialFailed."""
        await self._leg.connected()

    async def transfer(self, target: str, consultation: AudioLeg | None = None) -> None:
        """Hand the far end to `target`. TransferFailed, CallEnded."""
        await self._leg.transfer(target)

    async def consult(self, target: str) -> AudioLeg:
        """Refuse: who is called by us could not be heard there."""
        raise NotAllowed("a call that is carried as words can't be joined to another")

    async def hold(self, on: bool) -> bool:
        """Say that the service holds nobody."""
        return False

    # Verbs of words

    def say(self, utterance: int, text: str) -> None:
        """Have a piece of an utterance spoken."""
        self._aloud.say(self.now, utterance, text)
        self._leg.say(utterance, text, last=False)

    def end(self, utterance: int) -> None:
        """Say that an utterance is complete."""
        self._leg.say(utterance, "", last=True)
        self._aloud.end(utterance)
        if self.capabilities.words == "turns":  # it is in the answer, and nobody will say more of it
            for heard in self._aloud.uttered(self.now, utterance):
                self._tell(native.Played, heard, 0)
        self._alarm.follow()

    def mark(self, utterance: int, mark: int) -> None:
        """Count what was handed over as begun."""
        self._tell(native.Marked, utterance, mark)

    def hush(self) -> None:
        """Have what was said dropped; a `Cut` comes for every utterance not yet heard in full."""
        theirs = self._interrupted
        told = theirs or self._leg.hush()
        heard = told if isinstance(told, Interrupted) else None
        for utterance, heard_ms in self._aloud.cut(self.now, heard, dropped=told is True):
            cut = native.Cut(0, self._number(), self.now, utterance, 0, heard_ms, heard_ms, theirs is not None)
            if theirs is not None:
                self._cuts.append(cut)
            else:
                self._events.put(cut)
        self._alarm.follow()

    def wait(self, wanted: Wait) -> None:
        """Let the caller speak."""
        self._leg.wait(wanted)

    def press(self, keys: str) -> None:
        """Send keys."""
        self._leg.press(keys)

    def _heard(self, now: Instant) -> None:
        for utterance in self._aloud.heard(now):
            self._tell(native.Played, utterance, 0)
        self._alarm.follow()

    # Verbs of sound, which there is none of

    def play(self, utterance: int, pcm: bytes, rate_hz: int) -> int:
        """Take sound that nobody will hear."""
        return len(pcm)

    def mix(self, heard: Sequence[Heard]) -> None:
        """Let the far end hear nobody else. NotAllowed if it should."""
        if heard:
            raise NotAllowed("a call that is carried as words can't be joined to another")

    def part(self) -> None:
        """Do nothing."""

    def bed(self, sound: native.Sound | None, level_db: float, duck_db: float) -> None:
        """Do nothing."""

    def listen(self, mode: Literal["all", "speech", "none"], gain_control: bool = False) -> None:
        """Do nothing."""

    def arm(self, depth_db: float | None) -> None:
        """Do nothing: the service's own reflex is no business of ours."""

    def restore(self) -> None:
        """Do nothing."""

    def watch(self, kinds: Collection[str]) -> None:
        """Do nothing."""

    def tape(self, on: bool) -> None:
        """Do nothing."""

    # Its clock

    @property
    def now(self) -> Instant:
        """The loop's clock, in nanoseconds."""
        return round(self._loop.time() * SECOND)

    def _number(self) -> int:
        self._seq += 1
        return self._seq

    def _tell(self, kind: Callable[..., LegEvent], *facts: object) -> None:
        self._events.put(kind(0, self._number(), self.now, *facts))
