"""The digest of a world: whatever was different is seen in it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from offhook.core.media import Address
from offhook.testing.journal import Journal

A: Address = ("10.0.0.1", 10000)
B: Address = ("10.0.0.2", 20000)
PACKET = bytes(range(172))
ONE_BIT_OFF = PACKET[:-1] + bytes([PACKET[-1] ^ 1])

Step = Callable[[Journal], None]


def lived(*steps: Step) -> str:
    journal = Journal()
    for step in steps:
        step(journal)
    return journal.digest()


def left(now: int = 5, source: Address = A, data: bytes = PACKET) -> Step:
    return lambda journal: journal.left(now, source, B, data)


def arrived(now: int = 9, source: Address = A, data: bytes = PACKET) -> Step:
    return lambda journal: journal.arrived(now, source, B, data)


def piece(data: bytes = b"INV") -> Step:
    return lambda journal: journal.piece(9, A, B, data)


def event(text: str = "Digit 5") -> Step:
    return lambda journal: journal.event(9, text)


SOUND = (left(), arrived(), piece(), event())


def test_the_same_happenings_have_the_same_digest() -> None:
    assert lived(*SOUND) == lived(left(), arrived(), piece(), event())


@pytest.mark.parametrize(
    "other",
    [
        (left(now=6), *SOUND[1:]),
        (left(source=B), *SOUND[1:]),
        (left(data=ONE_BIT_OFF), *SOUND[1:]),
        (SOUND[0], arrived(now=10), *SOUND[2:]),
        (SOUND[0], arrived(source=B), *SOUND[2:]),
        (SOUND[0], arrived(data=ONE_BIT_OFF), *SOUND[2:]),
        (SOUND[0], arrived(data=PACKET[:-1]), *SOUND[2:]),
        (*SOUND[:2], arrived(), *SOUND[2:]),
        (*SOUND[:2], piece(b"INW"), SOUND[3]),
        (*SOUND[:3], event("Digit 6")),
        (SOUND[1], SOUND[0], *SOUND[2:]),
        SOUND[:3],
    ],
    ids=[
        "left a nanosecond later", "left elsewhere", "one bit left wrong", "arrived a nanosecond later",
        "arrived from elsewhere", "one bit arrived wrong", "a byte less arrived", "arrived twice", "another piece",
        "another event", "another order", "an event less",
    ],
)  # fmt: skip
def test_any_difference_shows_in_the_digest(other: tuple[Step, ...]) -> None:
    assert lived(*other) != lived(*SOUND)
