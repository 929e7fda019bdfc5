"""A scripted leg: a caller without a network, on the loop's clock, for tests of `Call` alone.

    leg.says("a table for two") ─► SpeechBegan, Heard …, SpeechEnded ─► Call
    Call ─► play, end, hush ─► 20 ms packets ─► leg.heard_text, leg.packets

It keeps the contract of `call.leg.AudioLeg` as a leg over RTP does: a queue of 2 s with room events, `Played` after
the last packet was heard, `Cut` with what was heard, marks by the play-out clock.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Any, Literal

from offhook import _native as native
from offhook.call.feed import Feed
from offhook.call.leg import AudioLeg, CallInfo, Capabilities, Heard, LegEvent
from offhook.core.errors import CallEnded, DialFailed, TransferFailed
from offhook.core.ids import CallId
from offhook.core.instants import MILLISECOND, SECOND
from offhook.core.signals import Connected, HungUp
from offhook.sip.meanings import COMMON
from offhook.testing import spelled

PACKET_MS = 20
PACKET = spelled.RATE_HZ * PACKET_MS // 1000 * 2
QUEUE_MS = 2000
LOW_WATER_MS = 500
LAG_MS = 60
"""How long after it left a packet is heard."""
ONSET_MS = 60
"""How long after the onset the gate opens."""
HANGOVER_MS = 200
"""Silence after which the gate closes."""


class ScriptedLeg:
    """One far end, played by a test."""

    def __init__(
        self,
        *,
        caller: str = "sip:ada@pbx.example",
        called: str = "sip:luigi@here.example",
        direction: Literal["inbound", "outbound"] = "inbound",
        capabilities: Capabilities | None = None,
        transfer_code: int = 200,
        refer_code: int = 200,
        flows: bool = True,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.info = CallInfo(CallId("call-1"), direction, caller, called)
        self.capabilities = capabilities or Capabilities()
        self.rate_hz = spelled.RATE_HZ
        self.transfer_code = transfer_code
        self.refer_code = refer_code
        """What a REFER itself is answered: other than 200, nobody is transferred by it."""
        self.consulted: ScriptedLeg | None = None
        self.consulting = asyncio.Event()
        self.hears: list[Heard] = []
        """Whom the far end hears besides what is played to it."""
        self.watched: frozenset[str] = frozenset()
        self.flows = flows
        self.beds: list[tuple[native.Sound | None, float, float]] = []
        """What was to sound under the call, and how."""
        self.mode = "none"
        self.armed: float | None = None
        self.ducked = False
        self.packets: list[tuple[float, int, bytes]] = []
        """Every packet that left for the caller: when (seconds), of which utterance, PCM."""
        self.pressed = ""
        self.transferred: list[str] = []
        self.held = False
        self.taping = False
        self.before: list[str] = []
        """What was done before the answer, in order."""
        self.turns = 0
        """How often the far end was asked to be held, or taken back."""
        self.over = False
        self._events: Feed[LegEvent] = Feed(100_000)
        self._seq = 0
        self._queue: deque[tuple[int, bytes]] = deque()
        self._sent: dict[int, int] = {}
        self._ends: dict[int, None] = {}
        self._ticking = False
        self._short = False
        self._ear = spelled.Reader()
        self._generation = 0

    # What the test does

    @property
    def now(self) -> int:
        """The loop's clock in nanoseconds."""
        return round(self.loop.time() * SECOND)

    async def says(self, text: str, *, pcm: bytes | None = None) -> None:
        """Speak; returns as the last letter is said (the gate closes 200 ms later)."""
        await self.sounds(spelled.spell(text) if pcm is None else pcm)

    async def sounds(self, pcm: bytes) -> None:
        """Make a sound that opens the gate."""
        began = self.now
        opened = False
        for at in range(0, len(pcm), PACKET):
            await asyncio.sleep(PACKET_MS / 1000)
            if self.over:
                return
            if not opened and self.now - began >= ONSET_MS * MILLISECOND:
                opened = True
                self._speech(began)
            if self.mode != "none":
                self._tell(native.Heard, pcm[at : at + PACKET])
        if not opened:
            self._speech(began)
        self.loop.call_later(HANGOVER_MS / 1000, self._close, self.now)

    def _speech(self, began: int) -> None:
        self._event(native.SpeechBegan(0, self._number(), began))
        if self._queue and self.armed is not None:
            self.ducked = True
            self._tell(native.Ducked)

    def _close(self, ended: int) -> None:
        if not self.over:
            self._event(native.SpeechEnded(0, self._number(), ended, HANGOVER_MS))

    def presses(self, keys: str) -> None:
        """Press keys."""
        for key in keys:
            self._tell(native.Digit, key, 100)

    def beeps(self, kind: str = "beep") -> None:
        """Sound a tone, which is told if it is listened for."""
        if kind in self.watched:
            self._tell(native.Tone, kind)

    def stalls(self) -> None:
        """Stop the caller's packets: the leg tells it."""
        self._tell(native.Stalled)

    def flow(self) -> None:
        """Let the caller's packets come (again)."""
        self._tell(native.Flowing)

    def hangs_up(self, reason: str = "remote_hangup") -> None:
        """End the call from the far side."""
        self._finish(200, reason)

    @property
    def heard_text(self) -> str:
        """What the caller heard, read back from the audio that left."""
        return self._ear.text

    # What a leg is

    def events(self) -> AsyncIterator[LegEvent]:
        """Give the events."""
        return self._events

    def ring(self) -> None:
        """Ring."""
        self.before.append("ring")

    async def early(self) -> None:
        """Let sound out before the answer."""
        self.before.append("early")

    async def reject(self, meaning: str) -> None:
        """Refuse the call."""
        code, _ = COMMON.refusal(meaning)
        self._finish(code, "rejected", meaning)

    async def answer(self) -> None:
        """Take the call."""
        if self.over:
            raise CallEnded("the caller went away")
        self._event(Connected(self.now))
        if self.flows:
            self.flow()

    async def hangup(self, code: int = 200) -> None:
        """End the call from our side."""
        self._finish(code, "hangup")

    async def connected(self) -> None:
        """Answer after 300 ms, or not at all."""
        await asyncio.sleep(0.3)
        if self.transfer_code != 200:
            self._finish(self.transfer_code, "refused")
            raise DialFailed(self.transfer_code, "as the script says")
        await self.answer()

    async def transfer(self, target: str, consultation: AudioLeg | None = None) -> None:
        """Take the far end elsewhere after 300 ms, or refuse."""
        await asyncio.sleep(0.3)
        if self.over:
            raise CallEnded("the caller went away")
        if self.refer_code != 200:
            raise TransferFailed(self.refer_code, "it does not transfer", refused=True)
        if self.transfer_code != 200:
            raise TransferFailed(self.transfer_code, "as the script says")
        self.transferred.append(target)

    async def hold(self, on: bool) -> bool:
        """Keep what was asked."""
        if self.over:
            raise CallEnded("the caller went away")
        self.held = on
        self.turns += 1
        return True

    async def consult(self, target: str) -> ScriptedLeg:
        """Call another leg, which answers as a transfer to it would end."""
        if self.over:
            raise CallEnded("the caller went away")
        second = self.consulted = ScriptedLeg(called=target, direction="outbound", transfer_code=self.transfer_code)
        self.consulting.set()
        return second

    def mix(self, heard: Sequence[Heard]) -> None:
        """Keep whom the far end hears."""
        self.hears = list(heard)

    def part(self) -> None:
        """Hear nobody."""
        self.hears = []

    def bed(self, sound: native.Sound | None, level_db: float, duck_db: float) -> None:
        """Take note of what sounds under the call."""
        self.beds.append((sound, level_db, duck_db))

    def listen(self, mode: Literal["all", "speech", "none"], gain_control: bool = False) -> None:
        """Say which audio is wanted."""
        self.mode, self.gain_control = mode, gain_control

    def play(self, utterance: int, pcm: bytes, rate_hz: int) -> int:
        """Queue audio, at most 2 s."""
        if self.over or rate_hz != spelled.RATE_HZ:
            return len(pcm)
        room = QUEUE_MS * 16 - sum(len(piece) for _, piece in self._queue)
        taken = max(0, min(len(pcm), room)) // 2 * 2
        if taken:
            self._queue.append((utterance, pcm[:taken]))
            self._sent.setdefault(utterance, 0)
        self._short = self._short or taken < len(pcm)
        if not self._ticking and self._queue:
            self._ticking = True
            self.loop.call_soon(self._tick)
        return taken

    def end(self, utterance: int) -> None:
        """Tell `Played` once it is heard."""
        if utterance in self._sent:
            self._ends[utterance] = None
            self._ended()

    def mark(self, utterance: int, mark: int) -> None:
        """Tell `Marked` when what is queued has left."""
        wait = sum(len(piece) for _, piece in self._queue) / 16000
        self.loop.call_later(wait, self._mark, utterance, mark)

    def _mark(self, utterance: int, mark: int) -> None:
        if not self.over:
            self._tell(native.Marked, utterance, mark)

    def hush(self) -> None:
        """Drop what is queued and tell what was heard."""
        self._queue.clear()
        self._ends.clear()
        self._generation += 1
        for utterance, sent_ms in list(self._sent.items()):
            del self._sent[utterance]
            self._tell(native.Cut, utterance, self._generation, sent_ms, max(0, sent_ms - LAG_MS), False)

    def arm(self, depth_db: float | None) -> None:
        """Arm the reflex."""
        self.armed = depth_db

    def restore(self) -> None:
        """End the ducking."""
        self.ducked = False

    def press(self, keys: str) -> None:
        """Press keys towards the caller."""
        self.pressed += keys

    def watch(self, kinds: Collection[str]) -> None:
        """Take note of the tones that are listened for."""
        self.watched = frozenset(kinds)

    def tape(self, on: bool) -> None:
        """Take note; nothing is taped here."""
        self.taping = on

    def pipeline(self) -> tuple[str, str]:
        """Give the one stage each way: the script."""
        return "scripted far end", "scripted far end"

    def counters(self) -> Mapping[str, int]:
        """Count the packets."""
        return {"sent": len(self.packets)}

    # Its clock

    def _tick(self) -> None:
        if self.over or not self._queue:
            self._ticking = False
            return
        utterance, piece = self._queue.popleft()
        packet, rest = piece[:PACKET], piece[PACKET:]
        if rest:
            self._queue.appendleft((utterance, rest))
        while len(packet) < PACKET and self._queue and self._queue[0][0] == utterance:
            _, more = self._queue.popleft()
            needed = PACKET - len(packet)
            packet += more[:needed]
            if more[needed:]:
                self._queue.appendleft((utterance, more[needed:]))
        if self.packets and self.packets[-1][1] != utterance:
            self._ear.push(b"\0" * PACKET * 5)  # for the reader, two utterances are two words
        self.packets.append((self.loop.time(), utterance, packet))
        self._ear.push(packet.ljust(PACKET, b"\0"))
        self._sent[utterance] = self._sent.get(utterance, 0) + PACKET_MS
        queued = sum(len(piece) for _, piece in self._queue) // 16
        if self._short and queued < LOW_WATER_MS:
            self._short = False
            self._tell(native.Room, queued)
        self._ended()
        self.loop.call_later(PACKET_MS / 1000, self._tick)

    def _ended(self) -> None:
        for utterance in list(self._ends):
            if not any(number == utterance for number, _ in self._queue):
                del self._ends[utterance]
                self.loop.call_later((PACKET_MS + LAG_MS) / 1000, self._played, utterance)

    def _played(self, utterance: int) -> None:
        sent_ms = self._sent.pop(utterance, None)
        if sent_ms is not None and not self.over:
            self._tell(native.Played, utterance, sent_ms)

    def _number(self) -> int:
        self._seq += 1
        return self._seq

    def _tell(self, kind: Any, *facts: Any) -> None:
        if not self.over:
            self._event(kind(0, self._number(), self.now, *facts))

    def _event(self, event: LegEvent) -> None:
        self._events.put(event)

    def _finish(self, code: int, reason: str, meaning: str = "ended") -> None:
        if not self.over:
            self.over = True
            self._events.put(HungUp(self.now, code, reason, meaning))
            self._events.close()
