"""The pytest plugin: tests of agents as telephone calls, in virtual time.

    async def test_it_books_a_table(phone):
        caller = await phone.calls(agent)
        await caller.hears("good evening")
        await caller.says("a table for two")
        await caller.hears("what time")
        caller.presses("5")

An `async def` test that asks for `phone` runs on a virtual loop: a minute of call takes some milliseconds, and the same
test is the same call, to the last packet. The caller is a whole phone on a simulated network; its words are spelled
into audio (`offhook.testing.spelled`) and read back from what arrives, on both sides. The agent thinks with its own
`brain` (a Pydantic AI agent, for instance one with a TestModel, or a FunctionModel that streams) or with one given to
`calls`. A test in which a law of the simulated world is broken fails, whatever it asserts.

Options of the mark `phone`: `@pytest.mark.phone(profile="hostile", seed=7)` puts the call on a bad line.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, cast

import pytest

if TYPE_CHECKING:
    from pydantic_ai.models import Model

    from offhook.call import Agent, AgentLike, Call, Models
    from offhook.call.protocols import Brain
    from offhook.testing.callers import Caller
    from offhook.testing.world import World


class SimulatedPhone:
    """What the fixture `phone` is: a telephone network with nobody on it yet. `world` is the world it is in."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._stack = AsyncExitStack()
        self._agents = 0
        self._callers = 0
        self._made: list[Caller] = []

    async def calls(
        self,
        agent: AgentLike,
        *,
        brain: Brain | Model | str | None = None,
        models: Models | None = None,
        dial: Sequence[str] = ("sip:*@*", "sip:*@10.*"),
    ) -> Caller:
        """Let a new caller call an agent (or an async function); give the caller, once the agent has answered.

        `brain` thinks for an agent that names no mind of its own: a `Brain` (such as `testing.scripted.ScriptedBrain`),
        or a model as Pydantic AI knows it. `models` replaces ear, voice and mind altogether. `dial` is where the
        agent may dial and transfer to, as `dial.allow` says it.
        """
        from offhook.run.host import Host, HostRules
        from offhook.testing.callers import CallerPhone
        from offhook.testing.world import SIP_PORT

        taker = cast("Agent | Callable[[Call], Awaitable[None]]", agent)
        self._agents += 1
        self._callers += 1
        ip = f"10.1.0.{self._agents}"
        given = models if models is not None else await models_for(agent, brain)
        host = await self._stack.enter_async_context(
            Host(
                engine=self.world.engine(ip),
                rng=self.world.rng(f"{ip}/host"),
                rules=HostRules(
                    listen=(("udp", (ip, SIP_PORT)), ("tcp", (ip, SIP_PORT))),
                    allow=("10.0.0.0/8",),
                    dial=tuple(dial),
                ),
                route=lambda called: taker,
                models=given,
            )
        )
        self.world.lines[ip] = host.counters
        phone = await self._stack.enter_async_context(CallerPhone(self.world, f"10.2.0.{self._callers}"))
        caller = await phone.calls(f"sip:agent@{ip}")
        self._made.append(caller)
        return caller

    async def _hang_up(self) -> None:
        for caller in self._made:
            if not caller.over:
                await caller.hangs_up()
        await asyncio.sleep(1.0)
        await self._stack.aclose()


async def models_for(agent: AgentLike, brain: Brain | Model | str | None) -> Models:
    """Give an ear and a voice that spell, and a mind: the agent's own or `brain`."""
    from offhook.call import Agent, Models
    from offhook.testing.scripted import ScriptedStt, ScriptedTts

    def mind(agent: Agent) -> Brain:
        from pydantic_ai.models import Model

        from offhook.providers.brain import Minds

        return Minds(brain)(agent) if brain is None or isinstance(brain, str | Model) else brain

    models = Models(brain=mind, stt=ScriptedStt(), tts=ScriptedTts())
    return await models.prepared(agent if isinstance(agent, Agent) else None)


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line("markers", "phone(profile, seed): the line that the fixture `phone` calls over")


@pytest.fixture
def phone(request: pytest.FixtureRequest) -> Generator[SimulatedPhone]:
    """Give a simulated telephone network in virtual time."""
    from offhook.testing.network import PROFILES
    from offhook.testing.world import World

    mark = request.node.get_closest_marker("phone")
    options: dict[str, Any] = dict(mark.kwargs) if mark is not None else {}
    world = World(str(options.get("seed", 1)), PROFILES[options.get("profile", "perfect")])
    yield SimulatedPhone(world)
    world.loop.close()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an `async def` test that has a `phone` on the phone's own loop."""
    given: object = pyfuncitem.funcargs.get("phone")
    if not isinstance(given, SimulatedPhone) or not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    arguments = {name: pyfuncitem.funcargs[name] for name in names if name in pyfuncitem.funcargs}
    _run(given, pyfuncitem.obj(**arguments))
    return True


def _run(phone: SimulatedPhone, test: Coroutine[Any, Any, None]) -> None:
    async def main() -> None:
        try:
            await test
        finally:
            await phone._hang_up()  # pyright: ignore[reportPrivateUsage]

    phone.world.run(main())
    violations = phone.world.violations
    if violations:
        pytest.fail("the call broke a law:\n" + "\n".join(map(str, violations)), pytrace=False)


__all__ = ["SimulatedPhone", "phone"]
