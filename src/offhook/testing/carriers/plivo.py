"""A fake Plivo: signed webhooks, its XML carried out element by element, its stream, and the calls of its API.

`lines` says what happens to who dials a number: `answers`, or a status (`busy`, `no-answer`, `failed`). `answerers` has
`true` for a machine and `false` for a human.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import NAMESPACE_OID, UUID, uuid5
from xml.etree import ElementTree as ET

from offhook.carriers.services.http import ApiCall, ApiReply, Request, Response
from offhook.carriers.services.plivo import Plivo, PlivoAccount
from offhook.carriers.services.plivo.signature import HEADER, NONCE, signature
from offhook.carriers.services.service import Carried
from offhook.carriers.services.stream import Encoding
from offhook.core.errors import DialFailed
from offhook.testing.callers import Caller
from offhook.testing.carriers.farend import FarEnd
from offhook.testing.carriers.injson import JsonTongue, Words
from offhook.testing.carriers.service import LISTEN_S, FakeService

AUTH_ID: Final = "MAFAKEFAKEFAKEFAKE00"
TOKEN: Final = "a-fake-auth-token"  # noqa: S105 - of a fake
_CODECS: Final = {"PCMU": Encoding(), "L16/8000": Encoding("L16"), "L16/16000": Encoding("L16", 16000)}
_REFUSED: Final = {"busy": 486, "rejected": 603}


class FakePlivo(FakeService):
    """An account at a fake Plivo."""

    def __init__(self, app: Any, *, codec: str = "PCMU", **options: Any) -> None:
        super().__init__(app, **options)
        self.codec = codec
        self.secrets = {"PLIVO_AUTH_ID": AUTH_ID, "PLIVO_AUTH_TOKEN": TOKEN}
        self.lines: dict[str, str] = {}
        self._calls = 0
        self._numbers: dict[str, dict[str, str]] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._resume: dict[str, str] = {}
        self._news = ""

    def service(self) -> Carried:
        """Give our account at it."""
        return Plivo(PlivoAccount(AUTH_ID, TOKEN, self.codec))

    def tongue(self, call: str) -> JsonTongue:
        """Give Plivo's side of a new stream."""
        coded = _CODECS[self.codec]
        name = "audio/x-mulaw" if coded.codec == "PCMU" else "audio/x-l16"
        words = Words(
            "streamId",
            connected=False,
            start={
                "callId": call,
                "accountId": AUTH_ID,
                "tracks": ["inbound"],
                "mediaFormat": {"encoding": name, "sampleRate": coded.rate_hz},
            },
            beside={"extra_headers": "{}"},
            ours={"playAudio": "sound", "checkpoint": "mark", "clearAudio": "clear", "sendDTMF": "keys"},
            back="playedStream",
            cleared="clearedAudio",
            counts=int,
            pressed={"track": "inbound", "timestamp": "100"},
        )
        return JsonTongue(words, str(uuid5(NAMESPACE_OID, call)), coded, coded)

    # Requests to us

    def form(self, target: str, fields: Mapping[str, str]) -> Request:
        """Make a signed webhook."""
        path, _, query = target.partition("?")
        nonce = str(self._rng.getrandbits(64))
        signed = signature(TOKEN, self.public + path, parse_qsl(query), list(fields.items()), nonce)
        headers = {"content-type": "application/x-www-form-urlencoded", HEADER: signed, NONCE: nonce}
        return Request("POST", target, headers, urlencode(fields).encode(), "203.0.113.12")

    def handshake(self, url: str) -> Request:
        """Make the signed opening of a media socket."""
        nonce = str(self._rng.getrandbits(64))
        headers = {HEADER: signature(TOKEN, url, [], None, nonce), NONCE: nonce, "upgrade": "websocket"}
        return Request("GET", urlsplit(url).path, headers, peer="203.0.113.12")

    def fields(self, call: str, status: str, **more: str) -> dict[str, str]:
        """Give what every webhook of a call says."""
        return {"CallUUID": call, **self._numbers[call], "CallStatus": status, "ParentAuthID": AUTH_ID, **more}

    async def _ask(self, url: str, call: str, status: str, **more: str) -> Response:
        where = urlsplit(url)
        target = f"{where.path}?{where.query}" if where.query else where.path
        return await self.hook(self.form(target, self.fields(call, status, **more)))

    # What happens

    async def call(self, *, caller: str = "+15550001111", called: str = "+15552223333") -> Caller:
        """Call the agent; give the caller once it has answered. DialFailed with the code where it is refused."""
        call = self._name(caller, called, "inbound")
        reply = await self._ask("/services/plivo/voice", call, "ringing", Event="StartApp")
        refusal = ET.fromstring(reply.body).find("Hangup")  # noqa: S314 - our own side wrote it
        if refusal is not None:
            raise DialFailed(_REFUSED.get(refusal.attrib.get("reason", ""), 480), "the call was refused")
        await self._carry_out(call, reply)
        return self.caller(self.ends[call])

    async def api(self, order: ApiCall) -> ApiReply:
        """Do what the API is asked."""
        assert order.headers["authorization"].startswith("Basic "), "no account"
        path = urlsplit(order.url).path
        assert path.endswith("/"), "Plivo's paths end with a slash"
        asked: Mapping[str, str] = json.loads(order.body or b"{}")
        _, _, _, _, kind, call, *more = path.split("/")
        if not call:
            return self._places(asked)
        if kind == "Recording":
            return self._has(order.method, call)
        end = self.ends.get(call)
        if end is None or end.over:
            return ApiReply(404, b'{"error":"not found"}')
        if more[0] == "Record":
            return self._records(order.method, call, asked)
        if order.method == "DELETE":
            self._over(end)
            self._spawn(call, self._tells(call))
            return ApiReply(204)
        self.close_socket(end)
        self._spawn(call, self._goes_on(call, asked["aleg_url"]))
        return ApiReply(202, b'{"message":"call transferred"}')

    def _records(self, method: str, call: str, asked: Mapping[str, str]) -> ApiReply:
        name = f"recording-{call}"
        if method == "DELETE":
            said = {"RecordUrl": f"https://elsewhere.example/{name}.mp3", "RecordingID": name, "RecordingDuration": "3"}
            self.recordings[name] = "stopped"
            self._spawn(name, self._has_recorded(call, said))
            return ApiReply(204)
        self.recordings[name] = "in-progress"
        self._news = asked["callback_url"]
        return ApiReply(202, json.dumps({"recording_id": name}).encode())

    async def _has_recorded(self, call: str, said: Mapping[str, str]) -> None:
        await self._ask(self._news, call, "in-progress", **said)

    def _has(self, method: str, name: str) -> ApiReply:
        if name not in self.recordings:
            return ApiReply(404)
        if method == "DELETE":
            del self.recordings[name]
            return ApiReply(204)
        return ApiReply(200, json.dumps({"recording_id": name}).encode())

    def _places(self, asked: Mapping[str, str]) -> ApiReply:
        line = self.lines.get(asked["to"], "answers")
        if line == "invalid":
            return ApiReply(400, b'{"error":"to is no number"}')
        call = self._name(asked["from"], asked["to"], "outbound")
        self._spawn(call, self._rings(call, line, asked))
        return ApiReply(201, json.dumps({"message": "call fired", "request_uuid": call}).encode())

    async def _rings(self, call: str, line: str, asked: Mapping[str, str]) -> None:
        await self._ask(asked["ring_url"], call, "ringing", Event="Ring")
        await asyncio.sleep(2.0)
        if line != "answers":
            await self._ask(asked["hangup_url"], call, line, Event="Hangup")
            return
        found: dict[str, str] = {}
        machine = {"Machine": self.answerers.get(asked["to"], "false")}
        if asked.get("machine_detection") and "machine_detection_url" not in asked:
            await asyncio.sleep(LISTEN_S)
            found = machine
        reply = await self._ask(asked["answer_url"], call, "in-progress", Event="StartApp", **found)
        await self._carry_out(call, reply)
        if "machine_detection_url" in asked:
            await asyncio.sleep(LISTEN_S)
            await self._ask(asked["machine_detection_url"], call, "in-progress", Event="MachineDetection", **machine)

    async def hung_up(self, end: FarEnd) -> None:
        """Tell our side that the caller has hung up."""
        call = str(end.info.id)
        await self.socket_ends(end)
        await self._tells(call)

    async def _tells(self, call: str) -> None:
        await self._ask("/services/plivo/status", call, "completed", Event="Hangup")

    async def left_alone(self, end: FarEnd) -> None:
        """Go on behind <Stream>."""
        call = str(end.info.id)
        if not end.over and (behind := self._resume.pop(call, "")):
            await self._goes_on(call, behind)
        elif not end.over:
            self._over(end)

    # Plivo's XML

    async def _goes_on(self, call: str, url: str) -> None:
        await self._carry_out(call, await self._ask(url, call, "in-progress", Event="Redirect"))

    async def _carry_out(self, call: str, reply: Response) -> None:
        assert reply.status == 200, f"the webhook was answered {reply.status}"
        document = ET.fromstring(reply.body)  # noqa: S314 - our own side wrote it
        for place, element in enumerate(document):
            match element.tag:
                case "Stream":
                    self._connect(call, element)
                    behind = [one.text or "" for one in document[place + 1 :] if one.tag == "Redirect"]
                    self._resume[call] = next(iter(behind), "")
                    return
                case "Dial":
                    await self._dials(call, element)
                    return
                case "Redirect":
                    await self._goes_on(call, element.text or "")
                    return
                case "Hangup":
                    break
                case "Record":
                    pass
                case other:
                    raise AssertionError(f"the fake carries out no {other}")
        if (end := self.ends.get(call)) is not None and not end.over:
            self._over(end)
            await self._tells(call)

    def _connect(self, call: str, stream: ET.Element) -> None:
        url, coded = stream.text or "", _CODECS[self.codec]
        assert url.startswith(("wss://", "ws://127.0.0.1")), "Plivo opens wss"
        assert stream.attrib["bidirectional"] == stream.attrib["keepCallAlive"] == "true", "nothing of ours is heard"
        assert stream.attrib["contentType"].endswith(f"rate={coded.rate_hz}")
        self.dial_socket(call, self.tongue(call), self.handshake(url))

    async def _dials(self, call: str, dial: ET.Element) -> None:
        for url in (dial.attrib["action"], dial.attrib["callbackUrl"]):
            assert url.startswith("https://"), "Plivo takes whole URLs"
        outcome = self.lines.get((dial[0].text or "").strip(), "answers")
        await asyncio.sleep(1.0)
        if outcome == "answers":
            answered = {"DialAction": "answer", "DialALegUUID": call, "DialBLegUUID": "b-leg"}
            await self._ask(dial.attrib["callbackUrl"], call, "in-progress", **answered)
            await asyncio.sleep(5.0)
            outcome = "completed"
        await self._carry_out(call, await self._ask(dial.attrib["action"], call, "in-progress", DialStatus=outcome))

    # The rest

    def _name(self, caller: str, called: str, direction: str) -> str:
        self._calls += 1
        call = str(UUID(int=self._calls, version=4))
        numbers = {"From": caller.removeprefix("+"), "To": called.removeprefix("+"), "Direction": direction}
        self._numbers[call] = numbers
        return call

    def _over(self, end: FarEnd) -> None:
        self.close_socket(end)
        end.finish()

    def _spawn(self, call: str, work: Any) -> None:
        self._running[call] = asyncio.get_running_loop().create_task(work, name=f"plivo {call}")
