"""A fake of OpenAI's SIP way in: a signed webhook, the API that takes and ends calls, and the socket of each call.

    call ─► realtime.call.incoming ─► accept ─► our socket: caller.says ─► speech_started … transcription.completed
    response.create ─► read out at a letter's pace ─► caller.heard      output_audio_buffer.clear ─► it stops

`reads` is what its model says for a text: that text, where it is true to it. `refused` are responses that it does not
make, by their number. It takes one response at a time: two would sound at once.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from offhook.carriers.services.http import ApiCall, ApiReply, Request
from offhook.carriers.services.openai_sip import OpenAiAccount, OpenAiSip, sign
from offhook.carriers.services.service import Service
from offhook.carriers.services.stream import Frame
from offhook.core.errors import CallEnded, DialFailed, Unreachable
from offhook.run.services import Listener
from offhook.testing.carriers.farend import FarEnd, Tongue
from offhook.testing.carriers.service import FakeService
from offhook.testing.carriers.taken import Taken
from offhook.testing.carriers.words import LETTER_S, WordCaller
from offhook.testing.spelled import fold

SECRET: Final = "whsec_YSBmYWtlIHNlY3JldCBvZiBhIGZha2U="  # noqa: S105 - of a fake
KEY: Final = "sk-a-fake-key"

UNDERSTOOD_S: Final = 0.4
"""How long behind the end of speech its words are there."""

MADE_S: Final = 0.3
"""How long the first sound of a response takes."""


@dataclass
class _Speech:
    """A response that sounds."""

    name: str
    text: str
    began_s: float
    whole: bool = False


class OpenAiCaller(WordCaller):
    """A caller whom OpenAI hears and speaks to."""

    def __init__(self, fake: FakeOpenAi, call: str) -> None:
        super().__init__()
        self.call = call
        self.ended = False
        self.items = 0
        self._fake = fake
        self.past = ""
        self.speech: _Speech | None = None

    @property
    def heard(self) -> str:
        """All that was spoken."""
        return fold(f"{self.past} {self.part()}")

    def part(self) -> str:
        """Give what was heard of what sounds now."""
        if self.speech is None:
            return ""
        passed_s = asyncio.get_running_loop().time() - self.speech.began_s
        return self.speech.text[: max(0, int(passed_s / LETTER_S + 1e-6))]

    @property
    def over(self) -> bool:
        """Whether the call has ended."""
        return self.ended

    @property
    def speaking(self) -> bool:
        """Whether something is being said."""
        return self.speech is not None

    async def says(self, text: str) -> None:
        """Say words, over ours if they are being spoken."""
        if self.over:
            raise CallEnded("the call is over")
        self.items += 1
        item = f"item_{self.items}"
        self._fake.tell(self, "input_audio_buffer.speech_started", audio_start_ms=0, item_id=item)
        await asyncio.sleep(len(text) * LETTER_S)
        self._fake.tell(self, "input_audio_buffer.speech_stopped", audio_end_ms=0, item_id=item)
        await asyncio.sleep(UNDERSTOOD_S)
        usage = {"type": "duration", "seconds": 1.0}
        kind = "conversation.item.input_audio_transcription.completed"
        self._fake.tell(self, kind, item_id=item, content_index=0, transcript=text, usage=usage)

    def presses(self, keys: str) -> None:
        """Press keys."""
        for key in keys:
            self._fake.tell(self, "input_audio_buffer.dtmf_event_received", event=key, received_at=1_750_000_000)

    async def hangs_up(self) -> None:
        """Go: OpenAI closes the socket."""
        self._fake.end(self)


class FakeOpenAi(FakeService):
    """A project at a fake OpenAI."""

    commanded = True

    def __init__(
        self,
        app: Any,
        *,
        reads: Callable[[str], str] = lambda text: text,
        refused: frozenset[int] = frozenset(),
        **options: Any,
    ) -> None:
        super().__init__(app, **options)
        self.secrets = {"OPENAI_API_KEY": KEY, "OPENAI_WEBHOOK_SECRET": SECRET}
        self.reads = reads
        self.refused = refused
        self.people: dict[str, OpenAiCaller] = {}
        """The callers, by OpenAI's name of the call."""
        self.codes: dict[str, int] = {}
        """Why calls were refused."""
        self.referred: list[str] = []
        self.dead_ends = False
        """Whether the trunk takes no REFER."""
        self.deaf = 0
        """How many times it opens no socket yet."""
        self.sockets: dict[str, Taken] = {}
        self.shown: list[dict[str, Any]] = []
        """All events that were told."""
        self.taken: list[dict[str, Any]] = []
        """All events that our side has sent."""
        self.sessions: list[dict[str, Any]] = []
        """What calls were accepted with."""
        self._responses = 0

    def service(self) -> Service:
        """Give our project at it."""
        return OpenAiSip(OpenAiAccount(KEY, SECRET))

    def tongue(self, call: str) -> Tongue:
        """Have no media socket."""
        raise AssertionError("OpenAI brings no audio")

    def webhook(self, call: str, caller: str, called: str) -> Request:
        """Make the signed webhook that offers a call."""
        sent = {"From": f"<sip:{caller}@trunk.example>;tag=1", "To": f"<sip:{called}@sip.api.openai.com>"}
        headers = [{"name": name, "value": value} for name, value in sent.items()]
        event = {"id": f"evt_{call}", "object": "event", "type": "realtime.call.incoming", "created_at": 1_750_000_000}
        body = json.dumps({**event, "data": {"call_id": call, "sip_headers": headers}}).encode()
        at_s = int(self.wall_s)
        signed = {"webhook-id": f"wh_{call}", "webhook-timestamp": str(at_s)}
        signature = sign(SECRET, f"wh_{call}", at_s, body)
        return Request("POST", "/services/openai/voice", {**signed, "webhook-signature": signature}, body)

    async def call(self, *, caller: str = "+15550001111", called: str = "+15552223333") -> Any:
        """Call the agent; give the caller once it has answered. DialFailed with the code where it is refused."""
        call = f"rtc_{len(self.people) + len(self.codes) + 1}"
        person = self.people[call] = OpenAiCaller(self, call)
        reply = await self.hook(self.webhook(call, caller, called))
        assert (reply.status, reply.body) == (200, b""), "a webhook is answered with nothing"
        if call in self.codes:
            del self.people[call]
            raise DialFailed(self.codes[call], "the call was refused")
        return person

    async def api(self, order: ApiCall) -> ApiReply:
        """Do what the API is asked."""
        assert order.headers["authorization"] == f"Bearer {KEY}", "no key"
        path = urlsplit(order.url).path
        if "/models/" in path:
            return ApiReply(200, b"{}")
        name, verb = path.partition("/realtime/calls/")[2].split("/")
        call, asked = unquote(name), json.loads(order.body)
        person = self.people.get(call)
        if person is None or person.over:
            return ApiReply(404, b'{"error":{"code":"call_id_not_found"}}')
        match verb:
            case "accept":
                self.sessions.append(asked)
            case "reject":
                self.codes[call] = asked["status_code"]
            case "hangup":
                self.end(person)
            case "refer":
                self.referred.append(asked["target_uri"])
                if not self.dead_ends:
                    asyncio.get_running_loop().call_later(1.0, self.end, person)
            case _:
                raise AssertionError(f"the fake knows no {verb}")
        return ApiReply(200)

    # The socket of a call

    async def dialled(self, order: ApiCall, listener: Listener) -> None:
        """Let our side hold the socket of a call that it has accepted."""
        assert order.headers["authorization"] == f"Bearer {KEY}", "no key"
        [call] = parse_qs(urlsplit(order.url).query)["call_id"]
        assert urlsplit(order.url).path.endswith("/realtime")
        if self.deaf:
            self.deaf -= 1
            raise Unreachable("a fake that is deaf")
        person = self.people[call]
        taken = self.sockets[call] = Taken(listener, self.rtt_s, lambda frame: self._read(person, frame))
        self.tell(person, "session.created", session=self.sessions[-1])
        await taken.lives()

    def tell(self, person: OpenAiCaller, type: str, **more: Any) -> None:
        """Tell an event of a call."""
        event = {"type": type, "event_id": f"event_{len(self.shown)}", **more}
        self.shown.append(event)
        taken = self.sockets.get(person.call)
        if taken is not None:
            taken.tell(json.dumps(event))

    def end(self, person: OpenAiCaller) -> None:
        """End a call: its socket is closed."""
        if not person.ended:
            self.silence(person)
            person.ended = True
            taken = self.sockets.get(person.call)
            if taken is not None:
                taken.end()

    def silence(self, person: OpenAiCaller) -> _Speech | None:
        """Have nothing sound any more; give what did."""
        speech = person.speech
        if speech is not None:
            person.past, person.speech = f"{person.past} {person.part()}", None
        return speech

    def _read(self, person: OpenAiCaller, frame: Frame) -> None:
        asked = json.loads(frame)
        self.taken.append(asked)
        match asked["type"]:
            case "response.create":
                self._speaks(person, asked)
            case "response.cancel":
                speech = person.speech
                if speech is None or speech.whole or speech.name != asked["response_id"]:
                    error = {"type": "invalid_request_error", "code": "response_cancel_not_active", "message": "none"}
                    self.tell(person, "error", error=error)
                else:
                    self._done(person, speech, "cancelled", {"type": "cancelled", "reason": "client_cancelled"})
            case "output_audio_buffer.clear":
                speech = self.silence(person)
                if speech is not None:
                    self.tell(person, "output_audio_buffer.cleared", response_id=speech.name)
            case other:
                raise AssertionError(f"OpenAI knows no {other}")

    def _speaks(self, person: OpenAiCaller, asked: dict[str, Any]) -> None:
        self._responses += 1
        response, name = asked["response"], f"resp_{self._responses}"
        assert person.speech is None, "two responses would sound at once"
        assert response["conversation"] == "none"
        [said] = response["input"]
        if self._responses in self.refused:
            error = {"type": "server_error", "message": "no", "event_id": asked["event_id"]}
            self.tell(person, "error", error=error)
            return
        now_s = asyncio.get_running_loop().time()
        text = self.reads(said["content"][0]["text"])
        speech = person.speech = _Speech(name, text, now_s + MADE_S)
        made = {"id": name, "object": "realtime.response", "metadata": response["metadata"]}
        self.tell(person, "response.created", response={**made, "status": "in_progress", "output": []})
        loop = asyncio.get_running_loop()
        loop.call_later(MADE_S, self._sounds, person, speech)
        loop.call_later(MADE_S + 0.25 * len(text) * LETTER_S, self._made, person, speech)
        loop.call_later(MADE_S + len(text) * LETTER_S, self._sounded, person, speech)

    def _sounds(self, person: OpenAiCaller, speech: _Speech) -> None:
        if person.speech is speech and not person.over:
            about = {"response_id": speech.name, "item_id": f"i_{speech.name}", "output_index": 0, "content_index": 0}
            self.tell(person, "output_audio_buffer.started", response_id=speech.name)
            self.tell(person, "response.output_audio_transcript.delta", delta=speech.text[:10], **about)

    def _made(self, person: OpenAiCaller, speech: _Speech) -> None:
        if person.speech is speech and not person.over:
            about = {"response_id": speech.name, "item_id": f"i_{speech.name}", "output_index": 0, "content_index": 0}
            self.tell(person, "response.output_audio_transcript.delta", delta=speech.text[10:], **about)
            self.tell(person, "response.output_audio_transcript.done", transcript=speech.text, **about)
            self._done(person, speech, "completed", None)

    def _done(self, person: OpenAiCaller, speech: _Speech, status: str, why: dict[str, str] | None) -> None:
        speech.whole = True
        response = {"id": speech.name, "object": "realtime.response", "status": status, "status_details": why}
        self.tell(person, "response.done", response={**response, "output": []})

    def _sounded(self, person: OpenAiCaller, speech: _Speech) -> None:
        if person.speech is speech and not person.over:
            self.silence(person)
            self.tell(person, "output_audio_buffer.stopped", response_id=speech.name)

    async def hung_up(self, end: FarEnd) -> None:
        """Have no far end with sound."""

    async def left_alone(self, end: FarEnd) -> None:
        """Have no far end with sound."""
