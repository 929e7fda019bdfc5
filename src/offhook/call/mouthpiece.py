"""From the voice to the leg: one utterance at a time, in order, with the leg's back-pressure.

    Tts pieces ─► play ─► leg.play ─┬─ all taken
                                    └─ less: wait for `Room`, then the rest

A stretch of speech holds the mouthpiece until all of it is queued; the next follows without a gap.
"""

from __future__ import annotations

import asyncio

from offhook.call.leg import AudioLeg
from offhook.call.pipeline import Stage
from offhook.call.protocols import Speech
from offhook.call.wording import Wording

ROOM_WAIT_S = 1.0
"""The queue holds 2 s and asks for more at its low-water mark; look again by ourselves after so long."""
FIRST_MS = 20
"""The mark of the first sound goes behind so much audio: one packet."""


class Mouthpiece:
    """The play queue of a leg."""

    __slots__ = ("_cut", "_free", "_leg", "_room", "_utterance")

    def __init__(self, leg: AudioLeg) -> None:
        self._leg = leg
        self._free = asyncio.Lock()
        self._room = asyncio.Event()
        self._utterance = 0
        self._cut = 0

    def stage(self) -> Stage:
        """Say where what is played goes."""
        return Stage(self._leg.pipeline()[1])

    async def begin(self) -> int:
        """Wait for our turn to sound; give the number of a new utterance."""
        await self._free.acquire()
        self._utterance += 1
        return self._utterance

    def finish(self, utterance: int, *, heard_out: bool = True) -> None:
        """End the utterance (`heard_out`: and have the leg tell when it was heard) and let the next begin."""
        if heard_out:
            self._leg.end(utterance)
        self._free.release()

    def cut(self, utterance: int) -> None:
        """The leg has dropped an utterance: it takes what is still queued of it, and sounds none."""
        self._cut = max(self._cut, utterance)

    def sounds(self, utterance: int) -> bool:
        """Tell whether what is queued of an utterance will sound."""
        return utterance > self._cut

    def room(self) -> None:
        """The leg has room again."""
        self._room.set()

    async def speak(self, utterance: int, piece: Speech, *, marked: bool = False) -> None:
        """Queue a piece of the voice, or hand its text to the service that speaks it; else as `play`."""
        if not isinstance(self._leg, Wording):
            await self.play(utterance, piece.pcm, piece.rate_hz, marked=marked)
            return
        self._leg.say(utterance, piece.text)
        if marked:
            self._leg.mark(utterance, 0)

    async def play(self, utterance: int, pcm: bytes, rate_hz: int, *, marked: bool = False) -> None:
        """Queue audio; returns when the leg took all of it. `marked`: have the leg tell when the first packet left."""
        if marked and pcm:
            packet = rate_hz * FIRST_MS // 1000 * 2
            await self._queue(utterance, pcm[:packet], rate_hz)
            self._leg.mark(utterance, 0)
            pcm = pcm[packet:]
        await self._queue(utterance, pcm, rate_hz)

    async def _queue(self, utterance: int, pcm: bytes, rate_hz: int) -> None:
        taken = self._leg.play(utterance, pcm, rate_hz) if pcm else 0
        while taken < len(pcm):
            self._room.clear()
            try:
                async with asyncio.timeout(ROOM_WAIT_S):
                    await self._room.wait()
            except TimeoutError:
                pass  # the word of room may have been lost with a hushed utterance
            taken += self._leg.play(utterance, pcm[taken:], rate_hz)
