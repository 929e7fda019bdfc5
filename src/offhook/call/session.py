"""The running of one call: events go in, the conversation decides, its orders are carried out.

    leg.events() ─┬─ Heard ─► listening ─► Stt ────┐
                  ├─ Room, Marked ─► mouthpiece    │ tell
                  └─ all else ─────────────────────┴─► Conversation ─► orders ─► runs, leg, listeners, verbs
                                                           ▲ expire: one timer of the loop

Everything that others wrote (brain, voice, tools, the author's script) runs in tasks of this call that are watched, not
in a plain TaskGroup: there, an error of theirs would cut the caller off in mid-word, here the caller hears an apology.
None outlives the call: speech is cancelled when it is over, tools and the script have `tool_grace_ms` to finish.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, assert_never

from offhook import _native as native
from offhook.agent import inputs, orders
from offhook.agent.conversation import Conversation
from offhook.agent.history import History
from offhook.agent.manners import Manners
from offhook.call import events
from offhook.call.agents import Agent, AgentFunction, AgentLike, answers_itself
from offhook.call.alarm import Alarm
from offhook.call.ambience import Ambience, Bed
from offhook.call.before import BeforeAnswer
from offhook.call.conference import Conference
from offhook.call.leg import AudioLeg, LegEvent
from offhook.call.listening import Listening
from offhook.call.machines import Machines
from offhook.call.models import Models
from offhook.call.mouthpiece import Mouthpiece
from offhook.call.outcome import as_text, failure
from offhook.call.pipeline import Stage, through
from offhook.call.readers import Readers
from offhook.call.reports import Reports
from offhook.call.room import Room
from offhook.call.runs import Runs
from offhook.call.speaking import RUN, Speaking
from offhook.call.verbs import Verbs
from offhook.call.wording import Wording
from offhook.core.errors import CallEnded, ConfigError, NotAllowed
from offhook.core.ids import Turn
from offhook.core.instants import SECOND, Instant
from offhook.core.signals import AnsweredBy, Connected, HungUp, Identified, OneWay, Redirected, Ringing, Texted

if TYPE_CHECKING:
    from offhook.call.call import Call
    from offhook.call.second import Second

_T = TypeVar("_T")
_Done = Callable[[asyncio.Task[None]], None]
_log = logging.getLogger("offhook.call")
TEXTS = 100
"""Texts of the far end that are kept; of more, the oldest go."""


class Session:
    """One call at work. `Call` is its public face."""

    def __init__(
        self,
        call: Call,
        leg: AudioLeg,
        agent: AgentLike,
        models: Models,
        listener: events.CallEvents | None,
        tape: Callable[[native.Taped], None] | None,
        ambience: Ambience | None,
        history: History,
    ) -> None:
        self.leg = leg
        self._wording = leg if isinstance(leg, Wording) else None
        self.models = self._wording.models(models) if self._wording else models
        self.hears = self._wording is not None or models.stt is not None
        self.mouthpiece = Mouthpiece(leg)
        self.reports = Reports(leg.info.id, listener)
        self.digits = ""
        self.texts: deque[str] = deque(maxlen=TEXTS)
        self.ended: events.Ended | None = None
        self.over, self.up = asyncio.Event(), asyncio.Event()
        """`up` is set once the call was answered, or is over."""
        self.room = Room(leg)
        self.conference = Conference(self)
        self.before = BeforeAnswer(self)
        self.machines = Machines(self)
        self.bed = Bed(leg, (agent.ambience if isinstance(agent, Agent) else None) or ambience)
        self.before_words: Callable[[], None] | None = None
        """Called when words are to be said: whatever else sounds ends its utterance."""
        self._call = call
        self._loop = asyncio.get_running_loop()
        self._tape = tape
        self._tasks: dict[asyncio.Task[None], _Done] = {}
        self._lasting: dict[asyncio.Task[Any], None] = {}
        self._script: asyncio.Task[object] | None = None
        self._verbs = Verbs(self.tell)
        self._runs = Runs(self, call, self._verbs)
        self._held_for: set[object] = set()
        self.readers = Readers(self.listen, early=not isinstance(agent, Agent))
        self._reason: str | None = None
        self.bridged: Second | None = None
        """Who the caller speaks with instead of us."""
        self._cast(agent)
        persona = agent if isinstance(agent, Agent) else None
        self.conversation = Conversation(
            self.manners,
            greeting=persona.greeting if persona and not history else "",
            replies=persona is not None,
            hears=self.hears,
            timed=leg.capabilities.words != "turns",
            language=self.language,
            history=history,
        )
        self._alarm = Alarm(self.conversation.deadline, self._expire)
        told = self._transcribed
        self._listening = self._wording.ear(told) if self._wording else Listening(models.stt, self.language, told)

    def _cast(self, agent: AgentLike) -> None:
        self.agent = agent
        manners = agent.manners if isinstance(agent, Agent) else Manners()
        self.manners = self._wording.manners(manners) if self._wording else manners
        self.language = agent.language if isinstance(agent, Agent) else "en"
        self.voice = (agent.voice if isinstance(agent, Agent) else None) or self.models.voice
        self._brain = None
        if isinstance(agent, Agent):
            if self.models.brain is None:
                raise ConfigError("this agent needs a model to think with: configure one ([models] llm)")
            self._brain = self.models.brain(agent)

    # The call, from its first event to its last task

    async def run(self) -> events.Ended:
        """Answer, converse until the end, wind up."""
        info = self.leg.info
        self.reports.tell(events.Incoming(self.time, info.id, info.caller, info.called, info.direction))
        try:
            if info.direction == "inbound":
                if isinstance(self.agent, Agent) or not answers_itself(self.agent):
                    ring_s = self.agent.ring_s if isinstance(self.agent, Agent) else 0.0
                    self.watch(self.before.open(ring_s), self._opened)
                else:
                    self.start(self.agent)
            async for event in self.leg.events():
                self._event(event)
        finally:
            await self._wind_up()
        assert self.ended is not None
        if self._script is not None and not self._script.cancelled():
            error = self._script.exception()
            if error is not None and not isinstance(error, CallEnded):
                raise error
        return self.ended

    async def _wind_up(self) -> None:
        if self.ended is None:  # we were cancelled, or broke: the far end must not be left hanging
            await self.leg.hangup(500)
            self.tell(HungUp(self.now, 500, self._reason or "cancelled"))
        self._alarm.stop()
        for task in list(self._tasks):
            task.cancel()
        self._verbs.over()
        self.before.over()
        self.readers.over()
        await self.conference.close()
        lasting = list(self._lasting)
        if lasting:
            _, late = await asyncio.wait(lasting, timeout=self.manners.tool_grace_ms / 1000)
            for task in late:
                _log.warning("a tool of %s did not finish after the call", self.leg.info.id)
                task.cancel()
        rest = [*self._tasks, *self._lasting]
        if rest:
            await asyncio.wait(rest)

    @property
    def now(self) -> Instant:
        """The loop's clock, in nanoseconds."""
        return round(self._loop.time() * SECOND)

    @property
    def time(self) -> float:
        """The loop's clock, in seconds."""
        return self._loop.time()

    def pipeline(self) -> Stage:
        """Give the way of the audio through the call, from the far end and back."""
        mind = self._brain.name if self._brain is not None else "script"
        return through(self.leg, self._listening, mind, self.models.tts, self.mouthpiece)

    # Inputs

    def _event(self, event: LegEvent) -> None:
        match event:
            case native.Heard():
                self._listening.hear(event)
                self.readers.put(event)
            case native.Room():
                self.mouthpiece.room()
            case native.Played() if not self.before.answered:
                self.before.played(event.utterance)
            case native.Marked():
                self.reports.first_sound_sent(event.utterance)
            case native.Taped():
                if self._tape is not None:
                    self._tape(event)
            case native.Quality() | native.OneWay() | OneWay() | native.Secured() | native.Severed():
                self.reports.of_line(event)
            case native.Digit() if self.bridged is not None:
                self.bridged.press(event.key)
            case native.Digit():
                self.digits += event.key
                self.reports.tell(events.Digit(self.time, self.leg.info.id, event.key))
                self.tell(event)
            case native.Tone():
                self.machines.heard(event, self._call)
            case AnsweredBy():
                self.machines.found(event.what, self._call)
            case native.Cut():
                self.mouthpiece.cut(event.utterance)
                self.reports.tell(events.Cut(self.time, self.leg.info.id, event.heard_ms))
                self.tell(event)
            case native.SpeechEnded():
                self.tell(event)
                self.reports.speech_ended(self.conversation.turn, event.at)
            case Ringing():
                self.reports.tell(events.Progress(self.time, self.leg.info.id, event.code, event.early))
            case Identified():
                self.reports.identity(event.verdict)
            case Redirected():
                self.reports.tell(events.Redirected(self.time, self.leg.info.id, event.to, event.code))
            case Texted():
                self.texts.append(event.text)
                self.reports.tell(events.Text(self.time, self.leg.info.id, event.text))
            case Connected():
                self._connected(event)
            case _:
                self.tell(event)

    def _connected(self, event: Connected) -> None:
        """Begin to listen: not a moment before the answer."""
        self.before.answered = True
        self.machines.answered(self._call)
        if self.hears:
            self.listen()
        if self._tape is not None:
            self.leg.tape(True)
        self.reports.tell(events.Answered(self.time, self.leg.info.id, str(self.pipeline())))
        self.tell(event)
        self.up.set()
        self.watch(self.bed.wait(None))
        if not isinstance(self.agent, Agent) and self._script is None:
            self.start(self.agent)

    def _opened(self, task: asyncio.Task[None]) -> None:
        if failure(task, "leg") is not None:
            self.watch(self.leg.hangup(500))

    def start(self, script: AgentFunction) -> None:
        """Run an author's script; when it ends, so does the call."""
        self._script = self._loop.create_task(_await(script(self._call)))
        self._lasting[self._script] = None
        self._script.add_done_callback(self._script_done)

    def _script_done(self, task: asyncio.Task[object]) -> None:
        self._lasting.pop(task, None)
        if task is not self._script:
            failure(task, "script")  # it has handed the call over
            return
        failed = not task.cancelled() and task.exception() is not None  # asked for in any case: `run` may be cancelled
        if self.ended is not None:
            return
        if not self.before.answered:  # nobody took the call
            self._reason = "failed" if failed else "unanswered"
            self.watch(self.leg.hangup(500 if failed else 480))
            return
        self.tell(
            inputs.Leave(self.manners.apology if failed and self._can_speak() else "", "failed" if failed else "hangup")
        )

    def _can_speak(self) -> bool:
        return self.models.tts is not None or self.manners.apology in self.models.rendered

    def _transcribed(self, given: inputs.Transcribed) -> None:
        times = self.reports.timeline.get(given.turn)
        if times is not None and given.pause is not None and times.decided is None:
            times.transcribed = self.now
        self.tell(given)

    def tell(self, given: inputs.Input) -> None:
        """Give the conversation an input and carry out what it orders."""
        if self.ended is not None:
            self.conversation.feed(self.now, given)  # what a tool still did belongs to the history
            return
        for order in self.conversation.feed(self.now, given):
            self._carry_out(order)
        if isinstance(given, HungUp):
            ours = self._reason if given.reason == "hangup" else None
            reason = "transferred" if self.bridged is not None else ours or given.reason
            self.conference.over()
            self.ended = self.reports.ended(reason, given.code, given.meaning)
            self.over.set()
            self.up.set()
        self._alarm.follow()

    def _expire(self, now: Instant) -> None:
        for order in self.conversation.expire(now):
            self._carry_out(order)

    # Orders

    def _carry_out(self, order: orders.Order) -> None:
        match order:
            case orders.Listen(turn=turn):
                self.reports.of(turn)
                self._listening.begin(turn, self.now)
                self.watch(self._listening.run(turn), partial(self._ear_done, turn))
            case orders.Transcribe(turn=turn, pause=pause):
                self._listening.pause(turn, pause)
            case orders.Forget(turn=turn):
                self._listening.end(turn)
                self.reports.timeline.pop(turn, None)
            case orders.Reply():
                assert self._brain is not None
                self._runs.reply(order, self._brain)
            case orders.Commit(turn=turn, run=run):
                self._listening.end(turn)
                times = self.reports.of(turn)
                times.decided = self.now
                self._runs.commit(run)
            case orders.Stop(run=run):
                self._runs.stop(run)
            case orders.Say():
                self._runs.say(order)
            case orders.Hush():
                self.leg.hush()
            case orders.Arm(depth_db=depth):
                self.leg.arm(depth)
            case orders.Restore():
                self.leg.restore()
            case orders.Note(entry=entry):
                self.reports.note(entry)
            case orders.Settled(ticket=ticket, text=text, whole=whole):
                self._verbs.settle(ticket, text, whole=whole)
            case orders.Wait():
                assert self._wording is not None
                self._wording.wait(order)
            case orders.End(reason=reason):
                self._reason = reason
                self.watch(self.leg.hangup())
            case _:
                assert_never(order)

    def watch(self, work: Coroutine[Any, Any, None], done: _Done | None = None) -> asyncio.Task[None]:
        """Do something for as long as the call lasts."""
        task = self._loop.create_task(work)
        self._tasks[task] = done or _ignore
        task.add_done_callback(self._unwatch)
        return task

    def _unwatch(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task)(task)

    def _ear_done(self, turn: Turn, task: asyncio.Task[None]) -> None:
        if failure(task, "ear") is not None:
            self.soon(inputs.Failed(turn, 0, "ear"))

    def soon(self, given: inputs.Input) -> None:
        """Tell the conversation from a task's own callback: the orders that follow may cancel that very run."""
        self._loop.call_soon(self.tell, given)

    # What the verbs need

    def ticket(self) -> int:
        """Give the number of a new verb."""
        return self._verbs.ticket()

    async def verb(self, ticket: int, given: inputs.Input) -> tuple[str, bool]:
        """Tell the conversation a wish and wait until it is settled. CallEnded if the call ends first."""
        self.alive()
        return await self._verbs.wait(ticket, given)

    async def sound(self) -> Speaking:
        """Open a run for audio that the author plays; returns when it may sound."""
        self.alive()
        return await self._verbs.sound()

    def hold(self, why: object, *, on: bool) -> None:
        """Keep the conversation off the line for a reason, or end that; it goes on when there is no reason left."""
        was = bool(self._held_for)
        if on:
            self._held_for.add(why)
        else:
            self._held_for.discard(why)
        if bool(self._held_for) != was:
            self.tell(inputs.Hold(on=not was))

    def alive(self) -> None:
        """Raise CallEnded if the call is over, NotAllowed if it is not answered yet."""
        if self.ended is not None:
            raise CallEnded("the call is over")
        if not self.before.answered:
            raise NotAllowed("the call is not answered yet: await call.answer() first")

    def listen(self) -> None:
        """Hear the caller as far as somebody listens."""
        mode = "all" if self.readers else "speech" if self.models.stt is not None else "none"
        self.leg.listen(mode, isinstance(self.agent, Agent) and self.agent.gain_control)

    async def committed(self) -> None:
        """Wait until the turn that this task answers is committed."""
        run = RUN.get()
        if run is not None:
            await run.committed.wait()

    async def work(
        self, name: str, call_id: str, arguments: Mapping[str, Any], work: Callable[[], Awaitable[_T]]
    ) -> _T:
        """Run a tool as work of the call: it goes on when the reply that began it is stopped."""
        await self.committed()
        self.alive()
        run = RUN.get()
        turn = run.turn if run else self.conversation.turn
        task = self._loop.create_task(_await(work()))
        self._lasting[task] = None
        task.add_done_callback(partial(self._worked, turn, call_id))
        _log.debug("tool %s began in %s", name, self.leg.info.id)
        return await asyncio.shield(task)

    def _worked(self, turn: Turn, call_id: str, task: asyncio.Task[Any]) -> None:
        self._lasting.pop(task, None)
        if task.cancelled():
            self.tell(inputs.ToolDone(turn, call_id, "cancelled", failed=True))
            return
        error = task.exception()
        if error is None:
            self.tell(inputs.ToolDone(turn, call_id, as_text(task.result())))
        else:
            self.tell(inputs.ToolDone(turn, call_id, as_text(error), failed=True))

    def hand_over(self, agent: AgentLike) -> None:
        """Let another agent go on. ConfigError if there is no model for it."""
        self._cast(agent)
        self._listening.language = self.language
        replies = isinstance(agent, Agent)
        self.tell(inputs.HandOver(self.manners, agent.greeting if replies else "", replies, self.language))
        self._script = None  # the call is the new one's: the end of the old script is not the end of the call
        if not isinstance(agent, Agent):
            self.start(agent)


async def _await(work: Awaitable[_T]) -> _T:
    return await work


def _ignore(task: asyncio.Task[None]) -> None:
    failure(task, "leg")
