"""`jitter`: how much delay people hear each other with, so that at most one packet in a hundred is late.

The four networks carry one side of a conversation through the native isochronous buffer, in virtual time, pulled a
quarter of a millisecond at a time as a loudspeaker would: figures are exact and the same everywhere. They are over
`TRACES` traces of each network; those that the buffer was tuned on were of other seeds.

* **Delay** of a packet: from its sending until its first sample (or what stands for it) sounds, over the transit of
  the fastest packet of the trace. The mean is over the packets of talk that were played.
* **Late** is counted strictly: all that was made up in talk in the place of something that the network did deliver, or
  that was skipped, each begun 20 ms of it one packet. A stall of 90 ms that is waited for without a sound is five
  packets late, though all five are heard in the end.
* **The oracle** knows the whole trace. It sets one delay for each spurt, and anew after every 2 s of a long one; of all
  ways to make at most 1 % of the trace's talk packets late it takes the one with the least mean delay over all of talk.
  Spurts may differ in how many of theirs are late: a dynamic program shares out the hundredth (the tight bound of Moon,
  Kurose and Towsley, 1998). It may change the delay between spurts by any amount, and nobody has to hear it do so.

Beside it: the best fixed delay that knows the trace, and NetEQ's policy (the quantile of half-second maxima in
buckets of 20 ms over the fastest packet of 2 s) at its own quantile of 0.95, and at the least that keeps 1 % late; its
target is tracked at once, which flatters it.

Then a path that becomes 100 ms longer, and one that becomes 100 ms shorter, in the midst of talk.
"""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from offhook import _native as native
from offhook.core.instants import MILLISECOND, SECOND
from offhook.testing.bench.budgets import Figure
from offhook.testing.bench.result import Result, digest, percentile
from offhook.testing.bench.traces import NAMES, PTIME, Trace, talk, trace, voice

TRACES = 5
LATE = 0.01
FRAME = 160
"""Samples in a packet, at 8 kHz."""

_STEP = 2
_SPURT = 2 * SECOND // PTIME
_VOICE = 1000
_NETEQ_START_MS, _NETEQ_BUCKET_MS, _NETEQ_BUCKETS = 80.0, 20.0, 50
_NETEQ_FORGET, _NETEQ_EVERY, _NETEQ_WINDOW = 0.983, 25, 100


@dataclass(frozen=True, slots=True)
class Said:
    """One trace with what is said over it: each packet's transit over the fastest one, ms (None: lost)."""

    arrivals: tuple[int | None, ...]
    talk: Sequence[bool]
    transits_ms: tuple[float | None, ...]

    @staticmethod
    def over(network: Trace, speech: Sequence[bool]) -> Said:
        """Join a trace and a conversation."""
        transits = [None if at is None else (at - n * PTIME) / MILLISECOND for n, at in enumerate(network.arrivals)]
        least = min(transit for transit in transits if transit is not None)
        over = tuple(None if transit is None else transit - least for transit in transits)
        return Said(network.arrivals, speech, over)

    def spurts(self) -> Iterator[list[float]]:
        """Give the transits of each spurt of talk, cut after every 2 s."""
        found: list[float] = []
        length = 0
        for speaks, transit in zip(self.talk, self.transits_ms, strict=True):
            if length == _SPURT or (length and not speaks):
                if found:
                    yield found
                found, length = [], 0
            length += speaks
            if speaks and transit is not None:
                found.append(transit)
        if found:
            yield found


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of one trace.

    Each played packet's delay in ms, the packets that were late (once for each 20 ms), the shares of the output that
    were stretched and made up, and the samples that were left out without anything in their place.
    """

    delays_ms: dict[int, float]
    late: list[int]
    stretched: float
    concealed: float
    skipped: int

    def mean_ms(self, said: Said) -> float:
        """Give the mean delay of the packets of talk."""
        delays = [delay for number, delay in self.delays_ms.items() if said.talk[number]]
        return sum(delays) / len(delays)

    def late_share(self, said: Said) -> float:
        """Give the late packets of talk as a share of those that came."""
        came = sum(1 for number, at in enumerate(said.arrivals) if at is not None and said.talk[number])
        return sum(1 for number in self.late if said.talk[number]) / came


def play(said: Said, pieces: Sequence[bytes]) -> Heard:
    """Let the native buffer play one trace."""
    rng = random.Random("quiet")
    quiet = [struct.pack("<160h", *(round(rng.gauss(0, 12)) for _ in range(FRAME))) for _ in range(50)]
    buffer = native.Isochronous(rate_hz=8000, clock_hz=8000, start=0, step=_STEP)
    came = sorted((at, number) for number, at in enumerate(said.arrivals) if at is not None)
    for at, number in came:
        pcm = pieces[number % len(pieces)] if said.talk[number] else quiet[number % len(quiet)]
        buffer.push(at, number * FRAME, pcm)
    buffer.run(came[-1][0] + 400 * MILLISECOND)
    _, spans = buffer.take()
    least = min(at - number * PTIME for at, number in came)
    return _account(said, spans, came[0][1] * FRAME, least / MILLISECOND)


def _account(said: Said, spans: Sequence[tuple[str, int, int, int, int]], first: int, least_ms: float) -> Heard:
    """Follow the output: when did each packet sound, and what was made up without need?"""
    delays: dict[int, float] = {}
    late: list[int] = []
    totals: dict[str, int] = {}
    made, end, skipped = 0, first, 0
    for source, at, samples, position, consumed in spans:
        totals[source] = totals.get(source, 0) + samples
        if source in ("late", "lost"):
            made += samples
        elif source in ("heard", "shortened"):
            begin = position + first
            gap = range(-(-end // FRAME), begin // FRAME)
            lost = FRAME * sum(said.transits_ms[number] is None for number in gap)
            excess = max(made, begin - end) - lost
            skipped += max(0, begin - end - made)
            late += [begin // FRAME] * -(-max(0, excess) // FRAME)
            for number in range(-(-begin // FRAME), -(-(begin + consumed) // FRAME)):
                sounds = at + (number * FRAME - begin) * samples // consumed
                delays.setdefault(number, sounds / 8 - number * 20 - least_ms)
            made, end = 0, begin + consumed
    total = sum(totals.values())
    stretched = (totals.get("shortened", 0) + totals.get("lengthened", 0)) / total
    return Heard(delays, late, stretched, (totals.get("late", 0) + totals.get("lost", 0)) / total, skipped)


def oracle_ms(said: Said, late: float = LATE) -> float:
    """Give the least mean delay of one delay a spurt at which at most `late` of all of talk is late."""
    spurts = [sorted(spurt) for spurt in said.spurts()]
    packets = sum(len(spurt) for spurt in spurts)
    budget = int(packets * late)
    costs = [0.0] * (budget + 1)  # with at most so many late so far
    for spurt in spurts:
        prices = [len(spurt) * spurt[-1 - given] for given in range(min(len(spurt), budget + 1))]
        costs = [
            min(costs[spent - given] + price for given, price in enumerate(prices[: spent + 1]))
            for spent in range(budget + 1)
        ]
    return costs[-1] / packets


def fixed_ms(said: Said) -> float:
    """Give the least fixed delay at which at most 1 % of talk is late."""
    transits = [
        transit for transit, speaks in zip(said.transits_ms, said.talk, strict=True) if speaks and transit is not None
    ]
    return percentile(sorted(transits), 1 - LATE)


def neteq(said: Said, quantile: float) -> tuple[float, float]:
    """Give the mean delay, ms, and the share of late packets of NetEQ's policy."""
    histogram = [0.0] * _NETEQ_BUCKETS
    recent: list[float] = []
    target, highest, updates = _NETEQ_START_MS, 0.0, 0
    delays: list[float] = []
    late = 0
    for number, (transit, speaks) in enumerate(zip(said.transits_ms, said.talk, strict=True)):
        if transit is not None:
            base = min(recent, default=transit)
            if speaks:
                delays.append(base + target)
                late += transit > base + target
            recent = [*recent[-(_NETEQ_WINDOW - 1) :], transit]
            highest = max(highest, transit - min(recent))
        if number % _NETEQ_EVERY == _NETEQ_EVERY - 1:
            updates += 1
            forget = min(_NETEQ_FORGET, 1 - 2 / (updates + 1))
            histogram = [weight * forget for weight in histogram]
            histogram[min(_NETEQ_BUCKETS - 1, int(highest / _NETEQ_BUCKET_MS))] += 1 - forget
            wanted = quantile * sum(histogram)
            buckets = sum(1 for reached in accumulate(histogram) if reached < wanted)
            target, highest = (min(buckets, _NETEQ_BUCKETS - 1) + 1) * _NETEQ_BUCKET_MS, 0.0
    return sum(delays) / len(delays), late / len(delays)


def stepped(seed: int, change_ms: float) -> tuple[Said, int]:
    """Make 40 s of talk over a path that changes after 20 s; give it and the packet at which it does."""
    rng = random.Random(f"step {seed} {change_ms}")
    packets, change = 2000, 1000 + rng.randrange(50)
    before, latest = 120.0, 0
    arrivals: list[int | None] = []
    for number in range(packets):
        path = before + (change_ms if number >= change else 0.0) + rng.gammavariate(1.5, 1.0)
        latest = max(latest, number * PTIME + round(path * MILLISECOND))
        arrivals.append(latest)
    return Said.over(Trace("step", tuple(arrivals)), [True] * packets), change


def step_up(seed: int, pieces: Sequence[bytes]) -> float:
    """Give the share of late packets from 500 ms after a path became 100 ms longer, over the next 5 s."""
    said, change = stepped(seed, 100.0)
    begin, end = change + 30, change + 280  # the first of the longer path arrives 100 ms after its turn
    late = [number for number in play(said, pieces).late if begin <= number < end]
    return len(late) / (end - begin)


def step_down(seed: int, pieces: Sequence[bytes]) -> tuple[float, int]:
    """Give how long after a path became 100 ms shorter the delay is within 20 ms of the oracle's, ms, for good.

    And the samples that were left out: it is to be done by stretching only.
    """
    said, change = stepped(seed, -100.0)
    heard = play(said, pieces)
    behind = range(change, len(said.talk) - 50)
    after = [transit for transit in said.transits_ms[change + 10 :] if transit is not None]
    bound = percentile(sorted(after), 1 - LATE) + 20.0
    over = [number for number in behind if heard.delays_ms.get(number, 0.0) > bound]
    done_ms = (over[-1] + 1 - change) * PTIME / MILLISECOND if over else 0.0
    return done_ms, heard.skipped


def run(*, seed: int = 1, calls: int | None = None, seconds: float | None = None) -> Result:
    """Run the bench over traces of `seconds` (300), `TRACES` of each network."""
    del calls
    seconds = round(seconds or 300)
    pieces = voice(seed, _VOICE)
    figures: dict[str, Figure] = {}
    floor: dict[str, Figure | str] = {}
    fixed: dict[str, Figure] = {}
    usual: dict[str, Figure] = {}
    least: dict[str, Figure] = {}
    ratios: dict[str, Figure] = {}
    networks = {name: [trace(name, seed * 100 + one, seconds) for one in range(TRACES)] for name in NAMES}
    for name, traces in networks.items():
        speech = [talk(seed * 100 + one, len(network.arrivals)) for one, network in enumerate(traces)]
        saids = [Said.over(network, speaks) for network, speaks in zip(traces, speech, strict=True)]
        heard = [play(said, pieces) for said in saids]
        figures[f"{name}_ms"] = _mean([one.mean_ms(said) for one, said in zip(heard, saids, strict=True)])
        figures[f"{name}_late"] = max(one.late_share(said) for one, said in zip(heard, saids, strict=True))
        figures[f"{name}_stretched"] = _mean([one.stretched for one in heard])
        floor[f"{name}_oracle_ms"] = _mean([oracle_ms(said) for said in saids])
        fixed[f"{name}_ms"] = _mean([fixed_ms(said) for said in saids])
        policies = [neteq(said, 0.95) for said in saids]
        usual[f"{name}_ms"], usual[f"{name}_late"] = (_mean(list(column)) for column in zip(*policies, strict=True))
        least[f"{name}_ms"] = _mean([_neteq_at_most(said) for said in saids])
        for title, table in (("", figures), ("fixed_", fixed), ("neteq_", least)):
            ratios[f"{title}{name}"] = _over(table[f"{name}_ms"], floor[f"{name}_oracle_ms"])
    for title in ("", "fixed_", "neteq_"):
        logs = [math.log(float(ratios[f"{title}{name}"] or 1.0)) for name in NAMES]
        ratios[f"{title}geomean"] = math.exp(sum(logs) / len(logs))
    steps = range(seed * 100, seed * 100 + TRACES)
    figures["step_up_late"] = max(step_up(one, pieces) for one in steps)
    downs = [step_down(one, pieces) for one in steps]
    figures["step_down_ms"], figures["step_down_skipped"] = (
        max(down[0] for down in downs),
        sum(down[1] for down in downs),
    )
    return Result(
        bench="jitter",
        figures=figures,
        floor=floor,
        peers={
            "best fixed delay at 1 % late": fixed,
            "NetEQ's policy, quantile 0.95": usual,
            "NetEQ's policy, least quantile at 1 % late": least,
        },
        ratios=ratios,
        seed=seed,
        corpus=digest(*(network.bytes() for traces in networks.values() for network in traces)),
        shape={"traces": list(NAMES), "of each": TRACES, "seconds": seconds, "ptime_ms": 20, "clock": "virtual"},
    )


def _neteq_at_most(said: Said) -> float:
    """Give the mean delay of NetEQ's policy at the least quantile that keeps 1 % late."""
    for quantile in (0.5, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99):
        mean, late = neteq(said, quantile)
        if late <= LATE:
            return mean
    return neteq(said, 1.0)[0]


def _over(ours: Figure, oracle: Figure | str) -> float:
    assert isinstance(ours, float)
    assert isinstance(oracle, float)
    return ours / oracle


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
