"""A fake jambonz: signed webhooks, verbs carried out one by one, its media socket, and the calls of its API.

    call ─► POST /services/jambonz/voice ─► [{"verb": "listen"}] ─► the call's attributes, L16 …
    PUT …/Calls/{sid} ─► call_status completed, or a hook that says how it goes on      POST …/Calls ─► a call of ours

`lines` says what happens to who dials a number: `in-progress`, or another status (`busy`, `no-answer`, `failed`).
`answerers` has `amd_human_detected`, `amd_machine_detected` or `amd_decision_timeout`.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from offhook.carriers.services.http import ApiCall, ApiReply, Request, Response
from offhook.carriers.services.jambonz import Jambonz, JambonzAccount
from offhook.carriers.services.jambonz.signature import sign
from offhook.carriers.services.service import Carried
from offhook.carriers.services.stream import Encoding, Frame, turned
from offhook.core.errors import DialFailed
from offhook.testing.callers import Caller
from offhook.testing.carriers.farend import FarEnd, Order
from offhook.testing.carriers.service import LISTEN_S, FakeService

ACCOUNT: Final = "acc-1"
KEY: Final = "a-fake-api-key"
SECRET: Final = "a-fake-webhook-secret"  # noqa: S105 - of a fake
PASSWORD: Final = "a-fake-socket-password"  # noqa: S105 - of a fake
RATE_HZ: Final = 16000
SIP: Final = {"busy": 486, "no-answer": 480, "failed": 404, "in-progress": 200, "completed": 200, "ringing": 180}


class JambonzTongue:
    """jambonz' side of one media socket: L16, little-endian, of any length."""

    heard = ours = Encoding("L16", RATE_HZ)

    def __init__(self, call: str, caller: str = "", called: str = "", direction: str = "inbound") -> None:
        self._attributes = {
            **{"callSid": call, "callId": f"{call}@sbc.example", "accountSid": ACCOUNT, "direction": direction},
            **{"from": caller, "to": called, "sampleRate": RATE_HZ, "mixType": "mono"},
        }

    def begins(self) -> Sequence[Frame]:
        """Give the call's attributes."""
        return (json.dumps(self._attributes),)

    def sound(self, payload: bytes) -> Sequence[Frame]:
        """Give a frame of audio."""
        return (turned(payload),)

    def key(self, key: str) -> Sequence[Frame]:
        """Tell of a key."""
        return (json.dumps({"event": "dtmf", "dtmf": key, "duration": "1600"}),)

    def passed(self, mark: str, cleared: bool) -> Sequence[Frame]:
        """Give a mark back, and say which."""
        return (json.dumps({"type": "mark", "data": {"name": mark, "event": "cleared" if cleared else "playout"}}),)

    def cleared(self) -> Sequence[Frame]:
        """Say nothing."""
        return ()

    def ends(self) -> Sequence[Frame]:
        """Say nothing: the socket ends."""
        return ()

    def read(self, frame: Frame) -> Sequence[Order]:
        """Read what jambonz takes. AssertionError for anything else."""
        if isinstance(frame, bytes):
            assert frame, "nothing at all"
            assert len(frame) % 2 == 0, "half a sample"
            return (Order("sound", turned(frame)),)
        said = json.loads(frame)
        match said["type"]:
            case "mark":
                return (Order("mark", text=str(said["data"]["name"])),)
            case "killAudio":
                return (Order("clear"),)
            case "clearMarks":
                return (Order("other"),)
            case "disconnect":
                return (Order("close"),)
            case other:
                raise AssertionError(f"jambonz knows no {other}")


class FakeJambonz(FakeService):
    """An account at a fake jambonz."""

    def __init__(self, app: Any, **options: Any) -> None:
        super().__init__(app, **options)
        self.secrets = {
            "JAMBONZ_ACCOUNT": ACCOUNT,
            "JAMBONZ_KEY": KEY,
            "JAMBONZ_WEBHOOK_SECRET": SECRET,
            "JAMBONZ_SOCKET_PASSWORD": PASSWORD,
        }
        self.lines: dict[str, str] = {}
        self._calls = 0
        self._numbers: dict[str, tuple[str, str, str]] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._resume: dict[str, str] = {}

    def service(self) -> Carried:
        """Give our account at it."""
        return Jambonz(JambonzAccount(ACCOUNT, KEY, SECRET, PASSWORD))

    def tongue(self, call: str) -> JambonzTongue:
        """Give jambonz' side of a new socket."""
        return JambonzTongue(call, *self._numbers.get(call, ()))

    # Requests to us

    def event(self, path: str, said: Mapping[str, object]) -> Request:
        """Make a signed webhook."""
        body = json.dumps(said).encode()
        headers = {"content-type": "application/json", "jambonz-signature": sign(body, SECRET, int(self.wall_s))}
        return Request("POST", path, headers, body, "203.0.113.9")

    def _said(self, call: str, status: str = "trying", **more: object) -> dict[str, object]:
        caller, called, direction = self._numbers[call]
        said: dict[str, object] = {"call_sid": call, "account_sid": ACCOUNT, "from": caller, "to": called}
        said |= {"direction": direction, "call_status": status, "sip_status": SIP.get(status, 100)}
        return {**said, **more}

    async def _asks(self, url: str, said: Mapping[str, object]) -> Response:
        where = urlsplit(url)
        return await self.hook(self.event(where.path + (f"?{where.query}" if where.query else ""), said))

    # What happens

    async def call(self, *, caller: str = "+15550001111", called: str = "+15552223333") -> Caller:
        """Call the agent; give the caller once it has answered. DialFailed with the code where it is refused."""
        call = self._name(caller, called, "inbound")
        sip = {"headers": {"From": f"<sip:{caller}@carrier.example>"}, "method": "INVITE"}
        reply = await self.hook(self.event("/services/jambonz/voice", self._said(call, sip=sip)))
        await self._carry_out(call, reply)
        end = self.ends.get(call)
        if end is None:
            verbs = json.loads(reply.body)
            raise DialFailed(verbs[0].get("status", 480) if verbs else 480, "the call was refused")
        return self.caller(end)

    async def api(self, order: ApiCall) -> ApiReply:
        """Do what the API is asked."""
        assert order.headers["authorization"] == f"Bearer {KEY}", "no account"
        asked = json.loads(order.body)
        path = urlsplit(order.url).path
        if order.method == "POST":
            return self._places(asked)
        call = path.rpartition("/")[2]
        end = self.ends.get(call)
        if end is None or end.over:
            return ApiReply(404, b'{"msg":"no such call"}')
        if asked.get("call_status") == "completed":
            self._over(end)
        elif "call_hook" in asked:
            self._resume.pop(call, None)
            self.close_socket(end)
            self._spawn(call, self._goes_on(call, asked["call_hook"]["url"]))
        return ApiReply(202)

    async def _goes_on(self, call: str, url: str) -> None:
        await self._carry_out(call, await self._asks(url, self._said(call, "in-progress")))

    def _places(self, asked: Mapping[str, Any]) -> ApiReply:
        number: str = asked["to"]["number"]
        line = self.lines.get(number, "in-progress")
        if line == "invalid":
            return ApiReply(400, b'{"msg":"to is no number"}')
        call = self._name(asked["from"], number, "outbound")
        self._spawn(call, self._rings(call, line, asked))
        return ApiReply(201, json.dumps({"sid": call}).encode())

    async def _rings(self, call: str, line: str, asked: Mapping[str, Any]) -> None:
        status = asked["call_status_hook"]["url"]
        await self._asks(status, self._said(call, "ringing"))
        await asyncio.sleep(2.0)
        await self._asks(status, self._said(call, line))
        if line != "in-progress":
            return
        await self._carry_out(call, await self._asks(asked["call_hook"]["url"], self._said(call, line)))
        if "amd" in asked:
            await asyncio.sleep(LISTEN_S)
            what = self.answerers.get(asked["to"]["number"], "amd_human_detected")
            await self._asks(asked["amd"]["actionHook"], self._said(call, line, type=what))
            if what == "amd_machine_detected":
                await asyncio.sleep(LISTEN_S)
                done = self._said(call, line, type="amd_machine_stopped_speaking")
                await self._asks(asked["amd"]["actionHook"], done)

    async def hung_up(self, end: FarEnd) -> None:
        """Tell our side that the caller has hung up."""
        call = str(end.info.id)
        await self.socket_ends(end)
        await self.hook(self.event("/services/jambonz/status", self._said(call, "completed")))

    async def left_alone(self, end: FarEnd) -> None:
        """Go on behind `listen`: ask its `actionHook` what next."""
        call = str(end.info.id)
        hook = self._resume.pop(call, "")
        if hook and not end.over:
            await self._goes_on(call, hook)
        elif not end.over:
            self._over(end)

    # Verbs

    async def _carry_out(self, call: str, reply: Response) -> None:
        assert reply.status == 200, f"the webhook was answered {reply.status}"
        for verb in json.loads(reply.body):
            match verb["verb"]:
                case "listen":
                    self._listens(call, verb)
                    return
                case "dial":
                    await self._dials(call, verb)
                    return
                case "sip:decline" | "hangup":
                    break
                case "say" | "pause" | "answer":
                    pass
                case other:
                    raise AssertionError(f"the fake carries out no {other}")
        if (end := self.ends.get(call)) is not None and not end.over:
            self._over(end)

    def _listens(self, call: str, verb: Mapping[str, Any]) -> None:
        url: str = verb["url"]
        assert url.startswith(("wss://", "ws://127.0.0.1")), "what is said goes by TLS"
        assert verb["bidirectionalAudio"] == {"enabled": True, "streaming": True, "sampleRate": RATE_HZ}
        assert verb["passDtmf"], "keys are asked for"
        self._resume[call] = verb["actionHook"]
        auth = verb["wsAuth"]
        proof = b64encode(f"{auth['username']}:{auth['password']}".encode()).decode()
        headers = {"upgrade": "websocket", "authorization": f"Basic {proof}"}
        self.dial_socket(call, self.tongue(call), Request("GET", urlsplit(url).path, headers, peer="203.0.113.9"))

    async def _dials(self, call: str, verb: Mapping[str, Any]) -> None:
        target: Mapping[str, str] = verb["target"][0]
        outcome = self.lines.get(target.get("number", ""), "in-progress")
        await asyncio.sleep(1.0)
        if outcome == "in-progress":
            leg = {**self._said(call, outcome), "call_sid": f"{call}-b", "parent_call_sid": call}
            await self.hook(self.event("/services/jambonz/status", leg))
            await asyncio.sleep(5.0)
            outcome = "completed"
        said = self._said(call, "in-progress", dial_call_status=outcome, dial_sip_status=SIP[outcome])
        await self._carry_out(call, await self._asks(verb["actionHook"], said))

    # The rest

    def _name(self, caller: str, called: str, direction: str) -> str:
        self._calls += 1
        call = f"{self._calls:032x}"
        self._numbers[call] = (caller, called, direction)
        return call

    def _over(self, end: FarEnd) -> None:
        self.close_socket(end)
        end.finish()

    def _spawn(self, call: str, work: Any) -> None:
        self._running[call] = asyncio.get_running_loop().create_task(work, name=f"jambonz {call}")
