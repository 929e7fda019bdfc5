"""A fake service: what every one of them does, in its own words.

    call ─► a signed webhook ─► its answer ─► a media socket, or a refusal ─► FarEnd, a Caller
    the API ─► hang up, transfer, place a call ─► what the service does then

Everything is in this process and on the running loop: on a `VirtualLoop` a minute of call takes milliseconds. `app` is
an agent, an async function, or the address of a server that runs (`http://127.0.0.1:8080`): then it is called for real.
"""

from __future__ import annotations

import asyncio
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self, cast

from offhook import _native as native
from offhook.carriers.services.http import ApiCall, ApiReply, Request, Response
from offhook.carriers.services.service import Direct, Service
from offhook.carriers.services.stream import Frame
from offhook.core.errors import DialFailed, Unreachable
from offhook.core.ids import CallId
from offhook.run.host import AgentLike, Host, HostRules
from offhook.run.services import Listener, Switchboard
from offhook.testing.callers import Caller
from offhook.testing.carriers.farend import FarEnd, Tongue
from offhook.testing.carriers.remote import RemoteBoard, RemoteConnection, RemoteVisit
from offhook.testing.carriers.served import served
from offhook.testing.engine import VirtualEngine
from offhook.testing.journal import Journal
from offhook.testing.loop import VirtualLoop
from offhook.testing.network import PROFILES, SimulatedNetwork

if TYPE_CHECKING:
    from pydantic_ai.models import Model

    from offhook.call import Models
    from offhook.call.events import CallEvent
    from offhook.call.protocols import Brain

PUBLIC: Final = "https://agent.example"
"""Where the service finds us."""

LISTEN_S: Final = 3.0
"""How long a service listens before it says what has answered."""

WALL_S: Final = 1_750_000_000.0
"""When the fake's day begins, by the clock on the wall."""


class FakeWire:
    """The socket between the fake and our side, as our side sees it."""

    def __init__(self, fake: FakeService, end: FarEnd) -> None:
        self._fake = fake
        self._end = end
        self.closed = False

    def send(self, frame: Frame) -> None:
        """Send a message."""
        if not self.closed:
            self._end.take(frame)

    def close(self) -> None:
        """Close the socket."""
        if not self.closed:
            self.closed = True
            self._fake.socket_closed(self._end)


class FakeService(ABC):
    """One account at a fake service. Use as `async with`.

    `brain` and `models` are as for the fixture `phone` (`testing.plugin`), `dial` is what may be dialled (or all
    `rules` of the host), `rtt_s` the way there and back; `wrap` may put something of its own before the media engine.
    """

    hearing: Literal["all", "speech"] = "all"

    def __init__(
        self,
        app: AgentLike | str | None,
        *,
        brain: Brain | Model | str | None = None,
        models: Models | None = None,
        dial: tuple[str, ...] = ("+",),
        rules: HostRules | None = None,
        rtt_s: float = 0.08,
        wrap: Callable[[Any], Any] = lambda engine: engine,
    ) -> None:
        self._app = app
        self._wrap = wrap
        self._brain = brain
        self._models = models
        self._rules = rules or HostRules(listen=(), dial=dial)
        self.rtt_s = rtt_s
        self.board: Switchboard | RemoteBoard
        self.events: list[CallEvent] = []
        """What happened in its calls."""
        self.asked: list[ApiCall] = []
        """What the API was asked."""
        self.ends: dict[str, FarEnd] = {}
        """The far ends, by the service's name of the call."""
        self.visits: dict[str, Listener | RemoteVisit | RemoteConnection] = {}
        self.public = PUBLIC
        """Where it finds us."""
        self.answerers: dict[str, str] = {}
        """What has answered at a number, in the service's own words, where a call is placed that asks for it."""
        self.recordings: dict[str, str] = {}
        """What it has recorded, by its own names: `in-progress`, `paused` or `stopped`."""
        self.secrets: Mapping[str, str] = {}
        """What its console shows, by the names of the variables that the page of the service has it in."""
        self._callers: list[Caller] = []
        self._stack = AsyncExitStack()
        self._rng = random.Random(7)

    # What each service says in its own words

    @abstractmethod
    def service(self) -> Service | Direct:
        """Give our side's end of it: the account that the fake has keys of."""

    @abstractmethod
    def tongue(self, call: str) -> Tongue:
        """Give the service's side of a new media socket of a call."""

    @abstractmethod
    async def call(self, *, caller: str = "+15550001111", called: str = "+15552223333") -> Caller:
        """Call the agent; give the caller once it has answered. DialFailed with the code where it is refused."""

    @abstractmethod
    async def api(self, order: ApiCall) -> ApiReply:
        """Do what the API is asked."""

    @abstractmethod
    async def hung_up(self, end: FarEnd) -> None:
        """Tell our side that the caller has hung up."""

    @abstractmethod
    async def left_alone(self, end: FarEnd) -> None:
        """Go on with a call whose media socket our side has closed."""

    # What all have

    async def __aenter__(self) -> Self:
        """Open a host for the app, and the service's account at it."""
        if isinstance(self._app, str):
            self.public = self._app
            self.board = RemoteBoard(self._app)
            return self
        from offhook.testing.plugin import models_for

        agent = self._app
        assert agent is not None, "a fake that is to be called needs an app"
        made = self._models if self._models is not None else await models_for(agent, self._brain)
        host = await self._stack.enter_async_context(
            Host(
                engine=self._wrap(self._engine()),
                rng=self._rng,
                rules=self._rules,
                route=lambda wanted: agent,
                models=made,
                events=self.events.append,
            )
        )
        loop = asyncio.get_running_loop()
        tokens = iter(range(1_000_000))
        self.board = Switchboard(
            host,
            [self.service()],
            self.public,
            self._asked,
            self._dialled,
            token=lambda: f"token-{next(tokens)}-{self._rng.getrandbits(64):016x}",
            wall_s=lambda: WALL_S + loop.time(),
            chance=self._rng.random,
        )
        self.board.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hang up, and close the host."""
        for caller in self._callers:
            if not caller.over:
                await caller.hangs_up()
        await asyncio.sleep(1.0)
        if isinstance(self.board, Switchboard):
            await self.board.close()
        await self._stack.aclose()

    def _engine(self) -> Any:
        loop = asyncio.get_running_loop()
        if not isinstance(loop, VirtualLoop):
            return native.Engine()
        journal = Journal()
        network = cast("SimulatedNetwork | None", loop.network)
        if network is None:
            network = loop.network = SimulatedNetwork(loop, journal, seed="fake", profile=PROFILES["perfect"])
        return VirtualEngine(loop, network, journal, ip="10.1.0.1")

    def serving(self) -> AbstractAsyncContextManager[str]:
        """Serve its API by HTTP while entered, for a server that runs (`services.NAME.api`); give where."""
        return served(self._asked, self._dialled)

    async def _asked(self, order: ApiCall) -> ApiReply:
        self.asked.append(order)
        await asyncio.sleep(self.rtt_s)
        return await self.api(order)

    async def _dialled(self, order: ApiCall, listener: Listener) -> None:
        await asyncio.sleep(self.rtt_s)
        await self.dialled(order, listener)

    async def dialled(self, order: ApiCall, listener: Listener) -> None:
        """Take a socket that our side opens; returns when it is gone. Unreachable where it opens none."""
        raise Unreachable("this service takes no sockets")

    @property
    def wall_s(self) -> float:
        """The service's clock on the wall: the true one, where it calls a server that runs."""
        if isinstance(self._app, str):
            return time.time()
        return WALL_S + asyncio.get_running_loop().time()

    async def hook(self, request: Request) -> Response:
        """Send a webhook, as it is; give what it is answered after the way there and back."""
        await asyncio.sleep(self.rtt_s)
        name, _, rest = request.path.removeprefix("/services/").partition("/")
        return await self.board.hook(name, rest, request)

    def dial_socket(self, name: str, tongue: Tongue, request: Request) -> FarEnd:
        """Open a media socket, as a control document says. DialFailed where it is not let in."""
        _, _, rest = request.path.removeprefix("/services/").partition("/")
        found = self.board.socket(self.service().name, rest.removeprefix("media/"), request)
        if isinstance(found, Response):
            raise DialFailed(found.status, "the media socket was refused")
        end = self.ends.get(name)
        if end is None:
            end = self.ends[name] = FarEnd(name, tongue, lambda frame: self._arrives(name, frame), self.rtt_s)
            end.on_hangup = lambda: asyncio.ensure_future(self.hung_up(end))
        else:
            end.tongue = tongue
        self.visits[name] = found
        found.opened(FakeWire(self, end))
        end.begin()
        return end

    def _arrives(self, name: str, frame: Frame) -> None:
        visit = self.visits.get(name)
        if visit is not None:
            visit.heard(frame)

    def caller(self, end: FarEnd) -> Caller:
        """Give the person at a far end."""
        made = Caller(self, end)
        self._callers.append(made)
        return made

    # The last caller, for tests with one

    async def say(self, text: str) -> None:
        """Say words; returns when they are said."""
        await self._callers[-1].says(text)

    async def hear(self, text: str, *, within_s: float = 15.0) -> str:
        """Wait until the agent said `text`. NotHeard if it was not in time."""
        return await self._callers[-1].hears(text, within_s=within_s)

    def press(self, keys: str) -> None:
        """Press keys."""
        self._callers[-1].presses(keys)

    async def hang_up(self) -> None:
        """Hang up."""
        await self._callers[-1].hangs_up()

    def told(self, call: CallId, event: str, data: Mapping[str, object]) -> None:  # noqa: B027 - who listens, overrides it
        """Hear what happens to a caller."""

    async def socket_ends(self, end: FarEnd) -> None:
        """Let the media socket of a caller who has hung up end, behind what it says last."""
        await asyncio.sleep(self.rtt_s / 2 + 0.001)
        visit = self.visits.pop(str(end.info.id), None)
        if visit is not None:
            visit.closed()

    def close_socket(self, end: FarEnd) -> None:
        """Close the media socket from the service's side, behind what was sent."""
        end.ends()
        end.lost()
        visit = self.visits.pop(str(end.info.id), None)
        if visit is not None:
            asyncio.get_running_loop().call_later(self.rtt_s / 2 + 0.001, visit.closed)

    def socket_closed(self, end: FarEnd) -> None:
        """Hear, half a round trip later, that our side has closed the media socket."""
        self.visits.pop(str(end.info.id), None)

        def closed() -> None:
            if not end.over and end.open:
                end.lost()
                task = asyncio.ensure_future(self.left_alone(end))
                self._stack.callback(task.cancel)

        asyncio.get_running_loop().call_later(self.rtt_s / 2, closed)
