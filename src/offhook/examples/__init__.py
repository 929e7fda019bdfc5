"""Agents to start from, each a file to copy: `offhook serve offhook.examples:echo`, `offhook.examples:receptionist`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from offhook.examples.echo import echo as echo

_AGENTS = {"echo": ("offhook.examples.echo", "echo"), "receptionist": ("offhook.examples.receptionist", "agent")}


def __getattr__(name: str) -> Any:
    if name not in _AGENTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _AGENTS[name]
    # Set at once: importing the file has just put the module of that name here, and the agent is what is meant.
    value = globals()[name] = getattr(import_module(module), attribute)
    return value
