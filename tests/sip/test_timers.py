"""The heap of timers."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field

from offhook.sip.timers import Alarms, Timers


@dataclass(eq=False)
class Owner:
    alarms: Alarms = field(default_factory=Alarms)


def test_timers_come_up_in_order_and_once():
    timers, one, two = Timers(), Owner(), Owner()
    timers.start(one, "b", 20)
    timers.start(two, "a", 10)
    timers.start(one, "a", 20)
    assert timers.deadline() == 10
    assert timers.pop(9) is None
    assert timers.pop(10) == (two, "a")
    assert [timers.pop(30), timers.pop(30), timers.pop(30)] == [(one, "b"), (one, "a"), None]
    assert one.alarms == {}


def test_a_stopped_timer_never_comes_up():
    timers, owner = Timers(), Owner()
    timers.start(owner, "a", 10)
    timers.stop(owner, "a")
    timers.stop(owner, "a")
    assert timers.deadline() is None
    assert timers.pop(100) is None


def test_a_timer_started_anew_comes_up_at_its_new_time_only():
    timers, owner = Timers(), Owner()
    timers.start(owner, "a", 10)
    timers.start(owner, "a", 30)
    assert timers.pop(20) is None
    assert timers.pop(30) == (owner, "a")
    assert timers.pop(30) is None


def test_a_timer_started_anew_for_the_same_time_comes_up_once():
    timers, owner = Timers(), Owner()
    timers.start(owner, "a", 10)
    timers.start(owner, "a", 10)
    assert timers.pop(10) == (owner, "a")
    assert timers.pop(10) is None


def test_an_owner_is_cleared_at_once():
    timers, owner = Timers(), Owner()
    for name in "abc":
        timers.start(owner, name, 10)
    timers.clear(owner)
    assert timers.deadline() is None


def test_what_was_stopped_leaves_no_memory_behind():
    timers, kept = Timers(), Owner()
    timers.start(kept, "a", 1_000_000)
    for at in range(20_000):
        owner = Owner()
        timers.start(owner, "a", at)
        timers.stop(owner, "a")
        timers.sweep()
    assert len(timers) < 10_000
    assert timers.deadline() == 1_000_000


def test_an_owner_without_timers_is_held_by_none():
    timers, kept, owner = Timers(), Owner(), Owner()
    timers.start(kept, "a", 5)
    for name in "abc":
        timers.start(owner, name, 10)
    timers.stop(owner, "a")
    timers.clear(owner)
    gone = weakref.ref(owner)
    del owner
    assert gone() is None
