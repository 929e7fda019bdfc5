"""The tables themselves: what they must say whoever runs them (RFC 3261 section 17, RFC 6026, RFC 4320)."""

from __future__ import annotations

import pytest

from offhook.core.instants import SECOND
from offhook.sip.tables import ACTIONS, LASTING, MACHINES, RESPOND, ROWS, Times, duration, kind


@pytest.mark.parametrize("name", MACHINES)
def test_every_state_can_be_reached_and_ends(name):
    machine = MACHINES[name]
    reached = {"new"}
    while True:
        further = {row.then for row in machine.values() if row.state in reached} | reached
        if further == reached:
            break
        reached = further
    assert reached == {row.state for row in machine.values()} | {"terminated"}
    ending = {"terminated"}
    while True:
        more = {row.state for row in machine.values() if row.then in ending} | ending
        if more == ending:
            break
        ending = more
    assert ending == reached


def test_rows_ask_only_for_what_is_known():
    for row in ROWS:
        assert set(row.actions) <= set(ACTIONS), row
    used = {action for row in ROWS for action in row.actions}
    assert used == set(ACTIONS)


@pytest.mark.parametrize("name", MACHINES)
def test_every_timer_that_is_started_has_its_row(name):
    for row in MACHINES[name].values():
        for action in row.actions:
            if action.startswith("start_"):
                assert any(
                    (state, f"timer_{action[6:]}") in MACHINES[name] for state in {row.then, "trying", "proceeding"}
                ), row


@pytest.mark.parametrize("name", MACHINES)
def test_no_timer_outlives_its_state(name):
    """A timer that is started in a state has a row in every state that follows, or is stopped on the way there."""
    machine = MACHINES[name]
    running: dict[str, set[str]] = {"new": set()}
    for _ in range(10):
        for row in machine.values():
            timers = set(running.get(row.state, set()))
            if row.event.startswith("timer_"):
                timers.discard(row.event[6:])
            timers -= {action[5:] for action in row.actions if action.startswith("stop_")}
            timers |= {action[6:] for action in row.actions if action.startswith("start_")}
            running.setdefault(row.then, set()).update(timers)
    for state, timers in running.items():
        if state != "terminated":
            for timer in timers:
                assert (state, f"timer_{timer}") in machine, (state, timer)


def test_a_row_prints_as_a_line():
    assert str(MACHINES["invite_server"]["proceeding", "respond_2xx"]) == (
        "invite_server: proceeding × respond_2xx -> send start_l -> accepted"
    )
    assert str(MACHINES["client"]["completed", "1xx"]) == "client: completed × 1xx -> nothing -> completed"


def test_how_long_timers_last():
    times = Times()
    seconds = {timer: duration(timer, times, reliable=False) / SECOND for timer in LASTING}
    assert seconds == {"b": 32, "d": 32, "f": 32, "h": 32, "i": 5, "j": 32, "k": 5, "l": 32, "m": 32}
    reliable = {timer: duration(timer, times, reliable=True) / SECOND for timer in LASTING}
    assert reliable == {"b": 32, "d": 0, "f": 32, "h": 32, "i": 0, "j": 0, "k": 0, "l": 32, "m": 32}


def test_events_of_codes():
    assert [kind(code) for code in (100, 199, 200, 299, 300, 699)] == ["1xx", "1xx", "2xx", "2xx", "300-699", "300-699"]
    assert [RESPOND[code // 100] for code in (180, 200, 302, 486, 503, 603)] == [
        "respond_1xx",
        "respond_2xx",
        *["respond_300-699"] * 4,
    ]
