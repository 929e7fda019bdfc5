"""Every planted fault is seen by the checker of its law, and a sound call is found sound."""

from __future__ import annotations

import pytest

from offhook.testing.checkers import ALL
from offhook.testing.faults import FAULTS
from offhook.testing.simulation import Outcome, simulate
from offhook.testing.world import World

SEED, CALL = 1, 0


def live(fault: str | None = None, number: int = CALL) -> tuple[Outcome, set[str]]:
    """Live a call, perhaps with a fault in it; the outcome, and the checkers that found something."""
    worlds: list[World] = []

    def plant(world: World) -> None:
        worlds.append(world)
        if fault is not None:
            FAULTS[fault][0](world)

    outcome = simulate(SEED, number, "lan", plant=plant)
    found = {type(checker).__name__ for checker in worlds[0].watch.checkers if checker.violations}
    return outcome, found


def test_a_sound_call_is_found_sound() -> None:
    outcome, found = live()
    assert outcome.violations == ()
    assert found == set()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_seen(fault: str) -> None:
    outcome, found = live(fault)
    assert FAULTS[fault][1] in found, outcome.violations


def test_every_checker_has_a_fault_that_it_catches() -> None:
    assert {checker.__name__ for checker in ALL} == {law for _, law in FAULTS.values()}
