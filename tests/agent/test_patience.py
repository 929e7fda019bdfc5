from __future__ import annotations

from offhook.agent.manners import Manners
from offhook.agent.patience import Patience
from offhook.agent.waits import after

MANNERS = Manners(prompt_after_ms=100, prompts=("One?", "Two?"), filler_after_ms=50, fillers=("A", "B"), give_up_ms=200)


def test_each_silence_has_its_prompt_until_the_caller_stirs() -> None:
    patience = Patience()
    assert [patience.prompt(MANNERS) for _ in range(3)] == ["One?", "Two?", None]
    patience.stirred()
    assert patience.prompt(MANNERS) == "One?"


def test_fillers_come_in_turn() -> None:
    patience = Patience()
    assert [patience.filler(MANNERS) for _ in range(3)] == ["A", "B", "A"]
    assert patience.filler(Manners(fillers=())) == ""


def test_only_the_clock_of_this_silence_runs() -> None:
    patience = Patience()
    patience.watch(0, MANNERS, busy=False, owing=False, idle=True)
    assert (patience.idle_at, patience.owed_at) == (after(0, 100), None)
    patience.watch(10, MANNERS, busy=False, owing=False, idle=True)
    assert patience.idle_at == after(0, 100), "it goes on"
    patience.watch(20, MANNERS, busy=True, owing=True, idle=False)
    assert (patience.idle_at, patience.owed_at) == (None, after(20, 50))


def test_patience_ends_though_fillers_are_said() -> None:
    patience = Patience()
    patience.watch(0, MANNERS, busy=True, owing=True, idle=False)
    patience.filler(MANNERS)
    patience.watch(1, MANNERS, busy=True, owing=False, idle=False)
    assert not patience.exhausted(after(0, 199), MANNERS)
    assert patience.exhausted(after(0, 200), MANNERS)
    patience.watch(2, MANNERS, busy=False, owing=False, idle=True)
    assert not patience.exhausted(after(0, 900), MANNERS)
