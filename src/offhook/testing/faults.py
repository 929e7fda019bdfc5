"""Planted faults: each makes a live part of a world misbehave in one way; a test shows which checker sees it.

      Fault(world) before anything is made ─► wraps a Port, the network or a report as it goes by

None of them touches the code under test: they stand between it and the world, where a bug of its own would show.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from offhook import _native as native
from offhook.core.instants import MILLISECOND, SECOND, Instant
from offhook.core.media import Address
from offhook.testing.checkers.base import is_agent
from offhook.testing.wire import is_rtp, read_rtp, read_sip
from offhook.testing.world import World


class FaultyPort:
    """A Port that passes everything on to a real one. Its heirs misbehave in one verb."""

    def __init__(self, **arguments: Any) -> None:
        self._port = native.Port(**arguments)

    def __getattr__(self, name: str) -> Any:
        """Pass on what is not overridden."""
        return getattr(self._port, name)


class _RepeatsSequence(FaultyPort):
    _sent = 0
    _last = b""

    def packets(self) -> list[tuple[bytes, Address, bool]]:
        out: list[tuple[bytes, Address, bool]] = []
        for data, destination, rtcp in self._port.packets():
            if not rtcp:
                self._sent += 1
                if self._sent == 50:
                    data = data[:2] + self._last[2:4] + data[4:]
                self._last = data
            out.append((data, destination, rtcp))
        return out


class _SlipsTimestamp(FaultyPort):
    _sent = 0

    def packets(self) -> list[tuple[bytes, Address, bool]]:
        out: list[tuple[bytes, Address, bool]] = []
        for data, destination, rtcp in self._port.packets():
            if not rtcp:
                self._sent += 1
                if self._sent == 50:
                    slipped = (int.from_bytes(data[4:8], "big") + 80) & 0xFFFFFFFF
                    data = data[:4] + slipped.to_bytes(4, "big") + data[8:]
            out.append((data, destination, rtcp))
        return out


class _Miscounts(FaultyPort):
    def packets(self) -> list[tuple[bytes, Address, bool]]:
        out: list[tuple[bytes, Address, bool]] = []
        for data, destination, rtcp in self._port.packets():
            if rtcp and data[1] == 200:
                data = data[:20] + (int.from_bytes(data[20:24], "big") + 1).to_bytes(4, "big") + data[24:]
            out.append((data, destination, rtcp))
        return out


class _HushesLate(FaultyPort):
    _due: Instant | None = None
    DELAY: Final = 200 * MILLISECOND

    def hush(self, now: Instant) -> None:
        self._due = now + self.DELAY

    def tick(self, now: Instant) -> None:
        if self._due is not None and now >= self._due:
            self._due = None
            self._port.hush(now)
        self._port.tick(now)


class _NeverHushes(FaultyPort):
    def hush(self, now: Instant) -> None:
        pass


class _DoublesKeys(FaultyPort):
    _added = 0

    def events(self) -> list[native.Event]:
        out: list[native.Event] = []
        for event in self._port.events():
            out.append(event)
            if isinstance(event, native.Digit):
                out.append(native.Digit(event.port, event.seq, event.at, event.key, event.duration_ms))
        return out


class _PlaysTooEarly(FaultyPort):
    """Tells an utterance as played as soon as it was ended."""

    _told: tuple[int, ...] = ()

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._number = int(arguments["number"])
        self._samples: dict[int, int] = {}
        self._extra: list[native.Event] = []

    def play(self, now: Instant, utterance: int, pcm: bytes, rate_hz: int) -> int:
        taken = self._port.play(now, utterance, pcm, rate_hz)
        self._samples[utterance] = self._samples.get(utterance, 0) + taken // 2 * 8000 // rate_hz
        return taken

    def end(self, now: Instant, utterance: int) -> None:
        self._port.end(now, utterance)
        self._extra.append(native.Played(self._number, 0, now, utterance, self._samples.get(utterance, 0) // 8))

    def events(self) -> list[native.Event]:
        out = [event for event in self._port.events() if not isinstance(event, native.Played)]
        out += self._extra
        self._extra.clear()
        return out


class _TapesUnasked(FaultyPort):
    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._port.tape(True)


class _HearsEarly(FaultyPort):
    """Hears something as soon as it is asked to listen, which is before the answer has left."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._early = [native.Heard(arguments["number"], 0, 0, bytes(320))]

    def events(self) -> list[native.Event]:
        early, self._early = self._early, []
        return [*early, *self._port.events()]


class _LosesEvents(FaultyPort):
    _count = 0

    def events(self) -> list[native.Event]:
        out: list[native.Event] = []
        for event in self._port.events():
            self._count += 1
            if self._count != 100:
                out.append(event)
        return out


class _OverfillsQueue(FaultyPort):
    """Takes all that it is given, however much is queued."""

    def play(self, now: Instant, utterance: int, pcm: bytes, rate_hz: int) -> int:
        self._port.play(now, utterance, pcm, rate_hz)
        return len(pcm)


class _InterruptsItself(FaultyPort):
    """Takes its own voice for a caller's, once, from a moment after it has begun to speak."""

    BEGINS: Final = 800 * MILLISECOND
    _due: Instant | None = None
    _told = False
    _now: Instant = 0

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._number = int(arguments["number"])

    def play(self, now: Instant, utterance: int, pcm: bytes, rate_hz: int) -> int:
        if self._due is None:
            self._due = now + self.BEGINS
        return self._port.play(now, utterance, pcm, rate_hz)

    def tick(self, now: Instant) -> None:
        self._port.tick(now)
        self._now = now

    def events(self) -> list[native.Event]:
        out = self._port.events()
        if not self._told and self._due is not None and self._now >= self._due:
            self._told = True
            out.append(native.SpeechBegan(self._number, 0, self._due))
        return out


def _agents_port(kind: type[FaultyPort]) -> Callable[[World], None]:
    def plant(world: World) -> None:
        def make(**arguments: Any) -> Any:
            return kind(**arguments)

        world.make_port["10.1."] = make

    return plant


def _second_final(world: World) -> None:
    """Follow the first 200 to an INVITE with a 500 for the same transaction."""
    done: list[bool] = []

    def mangle(now: Instant, source: Address, destination: Address, data: bytes) -> bytes | None:
        sip = None if is_rtp(data) else read_sip(data)
        if not done and sip is not None and is_agent(source[0]) and sip.code == 200 and sip.method == "INVITE":
            done.append(True)
            other = data.replace(b"SIP/2.0 200 OK", b"SIP/2.0 500 Oh No", 1)
            world.loop.at(now + MILLISECOND, world.network.send, source, destination, other)
        return data

    world.network.mangle = mangle


def _repeats_number(world: World) -> None:
    """Say BYE once more as another request with the same number."""
    done: list[bool] = []

    def mangle(now: Instant, source: Address, destination: Address, data: bytes) -> bytes | None:
        sip = None if is_rtp(data) else read_sip(data)
        if not done and sip is not None and not sip.code and sip.method == "BYE":
            done.append(True)
            other = data.replace(sip.branch.encode(), sip.branch.encode()[:-4] + b"again", 1)
            world.loop.at(now + MILLISECOND, world.network.send, source, destination, other)
        return data

    world.network.mangle = mangle


def _tells_two_stories(world: World) -> None:
    """Let the caller read in the agent's answer that it may not speak."""

    def mangle(now: Instant, source: Address, destination: Address, data: bytes) -> bytes | None:
        sip = None if is_rtp(data) else read_sip(data)
        if sip is not None and is_agent(source[0]) and sip.code == 200 and sip.method == "INVITE":
            return data.replace(b"a=sendrecv", b"a=sendonly")
        return data

    world.network.mangle = mangle


def _no_trying(world: World) -> None:
    """Swallow every provisional response of an agent, and hold its 200 back."""

    def mangle(now: Instant, source: Address, destination: Address, data: bytes) -> bytes | None:
        sip = None if is_rtp(data) else read_sip(data)
        if sip is None or not is_agent(source[0]) or sip.method != "INVITE" or not sip.code:
            return data
        if sip.code < 200 or source in held:
            return None if sip.code < 200 else data
        held[source] = True
        world.loop.at(now + 10 * MILLISECOND, world.network.send, source, destination, data)
        return None

    held: dict[Address, bool] = {}
    world.network.mangle = mangle


def _loses_goodbye(world: World) -> None:
    """Say BYE in the agent's name while its last words are still being played."""
    contacts: dict[str, bytes] = {}
    done: list[bool] = []
    packets: list[int] = []

    def mangle(now: Instant, source: Address, destination: Address, data: bytes) -> bytes | None:
        packet = read_rtp(data)
        if packet is None:
            sip = read_sip(data)
            if sip is not None and is_agent(source[0]) and sip.code == 200 and sip.method == "INVITE":
                contacts[sip.call] = data
            return data
        if is_agent(source[0]) and contacts and not done:
            packets.append(1)
            if len(packets) > 40:
                done.append(True)
                bye = _bye_from(next(iter(contacts.values())))
                sip_source, sip_destination = (source[0], 5060), (destination[0], 5060)
                world.loop.at(now, world.network.send, sip_source, sip_destination, bye)
        return data

    world.network.mangle = mangle


def _bye_from(answer: bytes) -> bytes:
    """Turn a 200 to an INVITE into a BYE from the one who sent it."""
    text = answer.partition(b"\r\n\r\n")[0].decode("latin-1")

    def field(name: str) -> str:
        found = re.search(rf"(?im)^{name}:\s*(.+?)\r?$", text)
        assert found is not None, name
        return found[1]

    lines = (
        "BYE sip:caller@10.2.0.1:5060 SIP/2.0",
        "Via: SIP/2.0/UDP 10.1.0.1:5060;branch=z9hG4bKplanted;rport",
        f"From: {field('To')}",
        f"To: {field('From')}",
        f"Call-ID: {field('Call-ID')}",
        "CSeq: 77 BYE",
        "Max-Forwards: 70",
        "Content-Length: 0",
        "",
        "",
    )
    return "\r\n".join(lines).encode("latin-1")


def _leaks_timer(world: World) -> None:
    """Leave a timer of a call behind that fires in an hour."""

    def told(host: str, call: str, event: str, data: Mapping[str, Any]) -> None:
        if event == "ended" and is_agent(host):
            asyncio.get_running_loop().call_later(3600, _nothing)

    world.listeners.append(told)


def _leaks_task(world: World) -> None:
    """Leave a task behind that waits for ever."""

    def told(host: str, call: str, event: str, data: Mapping[str, Any]) -> None:
        if event == "ended" and is_agent(host):
            world.kept.append(asyncio.get_running_loop().create_task(asyncio.sleep(3600)))

    world.listeners.append(told)


def _leaks_port(world: World) -> None:
    """Open a port that nobody closes."""

    def told(host: str, call: str, event: str, data: Mapping[str, Any]) -> None:
        if event == "ended" and is_agent(host):
            next(one for one in world.engines if one.ip == host).open(ssrc=1, sequence=1, timestamp=1)

    world.listeners.append(told)


def _ends_twice(world: World) -> None:
    """Tell the end of a call a second time, later."""

    def told(host: str, call: str, event: str, data: Mapping[str, Any]) -> None:
        if event == "ended" and is_agent(host) and "again" not in data:
            world.loop.at(world.loop.now + SECOND, world.told, host, call, "ended", {"again": True})

    world.listeners.append(told)


def _raises(world: World) -> None:
    """Let a callback of the agent's process raise."""

    def told(host: str, call: str, event: str, data: Mapping[str, Any]) -> None:
        if event == "incoming" and is_agent(host):
            asyncio.get_running_loop().call_soon(_fail)

    world.listeners.append(told)


def _rewrites_history(world: World) -> None:
    """Put words into the history that were never said."""
    world.rewrite = lambda said: [*said, ("and thank you for waiting so patiently", True)]


def _nothing() -> None:
    """Do nothing, in an hour."""


def _fail() -> None:
    raise RuntimeError("planted")


Plant = Callable[[World], None]

FAULTS: Final[dict[str, tuple[Plant, str]]] = {
    "second final response": (_second_final, "OneFinalResponse"),
    "number used twice": (_repeats_number, "CountsUp"),
    "two stories of one session": (_tells_two_stories, "OneView"),
    "no 100": (_no_trying, "TryingAtOnce"),
    "repeated sequence number": (_agents_port(_RepeatsSequence), "Cadence"),
    "slipped timestamp": (_agents_port(_SlipsTimestamp), "Cadence"),
    "miscounted report": (_agents_port(_Miscounts), "ReportsTrue"),
    "hush 200 ms late": (_agents_port(_HushesLate), "Hushed"),
    "barge-in ignored": (_agents_port(_NeverHushes), "GivesTheFloor"),
    "interrupted by itself": (_agents_port(_InterruptsItself), "NotItself"),
    "doubled key": (_agents_port(_DoublesKeys), "EachKeyOnce"),
    "played before it was": (_agents_port(_PlaysTooEarly), "PlayedOut"),
    "queue without a bound": (_agents_port(_OverfillsQueue), "PlayedOut"),
    "goodbye lost": (_loses_goodbye, "PlayedOut"),
    "taped unasked": (_agents_port(_TapesUnasked), "NothingTaped"),
    "heard before the answer": (_agents_port(_HearsEarly), "NobodyHeardEarly"),
    "event lost": (_agents_port(_LosesEvents), "Bounded"),
    "history rewritten": (_rewrites_history, "HistoryIsHeard"),
    "ended twice": (_ends_twice, "EndsOnce"),
    "timer left": (_leaks_timer, "NothingLeft"),
    "task left": (_leaks_task, "NothingLeft"),
    "port left": (_leaks_port, "NothingLeft"),
    "exception": (_raises, "NothingRaised"),
}
"""Every fault by name: how it is planted in a world, and the checker that must see it."""
