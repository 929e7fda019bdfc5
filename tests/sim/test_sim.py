"""Whole calls from one seed: no law is broken, the same seed is the same run anywhere, another is another."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from typer.testing import CliRunner

from offhook.cli import app
from offhook.core.errors import ConfigError
from offhook.testing.network import PROFILES
from offhook.testing.sim import Summary, main, run
from offhook.testing.simulation import Outcome, simulate

DIGEST = "from offhook.testing.sim import *; s = Summary(1); [s.add(o) for o in run({seed}, range(3))]; print(s.digest)"


def digest(seed: int, hash_seed: str) -> str:
    """Give the digest of three calls, run in a process of its own."""
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    command = [sys.executable, "-c", DIGEST.format(seed=seed)]
    return subprocess.run(command, env=environment, capture_output=True, check=True, text=True).stdout.strip()


def test_the_digest_depends_on_the_seed_and_on_nothing_else() -> None:
    one, two, other = digest(7, "0"), digest(7, "4242"), digest(8, "0")
    assert one == two != other
    assert len(one) == 32


def test_a_mean_call_is_a_whole_conversation() -> None:
    summary = Summary(1)
    for outcome in run(1, range(24), jobs=2):
        summary.add(outcome)
    assert summary.violations == []
    assert summary.talk_s >= 20 * summary.calls
    assert summary.counts["turns"] >= 2 * summary.calls
    assert summary.counts["cuts"] >= summary.calls
    assert summary.counts["keys"] >= summary.calls


def test_a_run_is_the_same_on_one_process_and_on_two() -> None:
    alone, together = Summary(3), Summary(3)
    for outcome in run(3, range(6), profile="lan"):
        alone.add(outcome)
    for outcome in run(3, range(6), profile="lan", jobs=2):
        together.add(outcome)
    assert alone.digest == together.digest
    assert alone.counts == together.counts


@pytest.mark.parametrize("profile", PROFILES)
def test_no_law_is_broken_on_any_path(profile: str) -> None:
    for number in range(2):
        assert simulate(11, number, profile).violations == ()


def test_the_command_prints_what_was_done_and_says_whether_all_was_well() -> None:
    out = io.StringIO()
    assert main(seed=5, calls=4, jobs=1, out=out) == 0
    printed = out.getvalue()
    assert "4 calls from seed 5: 0 violations" in printed
    for word in ("digest", "turns", "barge-ins", "keys", "lost", "rows of the transaction tables"):
        assert word in printed
    with pytest.raises(ConfigError, match="hostile"):
        main(seed=1, calls=1, profile="moon", out=out)


def test_a_violation_fails_the_command_and_tells_how_to_replay_it(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = simulate(5, 0, "lan")
    broken = replace(sound, number=2, violations=tuple(f"1.0 s  a law: {n}" for n in range(25)))

    def some(*_: Any, **__: Any) -> Iterator[Outcome]:
        yield from (sound, broken)

    monkeypatch.setattr("offhook.testing.sim.run", some)
    out = io.StringIO()
    assert main(seed=5, calls=2, profile="lan", jobs=1, out=out) == 1
    printed = out.getvalue().splitlines()
    assert [line for line in printed if "a law" in line] == [f"call 2 (lan): 1.0 s  a law: {n}" for n in range(20)]
    assert printed[20] == "2 calls from seed 5: 25 violations"
    assert printed[-2:] == [
        "5 more violations are not shown",
        "replay the first: offhook sim --seed 5 --only 2 --profile lan",
    ]


def test_the_help_names_every_path() -> None:
    assert all(name in CliRunner().invoke(app, ["sim", "--help"]).output for name in PROFILES)


def test_one_call_of_a_run_is_replayed_alone() -> None:
    whole = list(run(9, range(3)))
    again = next(iter(run(9, [2])))
    assert whole[2].digest == again.digest
