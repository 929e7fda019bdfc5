"""What a call's listeners hear, and where the time of each turn went."""

from __future__ import annotations

import asyncio
import logging
from typing import assert_never

from offhook import _native as native
from offhook.agent.history import Entry, Heard, Keys, Said, ToolUse
from offhook.call import events
from offhook.call.agents import NOT_DONE
from offhook.call.quality import PLAIN, Line
from offhook.call.timeline import TurnTimes
from offhook.core.ids import CallId, Turn
from offhook.core.instants import SECOND, Instant
from offhook.core.signals import OneWay
from offhook.core.verdict import Verdict

_log = logging.getLogger("offhook.call")


class Reports:
    """Tells one listener of one call, on the loop's clock."""

    def __init__(self, call: CallId, listener: events.CallEvents | None) -> None:
        self.timeline: dict[Turn, TurnTimes] = {}
        self._call = call
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._first_sounds: dict[int, Turn] = {}
        self.line = Line()

    def tell(self, event: events.CallEvent) -> None:
        """Tell an event."""
        if self._listener is not None:
            self._listener(event)

    def note(self, entry: Entry) -> None:
        """Tell what is new in the history."""
        call, t = self._call, self._loop.time()
        match entry:
            case Heard():
                self.tell(events.Heard(t, call, entry.text, entry.turn))
            case Said():
                self.tell(events.Said(t, call, entry.text, entry.turn, entry.whole))
            case ToolUse():
                if entry.result is not None and not entry.result.startswith(NOT_DONE):
                    self.tell(events.Tool(t, call, entry.name, entry.arguments, entry.result, entry.failed))
            case Keys():
                pass  # each key was told as it was pressed
            case _:
                assert_never(entry)

    def transfer(self, to: str, code: int, kind: str) -> None:
        """Tell what came of a transfer."""
        self.tell(events.Transfer(self._loop.time(), self._call, to, code, kind))

    def participant(self, participant: CallId, who: str, mode: str) -> None:
        """Tell how somebody else is in the call."""
        self.tell(events.Participant(self._loop.time(), self._call, participant, who, mode))

    def identity(self, verdict: Verdict) -> None:
        """Tell what was found of the caller's signature."""
        found = verdict.state, verdict.attestation, verdict.by, verdict.reason
        self.tell(events.Identified(self._loop.time(), self._call, *found))

    # The line

    def of_line(self, event: native.Quality | native.OneWay | OneWay | native.Secured | native.Severed) -> None:
        """Take what is told of the line."""
        match event:
            case native.Quality():
                self.line.interval(event)
            case OneWay():
                self._one_way(event)
            case native.OneWay() | native.Secured() | native.Severed():
                pass  # its leg says what it means
            case _:
                assert_never(event)

    def _one_way(self, told: OneWay) -> None:
        self.line.one_way(told)
        self.tell(events.OneWay(self._loop.time(), self._call, told.fault, told.on, told.hint))
        if told.on:
            # Digital silence may be a muted telephone; that nothing arrives is never meant.
            level = logging.INFO if told.fault == "silent" else logging.WARNING
            _log.log(level, "%s: %s: %s", self._call, PLAIN[told.fault], told.hint or "see the firewall and NAT")
        else:
            _log.info("%s: audio goes both ways again (%s is over)", self._call, told.fault)

    def ended(self, reason: str, code: int, meaning: str) -> events.Ended:
        """Tell that the call is over, and how its line was."""
        line = self.line.summary()
        told = events.Ended(
            self._loop.time(),
            self._call,
            reason,
            code,
            meaning,
            line.mos,
            line.far_mos,
            line.loss,
            line.round_trip_ms,
            line.one_way,
        )
        self.tell(told)
        return told

    # The times of a turn

    def of(self, turn: Turn) -> TurnTimes:
        """Give the times of a turn."""
        times = self.timeline.get(turn)
        if times is None:
            times = self.timeline[turn] = TurnTimes(turn)
        return times

    def speech_ended(self, turn: Turn, at: Instant) -> None:
        """The caller's speech ended, as far as that is known now."""
        times = self.timeline.get(turn)
        if times is not None and times.decided is None:
            times.speech_ended = at

    def first_token(self, turn: Turn) -> None:
        """The brain began to answer."""
        self.of(turn).first_token = self._now()

    def first_audio(self, turn: Turn, utterance: int) -> None:
        """The first audio of a run is being queued."""
        times = self.of(turn)
        if times.first_audio_queued is None:
            times.first_audio_queued = self._now()
            self._first_sounds[utterance] = turn

    def first_sound_sent(self, utterance: int) -> None:
        """The first packet of an utterance left: where it is the first of its turn, its delays are known."""
        turn = self._first_sounds.pop(utterance, None)
        times = self.timeline.get(turn) if turn is not None else None
        if turn is None or times is None:
            return
        times.first_audio_sent = self._now()
        if times.speech_ended is not None:
            since = times.since_speech_ms
            self.tell(
                events.Timed(
                    self._loop.time(),
                    self._call,
                    turn,
                    since(times.transcribed),
                    since(times.decided),
                    since(times.first_token),
                    since(times.first_audio_sent),
                )
            )

    def _now(self) -> Instant:
        return round(self._loop.time() * SECOND)
