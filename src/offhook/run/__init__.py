"""The host: transports, admission, drain. The only room with sockets and the only loop.

The room is also a verb: `offhook.run(agent)` answers calls until it is told to stop.
"""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from offhook.run.host import AgentLike
    from offhook.run.phone import Settings, run

__all__ = ["run"]


def __getattr__(name: str) -> Any:
    # Lazy: whoever needs one file of this room need not load the others.
    if name in __all__:
        from offhook.run import phone

        return getattr(phone, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class _Room(types.ModuleType):
    def __call__(self, agent: AgentLike, config: Settings = None) -> None:
        """Answer calls with `agent` until SIGTERM or SIGINT; see `offhook.run.phone.run`."""
        from offhook.run.phone import run

        run(agent, config)


sys.modules[__name__].__class__ = _Room
