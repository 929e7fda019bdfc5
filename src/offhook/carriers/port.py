"""The half of a leg that is a port: verbs that go straight to the media plane.

Call ─► play, hush, arm, press … ─► engine          events ─► Threshold: nothing of the far end before the answer
"""

from __future__ import annotations

from typing import Literal

from offhook import _native as native
from offhook.carriers.early import Threshold
from offhook.carriers.keys import Keys
from offhook.carriers.plane import Engine
from offhook.core.instants import Instant


class PortVerbs:
    """The verbs of media of a leg over one port."""

    def __init__(self, engine: Engine, number: int) -> None:
        self._engine = engine
        self._number = number
        self._threshold = Threshold()
        self._keys = Keys()
        self._mode: Literal["all", "speech", "none"] = "all"

    @property
    def over(self) -> bool:
        """Whether the call has ended."""
        return False

    def _let_in(self, now: Instant) -> list[native.Event]:
        """Listen from here on; give what has begun before and lasts."""
        lasting = self._threshold.open(now)
        self._engine.listen(self._number, self._mode)
        return lasting

    def _passes(self, event: native.Event) -> bool:
        """Say whether an event of the port may be told."""
        if not self._threshold.lets(event):
            return False
        return not isinstance(event, native.Digit) or self._keys.event(event.at, event.key)

    def _pressed(self, now: Instant, key: str, duration_ms: int) -> list[native.Event]:
        """Give what is to be told of a key that came by signalling."""
        told = self._threshold.opened and self._keys.info(now, key)
        return [native.Digit(self._number, 0, now, key, duration_ms)] if told else []

    def listen(self, mode: Literal["all", "speech", "none"]) -> None:
        """Say which audio comes as `Heard`, from the answer on."""
        self._mode = mode
        if self._threshold.opened:
            self._engine.listen(self._number, mode)

    def play(self, utterance: int, pcm: bytes, rate_hz: int) -> int:
        """Queue 16-bit mono PCM; give how many bytes were taken. After the end all is taken and nothing sounds."""
        return len(pcm) if self.over else self._engine.play(self._number, utterance, pcm, rate_hz)

    def end(self, utterance: int) -> None:
        """Say that an utterance is complete."""
        self._engine.end(self._number, utterance)

    def mark(self, utterance: int, mark: int) -> None:
        """Queue a mark behind what is queued."""
        self._engine.mark(self._number, utterance, mark)

    def hush(self) -> None:
        """Stop sounding now."""
        self._engine.hush(self._number)

    def arm(self, depth_db: float | None) -> None:
        """Arm or disarm the reflex that ducks our voice."""
        self._engine.arm(self._number, depth_db)

    def restore(self) -> None:
        """Bring a ducked voice back."""
        self._engine.restore(self._number)

    def press(self, keys: str) -> None:
        """Send keys as RFC 4733 events. ValueError for what is no key."""
        self._engine.press(self._number, keys)

    def tape(self, on: bool) -> None:
        """Begin or end `Taped` events."""
        self._engine.tape(self._number, on)
