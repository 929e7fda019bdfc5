"""Attackers: strangers on the simulated network, each wicked in one way, for as long as they are let live.

    floods · guesses · enumerates · injects · babbles · speaks_into_calls · betrays, asks_for_passwords

They are no phones: they send what they like and hear what comes back, as `answers` counts it by code. What must hold
(no call is harmed, each attack is one line of the security log) is the test's to see.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from random import Random
from typing import Final

from offhook.core.media import Address
from offhook.testing.wire import Sip, read_sip
from offhook.testing.world import SIP_PORT, World

EVIL: Final = ("\x1b[2J", "\x1b]0;root\x07", "\x9b31m", "\x07\x08\x7f", "\x1bP0;0|17/aa\x1b\\")
"""What a terminal that reads a log would obey."""

WORDS: Final = ("1234", "password", "letmein", "desk", "offhook", "asterisk", "secret", "0000", "admin", "voip")
"""What people take for a password."""


class Attacker:
    """A bare SIP socket that keeps no call. `answers` are the responses that it got, by code."""

    def __init__(self, world: World, ip: str, target: Address, rng: Random) -> None:
        self.world = world
        self.address: Address = (ip, SIP_PORT)
        self.target = target
        self.rng = rng
        self.answers: Counter[int] = Counter()
        self.leaked: list[bytes] = []
        """Messages with credentials of ours in them."""
        self.asked: Callable[[Sip, bytes], None] = lambda sip, data: None
        """What it does with a request."""
        self._challenge = ""
        world.network.bind(self.address, self._receive)

    def close(self) -> None:
        """Give the socket back."""
        self.world.network.unbind(self.address)

    def request(self, method: str, user: str, *extra: str, body: str = "") -> None:
        """Send a request outside of any call."""
        ip, port = self.address
        rng = self.rng
        lines = (
            f"{method} sip:{user}@{self.target[0]} SIP/2.0",
            f"Via: SIP/2.0/UDP {ip}:{port};branch=z9hG4bK{rng.getrandbits(48):x};rport",
            "Max-Forwards: 70",
            f"From: <sip:{user}@{self.target[0]}>;tag={rng.getrandbits(32):x}",
            f"To: <sip:{user}@{self.target[0]}>",
            f"Call-ID: {rng.getrandbits(64):x}@{ip}",
            f"CSeq: 1 {method}",
            f"Contact: <sip:{user}@{ip}:{port}>",
            *extra,
            *(("Content-Type: application/sdp",) if body else ()),
            f"Content-Length: {len(body)}",
        )
        self.send(("\r\n".join(lines) + f"\r\n\r\n{body}").encode("utf-8", "surrogateescape"))

    def send(self, data: bytes) -> None:
        """Send bytes to the target."""
        self.world.network.send(self.address, self.target, data)

    def guess(self, user: str, word: str) -> str:
        """Give an Authorization that is wrong; made of the last challenge, as a cracker makes it."""
        nonce = self._challenge.partition('nonce="')[2].partition('"')[0] or "0"
        realm = self._challenge.partition('realm="')[2].partition('"')[0] or "offhook"
        proof = f"{hash_of(word, self.rng):032x}"
        uri = f"sip:{self.target[0]}"
        said = f'username="{user}", realm="{realm}", nonce="{nonce}", uri="{uri}", response="{proof}"'
        return f"Authorization: Digest {said}"

    def _receive(self, data: bytes, source: Address) -> None:
        sip = read_sip(data)
        if sip is None:
            return
        if b"uthorization:" in data.partition(b"\r\n\r\n")[0]:
            self.leaked.append(data)
        if sip.code:
            self.answers[sip.code] += 1
            if sip.code in (401, 407):
                self._challenge = data.decode("utf-8", "replace").partition("uthenticate: ")[2].partition("\r\n")[0]
        else:
            self.asked(sip, data)


def hash_of(word: str, rng: Random) -> int:
    """Give a digest that no password makes."""
    return rng.getrandbits(128) ^ sum(word.encode())


async def floods(attacker: Attacker, *, a_second: int, for_s: float) -> None:
    """INVITE as fast as told."""
    for _ in range(round(a_second * for_s)):
        attacker.request("INVITE", "agent")
        await asyncio.sleep(1 / a_second)


async def guesses(attacker: Attacker, *, for_s: float, every_s: float = 0.5) -> None:
    """Try passwords of one user, by REGISTER and INVITE in turn (svcrack)."""
    for number in range(round(for_s / every_s)):
        word = attacker.rng.choice(WORDS)
        attacker.request(("REGISTER", "INVITE")[number % 2], "desk", attacker.guess("desk", word))
        await asyncio.sleep(every_s)


async def enumerates(attacker: Attacker, *, for_s: float, every_s: float = 1.0) -> None:
    """Look which extensions there are (svwar)."""
    for number in range(round(for_s / every_s)):
        attacker.request("INVITE", str(100 + number))
        await asyncio.sleep(every_s)


async def injects(attacker: Attacker, *, for_s: float, every_s: float = 2.0) -> None:
    """Put what a terminal obeys into every header that may be logged or passed on."""
    for _ in range(round(for_s / every_s)):
        evil = attacker.rng.choice(EVIL)
        headers = (f"User-Agent: x{evil}y", f"X-Note: {evil}kind=fake source=192.0.2.1", f"Subject: a{evil}b")
        attacker.request(attacker.rng.choice(("OPTIONS", "INVITE")), "agent", *headers)
        await asyncio.sleep(every_s)


async def babbles(attacker: Attacker, *, for_s: float, every_s: float = 0.5) -> None:
    """Send what is no SIP: noise, halves of messages, headers of 64 kB."""
    rng = attacker.rng
    for number in range(round(for_s / every_s)):
        kind = number % 3
        if kind == 0:
            attacker.send(rng.randbytes(rng.randrange(20, 1200)))
        elif kind == 1:
            attacker.send(b"INVITE sip:x SIP/2.0\r\nVia: SIP/2.0/UDP x\r\nFrom: \0\r\n\r\n")
        else:
            attacker.send(b"OPTIONS sip:x SIP/2.0\r\nX: " + b"a" * 64_000 + b"\r\n\r\n")
        await asyncio.sleep(every_s)


async def speaks_into_calls(
    attacker: Attacker, ports: Callable[[], Iterable[Address]], *, for_s: float, every_s: float = 0.02
) -> None:
    """Send a tone as RTP to every port that carries a call, from an address that is part of none."""
    rng = attacker.rng
    source = (attacker.address[0], 40_000)
    attacker.world.network.bind(source, lambda data, sender: None)
    for number in range(round(for_s / every_s)):
        head = bytes((0x80, 0)) + number.to_bytes(2, "big") + (160 * number).to_bytes(4, "big") + b"evil"
        for port in ports():
            attacker.world.network.send(source, port, head + rng.randbytes(160))
        await asyncio.sleep(every_s)
    attacker.world.network.unbind(source)


def _answer(attacker: Attacker, data: bytes, status: str, *extra: str, body: str = "") -> None:
    """Answer a request with its own headers and some more."""
    lines = data.partition(b"\r\n\r\n")[0].decode("utf-8", "replace").split("\r\n")
    kept = [line for line in lines if line.lower().startswith(("via:", "from:", "call-id:", "cseq:"))]
    to = next(line for line in lines if line.lower().startswith("to:"))
    tag = "" if "tag=" in to else ";tag=evil"
    length = f"Content-Length: {len(body)}"
    attacker.send(("\r\n".join((f"SIP/2.0 {status}", *kept, to + tag, *extra, length)) + f"\r\n\r\n{body}").encode())


def betrays(carrier: Attacker, to: Address) -> None:
    """Be a carrier that takes a call and, by its Contact, has what follows sent to somebody else."""
    ip = carrier.address[0]
    sdp = f"v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n"

    def take(sip: Sip, data: bytes) -> None:
        if sip.method == "INVITE":
            contact = f"Contact: <sip:x@{to[0]}:{to[1]}>"
            _answer(carrier, data, "200 OK", contact, "Content-Type: application/sdp", body=sdp)

    carrier.asked = take


def asks_for_passwords(attacker: Attacker, realm: str) -> None:
    """Be called, and challenge whatever comes, with the realm of somebody's trunk: the digest leak."""

    def challenge(sip: Sip, data: bytes) -> None:
        if sip.method != "ACK":
            nonce = f"{attacker.rng.getrandbits(64):x}"
            asks = f'WWW-Authenticate: Digest realm="{realm}", nonce="{nonce}", algorithm=MD5'
            _answer(attacker, data, "401 Unauthorized", asks)

    attacker.asked = challenge
