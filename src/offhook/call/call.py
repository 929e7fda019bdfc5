"""A call as its author holds it: verbs that await their outcome, and what is known of the call.

    ring early answer reject        before the answer, for scripts that `offhook.answers` marks
    say ask gather play press beep transfer ambience hold resume hand_over hangup        audio committed work
    conference supervise        others in the call, or this one in another

A verb raises CallEnded when the call is over, NotAllowed when policy or the leg forbids it, TransferFailed(code) when
the target did not take it. `transfer` and `hangup` act once what was said is heard.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from offhook import _native as native
from offhook.agent import inputs
from offhook.agent.floor import NOTHING
from offhook.agent.history import History
from offhook.call import events
from offhook.call.agents import AgentLike
from offhook.call.ambience import Ambience, read_wav
from offhook.call.conference import Participant, Role
from offhook.call.leg import AudioLeg, CallInfo
from offhook.call.models import Models
from offhook.call.pipeline import Stage
from offhook.call.quality import Summary
from offhook.call.rates import SteadyRate
from offhook.call.room import Mode
from offhook.call.session import Session
from offhook.call.sounding import Sounding
from offhook.call.text import TextLeg
from offhook.call.timeline import TurnTimes
from offhook.call.transferring import Transferring
from offhook.call.wording import Wording
from offhook.core.errors import CallEnded, ConfigError, NotAllowed
from offhook.core.ids import CallId
from offhook.core.signals import OneWay
from offhook.policy.screening import allows

_T = TypeVar("_T")

PRESS_S = 0.2
"""What a key takes on the wire: 100 ms of tone and 100 ms of gap."""


class Call:
    """One call. Made inside a running loop; `run` carries it from the answer to its end.

    `agent` is an `Agent` or a coroutine function that takes the call. `events` hears what happens, `tape` the stereo
    recording in pieces, `allow` are the numbers and addresses that may be called for it or transferred to
    (`policy.screening`), `calls` all calls of the process, by id; `ambience` is for an agent that has none. With
    a `history` the call is one that goes on: nobody is greeted.
    """

    def __init__(
        self,
        leg: AudioLeg | TextLeg,
        agent: AgentLike,
        *,
        models: Models | None = None,
        events: events.CallEvents | None = None,
        allow: Sequence[str] = (),
        tape: Callable[[native.Taped], None] | None = None,
        calls: Mapping[CallId, Call] | None = None,
        ambience: Ambience | None = None,
        history: History = NOTHING,
    ) -> None:
        self.leg = leg = Wording(leg) if isinstance(leg, TextLeg) else leg
        self._allow = allow
        self._calls = calls or {}
        self._session = Session(self, leg, agent, models or Models(), events, tape, ambience, history)
        self._sounding = Sounding(self._session)
        self._session.before_words = self._sounding.close

    async def run(self) -> events.Ended:
        """Answer (an inbound leg), converse, and return when the call is over and no task of it is left.

        What the author's script raises is raised here, after the caller was told and the line dropped.
        """
        return await self._session.run()

    # What is known

    @property
    def id(self) -> CallId:
        """The call's name in logs, files and events."""
        return self.leg.info.id

    @property
    def caller(self) -> str:
        """Who calls: a SIP URI or a number, as the carrier gave it."""
        return self.leg.info.caller

    @property
    def called(self) -> str:
        """Who is called."""
        return self.leg.info.called

    @property
    def info(self) -> CallInfo:
        """All that is known of who calls whom, and how far that may be believed."""
        return self.leg.info

    @property
    def direction(self) -> Literal["inbound", "outbound"]:
        """Whether they called us or we them."""
        return self.leg.info.direction

    @property
    def headers(self) -> Mapping[str, str]:
        """What the carrier said besides."""
        return self.leg.info.headers

    @property
    def history(self) -> History:
        """What was said and heard, keys, and what tools did."""
        return self._session.conversation.history

    @property
    def digits(self) -> str:
        """Every key that the caller has pressed."""
        return self._session.digits

    @property
    def texts(self) -> Sequence[str]:
        """What the caller has written beside the call, the last hundred of it."""
        return list(self._session.texts)

    @property
    def timeline(self) -> list[TurnTimes]:
        """Where the time of each turn went."""
        return list(self._session.reports.timeline.values())

    @property
    def pipeline(self) -> Stage:
        """The way of the audio through the call, stage by stage: printed, a line; `down` is what follows a stage."""
        return self._session.pipeline()

    @property
    def quality(self) -> Sequence[native.Quality]:
        """How the line was, interval by interval (5 s or so); the last hour of it."""
        return list(self._session.reports.line.intervals)

    @property
    def line(self) -> Summary:
        """How the line was in all: its score, loss, round trip, and whether audio went one way only."""
        return self._session.reports.line.summary()

    @property
    def one_way(self) -> Sequence[OneWay]:
        """When audio went one way only, why that may be, and when it was over."""
        return list(self._session.reports.line.faults)

    @property
    def participants(self) -> Sequence[Participant]:
        """Who is in the call beside the caller and the agent."""
        return tuple(self._session.conference.people)

    @property
    def others(self) -> Mapping[CallId, Call]:
        """The other calls of this process that are up, by id."""
        others = {name: call for name, call in self._calls.items() if call is not self}
        return {name: call for name, call in others.items() if call._session.up.is_set() and call.ended is None}

    @property
    def ended(self) -> events.Ended | None:
        """How the call ended; None while it lives."""
        return self._session.ended

    # Verbs before the answer, for scripts that `offhook.answers` marks

    async def ring(self) -> None:
        """Say that it rings (180). NotAllowed once it is answered or where we placed it, CallEnded if it is over."""
        self._session.before.ring()

    async def early(self, sound: bytes | Path, *, rate_hz: int = 8000) -> None:
        """Play to a caller who is not answered yet (183): 16-bit mono PCM, or a WAV file of it; returns once heard.

        Where the caller can hear nothing yet it is skipped. NotAllowed once the call is answered or where we placed it,
        CallEnded if the caller gave up, ConfigError for a WAV of another kind.
        """
        if isinstance(sound, bytes):
            pcm = sound
        else:
            pcm, rate_hz = await asyncio.get_running_loop().run_in_executor(None, read_wav, sound)
        await self._session.before.early(pcm, rate_hz)

    async def answer(self) -> None:
        """Take the call; returns when it is up. CallEnded if the caller went away, NotAllowed as for `ring`."""
        await self._session.before.answer()

    async def reject(self, meaning: str = "declined") -> None:
        """Refuse the call: `busy`, `declined`, `unavailable`, `not_found` … (`offhook.sip.meanings.REFUSALS`).

        Returns when it is over. ValueError for a meaning that can't be said so, NotAllowed as for `ring`, CallEnded.
        """
        await self._session.before.reject(meaning)

    async def up(self) -> None:
        """Wait until the call is answered. CallEnded if it ends instead."""
        await self._session.up.wait()
        if not self._session.before.answered:
            raise CallEnded("the call is over")

    # Verbs

    async def say(self, text: str) -> str:
        """Say something; give the words that the caller heard, once they were heard or cut."""
        self._sounding.close()
        ticket = self._session.ticket()
        heard, _ = await self._session.verb(ticket, inputs.Speak(ticket, text))
        return heard

    async def ask(self, text: str, *, timeout_s: float = 10.0) -> str:
        """Say something and give what the caller answers; "" if nothing comes for `timeout_s` after it was heard."""
        if not self._session.hears:
            raise ConfigError("there is no ear to hear an answer with: configure one ([models] stt), or use gather")
        self._sounding.close()
        ticket = self._session.ticket()
        answer, _ = await self._session.verb(ticket, inputs.Ask(ticket, text, round(timeout_s * 1000)))
        return answer

    async def gather(self, text: str = "", *, digits: int = 1, timeout_s: float = 8.0, finish: str = "#") -> str:
        """Say something and give the keys that the caller presses: `digits` of them, or up to the `finish` key.

        The first key stops the words. When none comes for `timeout_s` after the words or the last key, that is all.
        """
        self._sounding.close()
        ticket = self._session.ticket()
        wish = inputs.Gather(ticket, text, digits, round(timeout_s * 1000), finish)
        keys, _ = await self._session.verb(ticket, wish)
        return keys

    async def play(self, sound: bytes | Path, *, rate_hz: int = 8000) -> None:
        """Play audio: 16-bit mono PCM, or a WAV file of it.

        Bytes return as soon as the leg has taken them, and what is played in a row sounds without a gap; a file returns
        once it was heard. NotAllowed on a leg that carries words.
        """
        if self.leg.capabilities.words:
            raise NotAllowed("a call that is carried as words plays no sound: say it")
        if isinstance(sound, bytes):
            await self._sounding.play(sound, rate_hz)
            return
        pcm, rate_hz = await asyncio.get_running_loop().run_in_executor(None, read_wav, sound)
        await self._sounding.play(pcm, rate_hz)
        await self.heard()

    async def press(self, keys: str) -> None:
        """Press keys (0-9*#A-D) towards the far end, 200 ms each, once what was said is heard; returns when sent.

        NotAllowed where the far end takes no keys, ValueError for what is no key, CallEnded if the call is over.
        """
        self._session.alive()
        if not self.leg.capabilities.press:
            raise NotAllowed("this leg can't press keys")
        await self.heard()
        self.leg.press(keys)
        await asyncio.sleep(PRESS_S * len(keys))

    async def beep(self, *, timeout_s: float = 30.0) -> bool:
        """Wait for the beep of an answering machine, to speak behind it; give whether it came in time.

        One tone alone, 400 to 2000 Hz and 100 to 1500 ms long, after somebody spoke and before silence: told 200 ms
        after its end. CallEnded if the call ends meanwhile, NotAllowed before the answer.
        """
        return await self._session.machines.beep(timeout_s)

    @property
    def answered_by(self) -> Literal["", "human", "machine", "fax", "unknown"]:
        """What has answered a call of ours, where the service that placed it was asked to find out; "" until it says.

        `unknown` is best dealt with as `human`.
        """
        return self._session.machines.answerer

    async def who_answered(self, timeout_s: float = 10.0) -> Literal["", "human", "machine", "fax", "unknown"]:
        """Wait until it is known what has answered; "" where that is not said in time, or the call ends meanwhile."""
        return await self._session.machines.who(timeout_s)

    async def heard(self) -> None:
        """Wait until all that was to be said so far is heard, or cut."""
        self._sounding.close()
        ticket = self._session.ticket()
        await self._session.verb(ticket, inputs.Await(ticket))

    async def transfer(self, target: str, *, attended: bool = False, announce: str = "") -> None:
        """Hand the caller to `target` (a SIP URI or a number), once what was said is heard; the call then ends.

        `attended` calls the target first, while the caller waits, and says `announce` to it; only who answers gets the
        caller. A carrier that does not transfer is no hindrance: the target is called then and the two are joined.
        The target may ring for 60 s. NotAllowed if it is not in the allow-list; TransferFailed(code, a SIP status) if
        it does not take the call, and then the caller is still here; CallEnded if the caller hangs up meanwhile;
        ConfigError where there is no voice to announce with.
        """
        self._session.alive()
        able = self.leg.capabilities
        if not (able.transfer or able.bridge) or not allows(self._allow, target):
            raise NotAllowed(f"transferring to {target} is not allowed: add it to [dial] allow")
        await self.heard()
        await Transferring(self._session, target, announce).run(attended=attended or bool(announce))

    async def conference(
        self,
        target: str,
        *,
        mode: Mode = "talk",
        to: Participant | None = None,
        announce: str = "",
        agent: Role = "aside",
    ) -> Participant:
        """Call `target` (a SIP URI or a number) and let it into this call; give who came.

        `mode`: `talk`, they and the caller and the agent's words are heard by all; `listen`, they hear all and are
        heard by nobody; `whisper`, they hear all and are heard by `to` alone (None: the caller). `announce` is said to
        them before. `agent`: while the caller hears them the agent keeps `aside`, it neither listens nor speaks by
        itself, and the caller hears it ring before; or it is `active`, and goes on. In any case it hears the caller
        alone. When the caller goes, they are hung up on; when they go, caller and agent are alone again.

        NotAllowed outside the allow-list and for a ninth person, DialFailed if they do not take it, Unreachable,
        OSError (no port), ConfigError without a voice to announce with, CallEnded if the caller hangs up meanwhile.
        """
        self._session.alive()
        if not self.leg.capabilities.bridge or not allows(self._allow, target):
            raise NotAllowed(f"calling {target} is not allowed: add it to [dial] allow")
        if agent == "aside" and mode == "talk":
            await self.heard()
        wish = self._session.conference.call_in
        return await wish(target, mode=mode, to=to, announce=announce, agent=agent)

    async def supervise(
        self, other: Call | CallId, *, mode: Mode = "listen", to: Participant | None = None, agent: Role = "aside"
    ) -> Participant:
        """Let the far end of this call into another; give its place there. Its own agent keeps aside meanwhile.

        `listen`: it hears all that is said there and nobody hears it; `whisper`: `to` alone hears it (None: the
        caller); `talk`: it barges in, and all hear it. `agent` is what the other call's agent does while its caller
        hears it, as for `conference`. It ends with either call; this one then goes on, the other does so, too.

        Nothing asks whether this caller may: that is for you to find out first, and whether all must be told of it
        (docs/conference.md). NotAllowed where one of the two is in another conference, or they are carried by
        different media threads; CallEnded where one is over; ValueError for the call itself.
        """
        there = self._calls.get(other) if isinstance(other, str) else other
        if there is None:
            raise CallEnded("there is no such call")
        wish = self._session.conference.supervise
        return wish(there._session, mode=mode, to=to, agent=agent, speak=self.say)

    async def ambience(self, under: Ambience | None) -> None:
        """Let a recording go round under the call from here on, in the place of the agent's; None for silence.

        ConfigError for a WAV file that can't be looped, OSError where there is none, CallEnded if the call is over.
        """
        self._session.alive()
        await self._session.bed.turn(under)

    async def hold(self, music: Ambience | None = None) -> None:
        """Put the call on hold: nobody listens or asks whether anyone is there, and the far end is told to be silent.

        `music` goes round meanwhile, and `play` still sounds. A leg that can't tell it, and a far end that won't hear
        of it, only pause. CallEnded if the call is over; for `music` as `ambience`.
        """
        await self._hold(on=True)
        if music is not None:
            await self._session.bed.wait(music)

    async def resume(self) -> None:
        """Take the call off hold; what sounded under it before does so again. CallEnded if the call is over."""
        await self._hold(on=False)
        await self._session.bed.wait(None)

    async def _hold(self, *, on: bool) -> None:
        self._session.alive()
        self._session.hold("hold", on=on)
        if self.leg.capabilities.hold:
            await self.leg.hold(on)

    async def hand_over(self, agent: AgentLike) -> None:
        """Let another agent go on, with the same history, once what was said is heard.

        ConfigError where there is no model for it, CallEnded if the call is over.
        """
        await self.heard()
        self._session.hand_over(agent)

    async def hangup(self, text: str = "") -> None:
        """Say goodbye, let it be heard (within bounds), and end the call. Returns when it is over."""
        if self._session.ended is not None:
            return
        if not self._session.before.answered:
            await self.leg.hangup()
            await self._session.over.wait()
            return
        self._sounding.close()
        self._session.tell(inputs.Leave(text, "hangup"))
        await self._session.over.wait()

    # Raw doors

    @property
    def rate_hz(self) -> int:
        """What the caller's audio runs at: 8000, or 16000 with a wideband codec."""
        return self._session.leg.rate_hz

    async def audio(self, *, rate_hz: int = 8000) -> AsyncIterator[bytes]:
        """Give the caller's audio as it comes: 16-bit mono PCM at `rate_hz` in packets, until the call ends.

        Audio at another rate than the call's own (`Call.rate_hz`) is converted. A reader that lags more than 2 s
        behind loses the oldest.
        """
        feed = self._session.readers.open()
        try:
            rate = SteadyRate(rate_hz)
            async for piece in feed:
                yield rate.push(piece.pcm, piece.rate_hz)
        finally:
            self._session.readers.close(feed)

    # For brains

    async def committed(self) -> None:
        """Wait until the turn that is being answered is really over: before, do nothing that can't be undone."""
        await self._session.committed()

    async def work(
        self, name: str, call_id: str, arguments: Mapping[str, Any], work: Callable[[], Awaitable[_T]]
    ) -> _T:
        """Run a tool as work of this call: once the turn is committed; it goes on if the caller interrupts."""
        return await self._session.work(name, call_id, arguments, work)

    def __repr__(self) -> str:
        return f"Call({self.id}, {self.direction}, {'over' if self.ended else 'live'})"
