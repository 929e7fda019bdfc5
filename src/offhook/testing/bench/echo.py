"""`echo`: does the agent interrupt itself where its own voice comes back, and can it still be interrupted?

The real `Port` and the real `Conversation`, in virtual time. The far end plays what it is sent and returns it: 12, 20
or 30 dB quieter, 80 to 500 ms later, through a small room and a handset, coded by G.711, with noise 30 dB below
speech. Its buffer moves by tens of ms during the call and its packets come with jitter. Three kinds of cases: nobody
speaks, somebody speaks over the agent (another voice, -3 to +6 dB), and somebody does where nothing comes back.
The ear of the bench hears what is worst: our own words, wherever nobody else spoke.
"""

from __future__ import annotations

import heapq
import random
import struct
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from offhook import _native as native
from offhook.agent import inputs, orders
from offhook.agent.conversation import Conversation
from offhook.agent.manners import Manners
from offhook.core.instants import MILLISECOND, SECOND, Instant
from offhook.core.signals import Connected
from offhook.testing.bench.budgets import Figure
from offhook.testing.bench.prompts import RATE as HZ
from offhook.testing.bench.prompts import Half
from offhook.testing.bench.result import Result, digest, percentile
from offhook.testing.bench.speech import NORMAL_DBOV, Sound, another_voice, spoken, talk

Kind = Literal["echo", "double", "plain"]

LOSSES_DB = (12, 20, 30)
OURS = "Thank you for calling, please listen carefully while I tell you about all of our offers of this week"
THEIRS = "I would like to change the address of my order"

_FAR = ("192.0.2.1", 4000)
_FRAME, _PTIME = 160, 20 * MILLISECOND
_START: Instant = 1000 * SECOND
_YIELD_WITHIN = 2 * SECOND
_NOISE_DB = 30
_NEVER_MS = 60_000.0


@dataclass(frozen=True, slots=True)
class Case:
    """One call: who speaks when, and what the far end does to what it is sent."""

    kind: Kind
    voice: Sound
    loss_db: float | None
    delays: tuple[tuple[Instant, int], ...]
    """From which instant on the way there and back takes how many samples."""
    colour: Sound
    noise: Sound
    law: Literal["PCMU", "PCMA"]
    caller: Sound | None
    onset: Instant
    late: tuple[Instant, ...]
    """How much later than the quickest each packet comes."""


@dataclass(slots=True)
class Outcome:
    """What became of one call."""

    ducked: list[Instant] = field(default_factory=list[Instant])
    hushed: Instant | None = None
    turns: int = 0
    echo: list[native.Echo] = field(default_factory=list[native.Echo])


def make(kind: Kind, number: int, seed: int, half: Half) -> Case:
    """Make one case: the same for the same arguments."""
    rng = random.Random(f"echo {seed} {kind} {number} {half}")
    noises = np.random.default_rng(rng.getrandbits(32))
    voice = talk(rng, half, 7)
    frames = len(voice) // _FRAME + 200
    spoken_at = _START + 320 * MILLISECOND
    delay_ms = rng.uniform(80, 500)
    delays = [(_START, delay_ms)]
    for moved_at in sorted(rng.uniform(0.5, 7) for _ in range(rng.randint(1, 3))):
        delay_ms = min(500.0, max(80.0, delay_ms + rng.choice((-1, 1)) * rng.uniform(10, 60)))
        delays.append((spoken_at + round(moved_at * SECOND), delay_ms))
    caller, onset = None, 0
    if kind != "echo":
        caller = another_voice(talk(rng, half, 2.5), rng.choice((0.88, 1.15, 1.25)))
        caller = caller * np.float32(10 ** (rng.uniform(-3, 6) / 20))
        onset = spoken_at + round(rng.uniform(0.3, 6) * SECOND)
    return Case(
        kind,
        voice,
        None if kind == "plain" else LOSSES_DB[number % len(LOSSES_DB)],
        tuple((at, round(ms * HZ / 1000)) for at, ms in delays),
        _colour(rng),
        (noises.standard_normal(frames * _FRAME) * 32768 * 10 ** ((NORMAL_DBOV - _NOISE_DB) / 20)).astype(np.float32),
        rng.choice(("PCMU", "PCMA")),
        caller,
        onset,
        tuple(round(min(60.0, rng.expovariate(1 / 5)) * MILLISECOND) for _ in range(frames)),
    )


def _colour(rng: random.Random) -> Sound:
    """A handset's tilt and a small room's reflections, with no gain over all."""
    room = np.zeros(320, np.float32)
    room[0] = 1.0
    for _ in range(rng.randint(4, 12)):
        at = rng.randint(8, 319)
        room[at] += rng.uniform(-0.4, 0.4) * 10 ** (-at / 160)
    shaped = np.convolve(room, np.array([1.0, -rng.uniform(-0.3, 0.7)], np.float32))
    return (shaped / np.sqrt(np.sum(shaped**2))).astype(np.float32)


class _Far:
    """The far end: plays what it is sent, captures what is in the room, every 20 ms."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._played = np.zeros(len(case.noise) + HZ, np.float32)
        self._number = 0
        self._echo = np.zeros(len(case.colour) - 1, np.float32)
        self._gain = 0.0 if case.loss_db is None else 10 ** (-case.loss_db / 20)

    def take(self, now: Instant, packet: bytes) -> None:
        """A packet left for it at `now`."""
        at = round((now - _START) * HZ / SECOND)
        pcm = np.frombuffer(native.decode(self._case.law, packet[12:]), "<i2")
        if at >= 0 and at + len(pcm) <= len(self._played):
            self._played[at : at + len(pcm)] = pcm

    def capture(self) -> tuple[Instant, bytes] | None:
        """Give the next packet and when it arrives; None at the end."""
        case, number = self._case, self._number
        if number >= len(case.late):
            return None
        self._number += 1
        first = number * _FRAME
        began = _START + number * _PTIME
        delay = next(samples for at, samples in reversed(case.delays) if at <= began)
        raw = np.zeros(_FRAME, np.float32)
        if first >= delay:
            raw = self._played[first - delay : first - delay + _FRAME] * np.float32(self._gain)
        whole = np.concatenate([self._echo, raw])
        self._echo = whole[_FRAME:]
        sound = np.convolve(whole, case.colour, "valid") + case.noise[first : first + _FRAME]
        if case.caller is not None:
            into = first - round((case.onset - _START) * HZ / SECOND)
            there = case.caller[max(0, into) : max(0, into + _FRAME)]
            sound[_FRAME - len(there) if into < 0 else 0 :][: len(there)] += there
        pcm = np.clip(np.rint(sound), -32768, 32767).astype("<i2").tobytes()
        kind = 0 if case.law == "PCMU" else 8
        header = struct.pack("!BBHII", 0x80, kind, number & 0xFFFF, first, 0xCA11E4)
        return began + _PTIME + case.late[number], header + native.encode(case.law, pcm)


class Sitting:
    """One case, from the answer to some time after our last word."""

    def __init__(self, case: Case, *, minds: bool = True) -> None:
        self.outcome = Outcome()
        self._case = case
        self._far = _Far(case)
        kind = 0 if case.law == "PCMU" else 8
        self._port = native.Port(ssrc=1, sequence=0, timestamp=0)
        self._port.configure(
            _START, 1, remote=_FAR, remote_rtcp=None, send=(kind, case.law), receive=((kind, case.law),)
        )
        self._port.listen("speech" if minds else "none")
        self._talk = Conversation(Manners(), greeting=OURS)
        self._order = 0
        self._waiting: list[tuple[Instant, int, bytes | inputs.Input]] = []
        self._pcm = np.clip(np.rint(case.voice), -32768, 32767).astype("<i2").tobytes()
        self._run = 0

    def sit(self) -> Outcome:
        """Go through the call."""
        now = _START
        self._orders(now, self._talk.feed(now, Connected(now)))
        self._capture()
        while self._waiting:
            dues = [self._waiting[0][0], self._port.deadline(), self._talk.deadline()]
            now = max(now, min(due for due in dues if due is not None))
            if self.outcome.hushed is not None and now > self.outcome.hushed + SECOND:
                break
            while self._waiting and self._waiting[0][0] <= now:
                what = heapq.heappop(self._waiting)[2]
                if isinstance(what, bytes):
                    self._port.datagram(now, what, _FAR)
                    self._capture()
                else:
                    self._orders(now, self._talk.feed(now, what))
            self._port.tick(now)
            self._drain(now)
            due = self._talk.deadline()
            if due is not None and due <= now:
                self._orders(now, self._talk.expire(now))
        return self.outcome

    def _capture(self) -> None:
        packet = self._far.capture()
        if packet is not None:
            self._later(*packet)

    def _later(self, at: Instant, what: bytes | inputs.Input) -> None:
        self._order += 1
        heapq.heappush(self._waiting, (at, self._order, what))

    def _drain(self, now: Instant) -> None:
        for data, _, rtcp in self._port.packets():
            if not rtcp:
                self._far.take(now, data)
        for event in self._port.events():
            match event:
                case native.Ducked():
                    self.outcome.ducked.append(now)
                case native.Echo():
                    self.outcome.echo.append(event)
                case native.Room():
                    self._play(now)
                case native.Heard() | native.Taped() | native.Quality() | native.Marked():
                    continue
                case _:
                    pass
            if isinstance(event, inputs.Input):
                self._orders(now, self._talk.feed(now, event))

    def _orders(self, now: Instant, given: list[orders.Order]) -> None:
        for order in given:
            match order:
                case orders.Say(turn=turn, run=run, text=text):
                    if self._run:
                        continue  # a prompt, after all was said
                    self._run = run
                    length_ms = len(self._pcm) // 2 * 1000 // HZ
                    for told in (
                        inputs.Phrased(turn, run, 0, text),
                        inputs.Voiced(turn, run, 0, run, length_ms, last=True),
                        inputs.Replied(turn, run),
                    ):
                        self._later(now, told)
                    self._play(now)
                case orders.Arm(depth_db=depth):
                    self._port.arm(depth)
                case orders.Restore():
                    self._port.restore(now)
                case orders.Hush():
                    self.outcome.hushed = self.outcome.hushed or now
                    self._port.hush(now)
                case orders.Transcribe(turn=turn, pause=pause):
                    theirs = self._case.caller is not None and now > self._case.onset
                    words = THEIRS if theirs else OURS[20:60]
                    self._later(now + 150 * MILLISECOND, inputs.Transcribed(turn, pause, words))
                case orders.Commit(turn=turn) if turn:
                    self.outcome.turns += 1
                case _:
                    pass

    def _play(self, now: Instant) -> None:
        if not self._pcm or self.outcome.hushed is not None:
            return
        taken = self._port.play(now, self._run, self._pcm, HZ)
        self._pcm = self._pcm[taken:]
        if not self._pcm:
            self._port.end(now, self._run)


def sat(kind: Kind, seed: int, count: int, half: Half, *, minds: bool = True) -> list[tuple[Case, Outcome]]:
    """Go through `count` cases of one kind; without `minds`, as if there were no echo handling."""
    cases = [make(kind, number, seed, half) for number in range(count)]
    return [(case, Sitting(case, minds=minds).sit()) for case in cases]


def yields(case: Case, outcome: Outcome) -> bool:
    """Say whether the agent gave way to the caller: soon, and not before they spoke."""
    hushed = outcome.hushed
    return hushed is not None and case.onset <= hushed <= case.onset + _YIELD_WITHIN


def itself(case: Case, outcome: Outcome) -> bool:
    """Say whether the agent interrupted itself, or took its own words for a caller's turn."""
    if case.caller is None:
        return outcome.hushed is not None or outcome.turns > 0
    return outcome.hushed is not None and outcome.hushed < case.onset


def run(*, seed: int = 1, calls: int | None = None, seconds: float | None = None) -> Result:
    """Run the bench over `calls` cases of each kind (120), with the echo handling and, beside it, without."""
    del seconds
    count = calls or 120
    return Result(
        bench="echo",
        figures=_figures(seed, count, minds=True),
        floor={f"without: {name}": figure for name, figure in _figures(seed, count, minds=False).items()},
        seed=seed,
        corpus=digest(*(sound.tobytes() for sound in spoken("reporting"))),
        shape={"cases_of_each_kind": count, "delay_ms": [80, 500], "losses_db": list(LOSSES_DB), "clock": "virtual"},
    )


def _figures(seed: int, count: int, *, minds: bool) -> dict[str, Figure]:
    echo, double, plain = (sat(kind, seed, count, "reporting", minds=minds) for kind in ("echo", "double", "plain"))
    figures: dict[str, Figure] = {
        "self_interruptions_percent": 100 * sum(itself(*one) for one in echo) / count,
        "ducks_per_echo_call": sum(len(outcome.ducked) for _, outcome in echo) / count,
        "double_talk_yields_percent": 100 * sum(yields(*one) for one in double) / count,
        "plain_yields_percent": 100 * sum(yields(*one) for one in plain) / count,
        "plain_found_an_echo": sum(bool(outcome.echo) for _, outcome in plain),
    }
    for loss_db in LOSSES_DB:
        these = [outcome for case, outcome in echo if case.loss_db == loss_db]
        figures[f"found_at_{loss_db}_db_percent"] = 100 * sum(bool(one.echo) for one in these) / max(1, len(these))
    for kind, sittings in (("double", double), ("plain", plain)):
        waits = sorted(_until_ducked(*one) for one in sittings)
        figures[f"{kind}_ducked_p50_ms"] = percentile(waits, 0.5)
        figures[f"{kind}_ducked_p95_ms"] = percentile(waits, 0.95)
    return figures


def _until_ducked(case: Case, outcome: Outcome) -> float:
    """How long the caller spoke before we were ducked, ms; for good, if never."""
    return min(((at - case.onset) / MILLISECOND for at in outcome.ducked if at >= case.onset), default=_NEVER_MS)
