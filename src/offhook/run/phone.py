"""The two doors for programs: `Phone` calls out while it is open, `run` answers until told to stop.

async with offhook.Phone() as phone:
    call = await phone.dial("sip:front-desk@pbx.example", agent)
    await phone.finished(call)
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from offhook.call import Call
from offhook.call.events import CallEvent
from offhook.policy.routes import Route
from offhook.run.agents import needs_models
from offhook.run.config import Config, load
from offhook.run.host import AgentLike, Host
from offhook.run.logs import log_to_stderr
from offhook.run.serve import Station, load_routes, outward, run_live, serve_routes

Settings = Config | Path | str | Mapping[str, Any] | None
"""A configuration, the path of one, the keys of one, or None for `offhook.toml` and the environment."""


def _config(settings: Settings) -> Config:
    if isinstance(settings, Config):
        return settings
    if isinstance(settings, (str, Path)):
        return load(Path(settings))
    return load(None, settings)


class Phone:
    """A telephone in a program. While it is open it calls whom `dial` names and, where `routes` say who, answers.

    `config` is a `Config`, a path, a mapping of keys or None (`offhook.toml` and the environment). Without `sip.listen`
    it takes any free port and hears only whom it calls. `agents` are those that it will dial with, where they need
    models: they are checked, and the models loaded, before the phone is open. `events` hears what happens in its calls.
    """

    def __init__(
        self,
        config: Settings = None,
        *,
        agents: tuple[AgentLike, ...] = (),
        events: Callable[[CallEvent], None] | None = None,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._settings = config
        self._agents = agents
        self._station: Station | None = None
        self._stack = AsyncExitStack()
        self._events = events
        self._say = say
        self._host: Host | None = None

    async def __aenter__(self) -> Phone:
        """Open it. ConfigError, ModelError or ProviderError say what is wrong."""
        config = _config(self._settings)
        routes = load_routes(config, None) if config.routes else ()
        station = Station(config, self._say, self._events)
        try:
            self._host = await station.open(routes, also=self._agents, **outward(config))
        except BaseException:
            await station.stack.aclose()
            raise
        self._station = station
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hang up what is up and close it."""
        if self._station is not None:
            await self._station.stack.aclose()
        self._station = self._host = None

    @property
    def host(self) -> Host:
        """The host behind this phone, while it is open."""
        assert self._host is not None, "the phone is not open"
        return self._host

    async def dial(
        self,
        to: str,
        agent: AgentLike,
        *,
        headers: Mapping[str, str] | None = None,
        caller: str = "",
        withhold: bool = False,
        ring_s: float | None = None,
    ) -> Call:
        """Call `to` (`sip:…`, or a number through a trunk); give the call once it is answered and `agent` speaks.

        `headers` are X-…, User-to-User, Alert-Info and the like; `caller` is the number of ours that is shown,
        `withhold` shows none. It rings for `ring_s` seconds at most; `events` hears of `progress` and `redirected`
        meanwhile. DialFailed if it is not taken, NotAllowed outside `dial`, Unreachable, ConfigError,
        ModelError, ValueError for a header that may not be set or holds a line break.
        """
        assert self._station is not None, "the phone is not open"
        if needs_models(agent):
            await self._station.equip(agent)
        return await self.host.dial(to, agent, headers=headers, caller=caller, withhold=withhold, ring_s=ring_s)

    async def finished(self, call: Call) -> None:
        """Wait until a call is over and its conversation done."""
        await self.host.finished(call)


def run(agent: AgentLike, config: Settings = None) -> None:
    """Answer calls with `agent` until SIGTERM or SIGINT, then let the live ones end.

    OffhookError where it can't begin.
    """
    log_to_stderr()
    settings = _config(config)
    name = getattr(agent, "__name__", None) or getattr(agent, "name", "agent")
    run_live(lambda: serve_routes(settings, (Route(agent),), str(name), events=None, say=_stderr))


def _stderr(line: str) -> None:
    print(f"offhook: {line}", file=sys.stderr, flush=True)
