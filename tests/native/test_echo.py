"""Our own voice comes back: through the real Port and the real Conversation, in virtual time."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from offhook import _native as native
from offhook.testing.bench import echo
from offhook.testing.bench.prompts import PACKAGE, SOUNDS
from tests.native.conftest import MS

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


@pytest.mark.parametrize("others", [False, True])
def test_it_is_known_for_ours_whether_others_hear_the_call_or_not(rig: Any, sounds: Any, others: bool) -> None:
    _, voice = sounds
    rig.port.relay(others)
    rig.port.listen("speech")
    rig.port.arm(12.0)
    rig.run(200)
    words = voice(6000)
    left = rig.port.play(rig.now, 1, words[: 16 * 2000], 8000)
    for _ in range(300):
        rig.run(20)
        if left < len(words):
            left += rig.port.play(rig.now, 1, words[left : left + 16 * 200], 8000)
        late = [packet for at, packet in rig.sent if at <= rig.now - 160 * MS]
        back = native.decode("PCMU", late[-1].payload) if late else bytes(320)
        samples = struct.unpack(f"<{len(back) // 2}h", back)
        rig.give(rig.next(native.encode("PCMU", struct.pack(f"<{len(samples)}h", *(x // 5 for x in samples)))))
    assert rig.events(native.Echo)[0].present
    assert rig.events(native.Ducked) == []
