from __future__ import annotations

from typing import get_args

from offhook.agent import orders


def test_what_concerns_a_turn_names_it() -> None:
    about_the_leg_or_the_call = {orders.Arm, orders.Restore, orders.Note, orders.Settled, orders.Wait, orders.End}
    assert {
        kind for kind in get_args(orders.Order) if "turn" not in kind.__dataclass_fields__
    } == about_the_leg_or_the_call
