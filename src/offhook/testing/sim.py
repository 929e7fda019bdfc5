"""`offhook sim`: many simulated calls, what they did, and what went wrong.

      seed ─► call 0, 1, 2 … ─► processes ─► outcomes, in order ─► digest · violations · faults · rows of the tables

The digest of a run is that of its calls' digests in their order, so it does not depend on how many processes made them.
"""

from __future__ import annotations

import gc
import hashlib
import logging
import os
import signal
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TextIO

import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from offhook.core.errors import ConfigError
from offhook.sip.tables import ROWS
from offhook.testing.network import PROFILES
from offhook.testing.simulation import Outcome, simulate

SHOWN = 20
"""So many violations (and rows that no call has taken) are printed in full; of more only the number."""

ITSELF_MOST: Final = 0.01
"""Of the calls with an echo so many may have an agent that interrupts itself once, as of `offhook bench echo`."""


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
    shown: int = 0
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
    def interrupts_itself(self) -> bool:
        """Whether agents interrupt themselves by their echo more often than chance makes of what is allowed."""
        allowed = ITSELF_MOST * self.counts["echoing"]
        return self.counts["itself"] > allowed + 3 * allowed**0.5 + 1

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
    with ProcessPoolExecutor(jobs, initializer=_begin) as pool:
        yield from pool.map(one, numbers, chunksize=4)


def main(
    *, seed: int, calls: int, profile: str | None = None, jobs: int | None = None, only: int | None = None,
    out: TextIO | None = None,
) -> int:  # fmt: skip
    """Run and print; give the exit code: 0 if no law was broken. Progress is shown where a terminal is."""
    numbers = range(calls) if only is None else range(only, only + 1)
    jobs = min(jobs or os.cpu_count() or 1, len(numbers))
    summary = Summary(seed)
    console = Console(file=out, highlight=False, soft_wrap=True)
    began = time.monotonic()
    with _progress(console) as progress:
        task = progress.add_task("simulating", total=len(numbers), broken="")
        for outcome in run(seed, numbers, profile=profile, jobs=jobs):
            summary.add(outcome)
            for text in outcome.violations[: max(0, SHOWN - summary.shown)]:
                summary.shown += 1
                console.print(Text.assemble((f"call {outcome.number}", "bold"), f" ({outcome.profile}): {text}"))
            broken = f"[red]{len(summary.violations)} violations" if summary.violations else ""
            progress.update(task, completed=summary.calls, broken=broken)
    _print(summary, time.monotonic() - began, jobs, profile, console)
    return 1 if summary.violations or summary.interrupts_itself else 0


def _progress(out: Console) -> Progress:
    """Show progress beside what is printed; on stderr where that goes into a file."""
    console = out if out.is_terminal else Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    broken = TextColumn("{task.fields[broken]}")
    return Progress(
        *columns, broken, console=console, transient=True, disable=not console.is_terminal, redirect_stdout=False
    )


def _print(summary: Summary, wall_s: float, jobs: int, profile: str | None, console: Console) -> None:
    calls = max(1, summary.calls)
    counts = summary.counts
    faults = ("lost", "lost_in_burst", "held_back", "duplicated", "rebound", "nat_closed", "nobody_there")
    drawn = ", ".join(f"{name} {count}" for name, count in sorted(summary.profiles.items()))
    missing = summary.rows_not_taken
    lines = {
        "digest": summary.digest,
        "time": f"{wall_s:.1f} s on {_many(jobs, 'process', 'es')}, {summary.cpu_s / calls:.3f} CPU-s a call; "
        f"{summary.seconds:.0f} virtual seconds",
        "a call": f"{summary.talk_s / calls:.1f} s of talk, {counts['turns'] / calls:.1f} turns, "
        f"{counts['cuts'] / calls:.2f} barge-ins, {counts['keys'] / calls:.2f} keys (mean)",
        "paths": drawn,
        "echoes": _echoes(counts, summary.calls) + (": TOO OFTEN" if summary.interrupts_itself else ""),
        "faults": f"{counts['sent']} datagrams sent; " + ", ".join(f"{name} {counts[name]}" for name in faults),
        "rude peers": _named(counts, "rude: "),
        "conferences": f"{counts['conferences']} with somebody called in",
        "ends": _named(counts, "ended: "),
        "rows": f"{len(ROWS) - len(missing)} of {len(ROWS)} rows of the transaction tables taken",
    }
    found = len(summary.violations)
    verdict = Text(_many(found, "violation"), "bold red" if found else "bold green")
    console.print(Text.assemble(f"{_many(summary.calls, 'call')} from seed {summary.seed}: ", verdict))
    for name, text in lines.items():
        console.print(Text.assemble((f"{name:<12}", "dim"), text))
    for row in missing if len(missing) <= SHOWN else ():
        console.print(Text(f"  not taken: {row}"))
    if found > summary.shown:
        console.print(Text(f"{found - summary.shown} more violations are not shown"))
    if found:
        again = f"offhook sim --seed {summary.seed} --only {summary.violations[0][0]}"
        console.print(
            Text.assemble("replay the first: ", (again + (f" --profile {profile}" if profile else ""), "bold"))
        )


def _many(count: int, one: str, plural: str = "s") -> str:
    return f"{count} {one}{'' if count == 1 else plural}"


def _echoes(counts: Counter[str], calls: int) -> str:
    many = counts["echoing"]
    if not many:
        return "no caller by a speakerphone"
    loss_db, delay_ms = counts["echo_loss_db"] / many, counts["echo_delay_ms"] / many
    return (
        f"{many} of {_many(calls, 'caller')} ({many / calls:.0%}) by a speakerphone that returns the agent's voice, "
        f"-{loss_db:.0f} dB, {delay_ms:.0f} ms later (mean); in {counts['itself']} of them it interrupted itself"
    )


def _named(counts: Counter[str], kind: str) -> str:
    names = [f"{name.removeprefix(kind)} {counts[name]}" for name in sorted(counts) if name.startswith(kind)]
    return ", ".join(names) or "none"


def _begin() -> None:
    """Begin a process: Ctrl-C is for the one that the person sees."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _quiet()


def _quiet() -> None:
    """Keep the log of a thousand calls to itself: what matters becomes a violation."""
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    gc.collect()
    gc.freeze()
