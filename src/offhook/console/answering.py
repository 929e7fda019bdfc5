"""The door for programs that answer, and for `offhook serve`: calls come by SIP, from pages and by managed services.

offhook.run(agent) ─► configuration ─► services, web door ─► serve ─► SIGTERM

The door for programs that call is `console.phone`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from offhook.run.config import Settings, config_of, services_of
from offhook.run.host import AgentLike
from offhook.run.logs import log_to_stderr
from offhook.run.serve import run_live, serve


def _on_stderr(line: str) -> None:
    print(f"offhook: {line}", file=sys.stderr, flush=True)


def run(
    agent: AgentLike | str | None = None,
    config: Settings = None,
    *,
    carriers: Sequence[str] | None = None,
    events: Path | str | None = None,
    say: Callable[[str], None] = _on_stderr,
) -> None:
    """Answer calls until SIGTERM or SIGINT, then let the live ones end. OffhookError where it can't begin.

    `agent` is one, its name (MODULE:AGENT), or None for the routes of the file; `config` a `Config`, a path, a mapping
    of keys or None (`offhook.toml` and the environment). `carriers`: take the calls of these services alone, not of all
    in the file. `events` is a file, to which what happens in the calls is appended; `say` tells a person.
    """
    log_to_stderr()
    settings = config_of(config)
    out = None if events is None else Path(events)
    services = services_of(settings, carriers)
    doors = []
    if services or settings.web.listen is not None:
        from offhook.console.door import web_door

        doors = [web_door(settings.web, services, say)]
    run_live(lambda: serve(settings, agent, events=out, say=say, doors=doors))
