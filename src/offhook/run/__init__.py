"""The host: transports, admission, drain. The only room with sockets and the only loop.

The room is also a verb: `offhook.run(agent)` answers calls until it is told to stop.
"""

from __future__ import annotations

import sys
import types
from typing import Any


class _Room(types.ModuleType):
    def __call__(self, *words: Any, **settings: Any) -> None:
        """Answer calls; see `offhook.console.answering.run`, which this is."""
        from offhook.console.answering import run

        run(*words, **settings)


sys.modules[__name__].__class__ = _Room
