"""A fake Twilio: signed webhooks, TwiML carried out verb by verb, Media Streams, and the calls of its API.

    call ─► POST /services/twilio/voice ─► <Connect><Stream> ─► connected, start, media … ─► stop
    POST …/Calls/{sid}.json ─► Status=completed, or another document      POST …/Calls.json ─► a call of ours

`lines` says what happens to who dials a number: `answers`, a `DialCallStatus` (`busy`, `no-answer`, `failed`), `rings`
(until it is given up), `invalid` (the API takes it for no number), `silent` (the API does not answer). `answerers` says
what has answered there, in Twilio's words (`human`, `machine_end_beep` …), where a call is placed that asks for it.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit
from xml.etree import ElementTree as ET

from offhook.carriers.services.http import ApiCall, ApiReply, Request, Response
from offhook.carriers.services.service import Carried
from offhook.carriers.services.stream import Encoding, Frame
from offhook.carriers.services.twilio import TwilioAccount, twilio
from offhook.carriers.services.twilio.signature import HEADER, signature
from offhook.core.errors import DialFailed, Unreachable
from offhook.testing.callers import Caller
from offhook.testing.carriers.farend import FarEnd, Order, Tongue
from offhook.testing.carriers.service import LISTEN_S, FakeService
from offhook.testing.carriers.words import RelayCaller, TurnCaller, WordCaller
from offhook.testing.fake_relay import FakeRelay

ACCOUNT: Final = "AC" + "0" * 32
TOKEN: Final = "a-fake-auth-token"  # noqa: S105 - of a fake
FORM: Final = {"content-type": "application/x-www-form-urlencoded; charset=UTF-8"}
Way = Literal["stream", "relay", "turns"]

_REFUSED: Final = {"busy": 486, "rejected": 603}


class TwilioTongue:
    """Twilio's side of one Media Stream."""

    heard = Encoding()
    ours = Encoding()

    def __init__(self, call: str, stream: str) -> None:
        self._call = call
        self.stream = stream
        self.parameters: dict[str, str] = {}
        self._sequence = 0
        self._chunk = 0

    def _message(self, event: str, **rest: Any) -> str:
        self._sequence += 1
        return json.dumps({"event": event, "sequenceNumber": str(self._sequence), "streamSid": self.stream, **rest})

    def begins(self) -> Sequence[Frame]:
        """Give `connected` and `start`."""
        start = {
            "accountSid": ACCOUNT,
            "streamSid": self.stream,
            "callSid": self._call,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": self.parameters,
        }
        connected = json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        return (connected, self._message("start", start=start))

    def sound(self, payload: bytes) -> Sequence[Frame]:
        """Give a frame of media."""
        self._chunk += 1
        media = {
            "track": "inbound",
            "chunk": str(self._chunk),
            "timestamp": str(20 * self._chunk),
            "payload": b64encode(payload).decode(),
        }
        return (self._message("media", media=media),)

    def key(self, key: str) -> Sequence[Frame]:
        """Tell of a key."""
        return (self._message("dtmf", dtmf={"track": "inbound_track", "digit": key}),)

    def passed(self, mark: str, cleared: bool) -> Sequence[Frame]:
        """Give a mark back, played or not."""
        return (self._message("mark", mark={"name": mark}),)

    def cleared(self) -> Sequence[Frame]:
        """Say nothing."""
        return ()

    def ends(self) -> Sequence[Frame]:
        """Give `stop`."""
        return (self._message("stop", stop={"accountSid": ACCOUNT, "callSid": self._call}),)

    def read(self, frame: Frame) -> Sequence[Order]:
        """Read what Twilio takes. AssertionError for anything else."""
        assert isinstance(frame, str), "binary for text"
        said = json.loads(frame)
        assert said["streamSid"] == self.stream, "another stream"
        match said["event"]:
            case "media":
                return (Order("sound", b64decode(said["media"]["payload"], validate=True)),)
            case "mark":
                return (Order("mark", text=str(said["mark"]["name"])),)
            case "clear":
                return (Order("clear"),)
            case other:
                raise AssertionError(f"Twilio knows no {other}")


class FakeTwilio(FakeService):
    """An account at a fake Twilio. Services that took TwiML over are made of it, and say what they do else."""

    name = "twilio"
    account = ACCOUNT
    """What webhooks call the account."""
    asks = "Basic "
    """How who asks the API proves it."""
    document_field = "Twiml"
    """What the API takes a document in."""

    def __init__(self, app: Any, *, way: Way = "stream", **options: Any) -> None:
        super().__init__(app, **options)
        self.way: Way = way
        """How its calls come: as audio, or as words, relayed or turn by turn."""
        self.secrets = {"TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": TOKEN}
        self.lines: dict[str, str] = {}
        self.people: dict[str, WordCaller] = {}
        """The callers in words, by the service's name of the call."""
        self._calls = 0
        self._streams = 0
        self._recorded: dict[str, tuple[str, str]] = {}  # of which call, who is told
        self._numbers: dict[str, tuple[str, str, str]] = {}
        self._ringing: dict[str, str] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._resume: dict[str, str] = {}
        self._moving: set[str] = set()

    def service(self) -> Carried:
        """Give our account at it."""
        return twilio(TwilioAccount(ACCOUNT, TOKEN, way=self.way))

    def tongue(self, call: str) -> Tongue:
        """Give Twilio's side of a new stream."""
        self._streams += 1
        return TwilioTongue(call, f"MZ{self._streams:032x}")

    # Requests to us

    def form(self, path: str, fields: Mapping[str, str]) -> Request:
        """Make a signed webhook."""
        body = urlencode(fields).encode()
        signed = signature(TOKEN, self.public + path, list(fields.items()))
        return Request("POST", path, {**FORM, HEADER: signed}, body, "203.0.113.7")

    def handshake(self, url: str) -> Request:
        """Make the signed handshake of a media socket."""
        signed = signature(TOKEN, url)
        headers = {HEADER: signed, "upgrade": "websocket"}
        return Request("GET", urlsplit(url).path, headers, peer="203.0.113.7")

    def fields(self, call: str, status: str, **more: str) -> dict[str, str]:
        """Give what every webhook of a call says."""
        caller, called, direction = self._numbers[call]
        said = {"CallSid": call, "AccountSid": self.account, "From": caller, "To": called, "Caller": caller}
        return {**said, "CallStatus": status, "Direction": direction, "ApiVersion": "2010-04-01", **more}

    # What happens

    async def call(self, *, caller: str = "+15550001111", called: str = "+15552223333") -> Caller:
        """Call the agent; give the caller once it has answered. DialFailed with the code where it is refused."""
        call = self._name(caller, called, "inbound")
        reply = await self.hook(self.form(f"/services/{self.name}/voice", self.fields(call, "ringing")))
        if self._why(reply):
            raise DialFailed(_REFUSED.get(self._why(reply), 480), "the call was refused")
        await self._carry_out(call, reply)
        return self.caller(self.ends[call])

    async def call_in_words(self, *, caller: str = "+15550001111", called: str = "+15552223333") -> WordCaller:
        """Call the agent by a way of words; give the caller once it has answered. DialFailed where it is refused."""
        call = self._name(caller, called, "inbound")
        reply = await self.hook(self.form(f"/services/{self.name}/voice", self.fields(call, "ringing")))
        if self._why(reply):
            raise DialFailed(_REFUSED.get(self._why(reply), 480), "the call was refused")
        if self.way == "turns":
            turns = self.people[call] = TurnCaller()
            self._spawn(call, self._carry_out(call, reply))
            return turns
        await self._carry_out(call, reply)
        return self.people[call]

    async def api(self, order: ApiCall) -> ApiReply:
        """Do what the API is asked."""
        assert order.headers["authorization"].startswith(self.asks), "no account"
        asked = dict(parse_qsl(order.body.decode(), keep_blank_values=True))
        path = unquote(urlsplit(order.url).path.removesuffix(".json"))
        if path.endswith("/Calls"):
            return self._places(asked)
        if "/Recordings" in path:
            return self._records(order.method, path, asked)
        call = path.rpartition("/")[2]
        if (person := self.people.get(call)) is not None and not person.over:
            self._changes(call, person, asked)
            return ApiReply(200, json.dumps({"sid": call}).encode())
        end = self.ends.get(call)
        ringing = self._ringing.pop(call, None)
        if ringing is not None and asked.get("Status") == "completed":
            self._running[call].cancel()
            self._spawn(call, self._tells(call, ringing, "canceled", 3))
            return ApiReply(200, json.dumps({"sid": call}).encode())
        if end is None or end.over:
            return ApiReply(404, json.dumps({"code": 20404, "status": 404}).encode())
        if asked.get("Status") == "completed":
            self._over(end)
        elif self.document_field in asked:
            self.close_socket(end)
            self._spawn(call, self._carry_out(call, Response(200, asked[self.document_field].encode(), "text/xml")))
        return ApiReply(200, json.dumps({"sid": call}).encode())

    def _records(self, method: str, path: str, asked: Mapping[str, str]) -> ApiReply:
        place, _, name = path.partition("/Recordings")
        call, name = place.partition("/Calls/")[2], name.strip("/")
        if call and not name:
            up = self.ends.get(call) or self.people.get(call)
            if up is None or up.over:
                return ApiReply(404)
            name = f"RE{len(self.recordings) + 1:032x}"
            self._recorded[name] = (call, asked["RecordingStatusCallback"])
            self.recordings[name] = "in-progress"
            return ApiReply(201, json.dumps({"sid": name, "status": "in-progress"}).encode())
        if name == "Twilio.CURRENT" and self.name == "twilio":
            name = next((one for one, (whose, _) in self._recorded.items() if whose == call), "")
        if name not in self.recordings:
            return ApiReply(404)
        if method == "DELETE":
            del self.recordings[name]
            return ApiReply(204)
        if status := asked.get("Status"):
            self.recordings[name] = status
            if status == "stopped":
                self._spawn(f"{call} {name}", self._has_recorded(name))
        return ApiReply(200, json.dumps({"sid": name, "status": self.recordings[name]}).encode())

    async def _has_recorded(self, name: str) -> None:
        call, news = self._recorded[name]
        said = {"CallSid": call, "RecordingSid": name, "RecordingStatus": "completed", "RecordingDuration": "3"}
        url = f"https://elsewhere.example/Recordings/{name}"
        await self.hook(self.form(urlsplit(news).path, {**said, "RecordingUrl": url}))

    def _changes(self, call: str, person: WordCaller, asked: Mapping[str, str]) -> None:
        """End a call in words, or have it go on with another document: then its socket ends, `action` is not asked."""
        if asked.get("Status") == "completed":
            self._spawn(f"{call} over", self._gone(call, person))
        elif self.document_field in asked and isinstance(person, RelayCaller):
            self._moving.add(call)
            person.relay.hangs_up()
            self._spawn(call, self._carry_out(call, Response(200, asked[self.document_field].encode(), "text/xml")))

    def _places(self, asked: Mapping[str, str]) -> ApiReply:
        line = self.lines.get(asked["To"], "answers")
        if line == "silent":
            raise Unreachable(f"{self.name}: its API does not answer")
        if line == "invalid":
            return ApiReply(400, json.dumps({"code": 21211, "status": 400, "message": "Invalid 'To'"}).encode())
        call = self._name(asked["From"], asked["To"], "outbound-api")
        self._ringing[call] = asked["StatusCallback"]
        self._spawn(call, self._rings(call, line, asked))
        return ApiReply(201, json.dumps({"sid": call, "status": "queued"}).encode())

    async def _rings(self, call: str, line: str, asked: Mapping[str, str]) -> None:
        news = asked["StatusCallback"]
        await self._tells(call, news, "ringing", 1)
        await asyncio.sleep(float(asked["Timeout"]) if line == "rings" else 2.0)
        self._ringing.pop(call, None)
        if line != "answers":
            await self._tells(call, news, "no-answer" if line == "rings" else line, 2)
            return
        await self._tells(call, news, "in-progress", 2)
        found: dict[str, str] = {}
        if "MachineDetection" in asked and "AsyncAmd" not in asked:
            await asyncio.sleep(LISTEN_S)
            found = {"AnsweredBy": self.answerers.get(asked["To"], "unknown")}
        reply = await self.hook(self.form(urlsplit(asked["Url"]).path, self.fields(call, "in-progress", **found)))
        await self._carry_out(call, reply)
        if "AsyncAmd" in asked:
            await asyncio.sleep(LISTEN_S)
            said = {
                "CallSid": call,
                "AccountSid": self.account,
                "AnsweredBy": self.answerers.get(asked["To"], "unknown"),
            }
            await self.hook(self.form(urlsplit(asked["AsyncAmdStatusCallback"]).path, said))

    async def _tells(self, call: str, news: str, status: str, number: int) -> None:
        await self.hook(self.form(urlsplit(news).path, self.fields(call, status, SequenceNumber=str(number))))

    async def hung_up(self, end: FarEnd) -> None:
        """Tell our side that the caller has hung up."""
        await self.socket_ends(end)

    async def left_alone(self, end: FarEnd) -> None:
        """Go on behind <Connect>: ask its `action` what next."""
        call = str(end.info.id)
        action = self._resume.get(call, "")
        if action and not end.over:
            reply = await self.hook(self.form(urlsplit(action).path, self.fields(call, "in-progress")))
            await self._carry_out(call, reply)
        elif not end.over:
            self._over(end)

    # TwiML

    async def _carry_out(self, call: str, reply: Response) -> None:
        assert reply.status == 200, f"the webhook was answered {reply.status}"
        document = ET.fromstring(reply.body)  # noqa: S314 - our own side wrote it
        assert document.tag == "Response", "no TwiML"
        for verb in document:
            match verb.tag:
                case "Connect" if verb.find("ConversationRelay") is not None:
                    self._relay(call, verb)
                    return
                case "Connect":
                    self._connect(call, verb)
                    return
                case "Say" if isinstance(person := self.people.get(call), TurnCaller):
                    await person.hear(verb.text or "", interruptible=False)
                case "Gather" if isinstance(person := self.people.get(call), TurnCaller):
                    if await self._gathers(call, verb, person):
                        return
                case "Redirect":
                    path = urlsplit((verb.text or "").strip()).path
                    reply = await self.hook(self.form(path, self.fields(call, "in-progress")))
                    return await self._carry_out(call, reply)
                case "Dial":
                    await self._dials(call, verb)
                    return
                case "Reject" | "Hangup":
                    break
                case "Start" | "Pause" | "Say" | "Play":
                    pass
                case other:
                    raise AssertionError(f"the fake carries out no {other}")
        if (end := self.ends.get(call)) is not None:
            self._over(end)
        if (person := self.people.get(call)) is not None:
            await self._gone(call, person)

    async def _gathers(self, call: str, verb: ET.Element, person: TurnCaller) -> bool:
        """Speak, hear, and bring what came to the `action`; whether that was done."""
        for said in verb.findall("Say"):
            await person.hear(said.text or "", interruptible=True)
        found = await person.input(float(verb.attrib.get("timeout", "5")))
        if person.over:
            await self._gone(call, person)
            return True
        kind, what = found or ("", "")
        if not found and verb.attrib.get("actionOnEmptyResult") != "true":
            return False
        more = {"SpeechResult": what, "Confidence": "0.9"} if kind == "said" else {"Digits": what} if kind else {}
        if kind == "said":
            await asyncio.sleep(0.8)  # until it is clear that no more is said
        path = urlsplit(verb.attrib["action"]).path
        reply = await self.hook(self.form(path, self.fields(call, "in-progress", **more)))
        await self._carry_out(call, reply)
        return True

    def _relay(self, call: str, verb: ET.Element) -> None:
        relay = verb.find("ConversationRelay")
        assert relay is not None
        url, action = relay.attrib["url"], urlsplit(verb.attrib.get("action", "")).path
        found = self.board.socket(self.name, url.rpartition("/")[2], self.handshake(url))
        assert not isinstance(found, Response), f"the socket was refused with {found.status}"

        def lost() -> None:
            found.closed()
            if call in self._moving:
                self._moving.discard(call)
            else:
                self._spawn(f"{call} after", self._after_relay(call, action))

        session = FakeRelay(found.heard, lost)
        known = self.people.get(call)
        if isinstance(known, RelayCaller):
            known.goes_on(session)
        else:
            self.people[call] = RelayCaller(session)
        found.opened(session)
        caller, called, direction = self._numbers[call]
        session.connects(call, **{"from": caller, "to": called, "direction": direction.partition("-")[0]})
        session.on_close = lost

    async def _after_relay(self, call: str, action: str) -> None:
        said = self.fields(call, "in-progress", SessionStatus="ended")
        await self._carry_out(call, await self.hook(self.form(action, said)))

    async def _gone(self, call: str, person: WordCaller) -> None:
        """End a call in words, and tell."""
        if isinstance(person, RelayCaller | TurnCaller):
            person.ended = True
        await self.hook(self.form(f"/services/{self.name}/status", self.fields(call, "completed", SequenceNumber="9")))

    def _connect(self, call: str, verb: ET.Element) -> None:
        stream = verb.find("Stream")
        assert stream is not None, "a <Connect> to nothing"
        url = stream.attrib["url"]
        assert url.startswith(("wss://", "ws://127.0.0.1")), "Twilio opens wss alone"
        assert "?" not in url, "Twilio drops a query"
        self._resume[call] = verb.attrib.get("action", "")
        tongue = self.tongue(call)
        if isinstance(tongue, TwilioTongue):
            tongue.parameters = {one.attrib["name"]: one.attrib["value"] for one in stream.findall("Parameter")}
        self.dial_socket(call, tongue, self.handshake(url))

    async def _dials(self, call: str, verb: ET.Element) -> None:
        target = next(iter(verb))
        outcome = self.lines.get((target.text or "").strip(), "answers")
        await asyncio.sleep(1.0)
        if outcome == "answers":
            news = target.attrib.get("statusCallback", "")
            if news:
                leg = {**self.fields(call, "in-progress"), "ParentCallSid": call, "CallSid": f"{call}-target"}
                await self.hook(self.form(urlsplit(news).path, leg))
            await asyncio.sleep(5.0)
            outcome = "completed"
        action = verb.attrib["action"]
        said = self.fields(call, "in-progress", DialCallStatus=outcome)
        await self._carry_out(call, await self.hook(self.form(urlsplit(action).path, said)))

    # The rest

    def named(self, number: int) -> str:
        """Give the name of a new call."""
        return f"CA{number:032x}"

    def _name(self, caller: str, called: str, direction: str) -> str:
        self._calls += 1
        call = self.named(self._calls)
        self._numbers[call] = (caller, called, direction)
        return call

    @staticmethod
    def _why(reply: Response) -> str:
        verb = next(iter(ET.fromstring(reply.body)), None)  # noqa: S314 - our own side wrote it
        return verb.attrib.get("reason", "") if verb is not None else ""

    def _over(self, end: FarEnd) -> None:
        self.close_socket(end)
        end.finish()

    def _spawn(self, call: str, work: Any) -> None:
        self._running[call] = asyncio.get_running_loop().create_task(work, name=f"{self.name} {call}")
