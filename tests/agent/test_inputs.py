from __future__ import annotations

import dataclasses
import inspect
from typing import Any, get_args

import pytest

from offhook.agent import inputs, orders


@pytest.mark.parametrize(("module", "union"), [(inputs, inputs.Input), (orders, orders.Order)])
def test_the_union_is_closed_and_its_values_are_frozen(module: Any, union: Any) -> None:
    kinds: list[Any] = [kind for _, kind in inspect.getmembers(module, dataclasses.is_dataclass)]
    ours = {kind for kind in kinds if kind.__module__ == module.__name__}
    assert ours
    assert ours <= set(get_args(union))
    assert all(kind.__dataclass_params__.frozen and hasattr(kind, "__slots__") for kind in ours)
