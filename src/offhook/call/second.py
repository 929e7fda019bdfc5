"""A second far end beside a call's own: called for it, spoken to alone, and hung up in the end.

    called ─► consult ─► rings, and the caller hears it ring ─► answered ─► say, press ─► close, or it hangs up: `over`

Laws: what passes between people goes through the media plane, never through Python (`call.room`); its events are read
by nobody else; whatever goes wrong, it does not stay on the line.
"""

from __future__ import annotations

import asyncio
import math
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from offhook import _native as native
from offhook.call.feed import closing
from offhook.call.leg import AudioLeg
from offhook.call.mouthpiece import Mouthpiece
from offhook.call.protocols import Speech
from offhook.core.errors import CallEnded, ConfigError, DialFailed

if TYPE_CHECKING:
    from offhook.call.session import Session

RING_S: Final = 60.0
"""How long it may ring."""
RATE_HZ: Final = 8000
PIECE_S: Final = 0.1
AHEAD: Final = 4
"""Pieces of the ringing tone that wait to be played: what a busy loop may be late by, and what may overlap a hello."""


class Second:
    """Holds a leg from its first ring to its end. `pressed` hears its keys."""

    def __init__(self, leg: AudioLeg) -> None:
        self.leg = leg
        self.over = asyncio.Event()
        """It is gone, or never came."""
        self.pressed: Callable[[str], None] = _nothing
        self._mouthpiece = Mouthpiece(leg)
        self._unheard: dict[int, asyncio.Event] = {}
        self._reader = asyncio.get_running_loop().create_task(self._read(), name="second leg")

    async def _read(self) -> None:
        async for event in self.leg.events():
            match event:
                case native.Digit():
                    self.pressed(event.key)
                case native.Room():
                    self._mouthpiece.room()
                case native.Played():
                    if (heard := self._unheard.pop(event.utterance, None)) is not None:
                        heard.set()
                case _:
                    pass
        self.over.set()

    async def say(self, speech: AsyncIterator[Speech]) -> None:
        """Speak to it alone; returns once it was heard."""
        utterance = await self._mouthpiece.begin()
        heard = self._unheard[utterance] = asyncio.Event()
        try:
            async with closing(speech) as pieces:
                async for piece in pieces:
                    await self._mouthpiece.play(utterance, piece.pcm, piece.rate_hz)
        finally:
            self._mouthpiece.finish(utterance)
        await heard.wait()

    def press(self, key: str) -> None:
        """Press a key towards it, where it takes any."""
        press(self.leg, key)

    async def close(self) -> None:
        """Hang it up."""
        await self.leg.hangup()
        self._reader.cancel()
        await asyncio.wait([self._reader])
        self.over.set()


def press(leg: AudioLeg, key: str) -> None:
    """Press a key towards a far end, where it takes any."""
    if leg.capabilities.press:
        leg.press(key)


def _nothing(key: str) -> None:
    """Nobody hears it."""


async def called(session: Session, target: str, *, rings: bool = True) -> Second:
    """Call `target` for the far end of a call and wait for its answer; where it `rings`, the caller hears that.

    NotAllowed, Unreachable, OSError (no port), DialFailed if it is not taken (408 after `RING_S`), CallEnded.
    """
    second = Second(await session.leg.consult(target))
    answered = False
    ringing = asyncio.get_running_loop().create_task(_ringback(session.mouthpiece)) if rings else None
    try:
        async with asyncio.timeout(RING_S):
            await unless_over(session, second.leg.connected())
        answered = True
    except TimeoutError:
        raise DialFailed(408, "nobody answered", "no_answer") from None
    finally:
        if ringing is not None:
            ringing.cancel()
            await asyncio.wait([ringing])
            if session.ended is None:
                session.leg.hush()
        if not answered:
            await second.close()
    return second


def announcement(session: Session, text: str) -> AsyncIterator[Speech]:
    """Give words in the voice of a call. ConfigError where it has none."""
    if session.models.tts is None:
        raise ConfigError("there is no voice to say it with: configure one ([models] tts)")
    return session.models.tts.speak(_once(text), voice=session.voice)


async def unless_over(session: Session, work: Coroutine[Any, Any, Any], second: Second | None = None) -> bool:
    """Do something unless the caller goes away meanwhile (CallEnded); give whether the second far end stayed, too."""
    loop = asyncio.get_running_loop()
    working = loop.create_task(work)
    ends = [loop.create_task(one.wait()) for one in (session.over, second and second.over) if one is not None]
    try:
        await asyncio.wait([working, *ends], return_when=asyncio.FIRST_COMPLETED)
    finally:
        rest = [task for task in (working, *ends) if not task.done()]
        for task in rest:
            task.cancel()
        if rest:
            await asyncio.wait(rest)
    if working.done() and not working.cancelled():
        working.result()
        return True
    if session.ended is not None:
        raise CallEnded("the call is over")
    return False


async def _once(text: str) -> AsyncIterator[str]:
    yield text


async def _ringback(mouthpiece: Mouthpiece) -> None:
    """Let a caller hear that it rings elsewhere, until cancelled (ITU-T E.180: 1 s of 425 Hz, 4 s of nothing)."""
    pieces = _ringing()
    utterance = await mouthpiece.begin()
    try:
        number = 0
        while True:
            await mouthpiece.play(utterance, pieces[number % len(pieces)], RATE_HZ)
            number += 1
            if number > AHEAD:
                await asyncio.sleep(PIECE_S)
    finally:
        mouthpiece.finish(utterance)


@cache
def _ringing() -> tuple[bytes, ...]:
    count = round(RATE_HZ * PIECE_S)
    wave = [round(3000 * math.sin(math.tau * 425 * n / RATE_HZ)) for n in range(RATE_HZ)]
    tone = [struct.pack(f"<{count}h", *wave[at : at + count]) for at in range(0, RATE_HZ, count)]
    return (*tone, *[bytes(2 * count)] * (4 * len(tone)))
