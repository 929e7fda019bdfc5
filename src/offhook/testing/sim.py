"""`offhook sim`: many simulated calls, what they did, and what went wrong.

      seed ─► call 0, 1, 2 … ─► processes ─► outcomes, in order ─► digest · violations · faults · rows of the tables

The digest of a run is that of its calls' digests in their order, so it does not depend on how many processes made them.
"""

from __future__ import annotations

import gc
import hashlib
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TextIO

import structlog

from offhook.core.errors import ConfigError
from offhook.sip.tables import ROWS
from offhook.testing.network import PROFILES
from offhook.testing.simulation import Outcome, simulate

SHOWN = 20
"""So many violations are printed in full; the rest are counted."""


@dataclass(slots=True)
class Summary:
    """What a run came to."""

    seed: int
    calls: int = 0
    violations: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    counts: Counter[str] = field(default_factory=Counter[str])
    rows: set[str] = field(default_factory=set[str])
    seconds: float = 0.0
    talk_s: float = 0.0
    cpu_s: float = 0.0
    profiles: Counter[str] = field(default_factory=Counter[str])
    _digests: list[str] = field(default_factory=list[str])

    def add(self, outcome: Outcome) -> None:
        """Take in the next call."""
        self.calls += 1
        self.violations += [(outcome.number, text) for text in outcome.violations]
        self.counts += Counter(outcome.counts)
        self.rows |= outcome.rows
        self.seconds += outcome.seconds
        self.talk_s += outcome.talk_s
        self.cpu_s += outcome.cpu_s
        self.profiles[outcome.profile] += 1
        self._digests.append(outcome.digest)

    @property
    def digest(self) -> str:
        """The digest of all calls in their order."""
        return hashlib.blake2b(" ".join(self._digests).encode(), digest_size=16).hexdigest()

    @property
    def rows_not_taken(self) -> list[str]:
        """The rows of the transaction tables that no call has taken."""
        return [str(row) for row in ROWS if str(row) not in self.rows]


def run(seed: int, numbers: Iterable[int], *, profile: str | None = None, jobs: int = 1) -> Iterator[Outcome]:
    """Simulate calls; give their outcomes in order. ConfigError for a profile that is not known."""
    if profile is not None and profile not in PROFILES:
        raise ConfigError(f"there is no profile {profile!r}: take one of {', '.join(PROFILES)}")
    one = partial(simulate, seed, profile=profile)
    if jobs <= 1:
        _quiet()
        yield from map(one, numbers)
        return
    with ProcessPoolExecutor(jobs, initializer=_quiet) as pool:
        yield from pool.map(one, numbers, chunksize=4)


def main(
    *, seed: int, calls: int, profile: str | None = None, jobs: int | None = None, only: int | None = None,
    out: TextIO | None = None,
) -> int:  # fmt: skip
    """Run and print; give the exit code: 0 if no law was broken."""
    to: TextIO = sys.stdout if out is None else out
    jobs = jobs or min(os.cpu_count() or 1, calls)
    summary = Summary(seed)
    began = time.monotonic()
    numbers = range(calls) if only is None else [only]
    last = began
    for outcome in run(seed, numbers, profile=profile, jobs=1 if only is not None else jobs):
        summary.add(outcome)
        for text in outcome.violations:
            if len(summary.violations) <= SHOWN:
                print(f"call {outcome.number} ({outcome.profile}): {text}", file=to)
        now = time.monotonic()
        if now - last >= 5.0 and to.isatty():
            last = now
            print(f"  {summary.calls} of {calls} calls, {len(summary.violations)} violations", file=to, flush=True)
    _print(summary, time.monotonic() - began, jobs, profile, to)
    return 1 if summary.violations else 0


def _print(summary: Summary, wall_s: float, jobs: int, profile: str | None, out: TextIO) -> None:
    calls = max(1, summary.calls)
    counts = summary.counts
    faults = ("lost", "lost_in_burst", "held_back", "duplicated", "rebound", "nat_closed", "nobody_there")
    drawn = ", ".join(f"{name} {count}" for name, count in sorted(summary.profiles.items()))
    lines = [
        f"{summary.calls} calls from seed {summary.seed}: {len(summary.violations)} violations",
        f"digest      {summary.digest}",
        f"time        {wall_s:.1f} s on {jobs} processes, {summary.cpu_s / calls:.3f} CPU-s a call; "
        f"{summary.seconds:.0f} virtual seconds",
        f"a call      {summary.talk_s / calls:.1f} s of talk, {counts['turns'] / calls:.1f} turns, "
        f"{counts['cuts'] / calls:.2f} barge-ins, {counts['keys'] / calls:.2f} keys (mean)",
        f"paths       {drawn}",
        f"faults      {counts['sent']} datagrams sent; " + ", ".join(f"{name} {counts[name]}" for name in faults),
        f"rude peers  {_named(counts, 'rude: ')}",
        f"ends        {_named(counts, 'ended: ')}",
        f"rows        {len(ROWS) - len(summary.rows_not_taken)} of {len(ROWS)} rows of the transaction tables taken",
        *(f"  not taken: {row}" for row in summary.rows_not_taken),
    ]
    if summary.violations:
        number = summary.violations[0][0]
        again = f"offhook sim --seed {summary.seed} --only {number}" + (f" --profile {profile}" if profile else "")
        lines.append(f"replay the first: {again}")
    print("\n".join(lines), file=out)


def _named(counts: Counter[str], kind: str) -> str:
    return ", ".join(f"{name.removeprefix(kind)} {counts[name]}" for name in sorted(counts) if name.startswith(kind))


def _quiet() -> None:
    """Keep the log of a thousand calls to itself: what matters becomes a violation."""
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    gc.collect()
    gc.freeze()
