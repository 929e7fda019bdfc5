"""Voice agents on the telephone network.

An `Agent` says what it is; `offhook.toml` says where it runs; a `Call` is what a tool or a call script holds.
Names are loaded when they are first used, so that `offhook --help` and a small script start at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from offhook.call import Agent, Ambience, Call, Manners, Participant, answers
    from offhook.console.answering import run
    from offhook.console.phone import Phone
    from offhook.core.errors import (
        CallEnded,
        ConfigError,
        DialFailed,
        NotAllowed,
        OffhookError,
        TransferFailed,
        Unreachable,
    )

__version__ = "0.1.0"

__all__ = [
    "Agent",
    "Ambience",
    "Call",
    "CallEnded",
    "ConfigError",
    "DialFailed",
    "Manners",
    "NotAllowed",
    "OffhookError",
    "Participant",
    "Phone",
    "TransferFailed",
    "Unreachable",
    "answers",
    "run",
]

_ROOMS = {
    "Agent": "offhook.call",
    "Ambience": "offhook.call",
    "Call": "offhook.call",
    "CallEnded": "offhook.core.errors",
    "ConfigError": "offhook.core.errors",
    "DialFailed": "offhook.core.errors",
    "Manners": "offhook.call",
    "NotAllowed": "offhook.core.errors",
    "OffhookError": "offhook.core.errors",
    "Participant": "offhook.call",
    "Phone": "offhook.console.phone",
    "TransferFailed": "offhook.core.errors",
    "Unreachable": "offhook.core.errors",
    "answers": "offhook.call",
    "run": "offhook.run",
}


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module 'offhook' has no attribute {name!r}")
    room = import_module(_ROOMS[name])
    # `offhook.run` is a room and a verb: the room's module can be called, so it is the same whoever imported it first.
    value = room if name == "run" else getattr(room, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_ROOMS])
