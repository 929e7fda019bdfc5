"""Finding agents by name, and who answers which number."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from offhook.call import Agent
from offhook.core.errors import ConfigError
from offhook.run.agents import load_agent, needs_models

SOURCE = """
import offhook
agent = offhook.Agent("x")
other = offhook.Agent("y")
number = 7
async def script(call): ...
async def two(call, more): ...
def plain(call): ...
class shelf:
    inner = other
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "luigis_app.py").write_text(SOURCE)
    (tmp_path / "broken_app.py").write_text("import something_that_is_nowhere")
    (tmp_path / "raising_app.py").write_text("x = 1\nx / 0\n")
    (tmp_path / "garbled_app.py").write_text("def agent(:\n")


def test_an_agent_is_named_by_module_and_attribute() -> None:
    assert load_agent("luigis_app:other").instructions == "y"  # type: ignore[union-attr]
    assert load_agent("luigis_app").instructions == "x"  # type: ignore[union-attr]
    assert load_agent("luigis_app:shelf.inner") is load_agent("luigis_app:other")
    assert callable(load_agent("luigis_app:script"))


def test_the_echo_and_the_receptionist_are_there_however_they_are_reached() -> None:
    for name in ("echo", "receptionist"):
        importlib.import_module(f"offhook.examples.{name}")

    assert callable(load_agent("offhook.examples:echo"))
    assert isinstance(load_agent("offhook.examples:receptionist"), Agent)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere_app:agent", "there is no module nowhere_app"),
        ("luigis_app:waiter", "luigis_app has no waiter"),
        ("luigis_app:number", "neither an offhook.Agent nor an async function"),
        ("luigis_app:plain", "neither an offhook.Agent nor an async function that takes a call"),
        ("luigis_app:two", "neither an offhook.Agent nor an async function that takes a call"),
        ("luigis_app:shelf", "neither an offhook.Agent nor an async function that takes a call"),
        ("broken_app:agent", r"something_that_is_nowhere.* \(broken_app.py, line 1\)"),
        ("raising_app:agent", r"ZeroDivisionError: division by zero \(raising_app.py, line 2\)"),
        ("garbled_app:agent", r"SyntaxError: .* \(garbled_app.py, line 1\)"),
        ("", "is not like package.module:attribute"),
        (":agent", "is not like package.module:attribute"),
        (".luigis_app:agent", "is not like package.module:attribute"),
    ],
)
def test_what_is_no_agent_is_said_so(name: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_agent(name)


def test_the_echo_needs_no_models() -> None:
    assert not needs_models(load_agent("offhook.examples:echo"))
    assert needs_models(load_agent("luigis_app:script"))
    assert needs_models(Agent("x"))
