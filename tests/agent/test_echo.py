from __future__ import annotations

import pytest

from offhook import _native as native
from offhook.agent import orders
from offhook.agent.echo import without_ours

from .conftest import Stage

OURS = "Please listen carefully while I tell you about our opening hours. Shall I go on?"


@pytest.mark.parametrize(
    "heard",
    [
        "listen carefully while I",
        "tell you about our opening hours",
        "Listen carefully whale I tell you about",  # a mistake of recognition
        "carefully",
        "opening ours shall I go on",
        "",
    ],
)
def test_our_own_words_are_dropped(heard: str) -> None:
    assert without_ours(heard, OURS) == ""


@pytest.mark.parametrize(
    ("heard", "left"),
    [
        ("listen carefully while no stop I want a person", "no stop I want a person"),
        ("Wait, tell you about our opening", "Wait,"),
        ("no, I want to change my order", "no, I want to change my order"),
        ("hours of what?", "hours of what?"),
    ],
)
def test_what_is_not_ours_is_kept(heard: str, left: str) -> None:
    assert without_ours(heard, OURS) == left


def spoken_over(stage: Stage, words: str) -> list[tuple[int, orders.Order]]:
    return stage.answered().caller_speaks(900, 1100, words).until(4000).log


def test_our_words_are_no_turn_where_our_voice_comes_back() -> None:
    stage = Stage(greeting=OURS)
    stage.tells(100, lambda now: native.Echo(0, 0, now, present=True, delay_ms=200, loss_db=12))
    log = spoken_over(stage, "listen carefully while")
    assert not [order for _, order in log if isinstance(order, orders.Hush)]
    assert [order for _, order in log if isinstance(order, orders.Forget)]


def scrap(*, echo: bool) -> list[type[orders.Order]]:
    """Let the gate open for 100 ms over our voice, and recognition make something of it; what came of it."""
    stage = Stage(greeting=OURS)
    if echo:
        stage.tells(100, lambda now: native.Echo(0, 0, now, present=True, delay_ms=200, loss_db=20))
    return [type(order) for _, order in stage.answered().caller_speaks(900, 1000, "th").until(4000).log]


def test_what_opens_the_gate_for_a_moment_is_no_turn_where_our_voice_comes_back() -> None:
    kinds = scrap(echo=True)
    assert orders.Forget in kinds
    assert orders.Restore in kinds
    assert orders.Hush not in kinds
    assert orders.Transcribe not in kinds
    assert orders.Hush in scrap(echo=False)


def test_who_repeats_our_words_is_heard_where_nothing_comes_back() -> None:
    log = spoken_over(Stage(greeting=OURS), "listen carefully while")
    assert [order for _, order in log if isinstance(order, orders.Hush)]
