"""Whole calls from one seed: no law is broken, the same seed is the same run anywhere, another is another."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest

from offhook.core.errors import ConfigError
from offhook.testing.network import PROFILES
from offhook.testing.sim import Summary, main, run
from offhook.testing.simulation import simulate

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


def test_one_call_of_a_run_is_replayed_alone() -> None:
    whole = list(run(9, range(3)))
    again = next(iter(run(9, [2])))
    assert whole[2].digest == again.digest
