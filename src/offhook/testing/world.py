"""One simulated world: a loop, a network, machines with engines, and the checkers that watch all of it.

      World ─┬─ VirtualLoop ── SimulatedNetwork ── Journal ─► digest
             ├─ machine 10.1.0.n (agents)   ┐
             ├─ machine 10.2.0.n (callers)  ├─ SIP on 5060 by `run/`, media by VirtualEngines
             └─ Watch ◄─ wire, verbs, events, reports

Everything random in it comes from `rng(name)`: one stream a purpose, all derived from the seed, so that two worlds of
the same seed are the same world.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from random import Random
from typing import Any, Final, TypeVar

from offhook import _native as native
from offhook.core.instants import SECOND
from offhook.core.media import Address
from offhook.sip.outcomes import Flow
from offhook.testing.checkers import ALL, Checker, Violation, Watch
from offhook.testing.engine import VirtualEngine
from offhook.testing.journal import Journal
from offhook.testing.loop import VirtualLoop
from offhook.testing.network import PROFILES, Profile, SimulatedNetwork

_T = TypeVar("_T")

SIP_PORT: Final = 5060

LINGER_S: Final = 70.0
"""How long after the last call everything must be gone: SIP's longest timers (32 s) one after the other, and some."""


CLOSING_S: Final = 3.0
"""How long after a machine was closed its sockets may still swallow what was under way."""


class World:
    """A world that runs once. `limit_s` (virtual) ends what should long be over."""

    def __init__(
        self,
        seed: str,
        profile: Profile = PROFILES["perfect"],
        *,
        checkers: Iterable[Checker] | None = None,
        limit_s: float = 3600.0,
    ) -> None:
        self.seed = seed
        self.loop = VirtualLoop(limit_s=limit_s)
        self.journal = Journal()
        self.network = SimulatedNetwork(self.loop, self.journal, seed=f"{seed}/network", profile=profile)
        self.loop.network = self.network
        self.watch = Watch([checker() for checker in ALL] if checkers is None else checkers)
        self.journal.watchers.append(self.watch)
        self.engines: list[VirtualEngine] = []
        self.make_port: dict[str, Callable[..., native.Port]] = {}
        """Who makes the Ports of the machines whose address begins so; the doors for faults, like the next three."""
        self.listeners: list[Callable[[str, str, str, Mapping[str, Any]], None]] = []
        self.rewrite: Callable[[list[tuple[str, bool]]], list[tuple[str, bool]]] = list
        self.kept: list[object] = []
        self.lines: dict[str, Callable[[], Mapping[str, int]]] = {}
        """The counters of each machine's user agent, by address: `calls` and `transactions` must come to nothing."""
        self.reports: dict[Address, Callable[[Flow, str], None]] = {}
        """Whom each machine's operating system tells that an address can't be reached, by the SIP socket."""
        self._remains: dict[str, list[str]] = {}
        self._broken: Exception | None = None
        self.loop.set_exception_handler(self._unhandled)

    def rng(self, name: str) -> Random:
        """Give the stream of randomness of one purpose."""
        return Random(f"{self.seed}/{name}")

    def engine(self, ip: str, *, ports: int = 2000) -> VirtualEngine:
        """Give a machine its media engine."""
        make = next((make for start, make in self.make_port.items() if ip.startswith(start)), None)
        engine = VirtualEngine(
            self.loop, self.network, self.journal,
            ip=ip, first_port=10000, last_port=10000 + 2 * ports - 1, make=make, observer=self.watch,
        )  # fmt: skip
        self.engines.append(engine)
        return engine

    def told(self, host: str, call: str, event: str, data: Mapping[str, Any]) -> None:
        """Take what a host reports of a call."""
        self.journal.event(self.loop.now, f"{host} {call} {event} {sorted(data.items())}")
        try:
            self.watch.told(self.loop.now, host, call, event, data)
        except Exception as error:
            self._broken = self._broken or error  # who reports must not swallow what a checker stumbled over
            raise
        for listener in self.listeners:
            listener(host, call, event, data)

    def unreachable(self, socket: Address, remote: Address) -> None:
        """Report to who owns a SIP socket that a remote address can't be reached (ICMP), if anyone is told."""
        report = self.reports.get(socket)
        if report is not None:
            report(Flow("udp", socket, remote), "it can't be reached")

    def run(self, main: Coroutine[Any, Any, _T]) -> _T:
        """Run a world from its first instant to its last, then let the checkers look at what is left."""
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            return runner.run(self._live(main))

    async def _live(self, main: Coroutine[Any, Any, _T]) -> _T:
        result = await main
        if self._broken is not None:
            raise self._broken
        await asyncio.sleep(CLOSING_S)
        closed = self._found()
        closed["address"] = [f"{ip}:{port}" for ip, port in self.network.bound]
        for kind, names in closed.items():
            self._remains.setdefault(kind, []).extend(f"{name} (after its machine was closed)" for name in names)
        self.watch.finish(self.loop.now, self._remains)
        return result

    async def settle(self) -> None:
        """Wait, once all calls are over, until nothing of them may be left; note what is. The machines stay open."""
        await asyncio.sleep(LINGER_S)
        self._remains = self._found()
        for ip, counters in self.lines.items():
            for kind in ("calls", "transactions"):
                if count := counters()[kind]:
                    self._remains.setdefault(kind, []).append(f"{count} of {ip}")

    def _found(self) -> dict[str, list[str]]:
        """Name what is there: open ports, tasks other than this one, timers."""
        this = asyncio.current_task(self.loop)
        tasks = [task for task in asyncio.all_tasks(self.loop) if task is not this]
        return {
            "port": [f"{engine.ip} number {number}" for engine in self.engines for number in engine.open_ports],
            "task": sorted(f"{task.get_coro()!r}".split(" at 0x")[0] for task in tasks),
            "timer": self.loop.timers(),
        }

    @property
    def violations(self) -> list[Violation]:
        """All that the checkers found."""
        return self.watch.violations

    @property
    def seconds(self) -> float:
        """How long the world has lived, in virtual seconds."""
        return self.loop.age / SECOND

    def _unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.told("loop", "", "raised", {"error": repr(error) if error is not None else context.get("message")})
