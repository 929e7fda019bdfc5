"""A leg that a service brings by a media socket: `AudioLeg` made of a dialect, a socket and a port without sockets.

    webhook ─► StreamLeg ─► answer ─► the control document names our socket ─► attach ─► Connected
                        └─► reject ─► the document refuses
    the socket's messages ─► Dialect ─► Sound ─► port ─► Heard …        Passed ─► port ─► Played, Marked
    play, hush … ─► port ─► Leaving, Fence, Emptied ─► Dialect ─► the socket
    Stopped, the socket's end, `hangup` ─► HungUp, told once

Laws: what left before a hush goes to the service no more, from the moment of the hush; what a clear gives back was not
heard; a socket that is lost ends its call, at the service too, unless that has the call elsewhere meanwhile (a
transfer).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol, cast
from weakref import proxy

from offhook import _native as native
from offhook.call.leg import AudioLeg, CallInfo, Capabilities
from offhook.carriers.line import Line
from offhook.carriers.plane import configure
from offhook.carriers.port import PortVerbs
from offhook.carriers.reel import Reel
from offhook.carriers.services.jsonstream import KEYS
from offhook.carriers.services.stream import (
    Cleared,
    Dialect,
    Flow,
    Frame,
    Odd,
    Passed,
    Pressed,
    Reply,
    Sound,
    Started,
    Stopped,
    Told,
)
from offhook.carriers.silence import Silence, Watched
from offhook.core.carriage import Carriage
from offhook.core.errors import CallEnded, DialFailed, TransferFailed
from offhook.core.media import MediaPlan
from offhook.core.signals import AnsweredBy, Answerer, Connected, HungUp, Ringing

NOWHERE: Final = ("0.0.0.0", 1)  # noqa: S104 - no address: what a port without sockets names
ARRIVE_S: Final = 15.0
"""How long a service may take to bring the audio of a call that was answered."""

SURVIVAL_S: Final = 2.0
"""How long a service may take to say that a call is over whose audio has ended: then we end it there."""

PARTING_S: Final = 5.0
"""How long a far end may take to answer our goodbye and close the socket."""

WAITING_LIMIT: Final = 4000
"""Messages that wait while the service's buffer is full: what is beyond that is dropped, and counted."""


class Wire(Protocol):
    """The socket, as a leg sees it."""

    def send(self, frame: Frame) -> None:
        """Send a message. Nothing happens where the socket is gone."""
        ...

    def close(self) -> None:
        """Close the socket, behind what was sent. Idempotent."""
        ...


class Controls(Protocol):
    """What can be done with a call beside its audio: by the service's API, or by the document that it goes on with."""

    @property
    def transfers(self) -> bool:
        """Whether the service hands a call on."""
        ...

    async def hang_up(self) -> None:
        """End the call at the service. Raises nothing: a call that is gone is ended."""
        ...

    async def transfer(self, target: str) -> None:
        """Hand the far end to `target`; returns when that one has answered. TransferFailed, NotAllowed."""
        ...


class StreamLeg(PortVerbs):
    """One call of a service. `gone` hears that it is over; `remote_ip` is where the service's requests come from."""

    def __init__(
        self,
        line: Line,
        info: CallInfo,
        carriage: Carriage,
        controls: Controls,
        *,
        remote_ip: str,
        gone: Callable[[StreamLeg], None],
    ) -> None:
        self._line = line
        self._info = info
        self._carriage = carriage
        self._controls = controls
        self._gone = gone
        self.remote_ip = remote_ip
        """Where the service's requests come from."""
        terms = self._terms = line.terms(info)
        super().__init__(line.media.engine, line.media.carry(self._heard, carriage), terms.tones)
        self._silence = Silence(terms.audio.first_packet_s, terms.audio.silence_s, cast("Watched", proxy(self)))
        self._wire: Wire | None = None
        self._dialect: Dialect | None = None
        self._reel = Reel()
        self._generation = 0
        self._hushed = 0  # hushes that the port has yet to take note of
        self._full = False
        self._waiting: list[Frame] = []
        self._away = False
        self._rung = False
        self._ending: asyncio.Task[None] | None = None
        self._decision: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._arrived = asyncio.Event()
        self._over = False
        self.answered = False
        """Whether its audio was ever there."""
        self.odd: dict[str, int] = {}
        """What made no sense on the socket, by a word for it."""

    # What it is

    @property
    def info(self) -> CallInfo:
        """Who calls whom."""
        return self._info

    @property
    def capabilities(self) -> Capabilities:
        """What can be done: keys as the service sends them, else as tones; a transfer where the service has one."""
        return Capabilities(transfer=self._controls.transfers, hold=False, carriage=self._carriage)

    @property
    def over(self) -> bool:
        """Whether the call has ended."""
        return self._over

    async def decided(self) -> None:
        """Wait until the call is to be answered. DialFailed with the code where it is refused, or over before."""
        await asyncio.shield(self._decision)

    # Verbs of signalling

    def ring(self) -> None:
        """Do nothing: a service rings by itself."""

    async def early(self) -> None:
        """Do nothing: before the answer there is no way to the caller."""

    async def answer(self) -> None:
        """Take the call; returns when its audio is there. CallEnded if it never comes."""
        if not self._over and not self._decision.done():
            self._decision.set_result(None)
        try:
            async with asyncio.timeout(ARRIVE_S):
                await self._arrived.wait()
        except TimeoutError:
            self.given_up("no_media")
        if self._over:
            raise CallEnded("the call is over")

    async def reject(self, meaning: str) -> None:
        """Refuse the call: `busy`, `declined` … ValueError for what can't be said so."""
        code, _ = self._terms.meanings.refusal(meaning)
        self._finish(code, "rejected")

    async def connected(self) -> None:
        """Wait until a call that the service placed for us is answered. DialFailed with the code if it is not."""
        await self._arrived.wait()
        if self._over and not self.answered:
            raise self._decision.exception() or DialFailed(487, "the call is over")

    async def hangup(self, code: int = 200) -> None:
        """End the call now; before the answer refuse it with `code` (below 300: 480), or cancel our own. Idempotent."""
        if self._over:
            return
        ours = self._info.direction == "outbound"
        answered = self._decision.done()
        self._finish(code if answered or code >= 300 else 487 if ours else 480, "hangup")
        if answered or ours:
            await self._controls.hang_up()

    def rings(self) -> None:
        """Hear from the service that a call that it places for us rings; told once, and not after the answer."""
        if not self._rung and not self._arrived.is_set():
            self._rung = True
            self._inbox.put(Ringing(self._line.now(), 180))

    def answerer(self, what: Answerer) -> None:
        """Hear from the service what has answered: before the answer, or at any time while the call lasts."""
        self._inbox.put(AnsweredBy(self._line.now(), what))

    def left(self, code: int = 200, reason: str = "remote_hangup", meaning: str = "") -> None:
        """Hear from the service that the call is over; `meaning` where its word says more than the code."""
        self._finish(code, reason, meaning)

    def expire(self, why: str) -> None:
        """End the call now because a rule of ours says so; `why` is what `HungUp` tells."""
        self._finish(200, why)
        self._ending = asyncio.get_running_loop().create_task(self._controls.hang_up())

    async def transfer(self, target: str, consultation: AudioLeg | None = None) -> None:
        """Have the service hand the far end to `target`, then leave; if it fails the far end is back.

        TransferFailed, `refused` where the service has no such thing; CallEnded if the call is over.
        """
        if not self._controls.transfers or consultation is not None:
            raise TransferFailed(501, "this service joins nobody to a call that is there", refused=True)
        if self._over or not self.answered:
            raise CallEnded("there is no call to transfer")
        self._away = True
        try:
            await self._controls.transfer(target)
        finally:
            self._away = False
            if self._wire is None and not self._over:
                self._expect(False)
        self._finish(200, "transferred")

    async def consult(self, target: str) -> AudioLeg:
        """Call `target` for the far end; the leg is not answered yet. NotAllowed, Unreachable, CallEnded."""
        if self._over:
            raise CallEnded("there is no call to consult for")
        return await self._line.place(target, self)

    async def hold(self, on: bool) -> bool:
        """Say that a service holds nobody."""
        return False

    # Verbs of media that the socket has a say in

    def hush(self) -> None:
        """Stop sounding now: the service drops what it has, before anything else is done."""
        if self._carriage.clear != "none" and self._dialect is not None and not self._over:
            self._hushed += 1
            self._waiting.clear()
            self._write(self._dialect.clear())
        super().hush()

    def press(self, keys: str) -> None:
        """Send keys by the service, or as tones. ValueError for what is no key."""
        if self._carriage.keys and self._dialect is not None:
            if not keys or not KEYS.issuperset(keys):
                raise ValueError(f"{keys!r} are no keys: 0-9*#A-D")
            self._write(self._dialect.press(keys))
        else:
            super().press(keys)

    # The socket

    def attach(self, wire: Wire, dialect: Dialect, started: Started) -> None:
        """Take the socket that brings the call, from its `Started` on."""
        if self._over:
            wire.close()
            return
        self._drop_wire()
        self._wire, self._dialect = wire, dialect
        self._generation += 1
        self._hushed = 0
        self._reel = Reel(started.heard)
        plan = MediaPlan(NOWHERE, None, (96, started.ours.label), ((97, started.heard.label),))
        configure(self._engine, self._number, self._generation, plan)
        if not self.answered:
            self.answered = True
            self._let_in(self._line.now())
            self._inbox.put(Connected(self._line.now()))
        if not self._decision.done():
            self._decision.set_result(None)
        self._expect(True)
        self._arrived.set()

    def take(self, told: Told) -> None:
        """Take what a message of the socket says."""
        match told:
            case Sound():
                for sequence, timestamp, payload in self._reel.wind(told):
                    self._engine.bring(self._number, sequence, timestamp, payload)
            case Pressed():
                self._pressed(self._line.now(), told.key, told.duration_ms)
            case Passed():
                if not told.cleared and told.mark.isascii() and told.mark.isdigit():
                    self._engine.passed(self._number, int(told.mark[:18]))
            case Flow():
                self._full = not told.on
                if told.on:
                    waiting, self._waiting = self._waiting, []
                    self._write(waiting)
            case Reply():
                if self._wire is not None:
                    self._wire.send(told.frame)
            case Stopped():
                self.lost(said=True)
            case Cleared():
                pass  # the port has it already
            case Odd():
                self.odd[told.why] = self.odd.get(told.why, 0) + 1
            case Started():
                self.odd["started_again"] = self.odd.get("started_again", 0) + 1

    def lost_wire(self, wire: Wire) -> None:
        """Hear that a socket is gone; one that another has taken the place of does not matter."""
        if wire is self._wire:
            self.lost()

    def lost(self, *, said: bool = False) -> None:
        """Hear that the socket is gone; `said`: that it says goodbye, as it does where the call is over."""
        self._drop_wire()
        self._expect(False)
        if not self._away and not self._over:
            self._finish(200, "remote_hangup")
            if not said:
                self._survives()

    def _drop_wire(self) -> None:
        wire, self._wire = self._wire, None
        self._full = False
        self._waiting.clear()
        if wire is not None:
            wire.close()

    def _part(self) -> None:
        """Say goodbye on the socket and close it, at once or when the far end has had time to answer."""
        wire = self._wire
        if wire is not None and self._dialect is not None:
            self._write(self._dialect.close())
            if self._carriage.parts:
                self._wire = None
                asyncio.get_running_loop().call_later(PARTING_S, wire.close)
        self._drop_wire()

    def _write(self, frames: Sequence[Frame]) -> None:
        wire = self._wire
        if wire is None:
            return
        for frame in frames:
            if not self._full:
                wire.send(frame)
            elif len(self._waiting) < WAITING_LIMIT:
                self._waiting.append(frame)

    # What the media plane tells

    def _heard(self, event: native.Event) -> None:
        dialect = self._dialect
        if isinstance(event, native.Leaving):
            if not self._hushed and dialect is not None:
                self._write(dialect.sound(event.codes))
        elif isinstance(event, native.Fence):
            if not self._hushed and dialect is not None:
                self._write(dialect.mark(str(event.number)))
        elif isinstance(event, native.Emptied):
            if event.hushed:
                self._hushed = max(0, self._hushed - 1)
            elif not self._hushed and dialect is not None:
                self._write(dialect.clear())
        elif not isinstance(event, native.Mapped):
            self._silence.heard(event)
            if self._passes(event):
                self._inbox.put(event)

    def probe(self) -> None:
        """Do nothing: whether a socket lives its pings say."""

    def given_up(self, why: str = "stalled") -> None:
        """Hear that media will not come any more."""
        if not self._over:
            self._finish(408, why)
            self._survives()

    def _survives(self) -> None:
        """Have the service end a call that it has gone on with, though nobody is there any more."""

        async def end() -> None:
            await asyncio.sleep(SURVIVAL_S)
            await self._controls.hang_up()

        self._ending = asyncio.get_running_loop().create_task(end(), name="end of a call without audio")

    def _expect(self, on: bool) -> None:
        self._silence.expect(on)

    # The end

    def _finish(self, code: int, reason: str, meaning: str = "") -> None:
        """Be over, and tell it last."""
        if self._over:
            return
        self._over = True
        self._line.media.drain()  # what was heard before the end is told before it
        self._silence.stop()
        self._part()
        self._closed({**self._line.media.close(self._number), **self.odd})
        meaning = meaning or self._terms.meanings.of(code)
        if not self._decision.done():
            self._decision.set_exception(DialFailed(code, reason, meaning))
            self._decision.exception()  # whoever asked for it may have gone
        self._inbox.put(HungUp(self._line.now(), code, reason, meaning))
        self._arrived.set()
        self._gone(self)
