"""Every planted fault is seen by the checker of its law, and a sound call is found sound."""

from __future__ import annotations

import numpy as np
import pytest

from offhook.testing.checkers import ALL, words
from offhook.testing.checkers.echoes import NotItself
from offhook.testing.checkers.words import HistoryIsHeard
from offhook.testing.faults import FAULTS
from offhook.testing.simulation import Outcome, simulate
from offhook.testing.spelled import spell
from offhook.testing.wire import Rtp
from offhook.testing.world import World

SEED, CALL = 1, 3


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


def test_words_are_read_by_the_law_that_they_left_under() -> None:
    """A re-INVITE may change the codec between two looks at what was said (seed 104, call 2)."""
    checker = HistoryIsHeard()
    for text, payload, law in (("one", 0, words._MU_LAW), ("two", 8, words._A_LAW)):
        pcm = np.frombuffer(spell(text), dtype="<i2").astype(np.int32)
        body = np.abs(law.astype(np.int32)[:, None] - pcm).argmin(axis=0).astype(np.uint8).tobytes()
        checker.rtp_left(0, ("10.1.0.1", 10000), ("10.2.0.1", 10000), Rtp(payload, False, 1, 0, 7, body))
    checker.told(0, "10.1.0.1", "call", "history", {"said": [("one two", True)], "sip_call": ""})
    assert checker.violations == []


@pytest.mark.parametrize(
    ("heard", "own"),
    [("a table for three please", False), ("by the window please", True), ("good evening the booking", True)],
)
def test_a_turn_made_of_our_words_is_seen(heard: str, own: bool) -> None:
    checker = NotItself()
    said = [("Good evening, the booking desk.", True), ("We have a table for three by the window.", False)]
    data = {"said": said, "sip_call": "", "heard": [heard], "spoken": ["A table for three, please."]}
    checker.told(0, "10.1.0.1", "call", "history", data)
    assert bool(checker.violations) is own
    checker.told(0, "10.1.0.1", "call", "history", {**data, "spoken": None})
    assert len(checker.violations) == own
