"""Fuzz the reader of SIP messages, and a whole user agent behind it. See `oracle`."""

from __future__ import annotations

import random
from collections import Counter

import atheris
from oracle import fuzz, planted

with atheris.instrument_imports(include=["offhook.sip", "offhook.core"]):  # pyright: ignore[reportAttributeAccessIssue]
    from offhook.core.errors import ProtocolError
    from offhook.sip.body import description, fragment
    from offhook.sip.identity import Believed, called, identity
    from offhook.sip.message import Request, Response, parse_message
    from offhook.sip.outcomes import Flow
    from offhook.sip.useragent import FATES, Settings, UserAgent

FLOW = Flow("udp", ("192.0.2.1", 5060), ("192.0.2.9", 5070))


def read(data: bytes) -> Request | Response:
    message = parse_message(data)
    if planted("message") and max(Counter([name for name, _ in message.headers]).values(), default=0) > 2:
        # The fault: a reader that forgets the third field of a name when it reads a second time.
        raise IndexError("planted")
    return message


def bodies(message: Request | Response) -> None:
    """What is taken out of a body stands in it, and no multipart gives away more than its part."""
    try:
        found = description(message)
    except ProtocolError:
        found = None
    if planted("body") and found is not None and found != message.body and not found.startswith(b"v=0"):
        found = found[1:]  # the fault: a reader that cuts a part one byte short; in no seed
    if found is not None:
        assert found == message.body or b"\r\n\r\n" + found in message.body
    if isinstance(message, Request):
        try:
            code, reason = fragment(message)
        except ProtocolError:
            return
        if planted("fragment") and code != 200:
            code *= 10  # the fault: a reader that takes a digit too much; in no seed
        assert 100 <= code <= 999
        assert reason.isprintable()


def who_calls(message: Request) -> None:
    """Whoever calls, whatever is written: nothing raises, what is shown is printable, and nobody raises itself."""
    for believed in (Believed(), Believed(identity=True, diversion=True, verstat=True)):
        who = identity(message, believed, verstat_header="Subject")
        users = called(message, ("diversion", "p-called-party-id", "request", "to"), diversion=believed.diversion)
        assert "".join((who.name, who.verstat, *users)).isprintable()
        assert not who.trusted or believed.identity


def target(data: bytes) -> None:
    try:
        message = read(data)
    except ProtocolError:
        pass
    else:
        written = bytes(message)
        again = read(written)
        assert again == message
        assert bytes(again) == written
        bodies(message)
        if isinstance(message, Request):
            who_calls(message)
    agent = UserAgent(rng=random.Random(1), settings=Settings())
    for now in (0, 1):
        agent.receive(now, data, FLOW)
    agent.expire(10**12)
    counters = agent.counters()
    assert counters["received"] == sum([count for name, count in counters.items() if name.startswith(FATES)]) == 2


HEAD = (
    b"Via: SIP/2.0/UDP 192.0.2.9:5070;branch=z9hG4bK-1\r\nMax-Forwards: 70\r\nFrom: Far <sip:far@192.0.2.9>;tag=far\r\n"
    b"To: <sip:us@192.0.2.1>\r\nCall-ID: 1\r\nContact: <sip:far@192.0.2.9:5070>\r\n"
)
SDP = b"v=0\r\no=- 7 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
SEEDS = (
    b"INVITE sip:us@192.0.2.1 SIP/2.0\r\n" + HEAD + b"CSeq: 1 INVITE\r\nContent-Type: application/sdp\r\n"
    b"Content-Length: %d\r\n\r\n" % len(SDP) + SDP,
    b"OPTIONS sip:us@192.0.2.1 SIP/2.0\r\n" + HEAD + b"CSeq: 1 OPTIONS\r\nSubject: a,\r\n b\r\nl: 0\r\n\r\n",
    b"BYE sip:us@192.0.2.1 SIP/2.0\r\n" + HEAD + b"CSeq: 2 BYE\r\nRoute: <sip:a;lr>, <sip:b;lr>\r\nl: 0\r\n\r\n",
    b"SIP/2.0 200 OK\r\n" + HEAD + b"CSeq: 1 INVITE\r\nl: 0\r\n\r\n",
    b"INVITE sip:us@192.0.2.1 SIP/2.0\r\n" + HEAD + b"CSeq: 1 INVITE\r\nc: multipart/mixed;boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b\r\nc: application/sdp\r\n\r\n" + SDP + b"\r\n--b--\r\n",
    b"NOTIFY sip:us@192.0.2.1 SIP/2.0\r\n" + HEAD + b"CSeq: 1 NOTIFY\r\nl: 14\r\n\r\nSIP/2.0 200 OK",
)

if __name__ == "__main__":
    fuzz(target, SEEDS)
