"""A second far end beside a call's own: called, spoken to, and joined with the first.

    consult ─► Bridge ─► answered ─► say … ─► join ─┬─ keys of each go to the other
                                                    └─ either hangs up: `over`, or the call's own end

Laws: audio between the two goes through the media plane and never through Python; the second leg ends with its bridge;
its events are read by nobody else.
"""

from __future__ import annotations

import asyncio
import math
import struct
from collections.abc import AsyncIterator
from functools import cache
from typing import Final

from offhook import _native as native
from offhook.call.feed import closing
from offhook.call.leg import AudioLeg
from offhook.call.mouthpiece import Mouthpiece
from offhook.call.protocols import Speech

RATE_HZ: Final = 8000
PIECE_S: Final = 0.1
AHEAD: Final = 4
"""Pieces of the ringing tone that wait to be played: what a busy loop may be late by, and what may overlap a hello."""


class Bridge:
    """Holds the second leg of a call, from its first ring to its end."""

    def __init__(self, first: AudioLeg, second: AudioLeg) -> None:
        self.first = first
        self.second = second
        self.over = asyncio.Event()
        """The second far end is gone, or never came."""
        self.joined = False
        self._mouthpiece = Mouthpiece(second)
        self._played = asyncio.Event()
        self._reader = asyncio.get_running_loop().create_task(self._read(), name="second leg")

    async def _read(self) -> None:
        async for event in self.second.events():
            match event:
                case native.Digit():
                    if self.joined and self.first.capabilities.press:
                        self.first.press(event.key)
                case native.Room():
                    self._mouthpiece.room()
                case native.Played():
                    self._played.set()
                case _:
                    pass
        self.over.set()

    async def say(self, speech: AsyncIterator[Speech]) -> None:
        """Speak to the second far end; returns once it was heard."""
        utterance = await self._mouthpiece.begin()
        self._played.clear()
        try:
            async with closing(speech) as pieces:
                async for piece in pieces:
                    await self._mouthpiece.play(utterance, piece.pcm, piece.rate_hz)
        finally:
            self._mouthpiece.finish(utterance)
        await self._played.wait()

    def join(self) -> None:
        """Let the two hear each other, and nobody else hear them."""
        self.first.arm(None)
        for leg in (self.first, self.second):
            leg.listen("none")
        self.first.bridge(self.second)
        self.joined = True

    def pressed(self, key: str) -> None:
        """The first far end pressed a key."""
        if self.joined and self.second.capabilities.press:
            self.second.press(key)

    async def close(self) -> None:
        """Part the two and hang the second up."""
        if self.joined:
            self.joined = False
            self.first.unbridge()
        await self.second.hangup()
        self._reader.cancel()
        await asyncio.wait([self._reader])


async def ringback(mouthpiece: Mouthpiece) -> None:
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
