"""Finding the agent that someone named: `package.module:attribute`."""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from offhook.call import Agent
from offhook.core.errors import ConfigError
from offhook.run.host import AgentLike

RECEPTIONIST = "offhook.examples:receptionist"
"""Who answers where nobody is named."""


def load_agent(name: str) -> AgentLike:
    """Import `module:attribute` (`agent` where none is given). ConfigError where that is no agent.

    Modules of the current folder are found first, as `python -m` finds them.
    """
    module_name, _, attribute = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    if not all(part.isidentifier() for part in module_name.split(".")):
        raise ConfigError(f"{name!r} is not like package.module:attribute")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name + ".").startswith(error.name + "."):
            raise ConfigError(f"{name}: there is no module {error.name} here or among the installed packages") from None
        raise ConfigError(f"{name}: {error}{_place(error)}") from error
    except Exception as error:  # the author's own: whatever it is, it is told in one line
        raise ConfigError(f"{name}: {type(error).__name__}: {error}{_place(error)}") from error
    found: Any = module
    for part in (attribute or "agent").split("."):
        found = getattr(found, part, None)
    if isinstance(found, ModuleType):
        # The attribute is a file of the package: its agent, or the function that it is named for.
        found = getattr(found, "agent", None) or getattr(found, attribute.rpartition(".")[2], None)
    if isinstance(found, Agent) or _takes_a_call(found):
        return cast("AgentLike", found)
    if found is None:
        raise ConfigError(f"{name}: {module_name} has no {attribute or 'agent'}")
    raise ConfigError(f"{name} is neither an offhook.Agent nor an async function that takes a call")


def _place(error: BaseException) -> str:
    """Say in which line of this folder's files an error came up; "" where it was in none of them."""
    here = str(Path.cwd())
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(here)]
    return f" ({Path(own[-1].filename).relative_to(here)}, line {own[-1].lineno})" if own else ""


def _takes_a_call(found: object) -> bool:
    """Say whether this is an async function that can be called with a call alone."""
    if not callable(found) or isinstance(found, type):
        return False
    if not (inspect.iscoroutinefunction(found) or inspect.iscoroutinefunction(found.__call__)):
        return False
    try:
        inspect.signature(found).bind(None)
    except TypeError:
        return False
    return True


def needs_models(agent: AgentLike) -> bool:
    """Say whether an agent listens, thinks and speaks, so that models must be there before it takes a call."""
    return isinstance(agent, Agent) or bool(getattr(agent, "needs_models", True))
