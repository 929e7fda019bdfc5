"""A fake Asterisk with its REST interface: a socket of events that our side holds, channels and bridges, media sockets.

    call ─► StasisStart ─► answer, a bridge, externalMedia ─► the media socket ─► in the bridge: heard, both ways
    DELETE, continue ─► StasisEnd …                    POST channels ─► Ringing ─► StasisStart, or ChannelDestroyed

`lines` says what happens to who dials a number: `answers` (`at once`: before we are told that it is called), or what
its phone does (`busy`, `no-answer`). Sound passes between a call and its media channel once both are in one bridge, and
not before.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from offhook.carriers.services.asterisk import Asterisk, AsteriskAccount
from offhook.carriers.services.asterisk.ari import MEDIA, basic
from offhook.carriers.services.http import ApiCall, ApiReply, Request
from offhook.carriers.services.service import Carried
from offhook.carriers.services.stream import Frame
from offhook.core.errors import DialFailed, Unreachable
from offhook.run.services import Listener, Switchboard
from offhook.testing.callers import Caller
from offhook.testing.carriers.direct import AsteriskTongue
from offhook.testing.carriers.farend import FarEnd, Order
from offhook.testing.carriers.service import FakeService
from offhook.testing.carriers.taken import Taken

DONE: Final = ApiReply(204)
GONE: Final = ApiReply(404, b'{"message":"Channel not found"}')
CODES: Final = {"17": 486, "21": 603, "1": 404, "18": 480, "34": 503}


@dataclass
class Channel:
    """A channel of the fake: a call, or a media channel."""

    name: str
    caller: str = ""
    called: str = ""
    state: str = "Ring"
    inside: bool = True
    """Whether it is in the application."""
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    code: int = 0
    """Why it was refused; 0 while it was not."""

    def told(self) -> dict[str, Any]:
        """Write it as events do."""
        return {
            "id": self.name,
            "name": f"PJSIP/trunk-{self.name}",
            "state": self.state,
            "caller": {"name": "", "number": self.caller},
            "dialplan": {"context": "from-trunk", "exten": self.called, "priority": 1},
        }


class BridgedTongue(AsteriskTongue):
    """The media socket of a media channel, which hears and is heard only where it is in the bridge of its call."""

    def __init__(self, fake: FakeAri, call: str, format: str) -> None:
        super().__init__(call, format)
        self._fake = fake
        self._name = call

    def sound(self, payload: bytes) -> Sequence[Frame]:
        """Give a frame of audio."""
        return super().sound(payload if self._fake.joined(self._name) else self.silence)

    def read(self, frame: Frame) -> Sequence[Order]:
        """Read what is sent to the channel, which nobody hears outside the bridge."""
        orders = super().read(frame)
        return orders if self._fake.joined(self._name) else [one for one in orders if one.kind != "sound"]


class FakeAri(FakeService):
    """A fake Asterisk whose calls go to Stasis. `context` has it transfer in the dialplan."""

    PASSWORD: Final = "a-fake-password"  # noqa: S105 - of a fake
    API_PASSWORD: Final = "a-fake-api-password"  # noqa: S105

    def __init__(self, app: Any, *, context: str = "", **options: Any) -> None:
        super().__init__(app, **options)
        self.secrets = {"ASTERISK_PASSWORD": self.PASSWORD, "ARI_PASSWORD": self.API_PASSWORD}
        self.context = context
        self.lines: dict[str, str] = {}
        self.channels: dict[str, Channel] = {}
        self.bridges: dict[str, set[str]] = {}
        self.holders: list[Taken] = []
        """The sockets of events that our side holds."""
        self.held = asyncio.Event()
        """That one was opened."""
        self.deaf = False
        """Whether it lets no socket of events be opened."""
        self.went: list[str] = []
        """The extensions at which calls went on in the dialplan."""
        self._calls = 0
        self._running: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        """Open a host for the app, and wait until it holds the events."""
        await super().__aenter__()
        if isinstance(self.board, Switchboard) and not self.deaf:
            async with asyncio.timeout(10):
                await self.held.wait()
        return self

    def service(self) -> Carried:
        """Give our account at it."""
        account = AsteriskAccount("offhook", self.PASSWORD, "offhook", self.API_PASSWORD, context=self.context)
        return Asterisk(account)

    def tongue(self, call: str, format: str = "slin16") -> AsteriskTongue:
        """Give its side of a media socket."""
        return AsteriskTongue(call, format)

    def joined(self, call: str) -> bool:
        """Whether a call and its media channel are in one bridge."""
        return any({call, MEDIA + call} <= inside for inside in self.bridges.values())

    # The socket of events

    async def dialled(self, order: ApiCall, listener: Listener) -> None:
        """Let our side hold the events of its application."""
        self._check(order)
        assert dict(parse_qsl(urlsplit(order.url).query)) == {"app": "offhook"}
        if self.deaf:
            raise Unreachable("a fake that is deaf")
        taken = Taken(listener, self.rtt_s, lambda frame: None)
        self.holders.append(taken)
        self.held.set()
        try:
            await taken.lives()
        finally:
            self.holders.remove(taken)

    def tell(self, type: str, channel: Channel, **more: Any) -> None:
        """Tell an event, if anybody holds a socket."""
        for taken in self.holders:
            taken.tell(json.dumps({"type": type, "application": "offhook", "channel": channel.told(), **more}))

    def drop(self) -> None:
        """Lose the sockets of events."""
        for taken in list(self.holders):
            taken.end()

    def _check(self, order: ApiCall) -> None:
        assert order.headers["authorization"] == basic("offhook", self.API_PASSWORD), "no user of ari.conf"

    # Calls

    async def call(self, *, caller: str = "+15550001111", called: str = "+15552223333") -> Caller:
        """Call the agent; give the caller once it has answered. DialFailed with the code where it is refused."""
        if isinstance(self._app, str):  # it opens its socket when it likes
            async with asyncio.timeout(15):
                await self.held.wait()
        if not self.holders:
            raise DialFailed(503, "nobody holds the application: Stasis fails")
        self._calls += 1
        name = f"1750000000.{self._calls}"
        channel = self.channels[name] = Channel(name, caller, called)
        self.tell("StasisStart", channel, args=[])
        async with asyncio.timeout(20):
            await channel.settled.wait()
        if channel.code:
            raise DialFailed(channel.code, "the call was refused")
        return self.caller(self.ends[name])

    async def api(self, order: ApiCall) -> ApiReply:
        """Do what ARI is asked."""
        self._check(order)
        url = urlsplit(order.url)
        path = [unquote(one) for one in url.path.removeprefix("/ari/").split("/")]
        asked = dict(parse_qsl(url.query))
        match order.method, *path:
            case "GET", "channels":
                return ApiReply(200, json.dumps([one.told() for one in self.channels.values()]).encode())
            case "GET", "applications":
                return ApiReply(200, b"[]")
            case "POST", "channels":
                reply = self._originates(asked)
                if self.lines.get(self.channels[asked["channelId"]].called if reply.ok else "") == "at once":
                    await asyncio.sleep(5.0)  # it is answered before the answer to this is here
                return reply
            case "POST", "channels", "externalMedia":
                return self._brings(asked)
            case method, "channels", name, *verb:
                channel = self.channels.get(name)
                return GONE if channel is None else self._does(channel, f"{method} {'/'.join(verb)}".strip(), asked)
            case "POST", "bridges", name:
                self.bridges[name] = set()
                return ApiReply(200, b"{}")
            case "DELETE", "bridges", name:
                return GONE if self.bridges.pop(name, None) is None else DONE
            case "POST", "bridges", name, "addChannel":
                if name not in self.bridges or asked["channel"] not in self.channels:
                    return GONE
                self.bridges[name].add(asked["channel"])
                call = asked["channel"].removeprefix(MEDIA)
                if call in self.channels and self.joined(call):
                    self.channels[call].settled.set()
                return DONE
            case _:
                raise AssertionError(f"the fake knows no {order.method} {path}")

    def _does(self, channel: Channel, verb: str, asked: dict[str, str]) -> ApiReply:
        match verb:
            case "POST answer":
                channel.state = "Up"
            case "DELETE" if channel.name.startswith(MEDIA):
                del self.channels[channel.name]
                end = self.ends.get(channel.name.removeprefix(MEDIA))
                if end is not None and end.open:
                    self.close_socket(end)
            case "DELETE":
                channel.code = 0 if channel.state == "Up" else CODES.get(asked["reason_code"], 500)
                self.over(channel, int(asked["reason_code"]))
            case "POST continue":
                assert asked["context"] == self.context
                self.went.append(asked["extension"])
                self._leaves(channel)
            case _:
                raise AssertionError(f"the fake knows no {verb}")
        return DONE

    def _brings(self, asked: dict[str, str]) -> ApiReply:
        """Make a media channel, which opens its socket."""
        name = asked["channelId"]
        call = name.removeprefix(MEDIA)
        assert (asked["transport"], asked["encapsulation"]) == ("websocket", "none")
        token = asked["transport_data"].removeprefix("f(json)v(").removesuffix(")")
        headers = {"upgrade": "websocket", "authorization": basic("offhook", self.PASSWORD)}
        request = Request("GET", f"/services/asterisk/media/audio?{token}", headers, peer="192.0.2.9")
        try:
            self.dial_socket(call, BridgedTongue(self, call, asked["format"]), request)
        except DialFailed:
            return ApiReply(500, b'{"message":"Allocation failed"}')
        channel = self.channels[name] = Channel(name, state="Up")
        self.tell("StasisStart", channel, args=[])
        return ApiReply(200, json.dumps(channel.told()).encode())

    def _originates(self, asked: dict[str, str]) -> ApiReply:
        number = asked["endpoint"].removeprefix("PJSIP/").partition("@")[0]
        line = self.lines.get(number, "answers")
        if line == "invalid":
            return ApiReply(500, b'{"message":"Allocation failed"}')
        name = asked["channelId"]
        channel = self.channels[name] = Channel(name, asked["callerId"], number, state="Down")
        self._spawn(self._rings(channel, line, [asked["appArgs"]]))
        return ApiReply(200, json.dumps(channel.told()).encode())

    async def _rings(self, channel: Channel, line: str, args: list[str]) -> None:
        await asyncio.sleep(0.2)
        channel.state = "Ringing"
        self.tell("ChannelStateChange", channel)
        await asyncio.sleep(2.0)
        if channel.name not in self.channels:
            return
        if line in ("answers", "at once"):
            channel.state = "Up"
            self.tell("ChannelStateChange", channel)
            self.tell("StasisStart", channel, args=args)
        else:
            del self.channels[channel.name]
            self.tell("ChannelDestroyed", channel, cause=17 if line == "busy" else 0, cause_txt="")

    async def hung_up(self, end: FarEnd) -> None:
        """Tell our side that the caller has hung up: the media channel is left in the bridge."""
        channel = self.channels.get(str(end.info.id))
        if channel is not None:
            self.over(channel, 16)

    async def left_alone(self, end: FarEnd) -> None:
        """Lose the media channel whose socket our side has closed: the call goes on, in silence."""
        self.channels.pop(MEDIA + str(end.info.id), None)

    def _leaves(self, channel: Channel) -> None:
        if channel.inside:
            channel.inside = False
            for inside in self.bridges.values():
                inside.discard(channel.name)
            self.tell("StasisEnd", channel)

    def over(self, channel: Channel, cause: int) -> None:
        """End a call, whoever has hung up."""
        if self.channels.pop(channel.name, None) is None:
            return
        self._leaves(channel)
        self.tell("ChannelDestroyed", channel, cause=cause, cause_txt="Normal Clearing" if cause == 16 else "")
        channel.settled.set()
        end = self.ends.get(channel.name)
        if end is not None:
            end.finish()

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work, name="asterisk")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
