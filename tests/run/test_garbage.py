"""Mutated session descriptions against a whole host: signalling, legs and media plane, with sound calls in between."""

from __future__ import annotations

import asyncio
import random
import struct
from collections import Counter
from typing import Any

import pytest

from offhook.carriers.trunks import Trunk
from offhook.core.media import Address
from offhook.policy.toll import Caps
from offhook.sip.useragent import FATES
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
        self.send("\r\n".join([*head, "", ""]).encode() + body)

    def send(self, data: bytes) -> None:
        self.sent += 1
        self.world.network.send((FAR, SIP_PORT), (HOST, SIP_PORT), data)

    def hear(self, data: bytes, source: Address) -> None:
        sip = read_sip(data)
        assert sip is not None
        if sip.code == 0:
            head = data.partition(b"\r\n\r\n")[0].split(b"\r\n")
            kept = [line for line in head if line.startswith((b"Via:", b"From:", b"To:", b"Call-ID:", b"CSeq:"))]
            self.send(b"\r\n".join([b"SIP/2.0 200 OK", *kept, b"Content-Length: 0", b"", b""]))
        elif sip.method == "INVITE" and sip.code >= 200 and (sip.call, sip.number) not in self.finals:
            self.finals[sip.call, sip.number] = data
            self.answers[sip.code] += 1
            taken = sip.code < 300
            self.say("ACK", sip.call, sip.number, sip.to_tag, branch="" if taken else sip.branch[7:])
            if sip.call in self.lasting:
                self.lasting[sip.call] = sip.to_tag
            elif taken:
                self.say("BYE", sip.call, sip.number + 1, sip.to_tag)

    def speak(self, rng: random.Random, port: int, number: int) -> None:
        data = bytearray(struct.pack("!BBHII", 0x80, 8, number & 0xFFFF, 160 * number, 7) + bytes(160))
        for _ in range(rng.choice((0, 1, 2, 5))):
            data[rng.randrange(len(data))] = rng.randrange(256)
            del data[rng.choice((1, 5, 11, 12, 100, 172)) : rng.choice((0, 12, 172))]
        self.world.network.send((FAR, 30000), (HOST, port), bytes(data))


BENCH = Trunk("bench", networks=(FAR,), caps=Caps(calls_a_second=1000.0))


async def echoes(call: Any) -> None:
    async for pcm in call.audio():
        await call.play(pcm)


@pytest.mark.parametrize("seed", range(4))
def test_two_and_a_half_thousand_mutated_descriptions_cost_nothing(stage: Any, seed: int) -> None:
    rng = random.Random(seed)

    async def story() -> None:
        held, port = "", 0
        async with stage.host(echoes, trunks=(BENCH,)) as host:
            far = Far(stage.world)
            for number in range(2500):
                if number % 250 == 0:
                    held = f"held-{number}"
                    far.lasting[held] = ""
                    far.say("INVITE", held, 1, body=BODY.encode())
                    await asyncio.sleep(0.05)
                    ours = far.finals[held, 1]
                    assert ours.startswith(b"SIP/2.0 200 ")
                    assert b" RTP/AVP 8 13 101\r\n" in ours
                    port = int(ours.partition(b"m=audio ")[2].partition(b" ")[0])
                if rng.random() < 0.5:
                    far.say("INVITE", held, number + 2, far.lasting[held], bent(rng))
                else:
                    far.say("INVITE", f"new-{number}", 1, body=bent(rng))
                far.speak(rng, port, number)
                await asyncio.sleep(0.005)
            for held, tag in far.lasting.items():
                far.say("BYE", held, 10_000, tag)
            await asyncio.sleep(60.0)
            counters = host.counters()
            assert sum(count for name, count in counters.items() if name.startswith(FATES)) == far.sent
            heard = [
                count for name, count in counters.items() if name.startswith(("media_received_", "media_dropped_"))
            ]
            assert sum(heard) == counters["media_given"] == 2500
            assert counters["media_received_audio"] > 20
            assert counters["media_dropped_malformed"] > 20
            assert (counters["guard"], counters["failures"], counters["calls"]) == (0, 0, 0)
            assert host.live == 0
            assert far.answers[200] > 1000
            assert far.answers[400] > 100
            assert far.answers[488] > 30
            assert set(far.answers) == {200, 400, 488}
            stage.world.network.unbind((FAR, SIP_PORT))
            stage.world.network.unbind((FAR, 30000))

    stage.world.run(story())  # the checkers watch the far end, too, which breaks every law: what they say is no matter
