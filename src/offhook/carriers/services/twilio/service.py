"""A service whose calls are ruled by TwiML: Twilio, and those that took it over.

    webhook ─► verify ─► hook ─► Offered ─► connect ─► <Connect><Stream/></Connect>
    hang_up, transfer, dial ─► Calls

What services of this kind do not share are values: how they sign, what their sockets speak, where their API is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from offhook.carriers.services.http import ApiCall, ApiReply, Request, Response
from offhook.carriers.services.recording import Step
from offhook.carriers.services.service import Answer, Asked, Handed, Left, Links, News, Offered, Placement
from offhook.carriers.services.stream import Dialect
from offhook.carriers.services.twilio import documents, hooks
from offhook.carriers.services.twilio.api import Calls, begun, placed
from offhook.carriers.services.twilio.documents import connect, hangup, record_call, refer, reject, stream
from offhook.carriers.services.xml import Tag, answer
from offhook.core.carriage import Carriage
from offhook.core.errors import ProtocolError

Prove = Callable[[Request, str, float], None]
"""Checks that a request is the service's; takes it, our public address and the time (s). Unsigned where it is not."""


@dataclass(frozen=True, slots=True)
class TwimlService:
    """One account.

    `takes_documents`: the API can be given one; else it is told where to ask. `records`: the service records each call,
    too. `refers`: hand calls on by REFER, which only those can that came by SIP. `streaming`: attributes of <Stream>
    that only this service has, by the socket's URL.
    """

    name: str
    carriage: Carriage
    api: str
    prove: Prove = field(repr=False)
    speaks: Callable[[], Dialect] = field(repr=False)
    calls: Calls
    takes_documents: bool = True
    records: bool = False
    refers: bool = False
    streaming: Callable[[str], Mapping[str, str]] = field(default=lambda media: {}, repr=False)

    def verify(self, request: Request, base: str, now_s: float) -> None:
        """Check that a webhook or a socket's opening is the service's. Unsigned where it is not."""
        self.prove(request, base, now_s)

    def hook(self, kind: str, request: Request) -> Sequence[News]:
        """Read a verified webhook. ProtocolError where it makes no sense."""
        said = hooks.fields(request)
        if kind == "dial" and not self.takes_documents:
            return self._asked(said.get("CallSid", ""), dict(request.asked()))
        return hooks.read(kind, said)

    @staticmethod
    def _asked(call: str, ours: Mapping[str, str]) -> Sequence[News]:
        """Read what we have written into the query ourselves: it is signed, as the rest of the URL."""
        if not call or not ours.get("to") or not ours.get("hook"):
            raise ProtocolError("it names no call, or no target", 400)
        return (Asked(call, ours["to"], ours.get("caller", ""), ours["hook"]),)

    def connect(self, offered: Offered, links: Links) -> Answer:
        """Take a call: its audio comes to `links.media`; when that socket ends, `after` is asked what next."""
        ours = stream(links.media, news=f"{links.hook}/stream", more=self.streaming(links.media))
        return self.joined(ours, links)

    def joined(self, socket: Tag, links: Links) -> Answer:
        """Answer with a socket that the call is brought to, recorded from here on where it is to be."""
        recording = (record_call(f"{links.hook}/recording"),) if self.records else ()
        return Answer(answer(*recording, connect(socket, f"{links.hook}/after")))

    def refuse(self, offered: Offered, code: int) -> Answer:
        """Refuse a call; one that is answered already, since we placed it, is ended."""
        if offered.direction == "outbound":
            return Answer(answer(hangup()))
        return Answer(answer(reject("busy" if code in (486, 600) else "rejected")))

    def heed(self, news: News | None) -> Response:
        """Answer a webhook that asks for nothing. Where a document is asked for, an empty one ends the call."""
        if isinstance(news, Asked):
            return answer(self._handing(news.target, news.caller, f"{news.hook}/transfer"))
        return answer(hangup()) if isinstance(news, (Left, Handed)) else answer()

    def dialect(self) -> Dialect:
        """Give what one media socket speaks."""
        return self.speaks()

    def hang_up(self, call: str) -> Sequence[ApiCall]:
        """End a call."""
        return (self.calls.hang_up(call),)

    def transfer(self, call: str, target: str, caller: str, links: Links) -> Sequence[ApiCall]:
        """Hand a call's far end on; `transfer` hears that the target has answered, and how it ended."""
        if not self.takes_documents:
            ours = urlencode({"to": target, "caller": caller, "hook": links.hook}, errors="replace")
            return (self.calls.go_on_at(call, f"{links.hook}/dial?{ours}"),)
        return (self.calls.go_on(call, self._handing(target, caller, f"{links.hook}/transfer")),)

    def _handing(self, target: str, caller: str, news: str) -> Tag:
        if self.refers and target.lower().startswith(("sip:", "sips:")):
            return refer(target, news)
        return documents.dial(documents.target(target, news=news), news, caller=caller)

    def dial(self, placement: Placement, links: Links) -> ApiCall:
        """Place a call."""
        return self.calls.create(placement, links)

    def record(self, call: str, step: Step, recording: str, news: str) -> ApiCall | None:
        """Do a step with the recording of a call; None where it has no name."""
        return self.calls.record(call, step, recording, news)

    def begun(self, reply: ApiReply) -> str:
        """Read how a recording that was begun is called; "" where it is not said."""
        return begun(reply)

    def look_up(self, recording: str) -> ApiCall:
        """Ask what is known of a recording."""
        return self.calls.recording("GET", recording)

    def erase(self, recording: str) -> ApiCall:
        """Have a recording deleted."""
        return self.calls.recording("DELETE", recording)

    def authorize(self, call: ApiCall, now_s: float, nonce: str) -> ApiCall:
        """Give the request as it is: its proof is the same for each."""
        return call

    def placed(self, reply: ApiReply) -> str:
        """Read how a call that was placed is called. DialFailed with the code where it was refused."""
        return placed(reply)
