"""The names of proofs that came: good for one thing, kept as long as they could come again, and no longer."""

from __future__ import annotations

import pytest

from offhook.carriers.services import proof
from offhook.carriers.services.proof import Used


def test_a_name_stands_for_what_it_first_came_for() -> None:
    used = Used()
    assert used.use("a", b"1", 0, 300) is None
    assert used.use("a", b"2", 1, 301) == b"1"
    assert used.use("a", b"1", 300, 600) == b"1"
    assert used.use("b", b"2", 300, 600) is None


def test_who_could_not_come_again_is_forgotten() -> None:
    used = Used()
    used.use("a", b"1", 0, 300)
    used.use("b", b"1", 100, 400)
    assert used.use("c", b"1", 301, 601) is None
    assert len(used._known) == 2


def test_the_oldest_goes_where_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "USED_LIMIT", 3)
    used = Used()
    for name in "abcde":
        used.use(name, b"1", 0, 300)
    assert list(used._known) == ["c", "d", "e"]
