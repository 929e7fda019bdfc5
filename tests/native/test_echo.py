"""Our own voice comes back: through the real Port and the real Conversation, in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from offhook.testing.bench import echo
from offhook.testing.bench.prompts import PACKAGE, SOUNDS

CASES = 18


def test_the_agent_does_not_interrupt_itself(peer_file: Callable[[str, str], Path]) -> None:
    peer_file(str(SOUNDS), PACKAGE)
    sat = echo.sat("echo", 71, CASES, "reporting")
    assert [case.loss_db for case, outcome in sat if echo.itself(case, outcome)] == []
    loud = [outcome for case, outcome in sat if case.loss_db in (12, 20)]
    assert all(outcome.echo and outcome.echo[0].present for outcome in loud)


def test_without_the_handling_it_would(peer_file: Callable[[str, str], Path]) -> None:
    peer_file(str(SOUNDS), PACKAGE)
    sat = echo.sat("echo", 71, CASES, "reporting", minds=False)
    assert sum(echo.itself(*one) for one in sat) > CASES // 2


def test_who_speaks_over_the_echo_is_heard(peer_file: Callable[[str, str], Path]) -> None:
    peer_file(str(SOUNDS), PACKAGE)
    sat = echo.sat("double", 72, CASES, "reporting")
    assert sum(echo.yields(*one) for one in sat) >= CASES - 1


def test_without_an_echo_nothing_changes(peer_file: Callable[[str, str], Path]) -> None:
    peer_file(str(SOUNDS), PACKAGE)
    minding, not_minding = (echo.sat("plain", 73, CASES, "reporting", minds=minds) for minds in (True, False))
    assert all(echo.yields(*one) and not one[1].echo for one in minding)
    later = [ours.ducked[0] - others.ducked[0] for (_, ours), (_, others) in zip(minding, not_minding, strict=True)]
    assert sorted(later)[CASES // 2] <= 20_000_000
