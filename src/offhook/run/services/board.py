"""Managed services at a host: their webhooks, their media sockets, and what is asked of their APIs.

    webhook ─► Switchboard.hook ─► verified? ─► read ─► Offered ─► Host ─► StreamLeg, a Call ─► the answer's document
                                                  └───► Handed, Left, Detected … ─► the call's own line
    socket ─► Switchboard.socket ─► verified? its token? ─► Visit ─► Started ─► StreamLeg.attach
    hang_up, transfer, dial ─► Api ─► the service's API, and no other host

It knows no vendor, no HTTP server and no websocket: what those bring comes as values, so that it runs in virtual time.

Laws: nothing of a request is read before it is verified; a media socket's token is good once, for the call that it was
made for; a webhook that is sent again is answered as before and does nothing again; an API is waited for only so long.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from uuid import UUID

import structlog

from offhook.call import Call
from offhook.call.leg import CallInfo
from offhook.carriers.brought import Brought
from offhook.carriers.services.http import ApiCall, ApiReply, Request, Response, Unsigned
from offhook.carriers.services.service import (
    Answer,
    Asked,
    Detected,
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
from offhook.core.errors import DialFailed, NotAllowed, ProtocolError, Unreachable
from offhook.core.ids import CallId, redacted
from offhook.core.verdict import Verdict
from offhook.policy.screening import allows
from offhook.run.host import AgentLike, Host
from offhook.run.services.legs import RelayVisit, make_leg, visit
from offhook.run.services.line import Line
from offhook.run.services.visit import START_S, Visit

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

AGAIN_S: Final = 10.0
"""How often the same refusal is told to the operator: who sends nonsense must not fill a terminal."""

Api = Callable[[ApiCall], Awaitable[ApiReply]]
"""Asks a service's API. Unreachable where it does not answer in time."""


class Switchboard:
    """The services of one host. `public` is our address as they see it (https://…); `api` asks theirs."""

    def __init__(
        self,
        host: Host,
        services: Sequence[Service],
        public: str,
        api: Api,
        *,
        token: Callable[[], str] = lambda: secrets.token_urlsafe(24),
        wall_s: Callable[[], float] = time.time,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.host = host
        self.services = {service.name: service for service in services}
        self.public = public.rstrip("/")
        self.sockets = "ws" + self.public.removeprefix("http")
        """Our address for websockets."""
        self.token = token
        self._api = api
        self._wall_s = wall_s
        self._say = say
        self._lines: OrderedDict[tuple[str, str], Line] = OrderedDict()  # by service and its name of the call
        self._keys: dict[str, Line] = {}
        self._tokens: dict[str, tuple[Line, float]] = {}
        self._told: dict[tuple[str, str], float] = {}
        self.refused: dict[str, int] = {}
        """What was not let in, by why."""

    # Webhooks

    async def hook(self, name: str, rest: str, request: Request) -> Response:
        """Answer a webhook: `rest` is what its path has behind the service, `voice` or `KEY/status`."""
        service = self.services.get(name)
        if service is None:
            return self._refuse(404, "no_such_service")
        try:
            service.verify(request, self.public, self._wall_s())
        except Unsigned as error:
            return self._unsigned(name, error)
        key, _, kind = rest.rpartition("/")
        line = self._keys.get(key)
        if key and (line is None or line.service is not service):
            return self._refuse(404, "no_such_call")
        try:
            told = service.hook(kind, request)
        except ProtocolError as error:
            log.warning("a webhook that can't be read", service=name, hook=kind, error=redacted(str(error)))
            return self._refuse(400, "unreadable")
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
            line.answer = asyncio.create_task(self._connect(line), name=f"{service.name} {offered.call}")
        answer = await asyncio.shield(line.answer)
        for order in answer.calls:
            await self._order(service, order)
        return answer.response

    def _note(self, service: Service, offered: Offered) -> Line:
        line = Line(self, service, offered.call, offered)
        if offered.call:
            self._lines[service.name, offered.call] = line
        self._keys[line.key] = line
        while len(self._lines) > KNOWN_LIMIT:
            _, old = self._lines.popitem(last=False)
            self._keys.pop(old.key, None)
        return line

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
        if leg is None:
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

        return self.host.bring(make, info, agent)

    async def _hear(self, line: Line, news: News) -> Response | None:
        """Take what is told of a call that is there; give a document where the call is to go on."""
        match news:
            case Left():
                line.over = True
                if line.leg is not None:
                    line.leg.left(news.code, news.reason or "remote_hangup")
            case Handed():
                return self._handed(line, news)
            case Detected() | Progressed() | Recorded() | Said() | Offered() | Asked():
                log.info("news of a call", service=line.service.name, news=type(news).__name__)
        return None

    def _handed(self, line: Line, news: Handed) -> Response | None:
        handing = line.handing
        if handing is not None and not handing.done():
            handing.set_result(news.code)
        if news.code == 200 or news.over or line.leg is None or line.leg.over:
            return None
        return line.service.connect(line.offered, line.links).response  # the caller is back with the agent

    # Media sockets

    def expect(self, line: Line) -> None:
        """Let a media socket come for a call."""
        now = self._wall_s()
        self._tokens = {token: kept for token, kept in self._tokens.items() if kept[1] > now}
        self._tokens[line.media] = (line, now + TOKEN_S)

    def socket(self, name: str, token: str, request: Request) -> Visit | RelayVisit | Response:
        """Let a media socket in, or say why not."""
        service = self.services.get(name)
        if service is None:
            return self._refuse(404, "no_such_service")
        try:
            service.verify(request, self.public, self._wall_s())
        except Unsigned as error:
            return self._unsigned(name, error)
        line, until = self._tokens.pop(token, (None, 0.0))
        if line is None or line.service is not service or until <= self._wall_s():
            return self._refuse(403, "token")
        line.media = ""
        assert line.leg is not None
        return visit(service, line.leg, line.call) or self._refuse(404, "no_socket")

    # What is asked of services

    async def dial(
        self, name: str, to: str, agent: AgentLike, *, caller: str = "", ring_s: int = 60, detect: str = ""
    ) -> Call:
        """Have a service call `to`, and let `agent` speak once it is answered; give the call.

        NotAllowed outside `dial.allow`, DialFailed if it is not taken, Unreachable where the API does not answer.
        """
        service = self.services[name]
        if not allows(self.host.rules.dial, to):
            raise NotAllowed(f"{to} is not among what dial.allow lists")
        line = self._note(service, Offered("", caller, to, "outbound"))
        leg = line.leg = self._bring(line, agent)
        try:
            placement = Placement(to, caller, ring_s, detect)  # type: ignore[arg-type]
            line.call = service.placed(await self.ask(service, service.dial(placement, line.links)))
            self._lines[name, line.call] = line
            async with asyncio.timeout(ring_s + START_S):
                await leg.connected()
        except BaseException as error:
            leg.left(error.code if isinstance(error, DialFailed) else 408, "no_answer")
            if isinstance(error, TimeoutError):
                raise DialFailed(408, f"nobody answered for {ring_s} s", "no_answer") from None
            raise
        call = self.host.conversations.calls[leg.info.id]
        await call.up()
        return call

    async def ask(self, service: Service, order: ApiCall) -> ApiReply:
        """Ask a service's API. Unreachable where it does not answer."""
        nonce = UUID(bytes=secrets.token_bytes(16), version=4)
        return await self._api(service.authorize(order, self._wall_s(), str(nonce)))

    async def _order(self, service: Service, order: ApiCall) -> None:
        try:
            reply = await self.ask(service, order)
        except Unreachable as error:
            log.warning("a service was not told", service=service.name, error=str(error))
            return
        if not reply.ok and reply.status not in order.gone:
            log.warning("a service refused", service=service.name, status=reply.status)

    # What is not let in

    def _unsigned(self, name: str, error: Unsigned) -> Response:
        now = self._wall_s()
        if now - self._told.get((name, str(error)), -AGAIN_S) >= AGAIN_S:
            self._told[name, str(error)] = now
            self._say(f"{name}: a request was refused: {error}: {error.hint}".removesuffix(": "))
        return self._refuse(error.code, "unsigned")

    def _refuse(self, code: int, why: str) -> Response:
        self.refused[why] = self.refused.get(why, 0) + 1
        return Response(code)

    async def close(self) -> None:
        """End the calls that are up, and let go of all that waits."""
        for line in list(self._keys.values()):
            if line.answer is not None and not line.answer.done():
                line.answer.cancel()
            if line.leg is not None and not line.leg.over:
                await line.leg.hangup(503)
