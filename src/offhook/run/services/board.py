"""Managed services at a host: their webhooks, their media sockets, and what is asked of their APIs.

    webhook ─► Switchboard.hook ─► verified? ─► read ─► Offered ─► Host ─► StreamLeg, a Call ─► the answer's document
                                                  └───► Handed, Left, Detected … ─► the call's own line
    socket ─► Switchboard.socket ─► verified? its token? ─► Visit ─► Started ─► StreamLeg.attach
    events by a socket that we hold ─► Switchboard.happened ─► as if a webhook had told it
    hang_up, transfer, dial ─► Api ─► the service's API, and no other host

It knows no vendor, no HTTP server and no websocket: what those bring comes as values, so that it runs in virtual time.

Laws: nothing of a request is read before it is verified; a media socket's token is good once, for the call that it was
made for; a webhook that is sent again is answered as before and does nothing again; an API is waited for only so long.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, Final, Literal
from uuid import UUID

import structlog

from offhook.call import Call, events
from offhook.call.leg import CallInfo
from offhook.carriers.brought import Brought
from offhook.carriers.numbers import screen
from offhook.carriers.realtime import RealtimeLeg
from offhook.carriers.services.http import ApiCall, ApiReply, Request, Response, Unsigned
from offhook.carriers.services.service import (
    Answer,
    Asked,
    Carried,
    Controlled,
    Detected,
    Direct,
    Evented,
    Handed,
    Left,
    News,
    Offered,
    Placement,
    Progressed,
    Recorded,
    Said,
    Service,
    Speaking,
)
from offhook.carriers.stir import from_verstat
from offhook.carriers.turns import TurnLeg
from offhook.core.errors import (
    ConfigError,
    DialFailed,
    NotAllowed,
    OffhookError,
    ProtocolError,
    Unreachable,
)
from offhook.core.ids import CallId, redacted
from offhook.core.verdict import Verdict
from offhook.run.host import AgentLike, Host
from offhook.run.services.dialled import Dial, Listener, Standing, hold
from offhook.run.services.direct import DirectVisit
from offhook.run.services.legs import make_leg, visit
from offhook.run.services.line import Line
from offhook.run.services.refusals import Refusals
from offhook.run.services.visit import START_S
from offhook.sip.meanings import COMMON

log: Final = structlog.get_logger("offhook.services")

DECIDE_S: Final = 10.0
"""How long a webhook waits for the agent to take a call: services give up after 15 s, some after 5."""

TURN_S: Final = 8.0
"""How long a turn of ours may take before the service is told to come back for the rest."""

TURNS: Final = ("said", "again", "transfer")
"""The hooks by which a call goes turn by turn."""

TOKEN_S: Final = 120.0
"""How long the token of a media socket is good that nobody has come with."""

KNOWN_LIMIT: Final = 10_000
"""Calls that are remembered after their end, so that what is sent again does nothing again; the oldest is forgotten."""

CLOSE_S: Final = 10.0
"""How long the end waits for what was asked of services: their calls are to be over, too."""

Api = Callable[[ApiCall], Awaitable[ApiReply]]
"""Asks a service's API. Unreachable where it does not answer in time."""


class Switchboard:
    """The services of one host. `public` is our address as they see it (https://…).

    `api` asks theirs, `dial` opens sockets to them. `chance` gives numbers in [0, 1).
    """

    def __init__(
        self,
        host: Host,
        services: Sequence[Service | Direct],
        public: str,
        api: Api,
        dial: Dial,
        *,
        chance: Callable[[], float] = random.random,
        token: Callable[[], str] = lambda: secrets.token_urlsafe(24),
        wall_s: Callable[[], float] = time.time,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.host = host
        self.services = {one.name: one for one in services if not isinstance(one, Direct)}
        self.direct = {one.name: one for one in services if isinstance(one, Direct)}
        self.public = public.rstrip("/")
        self.sockets = "ws" + self.public.removeprefix("http")
        """Our address for websockets."""
        self.token = token
        self.chance = chance
        self._api = api
        self._dial = dial
        self._wall_s = wall_s
        self._say = say
        self._lines: OrderedDict[tuple[str, str], Line] = OrderedDict()  # by service and its name of the call
        self._keys: OrderedDict[str, Line] = OrderedDict()
        self._tokens: dict[str, tuple[Line, float]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._refusals = Refusals(say, wall_s)
        self.standing: list[Standing] = []
        """The events that we hold, once `open` was called."""
        self._holding: list[asyncio.Task[None]] = []

    @property
    def waiting(self) -> int:
        """How many media sockets are waited for, and requests to services are under way."""
        return len(self._tokens) + len(self._tasks)

    @property
    def refused(self) -> dict[str, int]:
        """What was not let in, by why."""
        return self._refusals.counts

    # Webhooks

    async def hook(self, name: str, rest: str, request: Request) -> Response:
        """Answer a webhook: `rest` is what its path has behind the service, `voice` or `KEY/status`."""
        service = self.services.get(name)
        if service is None:
            return self._refusals.refuse(404, "no_such_service")
        if request.header("upgrade").lower() == "websocket":
            return self._refusals.refuse(400, "no_webhook")  # sockets are proved otherwise: nothing else says it is one
        try:
            service.verify(request, self.public, self._wall_s())
        except Unsigned as error:
            return self._refusals.unsigned(name, error)
        key, _, kind = rest.rpartition("/")
        line = self._keys.get(key)
        if key and (line is None or line.service is not service):
            return self._refusals.refuse(404, "no_such_call")
        try:
            told = service.hook(kind, request)
        except ProtocolError as error:
            log.warning("a webhook that can't be read", service=name, hook=kind, error=redacted(str(error)))
            return self._refusals.refuse(400, "unreadable")
        if line is not None and isinstance(line.leg, TurnLeg) and kind in TURNS:
            return await self._turn(line, line.leg, told, request.header("i-twilio-idempotency-token"))
        answer: Response | None = None
        for news in told:
            if isinstance(news, Offered):
                answer = await self._offered(service, line, news)
            else:
                known = line or self._lines.get((name, news.call))
                if known is not None:
                    answer = await self._hear(known, news) or answer
        return answer or service.heed(told[0] if told else None)

    async def _offered(self, service: Service, line: Line | None, offered: Offered) -> Response:
        """Take a call that has come, or one of ours that was answered; told again, say again."""
        line = line or self._lines.get((service.name, offered.call))
        if line is None:
            line = self._note(service, offered)
            line.answer = asyncio.create_task(self._take(line), name=f"{service.name} {offered.call}")
        elif line.answer is None:
            self._answered(line, offered)
            line.answer = asyncio.create_task(self._connect(line), name=f"{service.name} {offered.call}")
        answer = await asyncio.shield(line.answer)
        orders, line.orders = (answer.calls if line.orders else ()), False
        for at, order in enumerate(orders, 1):
            await self.order(service, order)
            if line.over and at < len(orders):  # it ended while it was being answered: what was made for it goes, too
                for undone in service.hang_up(line.call):
                    await self.order(service, undone)
                break
        if isinstance(service, Controlled) and orders and not line.over:
            self.do(self._control(service, line))
        return answer.response

    def _note(self, service: Service, offered: Offered) -> Line:
        line = Line(self, service, offered.call, offered)
        self._keys[line.key] = line
        self._named(line)
        while len(self._keys) > KNOWN_LIMIT:
            _, old = self._keys.popitem(last=False)
            self._lines.pop((old.service.name, old.call), None)
        return line

    def _named(self, line: Line) -> None:
        """Find a call by the service's name for it, too, where that is known."""
        if line.call:
            self._lines[line.service.name, line.call] = line

    def _answered(self, line: Line, offered: Offered) -> None:
        """Take note of what the service says of a call of ours that was answered."""
        line.offered = replace(offered, direction="outbound")
        line.call = line.call or offered.call  # it may be told before the API's own answer is here
        self._named(line)
        if offered.machine and line.leg is not None:
            line.leg.answerer(offered.machine)

    async def _take(self, line: Line) -> Answer:
        """Give an incoming call to its agent; the answer is that one's."""
        service, offered = line.service, line.offered
        try:
            line.leg = self._bring(line, None)
        except ProtocolError as error:
            line.over = True
            return service.refuse(offered, error.code)
        return await self._connect(line)

    async def _connect(self, line: Line) -> Answer:
        leg = line.leg
        if leg is None or leg.over:
            return line.service.refuse(line.offered, 480)
        try:
            if line.offered.direction == "inbound":
                async with asyncio.timeout(DECIDE_S):
                    await leg.decided()
        except (DialFailed, TimeoutError) as error:
            code = error.code if isinstance(error, DialFailed) else 480
            leg.left(code, "no_answer" if isinstance(error, TimeoutError) else "rejected")
            line.over = True
            return line.service.refuse(line.offered, code)
        if isinstance(leg, TurnLeg):
            return Answer(await self._turn(line, leg, (), ""))
        return line.service.connect(line.offered, line.links)

    async def _turn(self, line: Line, leg: TurnLeg, told: Sequence[News], key: str) -> Response:
        """Give a turn of the caller to a call that goes turn by turn; the answer is ours."""
        given = next((news for news in told if isinstance(news, Said | Handed)), None)
        turn = await leg.take(given, key=key, within_s=TURN_S)
        assert isinstance(line.service, Speaking)
        return line.service.speak(turn, line.links)

    def _bring(self, line: Line, agent: AgentLike | None) -> Brought:
        offered, service = line.offered, line.service
        verdict = from_verstat(offered.verstat) if offered.verstat else Verdict()
        info = CallInfo(
            CallId(""),
            offered.direction,
            offered.caller,
            offered.called,
            offered.headers,
            trunk=service.name,
            caller_name=offered.caller_name,
            diverted_from=offered.diverted_from,
            trusted=True,
            verdict=verdict,
        )

        def make(info: CallInfo) -> Brought:
            line.leg = make_leg(service, self.host.line, info, line, gone)
            return line.leg

        def gone(leg: Brought) -> None:
            self._tokens.pop(line.media, None)
            self.host.ended(leg)
            if isinstance(service, Evented | Controlled) and line.answer is not None and line.answer.done():
                self.do(line.hang_up())  # a call outlives its media there

        return self.host.bring(make, info, agent)

    async def _hear(self, line: Line, news: News) -> Response | None:
        """Take what is told of a call that is there; give a document where the call is to go on.

        What comes twice, or after what it was before, changes nothing: an end is an end, whatever is told then.
        """
        leg = line.leg
        match news:
            case Left():
                line.over = True
                if leg is not None and not line.handed:
                    leg.left(news.code, news.reason or "remote_hangup", news.meaning)
            case Handed():
                return self._handed(line, news)
            case Progressed():
                if line.moves(news.order) and news.state == "ringing" and leg is not None:
                    leg.rings()
            case Detected():
                if leg is not None:
                    leg.answerer(news.what)
            case Recorded():
                if leg is not None and line.records(news.recording or news.url):
                    now_s = asyncio.get_running_loop().time()
                    self.host.tell(events.Recorded(now_s, leg.info.id, news.url, news.seconds, news.recording))
            case Asked(target=""):
                return line.asked()
            case Said() | Offered() | Asked():
                log.info("news that this call has no use for", service=line.service.name, news=type(news).__name__)
        return None

    def _handed(self, line: Line, news: Handed) -> Response | None:
        handing = line.handing
        if handing is not None and not handing.done():
            handing.set_result(news.code)
        line.over = line.over or news.over
        if news.code == 200 or news.over or line.leg is None or line.leg.over:
            return None
        return line.service.connect(line.offered, line.links).response  # the caller is back with the agent

    # Events

    def open(self) -> None:
        """Begin to hold the events of the services that have a socket for them."""
        loop = asyncio.get_running_loop()
        for service in self.services.values():
            if isinstance(service, Evented):
                self.standing.append(Standing(self, service, self._dial, self._say))
                self._holding.append(loop.create_task(self.standing[-1].run(), name=f"{service.name} events"))

    async def happened(self, service: Evented, news: News) -> None:
        """Take an event: it is read as a webhook is, and proved by the socket that it came by."""
        line = self._lines.get((service.name, news.call)) or self._keys.get(service.key(news.call))
        if isinstance(news, Offered):
            await self._offered(service, line, news)
        elif line is not None:
            await self._hear(line, news)

    def up(self, service: Service) -> list[str]:
        """Give the calls of a service that are not over, by its names for them."""
        return [line.call for line in self._keys.values() if line.service is service and line.call and not line.over]

    async def _control(self, service: Controlled, line: Line) -> None:
        """Hold the socket of a call for as long as the call lasts, whose end it is."""
        assert isinstance(line.leg, RealtimeLeg)
        await hold(self._dial, service.control(line.call), line.leg, self.chance)
        if line.handing is not None:  # what has become of a transfer nobody tells but by this end
            self._handed(line, Handed(line.call, 200, over=True))

    # Media sockets

    def expect(self, line: Line) -> None:
        """Let a media socket come for a call."""
        now = self._wall_s()
        self._tokens = {token: kept for token, kept in self._tokens.items() if kept[1] > now}
        self._tokens[line.media] = (line, now + TOKEN_S)

    def socket(self, name: str, token: str, request: Request) -> Listener | Response:
        """Let a media socket in, or say why not."""
        if (direct := self.direct.get(name)) is not None:
            return self.straight(direct, request)
        service = self.services.get(name)
        if service is None:
            return self._refusals.refuse(404, "no_such_service")
        try:
            service.verify(request, self.public, self._wall_s())
            token = dict(request.asked()).get("token", token)  # where a path can't be another for each call
        except Unsigned as error:
            return self._refusals.unsigned(name, error)
        except ProtocolError:
            return self._refusals.refuse(400, "unreadable")
        line, until = self._tokens.get(token, (None, 0.0))
        if line is None or line.service is not service or until <= self._wall_s():
            return self._refusals.refuse(403, "token")
        del self._tokens[token]
        line.media = ""
        assert line.leg is not None
        return visit(service, line.leg, line.call) or self._refusals.refuse(404, "no_socket")

    def straight(self, service: Direct, request: Request) -> DirectVisit | Response:
        """Let a socket in that no webhook was before, or say why not."""
        try:
            service.verify(request, self.public, self._wall_s())
        except Unsigned as error:
            return self._refusals.unsigned(service.name, error)
        return DirectVisit(service, self.host, request.peer)

    # What is asked of services

    async def dial(
        self,
        name: str,
        to: str,
        agent: AgentLike,
        *,
        caller: str = "",
        ring_s: int = 60,
        detect: Literal["", "sync", "async"] = "",
    ) -> Call:
        """Have a service call `to`, and let `agent` speak once it is answered; give the call.

        `caller` is a number of the account's; `detect` has the service say what has answered, before the agent speaks
        (`sync`) or meanwhile (`async`). NotAllowed outside `dial.allow` and its caps, ConfigError without a caller,
        DialFailed if it is not taken, Unreachable where the API does not answer.
        """
        service = self.services[name]
        if not isinstance(service, Carried):
            raise NotAllowed(f"{name} places no calls")
        if not caller:
            raise ConfigError(f"services.{name}.caller: a call shows a number of the account's: say which")
        screen(to, self.host.rules.dial)
        line = self._note(service, Offered("", caller, to, "outbound"))
        try:
            leg = self._bring(line, agent)
            call = self.host.conversations.calls[leg.info.id]
            await asyncio.shield(self.do(self._place(service, line, Placement(to, caller, ring_s, detect))))
            async with asyncio.timeout(ring_s + START_S):
                await leg.connected()
            await call.up()
        except BaseException as error:
            failed = error
            if isinstance(error, TimeoutError):
                failed = DialFailed(408, f"nobody answered for {ring_s} s", "no_answer")
            elif isinstance(error, DialFailed):
                error.meaning = error.meaning or COMMON.of(error.code)
            self._give_up(line, failed)
            if failed is error:
                raise
            raise failed from None
        return call

    def line_of(self, call: CallId) -> Line | None:
        """Give the call's line at its service."""
        return next((one for one in self._keys.values() if one.leg is not None and one.leg.info.id == call), None)

    async def _place(self, service: Carried, line: Line, placement: Placement) -> None:
        """Have the API place a call; where nobody wants it any more once that is done, end it again."""
        if line.leg is None or line.leg.over:
            return
        call = service.placed(await self.ask(service, service.dial(placement, line.links)))
        line.call = line.call or call
        self._named(line)
        if line.leg.over:
            await line.hang_up()

    def _give_up(self, line: Line, error: BaseException) -> None:
        """Leave a call of ours that did not come about, here and at the service."""
        code = error.code if isinstance(error, DialFailed) else 503 if isinstance(error, OffhookError) else 487
        meaning = error.meaning if isinstance(error, DialFailed) else ""
        if line.leg is not None:
            line.leg.left(code, "cancelled" if code == 487 else "rejected", meaning)
        self.do(line.hang_up())

    def do(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do something that goes on whoever waits for it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._did)
        return task

    def _did(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # who waited was told

    async def ask(self, service: Service, order: ApiCall) -> ApiReply:
        """Ask a service's API. Unreachable where it does not answer."""
        nonce = UUID(bytes=secrets.token_bytes(16), version=4)
        return await self._api(service.authorize(order, self._wall_s(), str(nonce)))

    async def order(self, service: Service, order: ApiCall) -> None:
        """Ask for something that nothing depends on here."""
        try:
            reply = await self.ask(service, order)
        except Unreachable as error:
            log.warning("a service was not told", service=service.name, error=str(error))
            return
        if not reply.ok and reply.status not in order.gone:
            log.warning("a service refused", service=service.name, status=reply.status)

    async def close(self) -> None:
        """End the calls that are up, and let go of all that waits."""
        for line in list(self._keys.values()):
            if line.answer is not None and not line.answer.done():
                line.answer.cancel()
            if line.leg is not None and not line.leg.over:
                await line.leg.hangup(503)
                await line.hang_up()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_S)
        for task in self._holding:
            task.cancel()
        if self._holding:
            await asyncio.wait(self._holding, timeout=CLOSE_S)
