"""Mutated messages, descriptions and media against a whole host: signalling, legs and media plane, with sound calls in
between.

Ten thousand of each in every run; a hundred thousand, and what they cost in memory, in the slow suite.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import struct
from collections import Counter
from typing import Any

import pytest

from offhook.carriers.trunks import Trunk
from offhook.core.media import Address
from offhook.policy.toll import Caps
from offhook.sip.useragent import FATES
from offhook.testing.bench.machine import rss_kib
from offhook.testing.stun import COOKIE
from offhook.testing.wire import read_sip
from offhook.testing.world import SIP_PORT

HOST, FAR = "10.1.0.1", "10.3.0.1"
BODY = (
    "v=0\r\no=- 7 1 IN IP4 10.3.0.1\r\ns=-\r\nc=IN IP4 10.3.0.1\r\nt=0 0\r\na=sendrecv\r\n"
    "m=audio 30000 RTP/AVP 8 0 101 13\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
    "a=fmtp:101 0-16\r\na=ptime:20\r\na=maxptime:60\r\na=rtcp:30001 IN IP4 10.3.0.1\r\na=rtcp-mux\r\n"
    "m=video 30004 RTP/AVP 31\r\nc=IN IP6 2001:db8::3\r\na=rtpmap:31 H261/90000\r\n"
)
WORDS = (
    *("0", "-1", "65535", "65536", "4294967296", "9" * 40, "0000001", "\u0663", "127", "128", "1e3", ""),
    *("IP6", "IP4", "::1", "1::2::3", "::", "::::", "01.2.3.4", "0.0.0.0", "256.1.1.1", "fe80::1%lo", "10.3.0.1/127"),
    *("inactive", "sendonly", "recvonly", "RTP/AVPF", "RTP/SAVP", "audio", "PCMU/8000", "CN/8000", "G722/8000", "\xff"),
)


def bent(rng: random.Random) -> bytes:
    """Swap words for others, drop, double and move lines, and flip a byte now and then."""
    lines: list[str] = [*BODY.split("\r\n")][:-1]
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(lines))
        match rng.randrange(6):
            case 0 | 1 | 2:
                words = lines[at].replace("/", "/ ").split(" ")
                words[rng.randrange(len(words))] = rng.choice(WORDS)
                lines[at] = " ".join(words).replace("/ ", "/")
            case 3:
                lines.insert(rng.randrange(len(lines) + 1), lines[at])
            case 4 if len(lines) > 1:
                del lines[at]
            case _:
                lines[at] = lines[at][:2] + rng.choice(WORDS)
    data = bytearray("\r\n".join([*lines, ""]).encode("utf-8"))
    if rng.random() < 0.2:
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


METHODS = (
    "INVITE",
    "OPTIONS",
    "REGISTER",
    "ACK",
    "BYE",
    "CANCEL",
    "INFO",
    "UPDATE",
    "PRACK",
    "REFER",
    "NOTIFY",
    "MESSAGE",
)
ENDING = ("BYE", "REFER")
"""What would end the call that the media goes to, where it is bent too little."""

SPICE = (
    *(b"\r\n", b"\n", b"\0", b" ", b",", b";", b"=", b'"', b"<", b">", b":", b"@", b"%", b"\xff", b"SIP/2.0", b";tag="),
    *(
        b"-1",
        b"9" * 25,
        b"\r\n ",
        b"\r\n\r\n",
        b"Content-Length: 5\r\n",
        b"Require: 100rel\r\n",
        b"Via: SIP/2.0/UDP [::1]\r\n",
    ),
)


def bent_bytes(rng: random.Random, data: bytes) -> bytes:
    """Flip, drop, double, insert or cut."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(out) + 1)
        match rng.randrange(5):
            case 0 if out:
                out[min(at, len(out) - 1)] = rng.randrange(256)
            case 1:
                del out[at : at + rng.choice((1, 2, 8, 40))]
            case 2:
                out[at:at] = out[at : at + rng.choice((1, 4, 20))]
            case 3:
                out[at:at] = rng.choice(SPICE)
            case _ if rng.random() < 0.2:
                del out[at:]
            case _:
                pass
    return bytes(out) or b"\0"


def media(rng: random.Random, number: int) -> bytes:
    """Give a sound packet of each kind that comes to an audio port: RTP, RFC 4733, RTCP, STUN."""
    stamp = (number & 0xFFFF, 160 * number & 0xFFFFFFFF, 7)
    sender, about = struct.pack("!IIIII", 1, 2, 160 * number & 0xFFFFFFFF, number, number * 160), bytes(24)
    match rng.randrange(6):
        case 0 | 1:
            return struct.pack("!BBHII", 0x80, 8, *stamp) + bytes(160)
        case 2:
            return struct.pack("!BBHII", 0x80, 101, *stamp) + struct.pack("!BBH", number % 16, 10, 800)
        case 3:
            return struct.pack("!BBHI", 0x81, 200, 12, 7) + sender + about
        case 4:
            report = struct.pack("!BBHI", 0x81, 201, 7, 7) + about
            return (
                report + struct.pack("!BBHI", 0x81, 202, 3, 7) + b"\1\4far!\0\0" + struct.pack("!BBHI", 0x81, 203, 1, 7)
            )
        case _:
            mapped = struct.pack("!HHBBHI", 0x20, 8, 0, 1, number & 0xFFFF, number)
            kind = rng.choice((0x0001, 0x0101, 0x0111))
            return struct.pack("!HH", kind, len(mapped)) + COOKIE + rng.randbytes(12) + mapped


class Far:
    """A far end that plays every call by the book, whatever it offered: ACK, and BYE unless the call is to last."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.sent = 0
        self.answers: Counter[int] = Counter()
        self.finals: dict[tuple[str, int], bytes] = {}
        self.lasting: dict[str, str] = {}
        world.network.bind((FAR, SIP_PORT), self.hear)
        world.network.bind((FAR, 30000), lambda data, source: None)

    def say(self, method: str, call: str, seq: int, to: str = "", body: bytes = b"", branch: str = "") -> None:
        self.send(self.request(method, call, seq, to, body, branch))

    def request(self, method: str, call: str, seq: int, to: str = "", body: bytes = b"", branch: str = "") -> bytes:
        head = (
            f"{method} sip:a@{HOST} SIP/2.0",
            f"Via: SIP/2.0/UDP {FAR}:5060;branch=z9hG4bK{branch or f'{call}{method}{seq}'}",
            f"From: <sip:f@{FAR}>;tag={call}",
            f"To: <sip:a@{HOST}>{f';tag={to}' if to else ''}",
            f"Call-ID: {call}",
            f"CSeq: {seq} {method}",
            f"Contact: <sip:f@{FAR}>",
            *(("Content-Type: application/sdp",) if body else ()),
            f"Content-Length: {len(body)}",
        )
        return "\r\n".join([*head, "", ""]).encode() + body

    def send(self, data: bytes) -> None:
        self.sent += 1
        self.world.network.send((FAR, SIP_PORT), (HOST, SIP_PORT), data)

    def hear(self, data: bytes, source: Address) -> None:
        sip = read_sip(data)
        if sip is None:
            return  # the answer to a message whose CSeq or the like was bent has it bent, too
        if sip.code == 0:
            head = data.partition(b"\r\n\r\n")[0].split(b"\r\n")
            kept = [line for line in head if line.startswith((b"Via:", b"From:", b"To:", b"Call-ID:", b"CSeq:"))]
            self.send(b"\r\n".join([b"SIP/2.0 200 OK", *kept, b"Content-Length: 0", b"", b""]))
        elif sip.method == "INVITE" and sip.code >= 200 and (sip.call, sip.number) not in self.finals:
            self.finals[sip.call, sip.number] = data
            if len(self.finals) > REMEMBERED:
                del self.finals[next(iter(self.finals))]
            self.answers[sip.code] += 1
            taken = sip.code < 300
            self.say("ACK", sip.call, sip.number, sip.to_tag, branch="" if taken else sip.branch[7:])
            if sip.call in self.lasting:
                self.lasting[sip.call] = sip.to_tag
            elif taken:
                self.say("BYE", sip.call, sip.number + 1, sip.to_tag)

    def speak(self, rng: random.Random, port: int, number: int) -> None:
        data = media(rng, number)
        if rng.random() < 0.8:
            data = bent_bytes(rng, data)
        self.world.network.send((FAR, 30000), (HOST, port), data)


REMEMBERED = 2000
"""Final answers by which a far end knows one that comes again."""

BENCH = Trunk("bench", networks=(FAR,), caps=Caps(calls_a_second=1000.0))


async def echoes(call: Any) -> None:
    async for pcm in call.audio():
        await call.play(pcm)


async def bombard(stage: Any, rng: random.Random, rounds: int) -> int:
    """Send so many messages or descriptions and as many packets of media; give by how much memory grew, in KiB."""
    held, port, before = "", 0, 0
    async with stage.host(echoes, trunks=(BENCH,)) as host:
        far = Far(stage.world)
        for number in range(rounds):
            if number % 250 == 0:
                held = f"held-{number}"
                far.lasting[held] = ""
                far.say("INVITE", held, 1, body=BODY.encode())
                await asyncio.sleep(0.05)
                ours = far.finals[held, 1]
                assert ours.startswith(b"SIP/2.0 200 ")
                assert b" RTP/AVP 8 13 101\r\n" in ours
                port = int(ours.partition(b"m=audio ")[2].partition(b" ")[0])
                stage.events.clear()
                stage.world.network._flows.clear()  # five generators for each pair of ports
            if number == rounds // 10:
                gc.collect()
                before = rss_kib(os.getpid())
            match rng.randrange(4):
                case 0 | 1:
                    far.say("INVITE", held, number + 2, far.lasting[held], bent(rng))
                case 2:
                    far.say("INVITE", f"new-{number}", 1, body=bent(rng))
                case _:
                    method = rng.choice(METHODS)
                    inside = method not in ENDING and rng.random() < 0.5
                    named = (held, number + 2, far.lasting[held]) if inside else (f"bent-{number}", 1, "")
                    far.send(bent_bytes(rng, far.request(method, *named, BODY.encode())))
            far.speak(rng, port, number)
            await asyncio.sleep(0.005)
        for call, tag in far.lasting.items():
            far.say("BYE", call, 10_000_000, tag)
        await asyncio.sleep(600.0)
        up = host.live
        await host.drain(1.0)  # a bent INVITE may have made a call that its far end knows nothing of, and keeps alive
        await asyncio.sleep(60.0)
        gc.collect()
        grown = rss_kib(os.getpid()) - before
        counters = host.counters()
        assert sum(count for name, count in counters.items() if name.startswith(FATES)) == far.sent
        heard = [count for name, count in counters.items() if name.startswith(("media_received_", "media_dropped_"))]
        assert counters["media_received_dtmf"] > rounds // 100
        assert counters["media_received_rtcp"] > rounds // 100
        assert counters["media_dropped_rtcp_malformed"] > rounds // 100
        assert counters["media_dropped_stun"] > rounds // 100
        # A message that was bent may have ended the call that the media goes to, until the next one is made.
        assert sum(heard) == counters["media_given"] > rounds * 0.95
        assert counters["media_received_audio"] > rounds // 100
        assert counters["media_dropped_malformed"] > rounds // 100
        assert (counters["guard"], counters["failures"], counters["calls"]) == (0, 0, 0)
        assert (up <= rounds // 1000, host.live) == (True, 0)
        assert far.answers[200] > rounds // 4
        assert far.answers[400] > rounds // 25
        assert far.answers[488] > rounds // 100
        stage.world.network.unbind((FAR, SIP_PORT))
        stage.world.network.unbind((FAR, 30000))
        return grown


@pytest.mark.survives(5)
@pytest.mark.parametrize("seed", range(4))
def test_two_and_a_half_thousand_mutations_of_each_cost_nothing(unwatched_stage: Any, seed: int) -> None:
    unwatched_stage.world.run(bombard(unwatched_stage, random.Random(seed), 2500))


@pytest.mark.slow
@pytest.mark.survives(5)
def test_a_hundred_thousand_mutations_leave_less_than_20_megabytes_behind(unwatched_stage: Any) -> None:
    assert unwatched_stage.world.run(bombard(unwatched_stage, random.Random(5), 50_000)) < 20 * 1024
