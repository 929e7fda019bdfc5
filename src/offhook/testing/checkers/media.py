"""What must hold of media: the cadence on the wire, the play-out clock, keys, the tape."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from offhook import _native as native
from offhook.core.instants import MILLISECOND, SECOND, Duration, Instant
from offhook.core.media import Address
from offhook.testing.checkers.base import Checker, is_agent
from offhook.testing.wire import FIRST_DYNAMIC, Rtp, Sip, read_key

if TYPE_CHECKING:
    from offhook.testing.engine import VirtualEngine

PTIME: Final = 20 * MILLISECOND
SAMPLES: Final = 160
_MU_LAW_LOUDNESS: Final = bytes((~sign) & 0x7F for sign in range(256))
_A_LAW_LOUDNESS: Final = bytes((sign ^ 0x55) & 0x7F for sign in range(256))
AUDIBLE: Final = 0x10
"""From this logarithmic step on a sample is voice, be it ducked by 20 dB, and not the breath between two words."""


def loudness(packet: Rtp) -> int:
    """Give the loudest sample of a G.711 packet on its logarithmic scale, 0 to 127."""
    return max(packet.body.translate(_A_LAW_LOUDNESS if packet.payload == 8 else _MU_LAW_LOUDNESS), default=0)


@dataclass(slots=True)
class _Pace:
    """The last packet of a stream, and its last audio packet."""

    sequence: int
    timestamp: int
    at: Instant


class Cadence(Checker):
    """Every packet follows the last: sequence numbers by one, timestamps by the time that passed, on a 20 ms grid."""

    law = "RTP numbers go up by one and timestamps by ptime"

    def __init__(self) -> None:
        super().__init__()
        self._streams: dict[tuple[str, int], _Pace] = {}
        self._held: dict[Address, None] = {}

    def verb(self, now: Instant, engine: VirtualEngine, port: int, name: str, arguments: tuple[Any, ...]) -> None:
        """Note a hold: when it ends the cadence begins anew."""
        if name == "configure" and not arguments[1]["sending"]:
            self._held[engine.local(port)] = None

    def rtp_left(self, now: Instant, source: Address, destination: Address, packet: Rtp) -> None:
        """Compare a packet with the one before it."""
        key = (source[0], packet.ssrc)
        pace = self._streams.get(key)
        audio = packet.payload < FIRST_DYNAMIC
        if pace is None:
            self._streams[key] = _Pace(packet.sequence, packet.timestamp, now if audio else -1)
            return
        if packet.sequence != (pace.sequence + 1) & 0xFFFF:
            self.broken(now, f"{source[0]}: sequence {packet.sequence} after {pace.sequence}")
        pace.sequence = packet.sequence
        if not audio:
            return
        if source in self._held:
            del self._held[source]
            passed = (now - pace.at) * 8 // MILLISECOND
            advance = (packet.timestamp - pace.timestamp) & 0xFFFFFFFF
            if pace.at >= 0 and abs(advance - passed) > SAMPLES:
                self.broken(now, f"{source[0]}: the timestamp went on by {advance} in a hold of {passed} samples")
        elif pace.at >= 0:
            steps, off = divmod(now - pace.at + PTIME // 2, PTIME)
            if off != PTIME // 2:
                self.broken(now, f"{source[0]}: {(now - pace.at) / MILLISECOND:.3f} ms after the last packet")
            if packet.timestamp != (pace.timestamp + steps * SAMPLES) & 0xFFFFFFFF:
                advance = (packet.timestamp - pace.timestamp) & 0xFFFFFFFF
                self.broken(now, f"{source[0]}: the timestamp went on by {advance} in {steps} packet times")
        pace.timestamp, pace.at = packet.timestamp, now


@dataclass(slots=True)
class _Queue:
    """The play queue of one port, as a bystander keeps it: samples by utterance, what left, and when it was hushed."""

    local: Address
    waiting: deque[list[int]] = field(default_factory=deque[list[int]])
    sent: dict[int, float] = field(default_factory=dict[int, float])
    queued: float = 0.0
    last_packet: Instant = 0


class PlayClock(Checker):
    """Keeps the play queue of every port from the verbs that filled it and the packets that emptied it."""

    def __init__(self) -> None:
        super().__init__()
        self._ports: dict[tuple[str, int], _Queue] = {}
        self._by_address: dict[Address, _Queue] = {}

    def verb(self, now: Instant, engine: VirtualEngine, port: int, name: str, arguments: tuple[Any, ...]) -> None:
        """Follow what is queued and dropped."""
        if name == "open":
            queue = _Queue(engine.local(port))
            self._ports[engine.ip, port] = self._by_address[queue.local] = queue
        elif name == "play":
            queue = self._ports[engine.ip, port]
            utterance, pcm, rate_hz = arguments
            samples = len(pcm) // 2 * 8000 // rate_hz
            queue.waiting.append([utterance, samples])
            queue.queued += samples
        elif name in ("hush", "close"):
            queue = self._ports[engine.ip, port]
            queue.waiting.clear()
            queue.queued = 0

    def rtp_left(self, now: Instant, source: Address, destination: Address, packet: Rtp) -> None:
        """Take one packet's worth off the queue."""
        queue = self._by_address.get(source)
        if queue is None or packet.payload >= FIRST_DYNAMIC:
            return
        queue.last_packet = now
        room = SAMPLES
        while room and queue.waiting:
            head = queue.waiting[0]
            taken = min(room, head[1])
            head[1] -= taken
            room -= taken
            queue.queued -= taken
            queue.sent[head[0]] = queue.sent.get(head[0], 0) + taken
            if not head[1]:
                queue.waiting.popleft()


class PlayedOut(PlayClock):
    """`Played` and `Cut` say what the wire says, the queue holds 2 s, and an agent hangs up once it was heard."""

    law = "what is told as played was played"
    SLACK_MS: Final = 40
    """Two packets: the one being made, and the resampler's delay."""

    def __init__(self) -> None:
        super().__init__()
        self._media: dict[tuple[str, str], Address] = {}
        self._owners: dict[Address, str] = {}
        self._said_bye: dict[tuple[str, str], None] = {}
        self._dialog: dict[tuple[str, str], str] = {}
        self._patience: dict[str, Instant] = {}

    def told(self, now: Instant, host: str, call: str, event: str, data: Mapping[str, Any]) -> None:
        """Note when an operator's patience ends: what is up then is cut off, whatever it is saying."""
        if event == "drain":
            self._patience[host] = int(data["until"])

    def verb(self, now: Instant, engine: VirtualEngine, port: int, name: str, arguments: tuple[Any, ...]) -> None:
        """Hold the queue to its bound as well."""
        super().verb(now, engine, port, name, arguments)
        if name == "play":
            queued_ms = self._ports[engine.ip, port].queued / 8
            if queued_ms > 2000 + self.SLACK_MS:
                self.broken(now, f"{engine.ip} port {port}: {queued_ms:.0f} ms are queued, the bound is 2000 ms")

    def event(self, now: Instant, engine: VirtualEngine, event: native.Event) -> None:
        """Compare what a Port says with what left it."""
        if isinstance(event, native.Played):
            queue = self._ports[engine.ip, event.port]
            left_ms = sum(samples for utterance, samples in queue.waiting if utterance == event.utterance) / 8
            sent_ms = queue.sent.get(event.utterance, 0) / 8
            if left_ms > self.SLACK_MS or abs(event.sent_ms - sent_ms) > self.SLACK_MS:
                self.broken(
                    now, f"{engine.ip}: utterance {event.utterance} is told as played ({event.sent_ms} ms), but "
                    f"{sent_ms:.0f} ms left and {left_ms:.0f} ms wait",
                )  # fmt: skip
        elif isinstance(event, native.Cut):
            sent_ms = self._ports[engine.ip, event.port].sent.get(event.utterance, 0) / 8
            if abs(event.sent_ms - sent_ms) > self.SLACK_MS or event.heard_ms > event.sent_ms:
                self.broken(
                    now, f"{engine.ip}: utterance {event.utterance} is told as cut after {event.sent_ms} ms "
                    f"({event.heard_ms} ms heard), but {sent_ms:.0f} ms left",
                )  # fmt: skip

    def sip_left(self, now: Instant, source: Address, destination: Address, message: Sip, data: bytes) -> None:
        """Learn from our SDP which port a call has; at its first BYE the queue of an agent must be empty."""
        port = AUDIO_PORT.search(data)
        if port is not None:
            local = (source[0], int(port[1]))
            self._media[source[0], message.call] = local
            self._owners[local] = message.call
        key = (source[0], message.call)
        if message.code or not is_agent(source[0]):
            return
        if message.method == "ACK":
            self._dialog.setdefault(key, message.to_tag)
        # A BYE to another tag than the one first acknowledged gets rid of a fork (RFC 3261 section 13.2.2.4).
        fork = message.to_tag != self._dialog.get(key, message.to_tag)
        if message.method != "BYE" or key in self._said_bye or fork:
            return
        self._said_bye[key] = None
        if self._owners.get(self._media.get(key, ("", 0)), message.call) != message.call:
            return  # another call has taken its place, and the port with it (RFC 3891)
        if now >= self._patience.get(source[0], now + 1):
            return
        queue = self._by_address.get(self._media.get(key, ("", 0)))
        if queue is not None and queue.queued / 8 > self.SLACK_MS and now - queue.last_packet < SECOND:
            self.broken(now, f"{source[0]} hung up with {queue.queued / 8:.0f} ms of its words unheard")


AUDIO_PORT: Final = re.compile(rb"\r\nm=audio (\d+) ")


class Hushed(Checker):
    """After `hush` one packet fades; from the next on nothing sounds until something new is played."""

    law = "silence follows the decision to be silent"
    BOUND: Final[Duration] = 2 * PTIME
    """The packet under way, and the one that fades."""

    def __init__(self) -> None:
        super().__init__()
        self._hushed: dict[Address, Instant] = {}

    def verb(self, now: Instant, engine: VirtualEngine, port: int, name: str, arguments: tuple[Any, ...]) -> None:
        """Begin and end the silence."""
        if name == "hush":
            self._hushed[engine.local(port)] = now
        elif name == "mix" or (name == "play" and arguments[1]):  # others sound there, or we again
            self._hushed.pop(engine.local(port), None)

    def rtp_left(self, now: Instant, source: Address, destination: Address, packet: Rtp) -> None:
        """Listen for a voice in it."""
        since = self._hushed.get(source)
        if since is None or packet.payload >= FIRST_DYNAMIC or now - since <= self.BOUND:
            return
        if loudness(packet) >= AUDIBLE:
            self.broken(now, f"{source[0]} still sounds {(now - since) / MILLISECOND:.0f} ms after it was hushed")
            del self._hushed[source]


class GivesTheFloor(Checker):
    """Who speaks on over the agent, while it listens for that (the reflex is armed), silences it within the bound."""

    law = "audio stops when the caller speaks on over it"
    BOUND: Final = 700 * MILLISECOND
    """From the onset of the speech to silence: the 450 ms that a nod may last, the fade, and a gate that tells late."""
    SINCE_TOLD: Final = 3 * PTIME
    """Behind holes the gate may tell so late that the bound has passed; then it is this from there."""

    def __init__(self) -> None:
        super().__init__()
        self._armed: dict[Address, None] = {}
        self._due: dict[Address, Instant] = {}

    def verb(self, now: Instant, engine: VirtualEngine, port: int, name: str, arguments: tuple[Any, ...]) -> None:
        """Note whether the agent listens while it speaks."""
        if name != "arm" or not is_agent(engine.ip):
            return
        local = engine.local(port)
        if arguments[0] is not None:
            self._armed[local] = None
        else:
            self._armed.pop(local, None)
            self._due.pop(local, None)

    def event(self, now: Instant, engine: VirtualEngine, event: native.Event) -> None:
        """Note that the caller speaks, or stops."""
        if isinstance(event, native.SpeechBegan):
            local = engine.local(event.port)
            if local in self._armed:
                self._due[local] = max(event.at + self.BOUND, now + self.SINCE_TOLD)
        elif isinstance(event, native.SpeechEnded):
            self._due.pop(engine.local(event.port), None)

    def rtp_left(self, now: Instant, source: Address, destination: Address, packet: Rtp) -> None:
        """Listen for a voice in it."""
        due = self._due.get(source)
        if due is None or now <= due or packet.payload >= FIRST_DYNAMIC:
            return
        if loudness(packet) >= AUDIBLE:
            self.broken(now, f"{source[0]} still sounds {(now - due) / MILLISECOND:.0f} ms after it had to be silent")
            del self._due[source]


class EachKeyOnce(Checker):
    """A key that arrives (in any of its packets) is told once; one that never arrived is not told."""

    law = "each key is told once"

    def __init__(self) -> None:
        super().__init__()
        self._arrived: dict[Address, dict[tuple[int, int], None]] = {}
        self._told: dict[Address, int] = {}
        self._last: dict[Address, Instant] = {}
        self._streams: dict[Address, int] = {}

    def rtp_arrived(self, now: Instant, source: Address, destination: Address, packet: Rtp) -> None:
        """Note the key that a packet belongs to."""
        if packet.payload < FIRST_DYNAMIC or read_key(packet.body) is None:
            return
        self._arrived.setdefault(destination, {})[packet.ssrc, packet.timestamp] = None
        self._last[destination] = now

    def event(self, now: Instant, engine: VirtualEngine, event: native.Event) -> None:
        """Compare the keys told with those that arrived."""
        if not isinstance(event, native.Digit):
            return
        local = engine.local(event.port)
        told = self._told[local] = self._told.get(local, 0) + 1
        came = len(self._arrived.get(local, ()))
        if told > came:
            self.broken(now, f"{engine.ip}: key {event.key} is the {told}th told, but only {came} arrived")

    def verb(self, now: Instant, engine: VirtualEngine, port: int, name: str, arguments: tuple[Any, ...]) -> None:
        """Begin anew where a port is given out again."""
        if name == "open":
            local = engine.local(port)
            self._arrived.pop(local, None)
            self._told.pop(local, None)
            self._streams[local] = port


class NothingTaped(Checker):
    """No sample of a call becomes tape before somebody allowed it, nor after it was forbidden again."""

    law = "nothing is recorded unless it is allowed"

    def __init__(self) -> None:
        super().__init__()
        self._allowed: dict[str, bool] = {}

    def told(self, now: Instant, host: str, call: str, event: str, data: Mapping[str, Any]) -> None:
        """Note the caller's consent, or its end."""
        if event == "consent":
            self._allowed[host] = bool(data.get("given"))

    def event(self, now: Instant, engine: VirtualEngine, event: native.Event) -> None:
        """Note a stretch of tape."""
        if isinstance(event, native.Taped) and not self._allowed.get(engine.ip, False):
            self.broken(now, f"{engine.ip} port {event.port}: {len(event.pcm)} bytes were taped")


class Bounded(Checker):
    """Nothing grows without a bound: no event is lost for want of room, and no sequence of events has a hole."""

    law = "queues are bounded and lose nothing"
    MOST_A_SECOND: Final = 400
    """Events of one port in a second: 50 pieces of audio, 50 more by duplicates and gaps filled at once, and some."""

    def __init__(self) -> None:
        super().__init__()
        self._next: dict[tuple[str, int], int] = {}
        self._window: dict[tuple[str, int], tuple[Instant, int]] = {}

    def event(self, now: Instant, engine: VirtualEngine, event: native.Event) -> None:
        """Count, and compare the number with the last."""
        key = (engine.ip, event.port)
        expected = self._next.get(key, event.seq)
        if event.seq != expected:
            self.broken(now, f"{engine.ip} port {event.port}: event {event.seq} came where {expected} was due")
        self._next[key] = event.seq + 1
        since, count = self._window.get(key, (now, 0))
        if now - since >= SECOND:
            since, count = now, 0
        self._window[key] = (since, count + 1)
        if count + 1 == self.MOST_A_SECOND:
            self.broken(now, f"{engine.ip} port {event.port}: {count + 1} events within a second")
