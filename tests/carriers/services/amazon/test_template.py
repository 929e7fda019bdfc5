"""The template that deploys the functions: their time, and who may do what is as little as can be.

Whether it is a template that CloudFormation takes, `make check` asks cfn-lint; that its functions run, `test_lambda`.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from offhook.carriers.amazon import CONNECT_S, LEX_S, SMA_S

PLACE = Path(__file__).parents[4] / "deploy" / "amazon"
TEMPLATE: dict[str, Any] = json.loads((PLACE / "template.json").read_text())
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]
FUNCTIONS = {name: one for name, one in RESOURCES.items() if one["Type"] == "AWS::Lambda::Function"}


def within(value: Any, name: str) -> Iterator[Any]:
    """Give what stands by a name, wherever in a value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == name:
                yield inner
            yield from within(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from within(inner, name)


def test_each_function_is_in_the_program_and_has_the_time_that_its_service_gives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OFFHOOK_LLM", "test")
    monkeypatch.setattr("offhook.providers.registry.llm", lambda name, key: name)
    spec = importlib.util.spec_from_file_location("app", PLACE / "app.py")
    assert spec is not None
    assert spec.loader is not None
    app = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(app)
    ours = {"app.connect_lambda": CONNECT_S, "app.lex": LEX_S, "app.sma": SMA_S}
    assert {one["Properties"]["Handler"] for one in FUNCTIONS.values()} == set(ours)
    for one in FUNCTIONS.values():
        handler = one["Properties"]["Handler"]
        assert callable(getattr(app, handler.removeprefix("app.")))
        assert ours[handler] < one["Properties"]["Timeout"], "we answer before we are ended"
        assert "OFFHOOK_LLM" in one["Properties"]["Environment"]["Variables"]
    app.functions.close()


def test_who_may_ask_is_named_and_keys_are_not_shown() -> None:
    asks = {
        one["Properties"]["Principal"]: one["Properties"] for one in RESOURCES.values() if "Permission" in one["Type"]
    }
    assert set(asks) == {"connect.amazonaws.com", "lexv2.amazonaws.com", "voiceconnector.chime.amazonaws.com"}
    assert all("SourceAccount" in one for one in asks.values()), "nobody else's account"
    assert TEMPLATE["Parameters"]["ModelKey"]["NoEcho"] is True
    policies = list(within(RESOURCES, "Statement"))
    assert [one["Action"] for statements in policies for one in statements] == ["sts:AssumeRole"]
