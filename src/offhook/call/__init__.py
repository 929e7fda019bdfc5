"""One call: its leg, its conversation and its tools, on the loop's clock. Names are loaded when they are first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from offhook.agent.manners import Manners
    from offhook.call.agents import Agent, AgentFunction, AgentLike, answers
    from offhook.call.ambience import Ambience
    from offhook.call.call import Call
    from offhook.call.conference import Participant
    from offhook.call.models import Models

__all__ = ["Agent", "AgentFunction", "AgentLike", "Ambience", "Call", "Manners", "Models", "Participant", "answers"]

_PLACES = {
    "Agent": "offhook.call.agents",
    "AgentFunction": "offhook.call.agents",
    "AgentLike": "offhook.call.agents",
    "Ambience": "offhook.call.ambience",
    "Call": "offhook.call.call",
    "Manners": "offhook.agent.manners",
    "Models": "offhook.call.models",
    "Participant": "offhook.call.conference",
    "answers": "offhook.call.agents",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'offhook.call' has no attribute {name!r}")
    value = getattr(import_module(_PLACES[name]), name)
    globals()[name] = value
    return value
