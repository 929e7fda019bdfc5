"""What one answered call costs inside the SIP room: INVITE → 100 → 180 → 200 → ACK → BYE → 200, real SDP, no sockets.

    python bench/uas_cost.py [calls]

Prints CPU milliseconds a call: the median and the least of several rounds (the least is what the code costs where
nothing else disturbs it). Messages are made before the clock starts; the far end's ACK and BYE get our tag after.
"""

from __future__ import annotations

import random
import sys
import time

from offhook.sip.offer import answer_offer
from offhook.sip.outcomes import Flow, IncomingCall, Send
from offhook.sip.useragent import Settings, UserAgent

FLOW = Flow("udp", ("127.0.0.1", 5060), ("127.0.0.1", 5096))
ROUNDS = 7

SDP = (
    "v=0\r\no=user1 53655765 2353687637 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 6000 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
    "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n"
)


def message(method: str, number: int, branch: int, seq: int, tag: str, body: str = "") -> bytes:
    kind = "Content-Type: application/sdp\r\n" if body else ""
    to = f";tag={tag}" if tag else ""
    return (
        f"{method} sip:service@127.0.0.1:5060 SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP 127.0.0.1:5096;branch=z9hG4bK-4711-{number}-{branch}\r\n"
        f"From: caller <sip:caller@127.0.0.1:5096>;tag=4711Tag00{number}\r\n"
        f"To: service <sip:service@127.0.0.1:5060>{to}\r\n"
        f"Call-ID: {number}-4711@127.0.0.1\r\n"
        f"CSeq: {seq} {method}\r\n"
        f"Contact: sip:caller@127.0.0.1:5096\r\n"
        "Max-Forwards: 70\r\nSubject: Performance Test\r\n"
        f"{kind}Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def measure(calls: int) -> float:
    agent = UserAgent(rng=random.Random(1), settings=Settings())
    invites = [message("INVITE", number, 0, 1, "", SDP) for number in range(calls)]
    acks = [message("ACK", number, 1, 1, "TAG-TAG-TAG-TAG-") for number in range(calls)]
    byes = [message("BYE", number, 2, 2, "TAG-TAG-TAG-TAG-") for number in range(calls)]
    spent = 0
    for number in range(calls):
        now = number * 2_000_000
        start = time.process_time_ns()
        agent.receive(now, invites[number], FLOW)
        incoming = agent.take()[-1]
        assert isinstance(incoming, IncomingCall)
        assert incoming.offer is not None
        body, _ = answer_offer(incoming.offer, address="127.0.0.1", port=10000, session_id=number, version=1)
        agent.answer(now, incoming.call, body)
        agent.expire(now)
        (ok,) = agent.take()
        spent += time.process_time_ns() - start
        assert isinstance(ok, Send)
        tag = ok.data.partition(b"\r\nTo: ")[2].partition(b"tag=")[2][:16]
        ack = acks[number].replace(b"TAG-TAG-TAG-TAG-", tag)
        bye = byes[number].replace(b"TAG-TAG-TAG-TAG-", tag)
        start = time.process_time_ns()
        agent.receive(now, ack, FLOW)
        agent.take()
        agent.receive(now, bye, FLOW)
        agent.take()
        agent.expire(now)
        agent.deadline()
        spent += time.process_time_ns() - start
    assert agent.counters()["request_bye"] == calls
    return spent / calls / 1e6


def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    figures = sorted(measure(calls) for _ in range(ROUNDS))
    print(f"median {figures[ROUNDS // 2]:.4f} ms, least {figures[0]:.4f} ms a call ({calls} calls, {ROUNDS} rounds)")


if __name__ == "__main__":
    main()
