"""What a call of ours is saying: its runs, from the order that begins one to its end, or to the order that stops it.

Reply ─► brain ─► Speaking ─► voice ─► the mouth        Say ─► Speaking ─► voice, or a rendering ─► the mouth
Commit ─► what a run's tools wait for                   Stop ─► its tasks are cancelled, and it never happened
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Literal

from offhook.agent import inputs, orders
from offhook.call.outcome import failure
from offhook.call.protocols import Brain
from offhook.call.speaking import Speaking
from offhook.call.verbs import Verbs
from offhook.core.ids import Turn

if TYPE_CHECKING:
    from offhook.call.call import Call
    from offhook.call.session import Session


class Runs:
    """The runs of one call, by their numbers."""

    def __init__(self, session: Session, call: Call, verbs: Verbs) -> None:
        self._session = session
        self._call = call
        self._verbs = verbs
        self._live: dict[int, Speaking] = {}

    def reply(self, order: orders.Reply, brain: Brain) -> None:
        """Have the brain think, and speak what it says."""
        session = self._session
        run = self._begin(order.turn, order.run)
        session.reports.of(order.turn).first_token = None
        thoughts = brain.reply(order.history, self._call)
        run.tasks.append(session.watch(run.think(thoughts), partial(self._done, run, "brain")))
        # The brain is asked first: until it answers there is nothing to speak.
        asyncio.get_running_loop().call_soon(self._speak, run)

    def say(self, order: orders.Say) -> None:
        """Speak a text that is there."""
        session = self._session
        run = self._begin(order.turn, order.run)
        run.ticket = order.ticket
        if self._verbs.begins(run):
            return
        if session.before_words is not None:
            asyncio.get_running_loop().call_soon(session.before_words)
        run.say(order.text, rendered=order.text in session.models.rendered)
        self._speak(run)

    def commit(self, number: int) -> None:
        """Let a run do what can't be undone."""
        if number in self._live:
            self._live[number].committed.set()

    def stop(self, number: int) -> None:
        """Stop a run, as if it had never been."""
        run = self._live.pop(number, None)
        if run is not None:
            run.stopped = True
            for task in run.tasks:
                task.cancel()

    def _begin(self, turn: Turn, number: int) -> Speaking:
        session = self._session
        eager = bool(session.leg.capabilities.words)  # who speaks words needs no sentence to begin
        run = self._live[number] = Speaking(turn, number, session.tell, session.reports, eager=eager)
        return run

    def _speak(self, run: Speaking) -> None:
        if run.stopped:
            return
        session = self._session
        models = session.models
        speech = run.speak(models.tts, session.voice, session.mouthpiece, models.rendered.get)
        run.tasks.append(session.watch(speech, partial(self._done, run, "voice")))

    def _done(self, run: Speaking, stage: Literal["brain", "voice"], task: asyncio.Task[None]) -> None:
        error = failure(task, stage)
        if error is not None:
            self._verbs.fail(run.ticket, error)
            self._session.soon(inputs.Failed(run.turn, run.number, stage))
        elif stage == "voice":
            self._live.pop(run.number, None)
