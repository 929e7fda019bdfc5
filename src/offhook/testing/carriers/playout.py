"""What a service's buffer does with our audio: plays it in real time, gives marks back, and can be emptied.

    put, mark ─► [20 ms][20 ms][mark][20 ms] ─► a frame every 20 ms ─► the caller's ear
    clear ─► nothing is left; marks that waited come back at once

It keeps the time of the loop and counts what it is owed and was not given.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

FRAME_MS: Final = 20


class PlayoutBuffer:
    """One call's buffer. `play` hears each frame as it sounds, `passed` each mark, and whether it was cleared."""

    def __init__(self, frame_bytes: int, play: Callable[[bytes], None], passed: Callable[[str, bool], None]) -> None:
        self._frame_bytes = frame_bytes
        self._play = play
        self._passed = passed
        self._items: deque[bytes | str] = deque()
        self._rest = b""
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0.0
        self._loop = asyncio.get_running_loop()
        self.taken_ms = 0
        """All that was ever put."""
        self.played_ms = 0
        self.dropped_ms = 0
        """What a clear has dropped."""
        self.longest_ms = 0
        """The most that ever waited."""
        self.gaps: list[tuple[float, float]] = []
        """Silences between two frames: when, and how long, seconds. Short ones inside speech are underruns."""
        self.plays: list[tuple[float, int]] = []
        """When each frame sounded, and how much had sounded before it, ms."""

    @property
    def waiting_ms(self) -> int:
        """What waits to sound."""
        return sum([FRAME_MS for item in self._items if isinstance(item, bytes)])

    def put(self, payload: bytes) -> None:
        """Take audio of any length; what is less than a frame waits for its company."""
        data = self._rest + payload
        whole = len(data) - len(data) % self._frame_bytes
        self._rest = data[whole:]
        for at in range(0, whole, self._frame_bytes):
            self._items.append(data[at : at + self._frame_bytes])
            self.taken_ms += FRAME_MS
        self.longest_ms = max(self.longest_ms, self.waiting_ms)
        self._begin()

    def mark(self, name: str) -> None:
        """Give `name` back when all before it has sounded: at once, where nothing waits."""
        self._items.append(name)
        self._begin()

    def clear(self) -> None:
        """Drop what waits, and give its marks back."""
        self.dropped_ms += self.waiting_ms
        items, self._items = self._items, deque()
        self._rest = b""
        for item in items:
            if isinstance(item, str):
                self._passed(item, True)

    def close(self) -> None:
        """Play nothing more."""
        self._items.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _begin(self) -> None:
        if self._timer is not None:
            return
        now = self._loop.time()
        if self.plays and now - self._next > 1e-6:
            self.gaps.append((self._next, now - self._next))
        self._next = max(now, self._next)
        self._timer = self._loop.call_at(self._next, self._tick)

    def _tick(self) -> None:
        self._timer = None
        while self._items and isinstance(self._items[0], str):
            self._passed(str(self._items.popleft()), False)
        if not self._items:
            return
        frame = self._items.popleft()
        assert isinstance(frame, bytes)
        self.plays.append((self._loop.time(), self.played_ms))
        self.played_ms += FRAME_MS
        self._play(frame)
        self._next += FRAME_MS / 1000
        self._timer = self._loop.call_at(self._next, self._tick)
