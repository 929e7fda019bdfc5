"""A fake Vonage: signed webhooks, NCCO carried out action by action, its media socket, and the calls of its API.

    call ─► POST /services/vonage/voice ─► [{"action": "connect", websocket}] ─► websocket:connected, 20 ms of L16 …
    PUT /v1/calls/{uuid} ─► hang up, or another document      POST /v1/calls ─► a call of ours

`lines` says what happens to who dials a number: `answered`, or another status (`busy`, `unanswered`, `rejected`).
`answerers` has `human` or `machine`; a document waits for that, or does not, as Vonage's modes have it.
"""

from __future__ import annotations

import asyncio
import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from offhook.carriers.services.http import ApiCall, ApiReply, Request, Response
from offhook.carriers.services.service import Carried
from offhook.carriers.services.stream import Encoding, Frame, turned
from offhook.carriers.services.vonage import Vonage, VonageAccount
from offhook.carriers.services.vonage.signature import payload_hash, signed_token
from offhook.core.errors import DialFailed
from offhook.testing.callers import Caller
from offhook.testing.carriers.farend import FarEnd, Order
from offhook.testing.carriers.service import LISTEN_S, FakeService

APPLICATION: Final = "aaaaaaaa-bbbb-cccc-dddd-0123456789ab"
SECRET: Final = "a-fake-signature-secret"  # noqa: S105 - of a fake
API_KEY: Final = "abcd1234"


@cache
def private_key() -> rsa.RSAPrivateKey:
    """Make the key of the fake's application, once."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem() -> str:
    """Give it as the console does."""
    made = private_key().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.decode()


class VonageTongue:
    """Vonage's side of one media socket: L16, little-endian, exactly 20 ms a message."""

    def __init__(self, rate_hz: int) -> None:
        self.heard = self.ours = Encoding("L16", rate_hz)
        self.headers: dict[str, str] = {}

    def begins(self) -> Sequence[Frame]:
        """Give `websocket:connected`, with the headers of the document beside it."""
        said = {"event": "websocket:connected", "content-type": f"audio/l16;rate={self.ours.rate_hz}"}
        return (json.dumps({**said, **self.headers}),)

    def sound(self, payload: bytes) -> Sequence[Frame]:
        """Give a frame of audio."""
        return (turned(payload),)

    def key(self, key: str) -> Sequence[Frame]:
        """Tell of a key."""
        return (json.dumps({"event": "websocket:dtmf", "digit": key, "duration": 260}),)

    def passed(self, mark: str, cleared: bool) -> Sequence[Frame]:
        """Give a notify back when its place has sounded; one that was cleared is gone."""
        return () if cleared else (json.dumps({"event": "websocket:notify", "payload": {"name": mark}}),)

    def cleared(self) -> Sequence[Frame]:
        """Say that the buffer is empty."""
        return ('{"event":"websocket:cleared"}',)

    def ends(self) -> Sequence[Frame]:
        """Say nothing: the socket ends."""
        return ()

    def read(self, frame: Frame) -> Sequence[Order]:
        """Read what Vonage takes. AssertionError for anything else."""
        if isinstance(frame, bytes):
            assert len(frame) == 20 * self.ours.bytes_per_ms, "Vonage distorts what is not 20 ms"
            return (Order("sound", turned(frame)),)
        said = json.loads(frame)
        match said["action"]:
            case "notify":
                return (Order("mark", text=str(said["payload"]["name"])),)
            case "clear":
                return (Order("clear"),)
            case other:
                raise AssertionError(f"Vonage knows no {other}")


class FakeVonage(FakeService):
    """An application at a fake Vonage."""

    def __init__(self, app: Any, *, rate_hz: int = 16000, **options: Any) -> None:
        super().__init__(app, **options)
        self.rate_hz = rate_hz
        self.secrets = {"VONAGE_APPLICATION_ID": APPLICATION, "VONAGE_PRIVATE_KEY": pem(), "VONAGE_SIGNATURE": SECRET}
        self.lines: dict[str, str] = {}
        self._calls = 0
        self._numbers: dict[str, tuple[str, str]] = {}
        self._running: dict[str, asyncio.Task[None]] = {}

    def service(self) -> Carried:
        """Give our account at it."""
        return Vonage(VonageAccount(APPLICATION, pem(), SECRET, API_KEY, rate_hz=self.rate_hz))  # type: ignore[arg-type]

    def tongue(self, call: str) -> VonageTongue:
        """Give Vonage's side of a new socket."""
        return VonageTongue(self.rate_hz)

    # Requests to us

    def event(self, path: str, said: Mapping[str, object]) -> Request:
        """Make a signed webhook."""
        body = json.dumps(said).encode()
        headers = {"content-type": "application/json", "authorization": f"Bearer {self._token(body)}"}
        return Request("POST", path, headers, body, "203.0.113.8")

    def _token(self, body: bytes = b"") -> str:
        claims: dict[str, object] = {"iss": "Vonage", "iat": int(self.wall_s), "jti": f"{self._rng.getrandbits(64):x}"}
        claims |= {"api_key": API_KEY, "application_id": APPLICATION}
        if body:
            claims["payload_hash"] = payload_hash(body)
        return signed_token(claims, SECRET)

    def _said(self, call: str, status: str = "", **more: object) -> dict[str, object]:
        caller, called = self._numbers[call]
        said: dict[str, object] = {"uuid": call, "conversation_uuid": f"CON-{call}", "from": caller, "to": called}
        return {**said, **({"status": status, "timestamp": "2025-06-15T12:00:00Z"} if status else {}), **more}

    # What happens

    async def call(self, *, caller: str = "+15550001111", called: str = "+15552223333") -> Caller:
        """Call the agent; give the caller once it has answered. DialFailed (480) where it is refused."""
        call = self._name(caller, called)
        reply = await self.hook(self.event("/services/vonage/voice", self._said(call)))
        await self._carry_out(call, reply)
        end = self.ends.get(call)
        if end is None:
            raise DialFailed(480, "the document had nothing in it")
        return self.caller(end)

    async def api(self, order: ApiCall) -> ApiReply:
        """Do what the API is asked."""
        self._check(order.headers["authorization"].removeprefix("Bearer "))
        asked = json.loads(order.body)
        path = urlsplit(order.url).path
        if order.method == "POST" and path == "/v1/calls":
            return self._places(asked)
        call = path.rpartition("/")[2]
        end = self.ends.get(call)
        if end is None or end.over:
            return ApiReply(404, b'{"title":"Not Found"}')
        if asked["action"] == "hangup":
            self._over(end)
        elif asked["action"] == "transfer":
            self.close_socket(end)
            document = json.dumps(asked["destination"]["ncco"]).encode()
            self._spawn(call, self._carry_out(call, Response(200, document, "application/json")))
        return ApiReply(204)

    def _check(self, token: str) -> None:
        message, _, signature = token.rpartition(".")
        proof = urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
        private_key().public_key().verify(proof, message.encode(), padding.PKCS1v15(), hashes.SHA256())

    def _places(self, asked: Mapping[str, Any]) -> ApiReply:
        to: Mapping[str, str] = asked["to"][0]
        number = "+" + to["number"]
        line = self.lines.get(number, "answered")
        if line == "invalid":
            return ApiReply(400, b'{"title":"Bad Request","detail":"to is no number"}')
        call = self._name("+" + asked.get("from", {}).get("number", ""), number)
        self._spawn(call, self._rings(call, line, asked))
        return ApiReply(201, json.dumps({"uuid": call, "status": "started"}).encode())

    async def _rings(self, call: str, line: str, asked: Mapping[str, Any]) -> None:
        status = urlsplit(str(asked["event_url"][0])).path
        mode = asked.get("advanced_machine_detection", {}).get("mode", "")
        await self.hook(self.event(status, self._said(call, "ringing")))
        await asyncio.sleep(2.0)
        if line != "answered":
            await self.hook(self.event(status, self._said(call, line)))
            return
        await self.hook(self.event(status, self._said(call, "answered")))
        reply = await self.hook(self.event(urlsplit(str(asked["answer_url"][0])).path, self._said(call)))
        if mode in ("detect", "detect_beep"):
            await self._listens(call, mode, status)
        await self._carry_out(call, reply)
        if mode == "default":
            await self._listens(call, mode, status)

    async def _listens(self, call: str, mode: str, status: str) -> None:
        """Tell what has answered, and where that was asked for, its beep."""
        await asyncio.sleep(LISTEN_S)
        what = self.answerers.get("+" + self._numbers[call][1], "human")
        said = {"call_uuid": call, "status": what, "timestamp": "2025-06-15T12:00:00Z"}
        await self.hook(self.event(status, said))
        if what == "machine" and mode != "detect":
            await asyncio.sleep(LISTEN_S)
            await self.hook(self.event(status, {**said, "sub_state": "beep_start"}))

    async def hung_up(self, end: FarEnd) -> None:
        """Tell our side that the caller has hung up."""
        call = str(end.info.id)
        await self.socket_ends(end)
        await self.hook(self.event("/services/vonage/status", self._said(call, "completed")))

    async def left_alone(self, end: FarEnd) -> None:
        """End the call: the document has nothing behind its `connect`."""
        if not end.over:
            self._over(end)

    # NCCO

    async def _carry_out(self, call: str, reply: Response) -> None:
        assert reply.status == 200, f"the webhook was answered {reply.status}"
        for action in json.loads(reply.body or b"[]"):
            match action["action"]:
                case "connect" if action["endpoint"][0]["type"] == "websocket":
                    self._connect(call, action["endpoint"][0])
                    return
                case "connect":
                    await self._dials(call, action)
                    return
                case "talk" | "record" | "stream" | "wait":
                    pass
                case other:
                    raise AssertionError(f"the fake carries out no {other}")
        if (end := self.ends.get(call)) is not None:
            self._over(end)

    def _connect(self, call: str, endpoint: Mapping[str, Any]) -> None:
        url: str = endpoint["uri"]
        assert url.startswith(("wss://", "ws://127.0.0.1")), "Vonage opens websockets by TLS"
        assert endpoint["content-type"] == f"audio/l16;rate={self.rate_hz}"
        assert len(json.dumps(endpoint["headers"])) <= 512, "Vonage takes 512 bytes of headers"
        tongue = self.tongue(call)
        tongue.headers = endpoint["headers"]
        headers = {"upgrade": "websocket"}
        if endpoint.get("authorization", {}).get("type") == "vonage":
            headers["authorization"] = f"Bearer {self._token()}"
        self.dial_socket(call, tongue, Request("GET", urlsplit(url).path, headers, peer="203.0.113.8"))

    async def _dials(self, call: str, action: Mapping[str, Any]) -> None:
        endpoint: Mapping[str, str] = action["endpoint"][0]
        outcome = self.lines.get("+" + endpoint.get("number", ""), "answered")
        url: str = action["eventUrl"][0]
        path = urlsplit(url).path
        await asyncio.sleep(1.0)
        reply = await self.hook(self.event(path, self._said(call, outcome)))
        if outcome == "answered":
            await asyncio.sleep(5.0)
            reply = await self.hook(self.event(path, self._said(call, "completed")))
        await self._carry_out(call, Response(200, reply.body, reply.content_type))

    # The rest

    def _name(self, caller: str, called: str) -> str:
        self._calls += 1
        call = f"{self._calls:032x}"
        self._numbers[call] = (caller.removeprefix("+"), called.removeprefix("+"))
        return call

    def _over(self, end: FarEnd) -> None:
        self.close_socket(end)
        end.finish()

    def _spawn(self, call: str, work: Any) -> None:
        self._running[call] = asyncio.get_running_loop().create_task(work, name=f"vonage {call}")
