"""The process under test of `turn`: many calls with everything but a network and models that take time.

    SpeechEnded put into the leg ─► Session ─► Conversation ─► Stt (answers at once) ─► Conversation ─► Brain.reply
    └──────────────────────────────── what is measured ───────────────────────────────────────────────┘

With `function_model` the mind is a Pydantic AI agent on its FunctionModel, and the clock stops at the first word that
comes out of the brain. While it is measured every call has turns, speech in pieces of 20 ms, and answers that are
spoken and heard. `alone` runs the same Pydantic AI agent one reply after the other, with nothing of ours around it.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Any, Literal

import pydantic_ai
from pydantic_ai.messages import ModelMessage
from pydantic_ai.models.function import AgentInfo, FunctionModel

from offhook import _native as native
from offhook.agent.history import History
from offhook.call import Agent, Call, Models
from offhook.call.leg import AudioLeg, CallInfo, Capabilities, Heard, LegEvent
from offhook.call.protocols import Brain, Pause, Speech, Thought, Transcript
from offhook.carriers.inbox import Inbox
from offhook.core.errors import NotAllowed
from offhook.core.ids import CallId
from offhook.core.instants import SECOND
from offhook.core.signals import Connected, HungUp
from offhook.providers.brain import Minds
from offhook.run.memory import settle_memory
from offhook.run.serve import run_live
from offhook.testing.bench.machine import tell

TURN_S = (3.0, 5.0)
"""A call has a turn every three to five seconds, each at its own time."""

GATE_S = 0.2
"""What the gate waits before it closes."""

SPEECH_PIECES = 40
PIECE = bytes(320)
ANSWER = "Certainly, at seven."


class Clock:
    """When each call's caller stopped speaking, and what was measured."""

    def __init__(self) -> None:
        self.stopped: dict[str, int] = {}
        self.overheads_ms: list[float] = []

    def asked(self, call: str) -> None:
        """Take that the brain of a call was reached; only the first time in a turn counts."""
        at = self.stopped.pop(call, None)
        if at is not None:
            self.overheads_ms.append((time.perf_counter_ns() - at) / 1e6)


class StraightLeg:
    """A leg without a network: all that is queued is sent at once, and heard 100 ms later."""

    capabilities = Capabilities()
    rate_hz = 8000

    def __init__(self, number: int) -> None:
        self.info = CallInfo(CallId(f"call-{number}"), "inbound", "sip:caller@here", "sip:agent@here")
        self.inbox = Inbox()
        self._loop = asyncio.get_running_loop()
        self._seq = 0
        self._sent: dict[int, int] = {}

    def now(self) -> int:
        """The loop's time, ns."""
        return round(self._loop.time() * SECOND)

    def seq(self) -> int:
        """The next number of an event."""
        self._seq += 1
        return self._seq

    def events(self) -> AsyncIterator[LegEvent]:
        """Give what was put in."""
        return self.inbox

    def ring(self) -> None:
        """Nobody waits."""

    async def early(self) -> None:
        """Nothing sounds before the answer."""

    async def reject(self, meaning: str) -> None:
        """Be over."""
        await self.hangup(480)

    async def answer(self) -> None:
        """Be up at once."""
        self.inbox.put(Connected(self.now()))
        self.inbox.put(native.Flowing(0, self.seq(), self.now()))

    async def hangup(self, code: int = 200) -> None:
        """End."""
        self.inbox.put(HungUp(self.now(), code, "hangup"))

    async def connected(self) -> None:
        """Be up at once."""

    async def transfer(self, target: str, consultation: AudioLeg | None = None) -> None:
        """Nobody is transferred here."""

    async def hold(self, on: bool) -> bool:
        """Nobody is held here."""
        return False

    async def consult(self, target: str) -> AudioLeg:
        """Nobody is called here."""
        raise NotAllowed(target)

    def mix(self, heard: Sequence[Heard]) -> None:
        """Nobody is heard here."""

    def part(self) -> None:
        """Nobody is heard here."""

    def bed(self, sound: native.Sound | None, level_db: float, duck_db: float) -> None:
        """Nothing sounds under it."""

    def listen(self, mode: Literal["all", "speech", "none"], gain_control: bool = False) -> None:
        """All is heard."""

    def play(self, utterance: int, pcm: bytes, rate_hz: int) -> int:
        """Take everything."""
        self._sent[utterance] = self._sent.get(utterance, 0) + len(pcm) * 500 // rate_hz
        return len(pcm)

    def end(self, utterance: int) -> None:
        """Have it heard soon."""
        self._loop.call_later(0.1, self._played, utterance)

    def _played(self, utterance: int) -> None:
        sent = self._sent.pop(utterance, None)
        if sent is not None:
            self.inbox.put(native.Played(0, self.seq(), self.now(), utterance, sent))

    def hush(self) -> None:
        """Cut what is not heard yet."""
        for utterance, sent in self._sent.items():
            self.inbox.put(native.Cut(0, self.seq(), self.now(), utterance, 1, sent, sent, False))
        self._sent.clear()

    def mark(self, utterance: int, mark: int) -> None:
        """Pass every mark at once."""
        self.inbox.put(native.Marked(0, self.seq(), self.now(), utterance, mark))

    def watch(self, kinds: Collection[str]) -> None:
        """No tones."""

    def arm(self, depth_db: float | None) -> None:
        """No reflex."""

    def restore(self) -> None:
        """No reflex."""

    def press(self, keys: str) -> None:
        """No keys."""

    def tape(self, on: bool) -> None:
        """No tape."""

    def pipeline(self) -> tuple[str, str]:
        """Nothing lies between."""
        return "straight", "straight"

    def counters(self) -> Mapping[str, int]:
        """Nothing is counted."""
        return {}


class InstantStt:
    """An ear that knows at once what was said."""

    name = "instant"

    async def check(self) -> None:
        """Be ready."""

    async def listen(
        self, audio: AsyncIterator[bytes | Pause], *, rate_hz: int = 8000, language: str = "en"
    ) -> AsyncIterator[Transcript]:
        """Answer each pause at once."""
        async for piece in audio:
            if isinstance(piece, Pause):
                yield Transcript("A table for four people, please.", piece.number)


class InstantTts:
    """A voice that takes no time."""

    name = "instant"

    async def check(self) -> None:
        """Be ready."""

    async def speak(self, sentences: AsyncIterator[str], *, voice: str | None = None) -> AsyncIterator[Speech]:
        """Give 200 ms for each sentence."""
        number = 0
        async for _ in sentences:
            yield Speech(number, bytes(3200), 8000, last=True)
            number += 1


class TimedBrain:
    """Stops the clock of a turn: when it is asked, or at the first word of the mind behind it."""

    name = "timed"

    def __init__(self, clock: Clock, behind: Brain | None) -> None:
        self._clock, self._behind = clock, behind

    async def check(self) -> None:
        """Be ready."""

    async def reply(self, history: History, call: Call) -> AsyncIterator[Thought]:
        """Answer."""
        if self._behind is None:
            self._clock.asked(call.id)
            yield ANSWER
            return
        async for thought in self._behind.reply(history, call):
            self._clock.asked(call.id)
            yield thought


async def _words(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
    for word in ANSWER.split(" "):
        yield f"{word} "


async def talk(leg: StraightLeg, clock: Clock, rng: random.Random) -> None:
    """Be a caller: speak, stop, wait for the answer, again."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(rng.uniform(0.0, TURN_S[1]))
    while True:
        leg.inbox.put(native.SpeechBegan(0, leg.seq(), leg.now()))
        for _ in range(SPEECH_PIECES):
            leg.inbox.put(native.Heard(0, leg.seq(), leg.now(), PIECE))
            await asyncio.sleep(0.02)
        loop.call_later(GATE_S, stop, leg, clock)
        await asyncio.sleep(rng.uniform(*TURN_S) - SPEECH_PIECES * 0.02)


def stop(leg: StraightLeg, clock: Clock) -> None:
    """Say that the caller has stopped, from a callback of the loop, as the media plane does."""
    event = native.SpeechEnded(0, leg.seq(), leg.now() - round(GATE_S * SECOND), round(GATE_S * 1000))
    clock.stopped[leg.info.id] = time.perf_counter_ns()
    leg.inbox.put(event)


async def alone(clock: Clock) -> None:
    """Let Pydantic AI reply by itself, again and again."""
    agent = pydantic_ai.Agent(FunctionModel(stream_function=_words), instructions="You answer the phone.")
    while True:
        clock.stopped["alone"] = time.perf_counter_ns()
        async with agent.iter("A table for four people, please.") as run:
            async for node in run:
                if pydantic_ai.Agent.is_model_request_node(node):
                    async with node.stream(run.ctx) as stream:
                        async for _ in stream:
                            clock.asked("alone")
        await asyncio.sleep(0.001)


async def serve(mode: str, calls: int, seed: int) -> None:
    """Hold the calls; give what was measured since the last order at each order; end with stdin."""
    clock, rng = Clock(), random.Random(seed)
    agent = Agent("You answer the phone.", greeting="")
    behind = Minds(FunctionModel(stream_function=_words))(agent) if mode == "function_model" else None
    brain = TimedBrain(clock, behind)
    models = Models(brain=lambda agent: brain, stt=InstantStt(), tts=InstantTts())
    legs = [StraightLeg(number) for number in range(0 if mode == "alone" else calls)]
    tasks: list[asyncio.Task[Any]] = [asyncio.create_task(Call(leg, agent, models=models).run()) for leg in legs]
    tasks += [asyncio.create_task(talk(leg, clock, rng)) for leg in legs]
    tasks += [asyncio.create_task(alone(clock))] if mode == "alone" else []
    settle_memory()
    tell(ready=True)
    while await asyncio.to_thread(sys.stdin.readline):
        measured, clock.overheads_ms = clock.overheads_ms, []
        tell(overheads_ms=[round(one, 4) for one in measured], broken=sum(task.done() for task in tasks))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    run_live(lambda: serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
