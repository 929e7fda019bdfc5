"""The person at the far end of a fake service: what `testing.callers.Caller` speaks with and hears by.

    Caller ─ says, presses ─► FarEnd ─► 20 ms frames ─► Tongue ─► half a round trip ─► our socket
           ◄─ hears ───────          ◄─ PlayoutBuffer ◄─ Tongue ◄─ half a round trip ◄─

Silence is sent too, as a service does, for as long as the socket is open.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, Protocol, TypeVar

from offhook import _native as native
from offhook.call.feed import Feed
from offhook.call.leg import CallInfo
from offhook.call.rates import SteadyRate
from offhook.carriers.services.stream import Encoding, Frame
from offhook.core.ids import CallId
from offhook.core.instants import SECOND
from offhook.core.signals import Connected, HungUp
from offhook.testing.carriers.playout import FRAME_MS, PlayoutBuffer

_T = TypeVar("_T")

QUEUE_MS: Final = 2000


@dataclass(frozen=True, slots=True)
class Order:
    """What our side has asked of the service over the socket; `text` is a mark's name, or keys.

    `part` is a goodbye that the service answers with its own; the socket it closes at the `close` behind that.
    """

    kind: Literal["sound", "mark", "clear", "keys", "part", "close", "other"]
    payload: bytes = b""
    text: str = ""


class Tongue(Protocol):
    """The service's side of its media socket."""

    @property
    def heard(self) -> Encoding:
        """How the caller's audio is coded on the wire."""
        ...

    @property
    def ours(self) -> Encoding:
        """How the service takes audio."""
        ...

    def begins(self) -> Sequence[Frame]:
        """Give what it says first."""
        ...

    def sound(self, payload: bytes) -> Sequence[Frame]:
        """Give 20 ms of the caller's audio."""
        ...

    def key(self, key: str) -> Sequence[Frame]:
        """Tell of a key."""
        ...

    def passed(self, mark: str, cleared: bool) -> Sequence[Frame]:
        """Give a mark back."""
        ...

    def cleared(self) -> Sequence[Frame]:
        """Say that the buffer is empty, where it says so."""
        ...

    def ends(self) -> Sequence[Frame]:
        """Give what it says last."""
        ...

    def read(self, frame: Frame) -> Sequence[Order]:
        """Read what our side sent. AssertionError where the service would not take it."""
        ...


class Pipe(Generic[_T]):
    """One direction of a socket: what goes in comes out `delay_s` later, in its order."""

    def __init__(self, delay_s: float, take: Callable[[_T], None]) -> None:
        self._delay_s = delay_s
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[float, _T]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def put(self, item: _T) -> None:
        """Send."""
        self._waiting.append((self._loop.time() + self._delay_s, item))
        self._arm()

    def _arm(self) -> None:
        if self._timer is None and self._waiting:
            due = self._waiting[0][0]
            self._timer = self._loop.call_at(due, self._deliver, due)

    def _deliver(self, due: float) -> None:
        self._timer = None
        now = max(due, self._loop.time())  # a loop that counts in integers may be a fraction early
        while self._waiting and self._waiting[0][0] <= now:
            self._take(self._waiting.popleft()[1])
        self._arm()


class FarEnd:
    """One caller's side of one call. `send` takes frames to our side, at their time of arrival there."""

    def __init__(self, name: str, tongue: Tongue, send: Callable[[Frame], None], rtt_s: float) -> None:
        self.info = CallInfo(CallId(name), "outbound", "+15550001111", "+15552223333")
        self.tongue = tongue
        self.rtt_s = rtt_s
        self.over = False
        self.open = False
        """Whether the media socket is there."""
        self.frames = 0
        """Frames of the caller's that were sent."""
        self.orders: list[tuple[float, Order]] = []
        """What our side has asked for, and when it came there; audio without its bytes."""
        self.on_hangup: Callable[[], Any] = lambda: None
        self.on_close: Callable[[], Any] = lambda: None
        self._going = Pipe(rtt_s / 2, send)
        self._coming = Pipe(rtt_s / 2, self._take)
        self._loop = asyncio.get_running_loop()
        self._events: Feed[Any] = Feed(100_000)
        self._queue: deque[tuple[int, bytes]] = deque()
        self._ends: dict[int, None] = {}
        self._seq = 0
        self._heard = native.Decoder(tongue.ours.label)
        self._says = native.Encoder(tongue.heard.label)
        self._up = None if tongue.heard.rate_hz == 8000 else native.Resampler(8000, tongue.heard.rate_hz, steady=True)
        self._down = SteadyRate(8000)
        self.buffer = PlayoutBuffer(tongue.ours.bytes_per_ms * FRAME_MS, self._sounds, self._passed)
        self._ticking: asyncio.TimerHandle | None = None

    # The socket

    def begin(self) -> None:
        """Open the media socket's conversation."""
        self.open = True
        for frame in self.tongue.begins():
            self._sends(frame)
        self._tell(Connected(self._now))
        self._tick(self._loop.time())

    def take(self, frame: Frame) -> None:
        """Take what our side sends: it arrives half a round trip later."""
        self._coming.put(frame)

    def _take(self, frame: Frame) -> None:
        if self.over or not self.open:
            return
        for order in self.tongue.read(frame):
            self.orders.append((self._loop.time(), Order(order.kind, b"", order.text)))
            match order.kind:
                case "sound":
                    self.buffer.put(order.payload)
                case "mark":
                    self.buffer.mark(order.text)
                case "clear":
                    self.buffer.clear()
                    for one in self.tongue.cleared():
                        self._sends(one)
                case "keys":
                    for key in order.text:
                        self._tell(native.Digit(0, self._next(), self._now, key, 100))
                case "part":
                    self.ends()
                case "close":
                    self.on_close()
                case "other":
                    pass

    def _sends(self, frame: Frame) -> None:
        self._going.put(frame)

    def _passed(self, mark: str, cleared: bool) -> None:
        for frame in self.tongue.passed(mark, cleared):
            self._sends(frame)

    def _sounds(self, frame: bytes) -> None:
        pcm = self._down.push(self._heard.push(frame), self.tongue.ours.rate_hz)
        self._tell(native.Heard(0, self._next(), self._now, pcm, False, 8000))

    def _tick(self, due: float) -> None:
        if self.over or not self.open:
            return
        pcm = b""
        while self._queue and len(pcm) < 320:
            utterance, piece = self._queue.popleft()
            pcm += piece
            if len(pcm) > 320:
                self._queue.appendleft((utterance, pcm[320:]))
                pcm = pcm[:320]
        pcm = pcm.ljust(320, b"\0")
        if self._up is not None:
            pcm = self._up.push(pcm)
        for frame in self.tongue.sound(self._says.push(pcm)):
            self._sends(frame)
        self.frames += 1
        for utterance in [one for one in self._ends if all(one != number for number, _ in self._queue)]:
            del self._ends[utterance]
            self._tell(native.Played(0, self._next(), self._now, utterance, 0))
        if sum(len(piece) for _, piece in self._queue) < 16 * QUEUE_MS // 2:
            self._tell(native.Room(0, self._next(), self._now, 0))
        self._ticking = self._loop.call_at(due + FRAME_MS / 1000, self._tick, due + FRAME_MS / 1000)

    # What a Caller asks of its leg

    def events(self) -> AsyncIterator[Any]:
        """Give what happens."""
        return self._events

    def listen(self, mode: str) -> None:
        """Hear all: a person does."""

    def play(self, utterance: int, pcm: bytes, rate_hz: int) -> int:
        """Queue words; give how many bytes were taken."""
        room = max(0, 16 * QUEUE_MS - sum(len(piece) for _, piece in self._queue)) & ~1
        if piece := pcm[:room]:
            self._queue.append((utterance, piece))
        return len(piece)

    def end(self, utterance: int) -> None:
        """Say that the words are complete."""
        self._ends[utterance] = None

    def press(self, keys: str) -> None:
        """Press keys."""
        for key in keys:
            for frame in self.tongue.key(key):
                self._sends(frame)

    async def connected(self) -> None:
        """Be there: a fake waits for its answer itself."""

    async def hangup(self) -> None:
        """Hang up as a caller does: the service tells."""
        if not self.over:
            self.ends()
            self.on_hangup()
            self.finish("hangup")

    async def hold(self, on: bool) -> bool:
        """Say that a service's callers hold nobody."""
        return False

    # The end

    def lost(self) -> None:
        """Lose the media socket; the call may go on."""
        self.open = False
        self.buffer.close()

    def ends(self) -> None:
        """Say what the service says last on the socket."""
        if self.open:
            for frame in self.tongue.ends():
                self._sends(frame)

    def finish(self, reason: str = "remote_hangup") -> None:
        """Be over."""
        if not self.over:
            self.over = True
            self.lost()
            if self._ticking is not None:
                self._ticking.cancel()
            self._tell(HungUp(self._now, 200, reason, "ended"))
            self._events.close()

    @property
    def _now(self) -> int:
        return round(self._loop.time() * SECOND)

    def _next(self) -> int:
        self._seq += 1
        return self._seq

    def _tell(self, event: Any) -> None:
        self._events.put(event)
