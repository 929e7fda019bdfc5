"""The fake link: a user agent under test, and a far end that speaks by hand or is a user agent itself."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from offhook.core.instants import MILLISECOND
from offhook.core.media import Address
from offhook.sip.message import Request, Response, parse_message
from offhook.sip.offer import answer_offer, make_offer
from offhook.sip.outcomes import Flow, IncomingCall, Outcome, Send
from offhook.sip.sdp import Session, parse_sdp
from offhook.sip.useragent import FATES, Settings, UserAgent

US: Address = ("192.0.2.1", 5060)
THEM: Address = ("192.0.2.9", 5070)

SDP = (
    b"v=0\r\no=- 7 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n"
    b"m=audio 4000 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
    b"a=rtpmap:101 telephone-event/8000\r\n"
)


def our_answer(offer: Session, version: int = 1) -> Session:
    return answer_offer(offer, address=US[0], port=10000, session_id=1, version=version)[0]


def our_offer(version: int = 1) -> Session:
    return make_offer(address=US[0], port=10000, session_id=1, version=version)


class Far:
    """A far end that writes its messages by hand. `sent` is all that the agent sent, `told` all that it told."""

    def __init__(self, transport: str = "udp", settings: Settings | None = None, connection: int = 0) -> None:
        self.agent = UserAgent(rng=random.Random(7), settings=settings or Settings())
        self.flow = Flow(transport, US, THEM, connection)
        self.now = 0
        self.sent: list[Request | Response] = []
        self.flows: list[Flow] = []
        self.told: list[Outcome] = []
        self._branch = 0

    # --- what the agent does

    def gather(self) -> list[Request | Response]:
        """Take what came out; give the messages among it."""
        fresh: list[Request | Response] = []
        while outcomes := self.agent.take():
            for outcome in outcomes:
                if isinstance(outcome, Send):
                    message = parse_message(outcome.data)
                    assert bytes(message) == outcome.data
                    fresh.append(message)
                    self.flows.append(outcome.flow)
                else:
                    self.told.append(outcome)
        self.sent += fresh
        return fresh

    def say(self, data: bytes) -> list[Request | Response]:
        """Send the agent a datagram."""
        self.agent.receive(self.now, data, self.flow)
        return self.gather()

    def order(self, verb: Callable[..., object], *args: object, **more: object) -> list[Request | Response]:
        """Give the agent an order."""
        verb(self.now, *args, **more)
        return self.gather()

    def wait(self, ms: float) -> list[Request | Response]:
        """Let time pass, firing every timer at its instant."""
        end = self.now + round(ms * MILLISECOND)
        fresh: list[Request | Response] = []
        while (due := self.agent.deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            self.agent.expire(self.now)
            fresh += self.gather()
        self.now = end
        return fresh

    def codes(self) -> list[int]:
        return [message.code for message in self.sent if isinstance(message, Response)]

    def ended(self) -> list[Outcome]:
        return [outcome for outcome in self.told if type(outcome).__name__ == "Ended"]

    def fates(self) -> dict[str, int]:
        """The counters that received datagrams ended in; they must sum to what was received."""
        counters = self.agent.counters()
        fates = {name: count for name, count in counters.items() if name.startswith(FATES)}
        assert sum(fates.values()) == counters["received"], counters
        return fates

    # --- what the far end says

    def branch(self) -> str:
        self._branch += 1
        return f"z9hG4bK-far-{self._branch}"

    def request(
        self,
        method: str,
        *,
        seq: int = 1,
        branch: str | None = None,
        to_tag: str = "",
        from_tag: str = "far",
        call_id: str = "call-1",
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
        uri: str = "sip:service@192.0.2.1",
        via: str = "",
        without: tuple[str, ...] = (),
    ) -> Request:
        sent_by = via or f"SIP/2.0/{self.flow.transport.upper()} {THEM[0]}:{THEM[1]}"
        fields = [
            ("Via", f"{sent_by};branch={branch or self.branch()}"),
            ("Max-Forwards", "70"),
            ("From", f"Far <sip:far@192.0.2.9>;tag={from_tag}"),
            ("To", "<sip:service@192.0.2.1>" + (f";tag={to_tag}" if to_tag else "")),
            ("Call-ID", call_id),
            ("CSeq", f"{seq} {method}"),
            ("Contact", "<sip:far@192.0.2.9:5070>"),
        ]
        replaced = {name for name, _ in headers}
        fields = [field for field in fields if field[0] not in replaced and field[0] not in without]
        fields += headers
        if body and "Content-Type" not in replaced:
            fields.append(("Content-Type", "application/sdp"))
        return Request(tuple(fields), body, method, uri)

    def rings(self, body: bytes = SDP, **more: object) -> IncomingCall:
        """Call the agent; give the call."""
        self.say(bytes(self.request("INVITE", body=body, **more)))  # type: ignore[arg-type]
        incoming = self.told[-1]
        assert isinstance(incoming, IncomingCall)
        return incoming

    def tag(self) -> str:
        """The agent's tag in the last response that has one."""
        for message in reversed(self.sent):
            if isinstance(message, Response) and "tag=" in message.index["To"]:
                return message.index["To"].partition("tag=")[2]
        raise AssertionError("no tag was seen")

    def answered(self, **more: object) -> IncomingCall:
        """Call the agent and let it answer; the ACK is still out."""
        call = self.rings(**more)  # type: ignore[arg-type]
        body = our_answer(call.offer) if call.offer is not None else our_offer()
        self.order(self.agent.answer, call.call, body)
        return call

    def acks(self, seq: int = 1, **more: object) -> list[Request | Response]:
        return self.say(bytes(self.request("ACK", seq=seq, to_tag=self.tag(), **more)))  # type: ignore[arg-type]

    def up(self, **more: object) -> IncomingCall:
        """Have a call with the agent."""
        call = self.answered(**more)
        self.acks()
        return call

    def asks(self, method: str, seq: int, **more: object) -> list[Request | Response]:
        """Send a request inside the dialog."""
        return self.say(bytes(self.request(method, seq=seq, to_tag=self.tag(), **more)))  # type: ignore[arg-type]

    # --- what the far end answers

    def responds(
        self,
        request: Request,
        code: int,
        *,
        tag: str = "far",
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
    ) -> list[Request | Response]:
        """Answer a request of the agent's."""
        fields = [(name, value) for name, value in request.headers if name in ("Via", "From", "Call-ID", "CSeq")]
        to = request.index["To"]
        fields.append(("To", to if "tag=" in to or not tag else f"{to};tag={tag}"))
        if 200 <= code < 300 and request.method == "INVITE" and "Contact" not in dict(headers):
            fields.append(("Contact", "<sip:far@192.0.2.9:5070>"))
        fields += headers
        if body:
            fields.append(("Content-Type", "application/sdp"))
        return self.say(bytes(Response(tuple(fields), body, code, "")))

    def answers(self, request: Request, **more: object) -> list[Request | Response]:
        """Answer an INVITE of the agent's with 200."""
        return self.responds(request, 200, body=SDP, **more)  # type: ignore[arg-type]


class Pair:
    """Two user agents and a link between them that delivers at once, or loses what `lose` says."""

    def __init__(self) -> None:
        self.ends: dict[Address, UserAgent] = {
            US: UserAgent(rng=random.Random(1), settings=Settings(user="us")),
            THEM: UserAgent(rng=random.Random(2), settings=Settings(user="them")),
        }
        self.now = 0
        self.told: dict[Address, list[Outcome]] = {US: [], THEM: []}
        self.wire: list[tuple[Address, bytes]] = []
        self.lose: Callable[[int, bytes], bool] = lambda number, data: False

    def settle(self) -> None:
        """Carry what the ends send until both are quiet."""
        busy = True
        while busy:
            busy = False
            for address, end in self.ends.items():
                for outcome in end.take():
                    busy = True
                    if not isinstance(outcome, Send):
                        self.told[address].append(outcome)
                        continue
                    self.wire.append((address, outcome.data))
                    if not self.lose(len(self.wire), outcome.data):
                        other = self.ends[outcome.flow.remote]
                        other.receive(self.now, outcome.data, Flow("udp", outcome.flow.remote, address))

    def wait(self, ms: float) -> None:
        end = self.now + round(ms * MILLISECOND)
        self.settle()
        while True:
            due = [at for at in [agent.deadline() for agent in self.ends.values()] if at is not None and at <= end]
            if not due:
                break
            self.now = max(self.now, min(due))
            for agent in self.ends.values():
                agent.expire(self.now)
            self.settle()
        self.now = end


@pytest.fixture
def far() -> Far:
    return Far()


@pytest.fixture
def far_with() -> Callable[..., Far]:
    """Make a far end with another transport or other settings."""
    return Far


@pytest.fixture
def pair() -> Pair:
    return Pair()


@pytest.fixture
def bodies() -> Callable[[str], Session]:
    """`bodies("offer")`, `bodies("answer")`: a description of ours."""

    def make(which: str) -> Session:
        return our_offer() if which == "offer" else our_answer(parse_sdp(SDP))

    return make


@pytest.fixture
def quick() -> Settings:
    """Settings that ring only when told."""
    return replace(Settings(), ring_at_once=False)
