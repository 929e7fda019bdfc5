"""A fake Exotel: a Voicebot applet that asks for a socket's URL, its stream, and the API that places calls.

`lines` says what happens to who dials a number: `answers`, or a status (`busy`, `no-answer`, `failed`).
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from offhook.carriers.services.exotel import ExotelAccount, exotel
from offhook.carriers.services.http import ApiCall, ApiReply, Request
from offhook.carriers.services.service import Carried
from offhook.carriers.services.stream import Encoding
from offhook.core.errors import DialFailed
from offhook.testing.callers import Caller
from offhook.testing.carriers.farend import FarEnd
from offhook.testing.carriers.injson import JsonTongue, Words
from offhook.testing.carriers.service import FakeService

ACCOUNT: Final = "sid"
PASSWORD: Final = "a-fake:password"  # noqa: S105 - of a fake


class FakeExotel(FakeService):
    """An account at a fake Exotel, its flow a Voicebot applet and nothing behind it; with `connects` a Connect applet.

    `connected` is whom that has called.
    """

    def __init__(self, app: Any, *, rate_hz: int = 8000, connects: bool = False, **options: Any) -> None:
        super().__init__(app, **options)
        self.rate_hz = rate_hz
        self.connects = connects
        self.connected: list[str] = []
        self.secrets = {"EXOTEL_TOKEN": "a-fake-token", "EXOTEL_PASSWORD": PASSWORD}
        self.lines: dict[str, str] = {}
        self._calls = 0
        self._numbers: dict[str, tuple[str, str]] = {}
        self._running: set[asyncio.Task[Any]] = set()

    def service(self) -> Carried:
        """Give our account at it."""
        return exotel(
            ExotelAccount(
                ACCOUNT, "key", "a-fake-token", password=PASSWORD, rate_hz=self.rate_hz, transfers=self.connects
            )
        )

    def tongue(self, call: str) -> JsonTongue:
        """Give Exotel's side of a new stream."""
        coded = Encoding("L16", self.rate_hz)
        caller, called = self._numbers.get(call, ("", ""))
        start = {
            "call_sid": call,
            "account_sid": ACCOUNT,
            "from": caller,
            "to": called,
            "media_format": {"encoding": "audio/x-raw", "sample_rate": str(self.rate_hz), "bit_rate": "16"},
            "custom_parameters": {},
        }
        stop = {"stop": {"call_sid": call, "account_sid": ACCOUNT, "reason": "callended"}}
        words = Words("stream_sid", "sequence_number", start=start, stop=stop, least=3200, multiple=320)
        return JsonTongue(words, f"stream-{call}", coded, coded)

    async def call(self, *, caller: str = "+15550001111", called: str = "+15552223333") -> Caller:
        """Call the agent; give the caller once it has answered. DialFailed (480) where it is refused."""
        self._calls += 1
        call = f"{self._calls:032x}"
        self._numbers[call] = (caller, called)
        said = {"CallSid": call, "CallFrom": caller, "CallTo": called, "Direction": "incoming"}
        proof = {"authorization": "Basic " + b64encode(f"exotel:{PASSWORD}".encode()).decode()}
        request = Request("GET", f"/services/exotel/voice?{urlencode(said)}", proof, peer="203.0.113.11")
        reply = await self.hook(request)
        if reply.status != 200:
            raise DialFailed(480, "the flow has nothing behind its applet")
        return self.caller(self._connects(call, json.loads(reply.body)["url"]))

    def _connects(self, call: str, url: str) -> FarEnd:
        where = urlsplit(url)
        assert len(url) <= 600, "Exotel takes 600 characters of a URL"
        request = Request("GET", where.path, {**_proof(url), "upgrade": "websocket"}, peer="203.0.113.11")
        return self.dial_socket(call, self.tongue(call), request)

    async def api(self, order: ApiCall) -> ApiReply:
        """Do what the API is asked: place a call."""
        assert order.headers["authorization"].startswith("Basic "), "no account"
        assert urlsplit(order.url).path == f"/v1/Accounts/{ACCOUNT}/Calls/connect.json", "the API has nothing else"
        asked = dict(parse_qsl(order.body.decode(), keep_blank_values=True))
        line = self.lines.get(asked["From"], "answers")
        if line == "invalid":
            return ApiReply(400, b'{"RestException":{"Status":400,"Message":"Invalid parameter"}}')
        self._calls += 1
        call = f"{self._calls:032x}"
        self._numbers[call] = (asked["CallerId"], asked["From"])
        self._spawn(self._rings(call, line, asked))
        return ApiReply(200, json.dumps({"Call": {"Sid": call, "Status": "in-progress"}}).encode())

    async def _rings(self, call: str, line: str, asked: Mapping[str, str]) -> None:
        await asyncio.sleep(2.0)
        if line == "answers":
            self._connects(call, asked["StreamUrl"])
            await self._tells(asked["StatusCallback"], {"CallSid": call, "EventType": "answered"})
        else:
            await self._tells(asked["StatusCallback"], {"CallSid": call, "EventType": "terminal", "Status": line})

    async def _tells(self, url: str, said: Mapping[str, str]) -> None:
        headers = {**_proof(url), "content-type": "application/json"}
        await self.hook(Request("POST", urlsplit(url).path, headers, json.dumps(said).encode(), "203.0.113.11"))

    async def hung_up(self, end: FarEnd) -> None:
        """Tell our side that the caller has hung up: the socket says it."""
        await self.socket_ends(end)

    async def left_alone(self, end: FarEnd) -> None:
        """Go on with the flow: call whom its Connect applet is told to, or end the call."""
        if self.connects and not end.over:
            said = urlencode({"CallSid": str(end.info.id), "CurrentTime": "2025-06-15 12:00:00"})
            url = f"https://exotel:{quote(PASSWORD, safe='')}@agent.example/services/exotel/dial"
            reply = await self.hook(Request("GET", f"/services/exotel/dial?{said}", _proof(url), peer="203.0.113.11"))
            assert reply.content_type == "application/json", "Exotel takes JSON"
            self.connected += json.loads(reply.body)["destination"]["numbers"]
            await asyncio.sleep(5.0 if self.connected else 0.0)
        if not end.over:
            end.finish()

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work, name="exotel")
        self._running.add(task)
        task.add_done_callback(self._running.discard)


def _proof(url: str) -> dict[str, str]:
    where = urlsplit(url)
    told = f"{unquote(where.username or '')}:{unquote(where.password or '')}"
    return {"authorization": "Basic " + b64encode(told.encode()).decode()}
