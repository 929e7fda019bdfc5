"""The door for programs that answer: `offhook.run(agent)`. The one for those that call is `console.phone`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from offhook.policy.routes import Route
from offhook.run.config import Config, load
from offhook.run.host import AgentLike
from offhook.run.logs import log_to_stderr
from offhook.run.serve import run_live, serve_routes

Settings = Config | Path | str | Mapping[str, Any] | None
"""A configuration, the path of one, the keys of one, or None for `offhook.toml` and the environment."""


def config_of(settings: Settings) -> Config:
    """Read a configuration. ConfigError where it can't be."""
    if isinstance(settings, Config):
        return settings
    if isinstance(settings, (str, Path)):
        return load(Path(settings))
    return load(None, settings)


def run(agent: AgentLike, config: Settings = None) -> None:
    """Answer calls with `agent` until SIGTERM or SIGINT, then let the live ones end.

    OffhookError where it can't begin.
    """
    log_to_stderr()
    settings = config_of(config)
    name = getattr(agent, "__name__", None) or getattr(agent, "name", "agent")
    run_live(lambda: serve_routes(settings, (Route(agent),), str(name), events=None, say=_stderr))


def _stderr(line: str) -> None:
    print(f"offhook: {line}", file=sys.stderr, flush=True)
