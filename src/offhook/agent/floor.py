"""The floor of a conversation: its state, and the steps that can be taken on it.

    say  reply  commit  hush ─► runs and their orders        note ─► history        settle ─► what was heard of a run
    cut  forget  close ─► the caller's turn                  answer gathered leave end ─► the author's verbs

A step changes the state and orders what follows from it; which step to take, and when, is `Conversation`'s to say.
"""

from __future__ import annotations

from typing import Final, assert_never

from offhook.agent import inputs, orders
from offhook.agent.ear import Ear
from offhook.agent.history import Entry, Heard, History, Keys, ToolUse
from offhook.agent.manners import Manners
from offhook.agent.mouth import Mouth, Run
from offhook.agent.orders import Order
from offhook.agent.patience import Patience
from offhook.agent.turn import Hearing
from offhook.agent.waits import Waits, after
from offhook.agent.words import lexicon
from offhook.core.ids import Turn
from offhook.core.instants import MILLISECOND, Instant

NOTHING: Final = History()
"""What has happened before a call."""


class Floor:
    """The state and the steps of `Conversation`, which says what its arguments mean."""

    def __init__(
        self,
        manners: Manners,
        *,
        greeting: str = "",
        replies: bool = True,
        hears: bool = True,
        timed: bool = True,
        language: str = "en",
        history: History = NOTHING,
    ) -> None:
        self.manners = manners
        self.history = history
        self._words = lexicon(language)
        self._greeting = greeting
        self._replies = replies
        self._hears = hears
        self._timed = timed
        self._waiting = False
        """All is said, and the caller has the turn."""
        self._out: list[Order] = []
        self._turn = max((entry.turn for entry in history), default=Turn(0))
        self._run = 0
        self._connected = False
        self._open = False
        self._over = False
        self._held = False
        self._armed = False
        self._ear = Ear()
        self._mouth = Mouth()
        self._hearing: Hearing | None = None
        self._waits = Waits()
        self._patience = Patience()
        self._keys = ""
        self._leaving: inputs.Leave | None = None
        self._early: dict[str, inputs.ToolDone] = {}
        self._echo = False
        """The far end returns our voice."""
        self._resume = False
        self._news: list[ToolUse] = []
        """Tools that were done after their reply was stopped: nobody told the caller yet."""
        self._ended_by_us = False
        self._open_at: Instant | None = None
        self._keys_at: Instant | None = None
        self._cut_at: Instant | None = None
        self._leave_at: Instant | None = None

    @property
    def turn(self) -> Turn:
        """The latest turn."""
        return self._turn

    @property
    def listening(self) -> bool:
        """Whether the caller's words are wanted now."""
        return self._hears and (self._replies or self._waits.asking is not None) and not (self._leaving or self._held)

    def _note(self, entry: Entry) -> None:
        self.history = self.history.plus(entry)
        self._out.append(orders.Note(entry))

    def _wish(self, now: Instant, wish: inputs.Speak | inputs.Ask | inputs.Gather) -> None:
        match wish:
            case inputs.Speak():
                self._say(wish.text, wish.ticket)
            case inputs.Ask():
                self._waits.ask(now, wish, self._say(wish.text) if wish.text else 0)
            case inputs.Gather():
                self._waits.gather(now, wish, self._say(wish.text) if wish.text else 0)
            case _:
                assert_never(wish)

    def _say(self, text: str, ticket: int = 0) -> int:
        self._run += 1
        self._mouth.open(self._turn, self._run, committed=True, ticket=ticket)
        self._out.append(orders.Say(self._turn, self._run, text, ticket))
        return self._run

    def _reply(self, history: History, turn: Turn) -> int:
        self._run += 1
        self._news.clear()
        self._mouth.open(turn, self._run)
        self._out.append(orders.Reply(turn, self._run, history))
        return self._run

    def _think(self, now: Instant) -> None:
        """Ask the brain about what is in the history, for good."""
        self._patience.owed_since = now
        self._commit_run(self._reply(self.history, self._turn))

    def _commit(self, now: Instant, hearing: Hearing) -> None:
        """The caller's turn is over."""
        self._hearing = None
        self._patience.stirred()
        self._patience.owed_since = now
        self._mouth.unheard.clear()
        self._resume = False
        if self._keys:  # pressed while they spoke: one answer to both
            self._drop_speculation(hearing)
            self._note(Keys(hearing.turn, self._keys))
            self._keys, self._keys_at = "", None
        if not hearing.run and self._replies and self._waits.asking is None:
            hearing.run = self._reply(self.history.plus(Heard(hearing.turn, hearing.text)), hearing.turn)
        self._note(Heard(hearing.turn, hearing.text))
        if hearing.run:
            self._commit_run(hearing.run)
        else:
            self._out.append(orders.Commit(hearing.turn, 0))
        if self._waits.asking is not None:
            self._answer(hearing.text, whole=True)

    def _commit_run(self, number: int) -> None:
        run = self._mouth.runs[number]
        run.committed = True
        self._out.append(orders.Commit(run.turn, number))

    def _cut(self, now: Instant, hearing: Hearing) -> None:
        """The caller takes the turn."""
        hearing.cut = hearing.interrupted = True
        hearing.verdict_at = None
        self._hush(now, [run for run in self._mouth.busy if not self._blocked(run)])

    def _hush(self, now: Instant, runs: list[Run]) -> None:
        """Stop runs, and the sound of them."""
        for run in runs:
            if not run.stopped:
                self._out.append(orders.Stop(run.turn, run.number))
                self._mouth.stop(run)
        if any(run.sounding for run in runs):
            self._out.append(orders.Hush(self._turn))
            self._cut_at = after(now, self.manners.cut_wait_ms)

    def _forget(self, now: Instant, hearing: Hearing) -> None:
        """It was no turn: go on where we were."""
        self._close(hearing)
        if hearing.interrupted:
            self._resume = True
        self._waits.again(now)

    def _close(self, hearing: Hearing) -> None:
        self._drop_speculation(hearing)
        self._out.append(orders.Forget(hearing.turn))
        self._hearing = None

    def _drop_speculation(self, hearing: Hearing) -> None:
        if hearing.run:
            self._out.append(orders.Stop(hearing.turn, hearing.run))
            self._mouth.drop(hearing.run)
            hearing.run = 0

    def _answer(self, text: str, *, whole: bool) -> None:
        asking, self._waits.asking = self._waits.asking, None
        if asking is not None:
            self._out.append(orders.Settled(asking.ticket, text, whole))

    def _gathered(self, *, whole: bool) -> None:
        gathering, self._waits.gathering = self._waits.gathering, None
        if gathering is None:
            return
        if gathering.keys:
            self._note(Keys(self._turn, gathering.keys))
        self._out.append(orders.Settled(gathering.ticket, gathering.keys, whole))

    def _settle(self, now: Instant) -> None:
        for run, entries, over in self._mouth.settle():
            for entry in entries:
                self._note(entry)
            if not over:
                continue
            if run.ticket:
                self._out.append(orders.Settled(run.ticket, " ".join(run.said), run.whole))
            self._waits.heard_out(now, run.number)
        if self._cut_at is not None and not any(run.stopped for run in self._mouth.runs.values()):
            self._cut_at = None

    def _apologise(self, now: Instant) -> None:
        self._hush(now, self._mouth.busy)
        self._mouth.unheard.clear()
        self._leave(now, inputs.Leave(self.manners.apology, "failed"))

    def _leave(self, now: Instant, given: inputs.Leave) -> None:
        if self._leaving is not None:
            return
        if self._hearing is not None:
            self._close(self._hearing)
        # A reply that has nothing to say yet is not waited for; one whose tool hangs up must not be cancelled.
        self._hush(now, [run for run in self._mouth.busy if not run.sounding and not run.tools and not run.ticket])
        self._leaving = given
        self._resume = False
        self._news.clear()
        self._leave_at = after(now, self.manners.goodbye_wait_ms)
        if given.text:
            self._say(given.text)

    def _end(self, reason: str) -> None:
        """Hang up. Nothing more is said or awaited; only the end of the call is."""
        if not self._ended_by_us:
            self._ended_by_us = True
            self._out.append(orders.End(reason))
        self._waits.wishes.clear()
        self._patience.watch(0, self.manners, busy=False, owing=False, idle=False)
        self._open_at = self._keys_at = self._cut_at = self._leave_at = None

    def _wait(self, *, quiet: bool) -> None:
        """Give the caller the turn where somebody else keeps its time, once all is said."""
        said = all(self._blocked(run) for run in self._mouth.busy)
        wanted = self._replies or self._waits.pending
        waiting = quiet and said and wanted and self._open and not (self._timed or self._held or self._leaving)
        if waiting and not self._waiting:
            asking, gathering = self._waits.asking, self._waits.gathering
            waits = asking or gathering
            timeout_ms = waits.timeout // MILLISECOND if waits else self.manners.prompt_after_ms
            digits, finish = (gathering.digits, gathering.finish) if gathering else (0, "")
            self._out.append(orders.Wait(self.listening and gathering is None, digits, finish, timeout_ms))
        self._waiting = waiting

    def _reflex(self) -> None:
        armed = bool(self._mouth.busy) and self.listening
        if armed != self._armed:
            self._armed = armed
            self._out.append(orders.Arm(self.manners.duck_db if armed else None))

    def _blocked(self, run: Run) -> bool:
        """Whether a run waits in a tool that waits for the caller: then the caller's words are no interruption."""
        return self._waits.pending and bool(run.tools) and not run.sounding
