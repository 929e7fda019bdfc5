"""Whose turn it is, when to speak, when to stop, and what was really said. A machine that keeps no time.

    now, input ─► feed ──┐                                          ┌─► orders
                         ├─► ear ─► turn ─► barge-in ─► mouth ─► history
    now ───────► expire ─┘                                          └─► deadline()

    caller   ▇▇▇▇▇▇▇____            ▇▇▇▇ (over us)
    orders   L      T R  C          L    H S
    agent                ▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇|        L Listen  T Transcribe  R Reply  C Commit  H Hush  S Stop

Laws: every order and every input about a turn or a run names it, and what names an old one changes nothing; a turn
ends by silence of received media plus words, never by a stall; the history has only what was heard; no wait is
without an end.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from offhook import _native as native
from offhook.agent import inputs, orders
from offhook.agent.bargein import interrupts
from offhook.agent.echo import without_ours
from offhook.agent.floor import Floor
from offhook.agent.history import Heard, Keys
from offhook.agent.inputs import Input
from offhook.agent.orders import Order
from offhook.agent.turn import Hearing, hold
from offhook.agent.waits import after
from offhook.agent.words import lexicon
from offhook.core.ids import Turn
from offhook.core.instants import MILLISECOND, Instant
from offhook.core.signals import Connected, Held, HungUp, Interrupted, Reworded, Silent

EARLY = 16
"""Results of tools that are kept though nobody told of the tool: only an error of a brain brings any."""


class Conversation(Floor):
    """One call's conversation.

    `replies`: the caller's turns go to the brain by themselves; without, only `Ask` listens. `timed`: we say when the
    caller has been silent for long enough; without, a service does. `history` is what was before. `feed` and `expire`
    give orders to carry out in order; `deadline` says when `expire` is due.
    """

    def deadline(self) -> Instant | None:
        """Give when `expire` is due, None while nothing is waited for."""
        if self._over:
            return None
        hearing, asking, gathering = self._hearing, self._waits.asking, self._waits.gathering
        times = [self._open_at, self._patience.owed_at, self._keys_at, self._cut_at, self._leave_at]
        if self._ear.flowing or not self._open:
            times.append(self._patience.idle_at)
            if hearing is not None and self._cut_at is None:
                times.append(hearing.hold_at)
        if hearing is not None:
            times += (hearing.verdict_at, None if hearing.understood else hearing.words_by)
        elif asking is not None and self._timed:
            times.append(asking.until)
        if gathering is not None and self._timed:
            times.append(gathering.until)
        return min((at for at in times if at is not None), default=None)

    def feed(self, now: Instant, given: Input) -> list[Order]:
        """Take an input; give the orders that follow from it."""
        if not self._over:
            self._take(now, given)
            self._follow(now)
        elif isinstance(given, inputs.ToolDone):
            self._tool_done(given)  # it went on after the call; nobody acts on it any more
            self._out.clear()
        return self._given()

    def expire(self, now: Instant) -> list[Order]:
        """Do what is due at `now`."""
        if not self._over:
            self._due(now)
            self._follow(now)
        return self._given()

    def _given(self) -> list[Order]:
        given, self._out = self._out, []
        return given

    # Inputs

    def _take(self, now: Instant, given: Input) -> None:
        match given:
            case native.SpeechBegan():
                self._began(given.at)
            case native.SpeechEnded():
                self._ended(now, given.at)
            case inputs.Transcribed():
                self._transcribed(now, given)
            case inputs.Phrased():
                self._mouth.phrased(given.run, given.sentence, given.text, last=given.last)
            case inputs.Voiced():
                self._mouth.voiced(now, given)
            case inputs.Replied():
                run = self._mouth.runs.get(given.run)
                if run is not None:
                    run.replied = True
            case native.Played():
                self._mouth.played(given.at, given.utterance)
            case native.Cut():
                self._mouth.cut(given.at, given.utterance, given.heard_ms)
            case native.Digit():
                self._pressed(now, given.key)
            case inputs.ToolBegan():
                use = self._mouth.began(given)
                early = self._early.pop(given.call_id, None)
                if use is not None and early is not None:
                    self._tool_done(early)
            case inputs.ToolDone():
                self._tool_done(given)
            case inputs.Failed():
                self._failed(now, given)
            case inputs.Speak() | inputs.Ask() | inputs.Gather():
                self._waits.wishes.append(given)
            case inputs.Await():
                self._waits.awaited.append(given.ticket)
            case inputs.Leave():
                self._leave(now, given)
            case inputs.Hold():
                self._hold(given.on)
            case inputs.HandOver():
                self._hand_over(given)
            case native.Flowing():
                self._flowing(now)
            case native.Stalled():
                self._ear.flowing = False
            case native.Ducked():
                pass  # the verdict runs from the onset of speech; that we are ducked meanwhile needs no answer
            case native.Echo():
                self._echo = given.present
            case Connected():
                self._connected = True
                self._open_at = after(now, self.manners.greeting_wait_ms)
            case Interrupted():
                self._interrupted(now)
            case Reworded():
                self._mouth.reworded(given.utterance, given.asked, given.said)
            case Silent():
                self._silent(now)
            case Held():
                self._mouth.hold(given.at, on=given.on)
            case HungUp():
                self._hung_up(now)
            case _:
                assert_never(given)

    def _flowing(self, now: Instant) -> None:
        stalled = not self._ear.flowing
        self._ear.flowing = True
        hearing = self._hearing
        if stalled and hearing is not None and hearing.hold_at is not None:
            # What was lost may have been speech: the whole silence has to be received once more.
            hearing.hold_at = max(hearing.hold_at, after(now, self.manners.hold_complete_ms))

    def _began(self, at: Instant) -> None:
        self._ear.began(at)
        self._patience.idle_at = None
        hearing = self._hearing
        if hearing is not None:
            self._drop_speculation(hearing)
            hearing.goes_on()
            self._talk_over(hearing, at)

    def _hear(self) -> None:
        """A turn of the caller begins, where their speech began."""
        self._turn = Turn(self._turn + 1)
        self._hearing = Hearing(self._turn, self._ear.changed_at)
        self._out.append(orders.Listen(self._turn))
        self._talk_over(self._hearing, self._ear.changed_at)

    def _talk_over(self, hearing: Hearing, at: Instant) -> None:
        voices = [run for run in self._mouth.busy if not self._blocked(run)]
        if voices:
            hearing.over = True
        if any(not run.stopped for run in voices):
            hearing.cut = False  # a filler may have begun since their words stopped us
        if hearing.over and not hearing.cut:
            hearing.verdict_at = at + self.manners.cut_after_ms * MILLISECOND

    def _ended(self, now: Instant, at: Instant) -> None:
        self._ear.ended(at)
        hearing = self._hearing
        if hearing is None:
            return
        ducked = hearing.verdict_at is not None
        own = self._echo and hearing.over and not hearing.cut and not hearing.pauses
        if own and at - hearing.began_at <= self.manners.echo_ms * MILLISECOND:
            # The gate took it back at once. What recognition makes of such a scrap would be words all the same.
            self._forget(now, hearing)
            self._out.append(orders.Restore())
            return
        hearing.pause(at, self.manners)
        self._out.append(orders.Transcribe(hearing.turn, hearing.pauses))
        if ducked and not hearing.cut:
            self._out.append(orders.Restore())

    def _transcribed(self, now: Instant, given: inputs.Transcribed) -> None:
        hearing = self._hearing
        if hearing is None or given.turn != hearing.turn:
            return
        text = given.text.strip()
        if self._echo and hearing.over:
            text = without_ours(text, f"{self.history.last_said()} {self._mouth.ours()}")
        undecided = hearing.over and not hearing.cut
        wanted = undecided and interrupts(text, self._words, asked=self._mouth.asked)
        if given.pause != hearing.pauses or hearing.paused_at is None:
            if wanted:
                self._cut(now, hearing)
            return
        hearing.text, hearing.text_pause = text, hearing.pauses
        if not text or (hearing.over and not interrupts(text, self._words, asked=self._mouth.asked)):
            self._forget(now, hearing)
            return
        if undecided:
            self._cut(now, hearing)
        hearing.hold_at = hearing.paused_at + hold(text, self.manners, self._words, said=self.history.last_said())

    def _pressed(self, now: Instant, key: str) -> None:
        self._patience.stirred()
        gathering = self._waits.gathering
        if gathering is not None:
            if gathering.run in self._mouth.runs:
                self._hush(now, [self._mouth.runs[gathering.run]])
            if gathering.press(now, key):
                self._gathered(whole=True)
            return
        if not self.listening or not self._open:
            return
        self._hush(now, [run for run in self._mouth.busy if not self._blocked(run)])
        self._mouth.unheard.clear()
        if key != "#":
            self._keys += key
        self._keys_at = now if key == "#" else after(now, self.manners.keys_wait_ms)

    def _tool_done(self, given: inputs.ToolDone) -> None:
        noted = self.history.tool(given.call_id)
        run, waiting = self._mouth.tool(given.call_id)
        known = noted or waiting
        if known is None:
            if len(self._early) < EARLY:
                self._early[given.call_id] = given
            return
        if known.result is not None:
            return
        done = replace(known, result=given.result, failed=given.failed)
        if noted is not None:
            self.history = self.history.with_result(done)
            self._out.append(orders.Note(done))
        self._mouth.done(done)
        if run is None or run.stopped:
            self._news.append(done)

    def _failed(self, now: Instant, given: inputs.Failed) -> None:
        hearing = self._hearing
        run = self._mouth.runs.get(given.run)
        if run is None and not (given.stage == "ear" and hearing is not None and hearing.turn == given.turn):
            return
        if run is not None and not run.committed:
            # A speculation: the reply is tried once more when the turn is really over.
            self._out.append(orders.Stop(run.turn, run.number))
            self._mouth.drop(run.number)
            if hearing is not None and hearing.run == run.number:
                hearing.run, hearing.gave_up = 0, hearing.pauses
            return
        if run is not None:
            self._hush(now, [run])
            if run.ticket:
                return  # the author's own words: the verb raises, and the author decides
        if self._leaving is None:
            self._apologise(now)

    def _interrupted(self, now: Instant) -> None:
        """Our voice has been stopped already: what was not heard is lost, whether anybody listens or not."""
        if self._hearing is not None and self._hearing.over:
            self._cut(now, self._hearing)
        else:
            self._hush(now, [run for run in self._mouth.busy if not self._blocked(run)])

    def _silent(self, now: Instant) -> None:
        if self._keys_at is not None:
            self._keys_end(now)
        elif self._waits.asking is not None:
            self._answer("", whole=False)
        elif self._waits.gathering is not None:
            self._gathered(whole=False)
        elif self._waiting:
            self._idle(now)

    def _hold(self, on: bool) -> None:
        self._held = on
        if on and self._hearing is not None:
            self._close(self._hearing)

    def _hand_over(self, given: inputs.HandOver) -> None:
        self.manners = given.manners
        self._words = lexicon(given.language)
        self._replies = given.replies
        if given.greeting:
            self._say(given.greeting)

    def _hung_up(self, now: Instant) -> None:
        self._mouth.estimate(now)
        for run in self._mouth.busy:
            self._out.append(orders.Stop(run.turn, run.number))
            self._mouth.stop(run)
        self._settle(now)
        # Whoever waits is told that the call is over, not that half of a sentence was heard.
        self._out = [order for order in self._out if not isinstance(order, orders.Settled)]
        if self._hearing is not None:
            if self._hearing.understood and self._hearing.text:
                self._note(Heard(self._hearing.turn, self._hearing.text))
            self._close(self._hearing)
        self._over = True

    # Deadlines

    def _due(self, now: Instant) -> None:
        hearing = self._hearing
        if self._open_at is not None and now >= self._open_at:
            self._open_up()
        if hearing is not None and hearing.verdict_at is not None and now >= hearing.verdict_at:
            self._cut(now, hearing)
        if self._cut_at is not None and now >= self._cut_at:
            hushed_at = self._cut_at - self.manners.cut_wait_ms * MILLISECOND
            self._cut_at = None
            self._mouth.estimate(hushed_at)
        if hearing is not None and not hearing.understood and hearing.words_by is not None and now >= hearing.words_by:
            self._failed(now, inputs.Failed(hearing.turn, 0, "ear"))
        if self._keys_at is not None and now >= self._keys_at:
            self._keys_end(now)
        patience = self._patience
        if patience.owed_at is not None and now >= patience.owed_at:
            self._owed(now)
        if patience.idle_at is not None and now >= patience.idle_at and self._ear.flowing:
            self._idle(now)
        asking, gathering = (self._waits.asking, self._waits.gathering) if self._timed else (None, None)
        if asking is not None and hearing is None and asking.until is not None and now >= asking.until:
            self._answer("", whole=False)
        if gathering is not None and gathering.until is not None and now >= gathering.until:
            self._gathered(whole=False)
        if self._leave_at is not None and now >= self._leave_at:
            self._mouth.estimate(now)
            for run in self._mouth.busy:
                self._mouth.stop(run)

    def _open_up(self) -> None:
        """Media can flow: what waited may be said."""
        self._open_at = None
        self._open = True
        if self._greeting:
            self._say(self._greeting)

    def _owed(self, now: Instant) -> None:
        patient = any(run.tools for run in self._mouth.busy)
        if not patient and self._patience.exhausted(now, self.manners):
            self._apologise(now)
            return
        filler = self._patience.filler(self.manners)
        if filler:
            self._say(filler)

    def _idle(self, now: Instant) -> None:
        prompt = self._patience.prompt(self.manners)
        if prompt is not None:
            self._say(prompt)
        else:
            self._leave(now, inputs.Leave(self.manners.farewell, "silence"))

    def _keys_end(self, now: Instant) -> None:
        keys, self._keys, self._keys_at = self._keys, "", None
        if not keys:
            return
        if self._hearing is not None:  # they speak as well: one answer to both
            self._drop_speculation(self._hearing)
            self._note(Keys(self._hearing.turn, keys))
            return
        self._turn = Turn(self._turn + 1)
        self._note(Keys(self._turn, keys))
        if self._waits.asking is not None:
            self._answer(keys, whole=True)
        else:
            self._think(now)

    # What follows from where we are

    def _follow(self, now: Instant) -> None:
        self._settle(now)
        if self._over or self._ended_by_us:
            return
        if self._open_at is not None and self._ear.flowing:
            self._open_up()
        if self._open and self._leaving is None:
            wishes, self._waits.wishes = self._waits.wishes, []
            for wish in wishes:
                self._wish(now, wish)
            if self._ear.speaking and self._hearing is None and self.listening:
                self._hear()
        if self._hearing is not None:
            self._consider(now, self._hearing)
        quiet = self._hearing is None and not self._keys_at and not self._ear.speaking
        if quiet and not self._mouth.busy and not (self._leaving or self._held):
            self._go_on(now)
        self._reflex()
        self._wait(quiet=quiet)
        if not self._mouth.speaking:
            for ticket in self._waits.awaited:
                self._out.append(orders.Settled(ticket, "", whole=True))
            self._waits.awaited.clear()
        too_late = self._leave_at is not None and now >= self._leave_at
        if self._leaving is not None and (too_late or not self._mouth.speaking):
            self._end(self._leaving.reason)
            return
        busy = bool(self._mouth.busy)
        free = self._replies and not (self._waits.pending or self._leaving)
        idle = free and quiet and not busy and self._open and self._ear.flowing and not self._held and self._timed
        # The caller hears silence from their pause on, whoever of us is late: the ear, the brain or the voice.
        paused = self._hearing is not None and self._hearing.paused_at is not None and self._ear.flowing
        owing = free and not self._held and (paused or (quiet and busy)) and not self._mouth.sounding
        self._patience.watch(now, self.manners, busy=busy, owing=owing, idle=idle)

    def _consider(self, now: Instant, hearing: Hearing) -> None:
        """The caller paused and the words are known: answer on trial, and for good once the pause was long enough."""
        if not hearing.understood or self._cut_at is not None:  # until a cut is told, the history is not what was heard
            return
        answers = self._replies and self._waits.asking is None
        if answers and not hearing.run and hearing.gave_up != hearing.pauses:
            hearing.run = self._reply(self.history.plus(Heard(hearing.turn, hearing.text)), hearing.turn)
        if hearing.hold_at is not None and now >= hearing.hold_at and self._ear.flowing:
            self._commit(now, hearing)

    def _go_on(self, now: Instant) -> None:
        """Nobody speaks: say what a false alarm kept from the caller, or what a tool has found since."""
        unheard = self._mouth.unheard if self._resume else []
        if unheard and all(one.whole for one in unheard):
            self._say(" ".join(one.text for one in unheard))
        elif (self._news or unheard) and self._replies:  # how half a sentence goes on, only the brain knows
            for done in self._news:
                self.history = self.history.with_result(done, late=True)
            self._think(now)
        if self._resume:
            self._resume = False
            self._mouth.unheard.clear()
