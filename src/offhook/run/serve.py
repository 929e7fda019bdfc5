"""What `offhook serve` does: read the configuration, load agents and models, answer calls, drain on SIGTERM.

    config ─► agents ─► models, checked and measured ─► engine ─► host ─► ready … SIGTERM ─► drain ─► exit 0

Laws: nothing is bound before the models are there, so a call that is answered can be served; the first signal drains,
the second one stops at once; SIGHUP has certificates read anew; what was counted is said at the end, and whenever
SIGUSR1 asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TextIO, TypeVar

from offhook import _native as native
from offhook.call import Agent, Call, Models
from offhook.call.events import CallEvent
from offhook.core.errors import ConfigError
from offhook.core.media import Address
from offhook.policy.routes import Route, Routes
from offhook.run.agents import RECEPTIONIST, load_agent, needs_models
from offhook.run.config import Config, address_note, host_rules, parse_address, routes_of
from offhook.run.dialling import ways
from offhook.run.events import EventLines
from offhook.run.host import AgentLike, Host
from offhook.run.memory import settle_memory
from offhook.run.models import load_models
from offhook.sip.grammar import write_host_port

_T = TypeVar("_T")

DoorTo = Callable[[Host], AbstractAsyncContextManager[str]]
"""Opens another way in to a host, for as long as it is entered; gives its address."""

Place = Callable[[str, AgentLike], Awaitable[Call]]
"""Places a call."""

PLENTY: Final = 1000
"""Calls at a time where no model of ours on this machine bounds them."""


def run_live(main: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """Run a coroutine function on the live loop: uvloop where it is installed."""
    try:
        import uvloop
    except ImportError:
        factory = None
    else:
        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main())


@dataclass(slots=True)
class Station:
    """A host with all that it needs, being built. `say` prints progress for a person."""

    config: Config
    say: Callable[[str], None]
    events: Callable[[CallEvent], None] | None = None
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    host: Host | None = None

    async def open(
        self,
        routes: Sequence[Route[AgentLike]],
        *,
        also: tuple[AgentLike, ...] = (),
        dial_also: tuple[str, ...] = (),
        by_sip: bool = True,
        **rules: Any,
    ) -> Host:
        """Load what the agents need, then bind. ConfigError, ModelError or ProviderError say what is wrong.

        `dial_also` may be dialled besides; not `by_sip`, it goes another way than those of the trunks.
        """
        config = self.config
        # First what costs nothing to check.
        made = replace(host_rules(config, max_calls=config.max_calls or PLENTY, dial_also=dial_also), **rules)
        for to in dial_also if by_sip else ():
            ways(made, to)
        models: Models | None = None
        hungry = [agent for agent in (*[route.agent for route in routes], *also) if needs_models(agent)]
        if hungry:
            models, carried = await self.stack.enter_async_context(load_models(config.models, hungry, self.say))
            if config.max_calls is None and carried is not None:
                made = replace(made, max_calls=carried)
        engine = native.Engine(
            ip=media_address((*made.listen, *_web(config))),
            first_port=config.sip.rtp_ports[0],
            last_port=config.sip.rtp_ports[1],
            threads=config.media_threads,
        )
        rng = random.SystemRandom()
        host = Host(
            engine=engine,
            rng=rng,
            rules=made,
            route=Routes(routes).find,
            models=models,
            events=self.events,
            security=self._security_log(),
            security_as_json=config.security.format == "json",
        )
        self.host = await self.stack.enter_async_context(host)
        return self.host

    def _security_log(self) -> TextIO | None:
        path = self.config.security.log
        return None if path is None else self.stack.enter_context(_open(path, "security.log"))

    async def equip(self, agent: AgentLike) -> None:
        """Make sure that the host has models for an agent that it was not opened with."""
        assert self.host is not None
        if self.host.models is None:
            models, _ = await self.stack.enter_async_context(load_models(self.config.models, [agent], self.say))
            self.host.models = models
        elif isinstance(agent, Agent):
            self.host.models = await self.host.models.prepared(agent)


def load_routes(config: Config, module: str | None) -> tuple[Route[AgentLike], ...]:
    """Give the routes with their agents: one for all where the command line names it, else the file's, else ours."""
    named = (Route(module),) if module is not None else routes_of(config) or (Route(RECEPTIONIST),)
    loaded = {name: load_agent(name) for name in dict.fromkeys(route.agent for route in named)}
    return tuple(
        Route(loaded[one.agent], one.number, one.trunk, one.language, one.calls, one.calls_a_caller) for one in named
    )


async def serve(
    config: Config,
    agent: AgentLike | str | None,
    *,
    events: Path | None,
    say: Callable[[str], None],
    doors: Sequence[DoorTo] = (),
) -> None:
    """Answer calls until SIGTERM or SIGINT, then drain; `doors` are other ways in. Raises OffhookError at its start.

    `agent` is one, or its name (MODULE:AGENT), or None for the routes of the file.
    """
    if agent is None or isinstance(agent, str):
        routes = load_routes(config, agent)
        who = agent or ", ".join([f"{one.number} → {one.agent}" for one in routes_of(config)]) or RECEPTIONIST
    else:
        routes, who = (Route(agent),), getattr(agent, "__name__", None) or getattr(agent, "name", "agent")
    loop = asyncio.get_running_loop()
    stop, hurry = asyncio.Event(), asyncio.Event()

    def told() -> None:
        (hurry if stop.is_set() else stop).set()

    async with AsyncExitStack() as stack:
        out = stack.enter_context(_open(events)) if events is not None else None
        station = Station(config, say, EventLines(out) if out is not None else None)
        await stack.enter_async_context(station.stack)
        if note := address_note(config):
            say(note)
        host = await station.open(routes)
        opened = [await stack.enter_async_context(door(host)) for door in doors]
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, told)
        loop.add_signal_handler(signal.SIGUSR1, lambda: say(counted(host)))
        loop.add_signal_handler(signal.SIGHUP, lambda: _reread(host, say))
        settle_memory()
        where = " ".join(
            [f"{transport}://{write_host_port(*address)}" for transport, address in host.listening] + opened
        )
        say(f"ready: {where} · {who} · at most {_calls(host.rules.max_calls)}")
        await stop.wait()
        await _drain(host, hurry, config.drain_s, say)
        say(counted(host))


def _reread(host: Host, say: Callable[[str], None]) -> None:
    host.line.transports.reread_certificates()
    say("certificates: read anew")


def counted(host: Host) -> str:
    """Write the counters that are not 0 as one line, JSON behind its first word; `guard` and `failures` always."""
    counters = {name: count for name, count in host.counters().items() if count or name in ("guard", "failures")}
    return f"counted: {json.dumps(counters)}"


async def _drain(host: Host, hurry: asyncio.Event, patience_s: float, say: Callable[[str], None]) -> None:
    if host.live:
        say(f"draining: new calls are refused, {host.live} live ones may take {patience_s:.0f} s; again to hang up now")
    draining = asyncio.create_task(host.drain(patience_s))
    hurried = asyncio.create_task(hurry.wait())
    await asyncio.wait({draining, hurried}, return_when=asyncio.FIRST_COMPLETED)
    for task in (draining, hurried):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _calls(number: int) -> str:
    return "1 call" if number == 1 else f"{number} calls"


def _open(path: Path, what: str = "--events") -> TextIO:
    try:
        # A caller's name need not be UTF-8: what is not becomes an escape, which JSON reads.
        return path.open("a", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise ConfigError(f"{what} {path}: {error.strerror or error}") from None


async def dial(
    config: Config,
    to: str,
    agent: AgentLike,
    *,
    events: Path | None = None,
    say: Callable[[str], None] = lambda line: None,
    by: Callable[[Host], AbstractAsyncContextManager[Place]] | None = None,
) -> Call:
    """Place one call, see it to its end and give it. DialFailed, NotAllowed, … where it can't be.

    `by` opens another way out than SIP, for as long as the call lasts.
    """
    async with AsyncExitStack() as stack:
        out = stack.enter_context(_open(events)) if events is not None else None
        station = Station(config, say, EventLines(out) if out is not None else None)
        await stack.enter_async_context(station.stack)
        host = await station.open((), also=(agent,), dial_also=(to,), by_sip=by is None, **outward(config))
        place: Place = host.dial if by is None else await stack.enter_async_context(by(host))
        say(f"calling {to}")
        call = await place(to, agent)
        say("answered")
        await host.finished(call)
        await host.drain(2.0)
        return call


def media_address(listen: Sequence[tuple[str, Address]]) -> str:
    """Give the address that media is bound to: what signalling is, or every one of this machine for several."""
    ips = list(dict.fromkeys(ip for _, (ip, _) in listen))
    if len(ips) == 1:
        return ips[0]
    return "::" if any(":" in ip for ip in ips) else "0.0.0.0" if ips else "127.0.0.1"  # noqa: S104 (media only)


def _web(config: Config) -> Sequence[tuple[str, Address]]:
    return () if config.web.listen is None else (("http", parse_address(config.web.listen)),)


def outward(config: Config) -> dict[str, Any]:
    """Give the rules of a phone that only calls out: any free port, and only those are heard whom it calls."""
    if "listen" in config.sip.model_fields_set:
        return {}
    anywhere = ("0.0.0.0", 0)  # noqa: S104 (nobody is heard there but whom we call)
    return {"listen": (("udp", anywhere), ("tcp", anywhere)), "allow": ()}
