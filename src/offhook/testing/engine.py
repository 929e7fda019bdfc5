"""The media engine in virtual time: the verbs of `_native.Engine` over real native Ports and a simulated network.

      Python ─ verbs ─► Port ◄─ datagrams ─ network        the Port is the very machine that the live engine drives;
             ◄─ drain ─      ─ packets ──►                 here the loop's world calls it at its own deadlines

What is left out is only what belongs to an operating system: threads, sockets, the eventfd (a pseudo descriptor here).
`make` and `observe` are the doors for faults and checkers.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol, Unpack

from offhook import _native as native
from offhook.core.instants import SECOND, Instant
from offhook.core.media import Address
from offhook.testing.journal import Journal
from offhook.testing.loop import VirtualLoop
from offhook.testing.network import SimulatedNetwork

RING: Final = 4096
"""Events that may wait for Python, all ports together; what comes above is lost and counted, as in the live engine."""

LINGER: Final = 2 * SECOND
"""How long a closed pair of sockets still swallows what comes, before it is given out again."""


class Observer(Protocol):
    """Sees what goes in and out of every Port, in order."""

    def verb(self, now: Instant, engine: VirtualEngine, port: int, name: str, arguments: tuple[Any, ...]) -> None:
        """Python called a verb (after it took effect)."""
        ...

    def event(self, now: Instant, engine: VirtualEngine, event: native.Event) -> None:
        """A Port told an event (before Python is woken)."""
        ...


class _Line:
    """One open port: the machine, its addresses, and when it was last promised a tick."""

    __slots__ = ("due", "local", "machine", "number")

    def __init__(self, number: int, machine: native.Port, local: Address) -> None:
        self.number = number
        self.machine = machine
        self.local = local
        self.due: Instant | None = None


class VirtualEngine:
    """`_native.Engine`, in virtual time. `make` builds a Port (keyword arguments as `native.Port`)."""

    def __init__(
        self,
        loop: VirtualLoop,
        network: SimulatedNetwork,
        journal: Journal,
        *,
        ip: str,
        first_port: int = 10000,
        last_port: int = 19999,
        make: Callable[..., native.Port] | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.ip = ip
        self._loop = loop
        self._network = network
        self._journal = journal
        self._make = make or native.Port
        self.observer = observer
        self._pairs = list(range(first_port + first_port % 2, last_port, 2))
        self._lines: dict[int, _Line] = {}
        self._carried: set[int] = set()  # no packet of theirs is on a wire that an observer could see
        self._numbers = 0
        self._waiting: list[native.Event] = []
        self._woken = False
        self._lost = 0
        self._totals: dict[str, int] = {}
        self._descriptor = loop.descriptor()
        self._shut = False

    # Ports

    def fileno(self) -> int:
        """Give the pseudo descriptor that becomes readable while events wait."""
        return self._descriptor

    def open(
        self, *, ssrc: int, sequence: int, timestamp: int, cname: str = "", beside: int | None = None
    ) -> tuple[int, int]:
        """Bind a pair of ports and start a Port; OSError if none is free."""
        if self._shut or not self._pairs:
            raise OSError(98, "no RTP port is free")
        rtp = self._pairs.pop(0)
        self._numbers += 1
        number = self._numbers
        machine = self._make(ssrc=ssrc, sequence=sequence, timestamp=timestamp, number=number, cname=cname)
        line = _Line(number, machine, (self.ip, rtp))
        self._lines[number] = line
        self._network.bind((self.ip, rtp), lambda data, source: self._datagram(line, data, source, False))
        self._network.bind((self.ip, rtp + 1), lambda data, source: self._datagram(line, data, source, True))
        self._told(number, "open", ())
        return number, rtp

    def carry(
        self,
        *,
        lead_ms: int,
        least_ms: int,
        most_ms: int,
        fences: bool,
        clears: bool,
        beside: int | None = None,
    ) -> int:
        """Start a Port without sockets, whose far end a carrier brings."""
        self._numbers += 1
        number = self._numbers
        machine = self._make(ssrc=0, sequence=0, timestamp=0, number=number)
        machine.carry(lead_ms=lead_ms, least_ms=least_ms, most_ms=most_ms, fences=fences, clears=clears)
        self._lines[number] = _Line(number, machine, (self.ip, 0))
        self._carried.add(number)
        return number

    def bring(self, port: int, sequence: int, timestamp: int, payload: bytes) -> None:
        """Take audio of a far end that a carrier brings."""
        line = self._lines.get(port)
        if line is not None:
            line.machine.bring(self._loop.now, sequence, timestamp, payload)
            self._flush(line)

    def passed(self, port: int, fence: int) -> None:
        """Hear from a carrier that a fence was passed."""
        line = self._lines.get(port)
        if line is not None:
            line.machine.passed(self._loop.now, fence)
            self._after(line, "passed", (fence,))

    def close(self, port: int) -> dict[str, int]:
        """Stop a Port; its counters. The sockets swallow what comes for 2 s more."""
        self._part(port)
        line = self._lines.pop(port, None)
        if line is None:
            return {}
        counters = line.machine.counters()
        _add(self._totals, counters)
        ip, rtp = line.local
        for address in ((ip, rtp), (ip, rtp + 1)) if rtp else ():
            self._network.unbind(address)
            self._network.forget_nat(address)
            self._network.bind(address, _swallow)
        if rtp:
            self._loop.at(self._loop.now + LINGER, self._free, rtp)
        self._told(port, "close", ())
        return counters

    @property
    def open_ports(self) -> list[int]:
        """The numbers of the ports that are open, oldest first."""
        return list(self._lines)

    def local(self, port: int) -> Address:
        """Give the RTP address of an open port; KeyError if it is closed."""
        return self._lines[port].local

    def machine(self, port: int) -> native.Port:
        """Give the Port itself, for tests; KeyError if it is closed."""
        return self._lines[port].machine

    def rate_hz(self, port: int) -> int:
        """Give the rate of the audio of one port."""
        line = self._lines.get(port)
        return 8000 if line is None else line.machine.rate_hz

    def describe(self, port: int) -> tuple[str, str]:
        """Give the stages of what comes and of what leaves."""
        line = self._lines.get(port)
        return ("", "") if line is None else line.machine.describe()

    def counters(self, port: int) -> dict[str, int]:
        """Give the counters of one port."""
        line = self._lines.get(port)
        return {} if line is None else line.machine.counters()

    def totals(self) -> dict[str, int]:
        """Give the counters of all ports, closed ones too, and of the engine."""
        totals = dict(self._totals)
        for line in self._lines.values():
            _add(totals, line.machine.counters())
        totals["events_lost"] = self._lost
        return totals

    def drain(self) -> list[native.Event]:
        """Take all waiting events and re-arm the descriptor."""
        waiting, self._waiting = self._waiting, []
        self._woken = False
        return waiting

    def shutdown(self) -> None:
        """Close every port. Idempotent."""
        for number in list(self._lines):
            self.close(number)
        self._shut = True

    # Verbs, each as the live engine has it

    def configure(self, port: int, generation: int, **plan: Unpack[native.Agreed]) -> None:
        """Apply an agreed media plan (keywords as `native.Port.configure`)."""
        line = self._lines.get(port)
        if line is not None:
            line.machine.configure(self._loop.now, generation, **plan)
            self._after(line, "configure", (generation, plan))

    def tunnel(self, port: int, **terms: Unpack[native.TunnelTerms]) -> None:
        """Have all media go through ICE and DTLS-SRTP (keywords as `native.Port.tunnel`)."""
        line = self._lines.get(port)
        if line is not None:
            line.machine.tunnel(self._loop.now, **terms)
            self._after(line, "tunnel", (terms,))

    def listen(self, port: int, mode: str, gain_control: bool = False) -> None:
        """Say which audio becomes `Heard`, and whether quiet callers become louder there."""
        line = self._lines.get(port)
        if line is not None:
            line.machine.listen(mode, gain_control)
            self._after(line, "listen", (mode, gain_control))

    def tape(self, port: int, on: bool) -> None:
        """Begin or end `Taped` events."""
        line = self._lines.get(port)
        if line is not None:
            line.machine.tape(on)
            self._after(line, "tape", (on,))

    def play(self, port: int, utterance: int, pcm: bytes, rate_hz: int) -> int:
        """Queue audio; give how many bytes were taken."""
        line = self._lines.get(port)
        if line is None:
            return 0
        taken = line.machine.play(self._loop.now, utterance, pcm, rate_hz)
        self._after(line, "play", (utterance, pcm[:taken], rate_hz))
        return taken

    def end(self, port: int, utterance: int) -> None:
        """Say that an utterance is complete."""
        line = self._lines.get(port)
        if line is not None:
            line.machine.end(self._loop.now, utterance)
            self._after(line, "end", (utterance,))

    def mark(self, port: int, utterance: int, mark: int) -> None:
        """Queue a mark behind what is queued."""
        line = self._lines.get(port)
        if line is not None:
            line.machine.mark(self._loop.now, utterance, mark)
            self._after(line, "mark", (utterance, mark))

    def hush(self, port: int) -> None:
        """Stop sounding."""
        line = self._lines.get(port)
        if line is not None:
            line.machine.hush(self._loop.now)
            self._after(line, "hush", ())

    def arm(self, port: int, depth_db: float | None) -> None:
        """Arm the reflex that ducks."""
        line = self._lines.get(port)
        if line is not None:
            line.machine.arm(depth_db)
            self._after(line, "arm", (depth_db,))

    def restore(self, port: int) -> None:
        """Bring a ducked voice back."""
        line = self._lines.get(port)
        if line is not None:
            line.machine.restore(self._loop.now)
            self._after(line, "restore", ())

    def press(self, port: int, keys: str, duration_ms: int = 100, gap_ms: int = 100) -> None:
        """Send keys."""
        line = self._lines.get(port)
        if line is not None:
            line.machine.press(self._loop.now, keys, duration_ms, gap_ms)
            self._after(line, "press", (keys, duration_ms, gap_ms))

    def watch(self, port: int, tones: Sequence[native.WatchedTone], beep: bool = False) -> None:
        """Listen for tones."""
        line = self._lines.get(port)
        if line is not None:
            line.machine.watch(tones, beep)
            self._after(line, "watch", (tones, beep))

    def mix(self, port: int, heard: Sequence[tuple[int, str, float]]) -> None:
        """Say whom the far end of a port hears."""
        line = self._lines.get(port)
        if line is None:
            return
        if any(other == port for other, _, _ in heard):
            raise ValueError(f"ports {port} and {port} are not two of one thread")
        line.machine.mix([one for one in heard if one[0] in self._lines])
        self._keep_what_is_heard()
        self._told(port, "mix", (heard,))

    def part(self, port: int) -> None:
        """Let nobody hear a port, and it nobody."""
        self._part(port)
        self._told(port, "part", ())

    def bed(self, port: int, sound: native.Sound | None, level_db: float = 0.0, duck_db: float = 0.0) -> None:
        """Let a sound go round under a call."""
        line = self._lines.get(port)
        if line is not None:
            line.machine.bed(sound, level_db, duck_db)
            self._after(line, "bed", (sound is not None, level_db, duck_db))

    def _part(self, port: int) -> None:
        for number, line in self._lines.items():
            heard = line.machine.mixed()
            rest = [(other, side, 0.0) for other, side in heard if port not in (number, other)]
            if len(rest) < len(heard):
                line.machine.mix(rest)
        self._keep_what_is_heard()

    def _keep_what_is_heard(self) -> None:
        heard = {other for line in self._lines.values() for other, _ in line.machine.mixed()}
        for number, line in self._lines.items():
            line.machine.relay(number in heard)

    def discover(self, port: int, server: Address, id: bytes) -> None:
        """Ask a STUN server what a port's socket looks like from there."""
        line = self._lines.get(port)
        if line is not None:
            line.machine.discover(self._loop.now, server, id)
            self._after(line, "discover", (server, id))

    # The threads' part

    def _datagram(self, line: _Line, data: bytes, source: Address, rtcp: bool) -> None:
        line.machine.datagram(self._loop.now, data, source, rtcp)
        self._flush(line)

    def _tick(self, line: _Line, due: Instant) -> None:
        if line.due != due or line.number not in self._lines:
            return
        line.due = None
        now = self._loop.now
        if wanted := line.machine.wants(now):
            for other, side in line.machine.mixed():
                there = self._lines[other].machine
                line.machine.feed(now, other, there.pull(*wanted, side), there.rate_hz, side)
        line.machine.tick(now)
        self._flush(line)

    def _after(self, line: _Line, verb: str, arguments: tuple[Any, ...]) -> None:
        self._told(line.number, verb, arguments)
        self._flush(line)

    def _told(self, port: int, verb: str, arguments: tuple[Any, ...]) -> None:
        if self.observer is not None and port not in self._carried:
            self.observer.verb(self._loop.now, self, port, verb, arguments)

    def _flush(self, line: _Line) -> None:
        """Send what the machine wants sent, pass its events on, and promise it the tick that it asks for."""
        machine = line.machine
        packets = machine.packets()
        ip, rtp = line.local
        if packets and rtp:
            for data, destination, rtcp in packets:
                self._network.send((ip, rtp + 1) if rtcp else line.local, destination, data)
        events = machine.events()
        if events:
            self._tell(events)
        deadline = machine.deadline()
        if deadline is not None and (line.due is None or deadline < line.due):
            line.due = deadline if deadline > self._loop.now else self._loop.now
            self._loop.at(line.due, self._tick, line, line.due)

    def _tell(self, events: Iterable[native.Event]) -> None:
        now = self._loop.now
        for event in events:
            if isinstance(event, native.Heard):  # by far the most: written out without looking up its fields
                concealed = "concealed" if event.concealed else ""
                pcm = zlib.crc32(event.pcm)
                text = f"{self.ip} Heard {event.port} {event.seq} {event.at} {len(event.pcm)}/{pcm} {concealed}"
                self._journal.event(now, text)
            else:
                self._journal.event(now, f"{self.ip} {fingerprint(event)}")
            if self.observer is not None and event.port not in self._carried:
                self.observer.event(now, self, event)
            if len(self._waiting) >= RING:
                self._lost += 1
            else:
                self._waiting.append(event)
        if not self._woken:
            self._woken = True
            self._loop.wake(self._descriptor)

    def _free(self, rtp: int) -> None:
        for address in ((self.ip, rtp), (self.ip, rtp + 1)):
            self._network.unbind(address)
        self._pairs.append(rtp)


def fingerprint(event: native.Event) -> str:
    """Write an event out for the digest: its type and every field, audio by its length and sum."""
    fields: list[str] = [type(event).__name__]
    for name in _FIELDS[type(event)]:
        value = getattr(event, name)
        fields.append(f"{name}={_sum(value) if isinstance(value, bytes) else value}")
    return " ".join(fields)


def _sum(pcm: bytes) -> str:
    return f"{len(pcm)}/{zlib.crc32(pcm):08x}"


def _swallow(data: bytes, source: Address) -> None:
    """Take a late datagram of a call that is over."""


def _add(totals: dict[str, int], counters: dict[str, int]) -> None:
    for name, count in counters.items():
        totals[name] = totals.get(name, 0) + count


_STAMPED: Final = ("port", "seq", "at")
_FIELDS: Final[dict[type[Any], tuple[str, ...]]] = {
    native.Heard: (*_STAMPED, "pcm", "concealed", "rate_hz"),
    native.SpeechBegan: _STAMPED,
    native.SpeechEnded: (*_STAMPED, "silence_ms"),
    native.Digit: (*_STAMPED, "key", "duration_ms", "in_band"),
    native.Tone: (*_STAMPED, "kind"),
    native.Played: (*_STAMPED, "utterance", "sent_ms"),
    native.Marked: (*_STAMPED, "utterance", "mark"),
    native.Cut: (*_STAMPED, "utterance", "generation", "sent_ms", "heard_ms", "exact"),
    native.Room: (*_STAMPED, "queued_ms"),
    native.Flowing: _STAMPED,
    native.Stalled: _STAMPED,
    native.Ducked: _STAMPED,
    native.Taped: (*_STAMPED, "pcm", "rate_hz"),
    native.OneWay: (*_STAMPED, "fault", "on"),
    native.Mapped: (*_STAMPED, "address"),
    native.Echo: (*_STAMPED, "present", "delay_ms", "loss_db"),
    native.Secured: (*_STAMPED, "profile"),
    native.Severed: (*_STAMPED, "reason"),
    native.Leaving: (*_STAMPED, "codes"),
    native.Fence: (*_STAMPED, "number"),
    native.Emptied: (*_STAMPED, "hushed"),
    native.Quality: (
        *_STAMPED, "lost", "expected", "jitter_ms", "round_trip_ms", "far_lost_fraction", "far_jitter_ms",
        "late", "concealed_ms", "burst_ratio", "mos", "far_mos",
    ),
}  # fmt: skip
"""The fields of every event, in order: the digest must not depend on what `dir` or `repr` gives."""
