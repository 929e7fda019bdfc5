"""A fake Telnyx: events signed with Ed25519, Call Control's commands carried out, media streaming.

    call ─► call.initiated ─► actions/answer ─► the media socket, call.answered          actions/reject ─► refused
    actions/hangup, transfer          POST /v2/calls ─► call.answered ─► actions/streaming_start

`lines` says what happens to who dials a number: `answers`, or a hang-up cause (`user_busy`, `no_answer`).
`answerers` has `human`, `machine` or `not_sure`.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from offhook.carriers.services.http import ApiCall, ApiReply, Request
from offhook.carriers.services.service import Carried
from offhook.carriers.services.stream import Encoding, Frame
from offhook.carriers.services.telnyx import TelnyxAccount, telnyx
from offhook.carriers.services.telnyx.signature import HEADER, TIME, signature
from offhook.core.errors import DialFailed
from offhook.testing.callers import Caller
from offhook.testing.carriers.farend import FarEnd
from offhook.testing.carriers.injson import JsonTongue, Words
from offhook.testing.carriers.service import LISTEN_S, FakeService

KEY: Final = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC_KEY: Final = b64encode(KEY.public_key().public_bytes_raw()).decode()
API_KEY: Final = "KEY-a-fake-api-key"
_REFUSED: Final = {"USER_BUSY": 486, "NOT_FOUND": 404, "TEMPORARILY_UNAVAILABLE": 480, "CALL_REJECTED": 603}


class TelnyxTongue(JsonTongue):
    """Telnyx's side of one stream: of every five frames of the caller's, one comes behind its neighbour."""

    def __init__(self, call: str, heard: Encoding) -> None:
        start = {
            "call_control_id": call,
            "media_format": {"encoding": heard.label, "sample_rate": 8000, "channels": 1},
            "custom_parameters": {},
        }
        words = Words("stream_id", "sequence_number", start=start, named=False)
        super().__init__(words, f"stream-{call}", heard, Encoding())
        self._late: Sequence[Frame] = ()

    def sound(self, payload: bytes) -> Sequence[Frame]:
        """Give a frame of media, and the one that is late behind it."""
        frames = super().sound(payload)
        if self._chunk % 5 == 3:
            self._late = frames
            return ()
        late, self._late = self._late, ()
        return (*frames, *late)


class FakeTelnyx(FakeService):
    """An account at a fake Telnyx. `heard` is how calls are coded, whatever was asked for."""

    def __init__(self, app: Any, *, heard: Encoding | None = None, **options: Any) -> None:
        super().__init__(app, **options)
        self.secrets = {"TELNYX_API_KEY": API_KEY, "TELNYX_PUBLIC_KEY": PUBLIC_KEY}
        self.heard = heard or Encoding("PCMA")
        self.lines: dict[str, str] = {}
        self._calls = 0
        self._numbers: dict[str, dict[str, Any]] = {}
        self._refused: dict[str, int] = {}
        self._running: set[asyncio.Task[Any]] = set()
        self._done: dict[str, ApiReply] = {}

    def service(self) -> Carried:
        """Give our account at it."""
        return telnyx(TelnyxAccount(API_KEY, PUBLIC_KEY, "connection"))

    def tongue(self, call: str) -> TelnyxTongue:
        """Give Telnyx's side of a new stream."""
        return TelnyxTongue(call, self.heard)

    def event(self, kind: str, call: str, path: str = "/services/telnyx/voice", **more: Any) -> Request:
        """Make a signed event of a call."""
        payload = {"call_control_id": call, **self._numbers.get(call, {}), **more}
        said = {"data": {"event_type": kind, "id": f"{self._rng.getrandbits(64):x}", "payload": payload}}
        body, time = json.dumps(said).encode(), str(int(self.wall_s))
        return Request("POST", path, {HEADER: signature(KEY, time, body), TIME: time}, body, "203.0.113.10")

    async def call(self, *, caller: str = "+15550001111", called: str = "+15552223333") -> Caller:
        """Call the agent; give the caller once it has answered. DialFailed with the code where it is refused."""
        call = self._name(caller, called, "incoming")
        reply = await self.hook(self.event("call.initiated", call))
        assert (reply.status, reply.body) == (200, b""), "an event is answered with nothing"
        end = self.ends.get(call)
        if end is None:
            raise DialFailed(self._refused.get(call, 480), "the call was refused")
        return self.caller(end)

    async def api(self, order: ApiCall) -> ApiReply:
        """Do what the API is asked; what has the name of a command that was done is not done again."""
        assert order.headers["authorization"] == f"Bearer {API_KEY}", "no account"
        path = urlsplit(order.url).path
        if path.startswith("/v2/recordings/"):
            return self._has(order.method, path.rpartition("/")[2])
        asked = json.loads(order.body)
        if "/record_" in path:
            return self._does(path, asked)
        once = f"{path} {asked['command_id']}"
        if once not in self._done:
            self._done[once] = self._places(asked) if path == "/v2/calls" else self._does(path, asked)
        return self._done[once]

    def _does(self, path: str, asked: Mapping[str, Any]) -> ApiReply:
        _, _, _, name, _, verb = path.split("/")
        call = unquote(name)
        end = self.ends.get(call)
        if call not in self._numbers or (end is not None and end.over):
            return ApiReply(422, b'{"errors":[{"code":"90018"}]}')
        match verb:
            case "answer" | "streaming_start":
                assert asked["stream_bidirectional_mode"] == "rtp", "nothing of ours would be heard"
                opening = Request("GET", urlsplit(str(asked["stream_url"])).path, {"upgrade": "websocket"})
                self.dial_socket(call, self.tongue(call), opening)
                if verb == "answer":
                    self._tells("call.answered", call)
            case "reject":
                self._refused[call] = _REFUSED[asked["cause"]]
            case "hangup" if end is not None:
                self._over(end)
                self._tells("call.hangup", call, hangup_cause="normal_clearing")
            case "transfer" if end is not None:
                self._spawn(self._hands_on(end, asked["to"], asked["target_leg_client_state"]))
            case "record_start":
                assert asked == {"format": "wav", "channels": "dual"}
                self.recordings[f"recording-{call}"] = "in-progress"
            case "record_pause" | "record_resume" | "record_stop":
                name, states = f"recording-{call}", {"record_pause": "paused", "record_resume": "in-progress"}
                self.recordings[name] = states.get(verb, "stopped")
                if verb == "record_stop":
                    urls = {"wav": f"https://elsewhere.example/{name}.wav"}
                    self._tells("call.recording.saved", call, recording_id=name, recording_urls=urls)
            case _:
                raise AssertionError(f"the fake knows no {verb}")
        return ApiReply(200, b'{"data":{"result":"ok"}}')

    def _has(self, method: str, name: str) -> ApiReply:
        name = unquote(name)
        if name not in self.recordings:
            return ApiReply(404)
        if method == "DELETE":
            del self.recordings[name]
        return ApiReply(200, json.dumps({"data": {"id": name}}).encode())

    def _places(self, asked: Mapping[str, Any]) -> ApiReply:
        line = self.lines.get(asked["to"], "answers")
        if line == "invalid":
            return ApiReply(422, b'{"errors":[{"code":"10016"}]}')
        call = self._name(asked["from"], asked["to"], "outgoing", client_state=asked["client_state"])
        detection = asked.get("answering_machine_detection", "")
        self._spawn(self._rings(call, line, urlsplit(str(asked["webhook_url"])).path, detection))
        return ApiReply(200, json.dumps({"data": {"call_control_id": call}}).encode())

    async def _rings(self, call: str, line: str, path: str, detection: str) -> None:
        await self.hook(self.event("call.initiated", call, path))
        await asyncio.sleep(2.0)
        kind, cause = ("call.answered", "") if line == "answers" else ("call.hangup", line)
        await self.hook(self.event(kind, call, path, hangup_cause=cause))
        if line == "answers" and detection:
            await asyncio.sleep(LISTEN_S)
            what = self.answerers.get(self._numbers[call]["to"], "human")
            await self.hook(self.event("call.machine.detection.ended", call, path, result=what))
            if what == "machine" and detection == "greeting_end":
                await asyncio.sleep(LISTEN_S)
                await self.hook(self.event("call.machine.greeting.ended", call, path, result="ended"))

    async def _hands_on(self, end: FarEnd, to: str, state: str) -> None:
        """Call the target by a leg of its own; while that is up, the stream is silent."""
        call, line = str(end.info.id), self.lines.get(to, "answers")
        leg = self._name(self._numbers[call]["to"], to, "outgoing", client_state=state)
        await asyncio.sleep(1.0)
        if line != "answers":
            await self.hook(self.event("call.hangup", leg, hangup_cause=line))
            return
        await self.hook(self.event("call.answered", leg))
        await asyncio.sleep(5.0)
        await self.hook(self.event("call.hangup", leg, hangup_cause="normal_clearing"))
        if not end.over:
            self._over(end)
            await self.hook(self.event("call.hangup", call, hangup_cause="normal_clearing"))

    async def hung_up(self, end: FarEnd) -> None:
        """Tell our side that the caller has hung up."""
        call = str(end.info.id)
        await self.socket_ends(end)
        await self.hook(self.event("call.hangup", call, hangup_cause="normal_clearing"))

    async def left_alone(self, end: FarEnd) -> None:
        """Do nothing: a call outlives its stream."""

    def _tells(self, kind: str, call: str, **more: Any) -> None:
        self._spawn(self.hook(self.event(kind, call, **more)))

    def _name(self, caller: str, called: str, direction: str, **more: Any) -> str:
        self._calls += 1
        call = f"v3:{self._calls:032x}"
        self._numbers[call] = {"from": caller, "to": called, "direction": direction, **more}
        return call

    def _over(self, end: FarEnd) -> None:
        self.close_socket(end)
        end.finish()

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work, name="telnyx")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
