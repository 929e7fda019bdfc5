"""Every command explains itself: what it does, each argument and option, one example. The first word comes at once."""

from __future__ import annotations

import importlib
import subprocess
import sys
from typing import Any

import pytest
import typer

COMMANDS = ("bench", "call", "demo", "doctor", "serve", "sim")


def commands() -> dict[str, Any]:
    return typer.main.get_command(importlib.import_module("offhook.cli").app).commands  # type: ignore[attr-defined]


def test_the_commands_are_these() -> None:
    assert set(COMMANDS) <= set(commands())


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_what_it_does_with_an_example(name: str) -> None:
    command = commands()[name]
    assert command.help
    assert f"offhook {name}" in f"{command.help} {command.epilog}", "give an example in the epilog"
    assert [parameter.name for parameter in command.params if not getattr(parameter, "help", None)] == []


def test_help_loads_nothing_heavy() -> None:
    """0.3 s to the help text is kept by what is not loaded; the time itself is a machine's, not the code's."""
    heavy = {
        "asyncio",
        "numpy",
        "pydantic",
        "pydantic_ai",
        "httpx2",
        "uvloop",
        "onnxruntime",
        "faster_whisper",
        "openai",
    }
    program = (
        "import sys\n"
        "from offhook.cli import main\n"
        "sys.argv = ['offhook', '--help']\n"
        "try:\n    main()\nexcept SystemExit as done:\n    assert not done.code, done.code\n"
        f"print('loaded:', sorted(set(sys.modules) & {heavy!r}))\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.splitlines()[-1] == "loaded: []"
    assert all(name in ran.stdout for name in COMMANDS)


def test_a_wrong_word_is_one_clear_line_and_a_failure() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", "from offhook.cli import main; main()", "answer-the-phone"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode != 0
    assert "answer-the-phone" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("address", ["127.0.0.1:5060", "[::1]:5060"])
def test_the_address_of_a_command_line_is_listened_on_over_udp_and_tcp(address: str) -> None:
    config = importlib.import_module("offhook.cli").settings(None, address)
    assert list(config.sip.listen) == [f"udp://{address}", f"tcp://{address}"]
