"""Ten thousand mutated datagrams: nothing raises, every one is counted once, and calls in between work as ever."""

from __future__ import annotations

import contextlib
import random

import pytest

from offhook.core.errors import ProtocolError
from offhook.sip.message import Request, Response
from offhook.sip.offer import accept_answer, answer_offer, make_offer
from offhook.sip.outcomes import Answered, Confirmed, Ended, IncomingCall, Reoffered
from offhook.sip.sdp import parse_sdp
from offhook.sip.uri import parse_uri

SDP = (
    b"v=0\r\no=- 7 2 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\na=sendrecv\r\n"
    b"m=audio 4002 RTP/AVP 8 0 101 13\r\nc=IN IP4 192.0.2.8\r\na=rtpmap:8 PCMA/8000\r\n"
    b"a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=maxptime:60\r\n"
    b"a=rtcp:4003 IN IP4 192.0.2.8\r\na=rtcp-mux\r\nm=video 4004 RTP/AVP 31\r\na=rtpmap:31 H261/90000\r\n"
)
SPICE = (
    *(b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b",", b";", b"=", b'"', b"<", b">", b":", b"@", b"%", b"\xff"),
    *(b"\xc3\xa9", b"SIP/2.0", b";rport", b";branch=z9hG4bK", b";tag=", b"-1", b"4294967296", b"9" * 25, b"\r\n "),
    *(b"\r\n\r\n", b"Content-Length: 5\r\n", b"Require: 100rel\r\n", b"l: 0\r\n", b"Via: SIP/2.0/UDP [::1]:5060\r\n"),
    *(b"m=audio 0 RTP/AVP 0\r\n", b"m=audio 70000 RTP/SAVP 0\r\n", b"c=IN IP4 0.0.0.0\r\n", b"a=inactive\r\n"),
)


def bent(rng: random.Random, data: bytes) -> bytes:
    """Flip, drop, double, insert, overwrite, shuffle or cut."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        at = rng.randrange(len(out) + 1)
        length = rng.choice((1, 1, 2, 5, 20, 100))
        match rng.randrange(13):
            case 0 | 1 if out:
                out[min(at, len(out) - 1)] = rng.randrange(256)
            case 2 | 3:
                del out[at : at + length]
            case 4 | 5:
                out[at:at] = out[at : at + length]
            case 6 | 7 | 8:
                out[at:at] = rng.choice(SPICE)
            case 9 | 10:
                out[at : at + length] = rng.choice(SPICE)
            case 11:
                first, *lines = bytes(out).split(b"\r\n")
                rng.shuffle(lines)
                out = bytearray(b"\r\n".join([first, *lines]))
            case _:
                del out[at:]
    return bytes(out)


def mutated(rng: random.Random, template: bytes, number: int) -> bytes:
    """Bend a whole datagram, or only its body or head with a Content-Length that is right, so that more is reached."""
    data = template.replace(b"~", b"%d" % number)
    where = rng.random()
    if where < 0.5:
        return bent(rng, data)
    head, _, body = data.partition(b"\r\n\r\n")
    start, *lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length")]
    if where < 0.7:
        body = bent(rng, body)
    else:
        at = rng.randrange(len(lines))
        lines[at] = bent(rng, lines[at])
    return b"\r\n".join([start, *lines, b"Content-Length: %d" % len(body), b"", body])


def seeds(far) -> list[bytes]:
    """Every kind of message that a call has; `~` becomes the number of the mutation, so that each is new."""
    far.up()
    far.rings(call_id="ringing", branch="z9hG4bK-ringing")
    tag = far.tag()
    ours = make_offer(address="192.0.2.1", port=9000, session_id=1, version=1)
    far.order(far.agent.invite, parse_uri("sip:far@192.0.2.9:5070"), (far.flow,), ours)
    invite = far.sent[-1]
    assert isinstance(invite, Request)
    new = {"branch": "z9hG4bK-new-~"}
    inside = {"to_tag": tag, "call_id": "ringing", **new}
    contact = (("Record-Route", "<sip:192.0.2.50;lr>, <sip:192.0.2.51;lr>"), ("Supported", "timer, 100rel"))
    found = [
        far.request("INVITE", body=SDP, call_id="x-~", headers=contact, **new),
        far.request("INVITE", call_id="y-~", via="SIP/2.0/UDP 10.0.0.9:5070;rport", **new),
        far.request("INVITE", seq=5, body=SDP, **inside),
        far.request("ACK", **inside),
        far.request("BYE", seq=3, **inside),
        far.request("CANCEL", call_id="ringing", branch="z9hG4bK-ringing"),
        far.request("OPTIONS", call_id="o-~", **new),
        far.request("REGISTER", call_id="r-~", **new),
        far.request("NOTIFY", seq=4, body=b"SIP/2.0 200 OK", headers=(("Event", "refer"),), **inside),
    ]
    fields = [field for field in invite.headers if field[0] in ("Via", "From", "Call-ID", "CSeq")]
    fields += [("To", f"{invite.index['To']};tag=far"), ("Contact", "<sip:far@192.0.2.9:5070>")]
    for code, body in ((180, b""), (200, SDP), (486, b"")):
        found.append(Response(tuple(fields), body, code, "Whatever"))
    return [bytes(message) for message in found]


def react(far, rng: random.Random) -> None:
    """Do with what was told what a phone may do with it; offers are answered as a leg would."""
    agent = far.agent
    for outcome in far.told:
        match outcome:
            case IncomingCall(call=call, offer=offer) | Reoffered(call=call, offer=offer):
                take = agent.answer if isinstance(outcome, IncomingCall) else agent.accept_reoffer
                ours = make_offer(address="192.0.2.1", port=9000, session_id=1, version=1)
                try:
                    body = (
                        answer_offer(offer, address="192.0.2.1", port=9000, session_id=1, version=1)[0]
                        if offer
                        else ours
                    )
                except ProtocolError as error:
                    far.order(agent.reject, call, error.code)
                    far.order(agent.refuse_reoffer, call)
                    continue
                if rng.random() < 0.7:
                    far.order(take, call, body)
                if rng.random() < 0.5:
                    far.order(agent.hangup, call)
            case Confirmed(answer=answer) | Answered(answer=answer) if answer is not None:
                with contextlib.suppress(ProtocolError):
                    accept_answer(make_offer(address="192.0.2.1", port=9000, session_id=1, version=1), answer)
            case _:
                pass
    far.told.clear()


@pytest.mark.parametrize("seed", range(4))
def test_ten_thousand_mutated_datagrams(far, seed):
    rng = random.Random(seed)
    templates = seeds(far)
    for number in range(2500):
        far.say(mutated(rng, rng.choice(templates), number))
        react(far, rng)
        if number % 50 == 0:
            far.wait(rng.choice((1, 600, 5000)))
            far.told.clear()
            far.sent.clear()
            call_id = f"sound-{number}"
            far.rings(call_id=call_id, body=SDP)
            assert far.codes() == [180]
            call = far.told[-1].call
            answer, _ = answer_offer(parse_sdp(SDP), address="192.0.2.1", port=9000, session_id=1, version=1)
            (ok,) = far.order(far.agent.answer, call, answer)
            assert (ok.code, ok.body) == (200, bytes(answer))
            far.acks(call_id=call_id)
            assert far.told[-1] == Confirmed(call, None)
            (bye,) = far.asks("BYE", 2, call_id=call_id)
            assert bye.code == 200
            assert far.told[-1] == Ended(call, 200, "remote_hangup")
            far.told.clear()
    fates = far.fates()
    assert sum(count for name, count in fates.items() if name.startswith("malformed_")) > 500
    assert len(fates) > 20
    assert fates["malformed_sdp"] > 20
    assert fates["request_invite"] > 100
    # Whatever it left behind ends by itself or by our hanging up.
    for call in range(1, 10_000):
        far.agent.hangup(far.now, call)
    far.gather()
    far.wait(300_000)
    counters = far.agent.counters()
    assert (counters["calls"], counters["transactions"]) == (0, 0)
    assert far.agent.deadline() is None
