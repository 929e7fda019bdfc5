"""Others in a call, beside its caller and its agent: whom we called in, and calls that supervise it.

    call.conference(target) ─► called ─► announced ─► Participant ─┬─ talk, whisper, listen ─► call.room
    call.supervise(other)   ─────────────────────────► Participant ┘
    its far end hangs up, `remove`, or the call is over ─► left

Laws: the call ends with its caller, and whom we called in is hung up then; a supervisor's own call goes on. While the
caller hears somebody who came with `agent="aside"`, the agent neither listens nor speaks by itself. Nobody is in two.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Literal

from offhook.call.room import Mode, Place
from offhook.call.second import Second, announcement, called, unless_over
from offhook.core.errors import CallEnded, DialFailed, NotAllowed

if TYPE_CHECKING:
    from offhook.call.session import Session
    from offhook.core.ids import CallId

Role = Literal["aside", "active"]
"""What the agent does while the caller hears a participant: it keeps aside, or goes on."""


class Participant:
    """Somebody in a call beside its caller and its agent. `CallEnded` from a verb: they have left."""

    def __init__(self, conference: Conference, place: Place, who: str, agent: Role) -> None:
        self.id: CallId = place.leg.info.id
        """The name of their leg in logs and events."""
        self.who = who
        """Whom we called, or who called us: an address or a number."""
        self.digits = ""
        """Every key that somebody whom we called in has pressed; a supervisor's are in its own call."""
        self.place = place
        self.agent = agent
        self.gone = asyncio.Event()
        self.speak: Callable[[str], Awaitable[object]] = _nowhere
        self.end: Callable[[], Awaitable[object]] | None = None
        self._conference = conference

    @property
    def mode(self) -> Mode | Literal["left"]:
        """How they are in the call: `talk`, `whisper`, `listen`, or `left`."""
        return "left" if self.gone.is_set() else self.place.mode

    async def talk(self) -> None:
        """Let all hear them: of a supervisor, barge in."""
        self._conference.change(self, "talk")

    async def whisper(self, to: Participant | None = None) -> None:
        """Let one alone hear them: another participant, or (None) the caller. ValueError for one of another call."""
        self._conference.change(self, "whisper", to)

    async def listen(self) -> None:
        """Let nobody hear them."""
        self._conference.change(self, "listen")

    async def say(self, text: str) -> None:
        """Say something to them alone, in the agent's voice; returns once it was heard. ConfigError without a voice."""
        self.alive()
        await self.speak(text)

    async def press(self, keys: str) -> None:
        """Press keys (0-9*#A-D) towards them alone. NotAllowed where they take none, ValueError for what is no key."""
        self.alive()
        if not self.place.leg.capabilities.press:
            raise NotAllowed("this leg can't press keys")
        self.place.leg.press(keys)

    async def remove(self) -> None:
        """Take them out of the call: whom we called in is hung up on, a supervisor's own call goes on."""
        self._conference.left(self)
        if self.end is not None:
            await self.end()

    async def left(self) -> None:
        """Wait until they have left, or the call is over."""
        await self.gone.wait()

    def alive(self) -> None:
        """Raise CallEnded if they have left."""
        if self.gone.is_set():
            raise CallEnded("they have left the call")

    def __repr__(self) -> str:
        return f"Participant({self.id}, {self.mode})"


class Conference:
    """The participants of one call."""

    def __init__(self, session: Session) -> None:
        self.people: list[Participant] = []
        self._left_over: list[Participant] = []
        self.elsewhere = False
        """This call's far end is in another's conference."""
        self._session = session

    async def call_in(
        self, target: str, *, mode: Mode, to: Participant | None, announce: str, agent: Role
    ) -> Participant:
        """Call somebody and let them in. Raises as `called`, and DialFailed (487) if they go while it is announced."""
        session = self._session
        if self.elsewhere:
            raise NotAllowed("this call is in another's conference: leave that first")
        speech = announcement(session, announce) if announce else None
        aside = agent == "aside" and mode == "talk"
        dialling = object()
        if aside:
            session.hold(dialling, on=True)
        try:
            second = await called(session, target, rings=aside)
            guest = Participant(self, Place(second.leg, supervises=mode != "talk"), target, agent)
            welcome = False
            try:
                if speech is not None and not await unless_over(session, second.say(speech), second):
                    raise DialFailed(487, "they hung up", "cancelled")
                session.alive()
                self.let_in(guest, mode, to)
                welcome = True
            finally:
                if not welcome:
                    await second.close()
        finally:
            session.hold(dialling, on=False)
        self._serve(guest, second)
        return guest

    def _serve(self, guest: Participant, second: Second) -> None:
        session = self._session

        async def speak(text: str) -> None:
            if not await unless_over(session, second.say(announcement(session, text)), second):
                raise CallEnded("they have left the call")

        def pressed(key: str) -> None:
            guest.digits += key

        guest.speak, guest.end, second.pressed = speak, second.close, pressed
        second.leg.listen("none")
        session.watch(self.until(second.over, guest))

    def supervise(
        self,
        other: Session,
        *,
        mode: Mode,
        to: Participant | None,
        agent: Role,
        speak: Callable[[str], Awaitable[object]],
    ) -> Participant:
        """Let the far end of this call into another call. NotAllowed, CallEnded, ValueError where it is its own."""
        session = self._session
        if other is session:
            raise ValueError("a call can't supervise itself")
        session.alive()
        other.alive()
        if self.elsewhere or other.conference.elsewhere or len(session.room.places) > 1:
            raise NotAllowed("one of these calls is in a conference already")
        supervisor = Participant(other.conference, Place(session.leg, supervises=True), session.leg.info.caller, agent)
        supervisor.speak = speak
        other.conference.let_in(supervisor, mode, to)
        self.elsewhere = True
        session.hold(supervisor, on=True)
        session.watch(self._back(supervisor))
        other.watch(other.conference.until(session.over, supervisor))
        return supervisor

    def let_in(self, participant: Participant, mode: Mode, to: Participant | None) -> None:
        """Let somebody in. NotAllowed where there is no room, ValueError for a whisper to somebody of another call."""
        participant.place.mode, participant.place.to = mode, self._hearer(participant, mode, to)
        self._session.room.enter(participant.place)
        self.people.append(participant)
        self._told(participant)

    def change(self, participant: Participant, mode: Mode, to: Participant | None = None) -> None:
        """Let somebody be heard by others than before. CallEnded if they have left, ValueError as `let_in`."""
        participant.alive()
        place, hearer = participant.place, self._hearer(participant, mode, to)
        if (mode, hearer) == (place.mode, place.to):
            return
        place.mode, place.to = mode, hearer
        self._session.room.mix()
        self._told(participant)

    def left(self, participant: Participant) -> None:
        """Take somebody out; nothing if they have gone."""
        if participant.gone.is_set():
            return
        participant.gone.set()
        self.people.remove(participant)
        whispering = [one for one in self.people if one.place.to is participant.place]
        self._session.room.leave(participant.place)
        for one in (participant, *whispering):
            self._told(one)

    def over(self) -> None:
        """The call is over: everybody has left it, and that is told while it may be."""
        self._left_over = list(self.people)
        for participant in self._left_over:
            self.left(participant)

    async def close(self) -> None:
        """Hang up on everybody who was left over."""
        for participant in self._left_over:
            await participant.remove()

    def _hearer(self, whose: Participant, mode: Mode, to: Participant | None) -> Place | None:
        if mode != "whisper":
            return None
        if to is None:
            return self._session.room.caller
        if to is whose or to not in self.people:
            raise ValueError("whom to whisper to is not in this call")
        return to.place

    def _told(self, participant: Participant) -> None:
        """Tell how somebody is in the call now, and keep the agent aside as long as that is due."""
        session, caller = self._session, self._session.room.caller
        session.reports.participant(participant.id, participant.who, participant.mode)
        aside = any(one.agent == "aside" and one.place.heard_by(caller) for one in self.people)
        session.hold(self, on=aside)

    async def until(self, over: asyncio.Event, participant: Participant) -> None:
        """Take somebody out once their end is `over`."""
        await over.wait()
        await participant.remove()

    async def _back(self, supervisor: Participant) -> None:
        await supervisor.gone.wait()
        self.elsewhere = False
        self._session.hold(supervisor, on=False)


async def _nowhere(text: str) -> None:
    """Nobody is there yet."""
