"""The half of a leg that is a port: verbs that go straight to the media plane, and what is told to the leg's reader.

Call ─► play, hush, arm, press … ─► engine      events ─► Threshold: nothing of the far end before the answer ─► inbox
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Literal

from offhook import _native as native
from offhook.call import tones
from offhook.call.leg import Heard, LegEvent
from offhook.carriers.early import Threshold
from offhook.carriers.inbox import Inbox
from offhook.carriers.keys import Keys, Source
from offhook.carriers.oneway import OneWay
from offhook.carriers.plane import Engine
from offhook.carriers.terms import LineTones
from offhook.core import signals
from offhook.core.errors import NotAllowed
from offhook.core.instants import SECOND, Instant
from offhook.core.media import MediaPlan


class PortVerbs:
    """The verbs of media of a leg over one port."""

    def __init__(self, engine: Engine, number: int, line: LineTones) -> None:
        self._engine = engine
        self._line_tones = line
        self._number = number
        self._threshold = Threshold()
        self._keys = Keys()
        self._mode: Literal["all", "speech", "none"] = "all"
        self._gain_control = False
        self._inbox = Inbox()
        self._oneway = OneWay(self._one_way)
        self._final_counters: Mapping[str, int] = {}

    def events(self) -> AsyncIterator[LegEvent]:
        """Give every event once, in order; ends after `HungUp`. One reader only."""
        return self._inbox

    def counters(self) -> Mapping[str, int]:
        """Give the media counters by reason, and `unread`: pieces of audio that no one took in time."""
        counts = self._final_counters if self.over else self._engine.counters(self._number)
        return {**counts, "unread": self._inbox.dropped}

    def pipeline(self) -> tuple[str, str]:
        """Give the stages of what comes and of what leaves, each in a line."""
        return self._engine.describe(self._number)

    @property
    def over(self) -> bool:
        """Whether the call has ended."""
        return False

    @property
    def port(self) -> int:
        """The number of its port."""
        return self._number

    @property
    def rate_hz(self) -> int:
        """What the audio of the call runs at: 8000, or 16000 with a wideband codec."""
        return self._engine.rate_hz(self._number)

    def _let_in(self, now: Instant) -> None:
        """Listen from here on; what has begun before and lasts is told now.

        RTP may come before the ACK does (RFC 3264 section 5.1): what is said first after the answer must not be lost.
        """
        for event in self._threshold.open(now):
            self._inbox.put(event)
        self._engine.listen(self._number, self._mode, self._gain_control)

    def _watch_ways(self, plan: MediaPlan | None, up: bool) -> None:
        """Watch both directions while both are owed."""
        self._oneway.expect(up and plan is not None and plan.receiving and plan.sending)

    def _closed(self, counters: Mapping[str, int]) -> None:
        """Keep what the port has counted; nothing is owed any more."""
        self._oneway.end()
        self._final_counters = counters

    def _one_way(self, fault: signals.Fault, on: bool) -> None:
        now = round(asyncio.get_running_loop().time() * SECOND)
        self._inbox.put(signals.OneWay(now, fault, on, self._suspect(fault) if on else ""))

    def _suspect(self, fault: signals.Fault) -> str:
        """Say what may cause one-way audio, as far as this leg can know."""
        return ""

    def _passes(self, event: LegEvent) -> bool:
        """Say whether an event of the port may be told."""
        self._oneway.hear(event)
        if isinstance(event, native.OneWay):
            return False  # told as a signal, with what to do about it
        if not self._threshold.lets(event):
            return False
        if isinstance(event, native.Tone) and self._means_gone(event.kind):
            self._inbox.put(event)  # before the end that it means
            self.expire("remote_hangup")
            return False
        if not isinstance(event, native.Digit):
            return True
        return self._keys.tells(event.at, event.key, Source.TONES if event.in_band else Source.EVENTS)

    def _means_gone(self, kind: str) -> bool:
        """Say whether a tone means that the far end has gone: on a line that says so by tones."""
        return self._line_tones.hang_up and kind in tones.HANGUP and self._threshold.opened

    def expire(self, why: str) -> None:
        """End the call now; `why` is what `HungUp` tells. A bare port has none."""

    def reports(self) -> int:
        """Give how many RTCP packets of the far end have come."""
        return self._engine.counters(self._number).get("received_rtcp", 0)

    def _pressed(self, now: Instant, key: str, duration_ms: int) -> None:
        """Tell a key that came by signalling, unless the port has told it."""
        if self._threshold.opened and self._keys.tells(now, key, Source.INFO, duration_ms):
            self._inbox.put(native.Digit(self._number, 0, now, key, duration_ms))

    def listen(self, mode: Literal["all", "speech", "none"], gain_control: bool = False) -> None:
        """Say which audio comes as `Heard`, from the answer on."""
        self._mode, self._gain_control = mode, gain_control
        if self._threshold.opened:
            self._engine.listen(self._number, mode, gain_control)

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
        """Send keys as RFC 4733 events, or as tones where those were not agreed. ValueError for what is no key."""
        self._engine.press(self._number, keys)

    def mix(self, heard: Sequence[Heard]) -> None:
        """Say whom the far end hears besides what we play to it. NotAllowed over two media threads."""
        routes: list[tuple[int, str, float]] = []
        for leg, side in heard:
            if not isinstance(leg, PortVerbs):
                raise NotAllowed("these two calls are carried differently and can't be joined")
            routes.append((leg._number, side, 0.0))
        try:
            self._engine.mix(self._number, routes)
        except ValueError as error:
            raise NotAllowed(
                f"these calls can't hear each other ({error}): set media_threads = 1, or call who is to join"
            ) from None

    def part(self) -> None:
        """Take it out of all mixes."""
        self._engine.part(self._number)

    def bed(self, sound: native.Sound | None, level_db: float, duck_db: float) -> None:
        """Let a sound go round under all that the far end hears; None ends it."""
        self._engine.bed(self._number, sound, level_db, duck_db)

    def watch(self, kinds: Collection[str]) -> None:
        """Say which tones are told from here on; those of a far end that has gone are listened for besides."""
        line = self._line_tones
        wanted = {*kinds, *(tones.HANGUP if line.hang_up else ())}
        self._engine.watch(self._number, tones.listened(wanted, line.country), tones.BEEP in wanted)

    def tape(self, on: bool) -> None:
        """Begin or end `Taped` events."""
        self._engine.tape(self._number, on)
