"""The door for programs that call: `Phone` calls out while it is open, by SIP or by a managed service.

async with offhook.Phone() as phone:
call = await phone.dial("sip:front-desk@pbx.example", agent)
await phone.finished(call)

dial ─┬─► Host.dial ─► trunks                          carrier="twilio" ─► the door for its requests, opened once,
└─────────────────────────────────────────────────────────────────► Switchboard.dial
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Literal

from offhook.call import Call
from offhook.call.events import CallEvent
from offhook.carriers.services.table import places
from offhook.core.errors import ConfigError
from offhook.run.agents import needs_models
from offhook.run.config import Config, Settings, caller_of, config_of, services_of
from offhook.run.host import AgentLike, Host
from offhook.run.serve import Place, Station, load_routes, outward
from offhook.run.services import Switchboard

Detect = Literal["", "sync", "async"]
"""Whether a service says what has answered: not at all, before the agent speaks, or while it does."""


def by_service(
    config: Config, carrier: str, say: Callable[[str], None]
) -> Callable[[Host], AbstractAsyncContextManager[Place]]:
    """Give what opens the way out by a service. ConfigError where it is none, or has no number to show."""
    places(carrier, config.services.get(carrier, {}))
    (service,) = services_of(config, [carrier])
    caller = caller_of(config, carrier)

    @asynccontextmanager
    async def opened(host: Host) -> AsyncGenerator[Place]:
        from offhook.console.door import outward_door

        async with outward_door(config.web, (service,), host, say) as board:
            yield partial(board.dial, carrier, caller=caller)

    return opened


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
        self._events = events
        self._say = say
        self._config: Config | None = None
        self._board: Switchboard | None = None
        self._opening = asyncio.Lock()
        self._host: Host | None = None

    async def __aenter__(self) -> Phone:
        """Open it. ConfigError, ModelError or ProviderError say what is wrong."""
        config = config_of(self._settings)
        routes = load_routes(config, None) if config.routes else ()
        station = Station(config, self._say, self._events)
        async with AsyncExitStack() as opening:
            opening.push_async_callback(station.stack.aclose)
            self._host = await station.open(routes, also=self._agents, **outward(config))
            opening.pop_all()
        self._station, self._config = station, config
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hang up what is up and close it."""
        if self._station is not None:
            await self._station.stack.aclose()
        self._station = self._host = self._board = None

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
        carrier: str = "",
        detect: Detect = "",
    ) -> Call:
        """Call `to` (`sip:…`, or a number through a trunk); give the call once it is answered and `agent` speaks.

        `headers` are X-…, User-to-User, Alert-Info and the like; `caller` is the number of ours that is shown,
        `withhold` shows none. It rings for `ring_s` seconds at most; `events` hears of `progress` and `redirected`
        meanwhile. With a `carrier` that service places it (`[services.NAME]`; the first such call opens `web.listen`
        for its requests), and `detect` has it say what has answered: `call.answered_by`. DialFailed if it is not taken,
        NotAllowed outside `dial`, Unreachable, ConfigError, ModelError, ValueError for a header that may not be set or
        holds a line break.
        """
        assert self._station is not None, "the phone is not open"
        if needs_models(agent):
            await self._station.equip(agent)
        if carrier:
            if headers or withhold:
                raise ValueError("a call that a service places has no headers of ours, and shows a number of ours")
            return await self._by_service(carrier, to, agent, caller, 60 if ring_s is None else round(ring_s), detect)
        return await self.host.dial(to, agent, headers=headers, caller=caller, withhold=withhold, ring_s=ring_s)

    async def _by_service(
        self, carrier: str, to: str, agent: AgentLike, caller: str, ring_s: int, detect: Detect
    ) -> Call:
        config, station = self._config, self._station
        assert config is not None
        assert station is not None
        if carrier not in config.services:
            raise ConfigError(f"services.{carrier}: there is no such service in the configuration")
        shown = caller_of(config, carrier, caller)
        async with self._opening:
            if self._board is None:
                from offhook.console.door import outward_door

                door = outward_door(config.web, services_of(config), self.host, self._say)
                self._board = await station.stack.enter_async_context(door)
        return await self._board.dial(carrier, to, agent, caller=shown, ring_s=ring_s, detect=detect)

    async def finished(self, call: Call) -> None:
        """Wait until a call is over and its conversation done."""
        await self.host.finished(call)
