"""Misbehaving peers: raw SIP over the simulated network, rude in one way each.

They are scripts, not phones: each sends what it wants and hears what comes, with messages built by hand, so that what a
user agent of ours would never send can be sent. What must hold is checked by the checkers; a peer only sees that it is
answered at all where the protocol promises it. `CALLS_US` are those that call an agent, `IS_CALLED` those that an agent
calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from offhook.core.media import Address
from offhook.testing.wire import Sip, read_sip
from offhook.testing.world import SIP_PORT, World

PATIENCE_S: Final = 40.0


@dataclass(slots=True)
class Got:
    """A message that a peer got."""

    sip: Sip
    data: bytes
    source: Address


@dataclass(slots=True)
class _Call:
    """One dialog as the peer keeps it."""

    name: str
    tag: str
    target: str
    number: int = 1
    branch: str = ""
    to: str = ""


class Peer:
    """A bare SIP socket with a memory for one call at a time."""

    transport = "UDP"

    def __init__(self, world: World, ip: str, agent: Address, rng: Random) -> None:
        self.world = world
        self.address: Address = (ip, SIP_PORT)
        self.agent = agent
        self.rng = rng
        self.deaf = False
        self._got: list[Got] = []
        self._changed = asyncio.Event()
        self._call = self._new_call("agent")
        world.network.bind(self.address, self._receive)
        world.network.bind((ip, RTP_PORT), _unheard)

    def close(self) -> None:
        """Give the sockets back."""
        self.world.network.unbind(self.address)
        self.world.network.unbind((self.address[0], RTP_PORT))

    # What it says

    def request(
        self, method: str, body: str = "", *, same: bool = False, branch: str = "", extra: str = "", user: str = "agent"
    ) -> bytes:
        """Build and send a request of the call; `same`: with the last branch and number (CANCEL, ACK of a 3xx+)."""
        call = self._call
        if not same:
            call.branch = branch or f"z9hG4bK{self.rng.getrandbits(48):x}"
            if method not in ("ACK", "INVITE") or call.to:
                call.number += method != "ACK"
        ip, port = self.address
        data = _message(
            f"{method} sip:{user}@{self.agent[0]} SIP/2.0",
            f"Via: SIP/2.0/{self.transport} {ip}:{port};branch={call.branch};rport",
            "Max-Forwards: 70",
            f"From: <sip:peer@{ip}>;tag={call.tag}",
            f"To: <sip:{user}@{self.agent[0]}>{call.to}",
            f"Call-ID: {call.name}",
            f"CSeq: {call.number} {method}",
            f"Contact: <sip:peer@{ip}:{port}>",
            *([extra] if extra else []),
            body=body,
        )
        self.send(data)
        return data

    def reply(self, got: Got, code: int, reason: str, body: str = "", *, tag: str = "", extra: str = "") -> bytes:
        """Build and send a response to a request that came."""
        lines = got.data.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        kept = [line for line in lines[1:] if line.lower().startswith(("via:", "from:", "call-id:", "cseq:"))]
        to = next(line for line in lines if line.lower().startswith("to:"))
        if tag and "tag=" not in to:
            to += f";tag={tag}"
        contact = [f"Contact: <sip:peer@{self.address[0]}:{self.address[1]}>"] if code < 300 else []
        extras = [*contact, *([extra] if extra else [])]
        data = _message(f"SIP/2.0 {code} {reason}", *kept, to, *extras, body=body)
        self.send(data)
        return data

    def send(self, data: bytes) -> None:
        """Send bytes to the agent."""
        self.world.network.send(self.address, self.agent, data)

    def sdp(self, *, direction: str = "sendrecv", codecs: str = "0 8 101") -> str:
        """Give a description; nobody listens very closely at its port."""
        ip = self.address[0]
        return (
            f"v=0\r\no=- 1 {self._call.number} IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n"
            f"m=audio {RTP_PORT} RTP/AVP {codecs}\r\na=rtpmap:101 telephone-event/8000\r\na={direction}\r\n"
        )

    def next_number(self) -> int:
        """Give the next CSeq of a request that is built elsewhere."""
        self._call.number += 1
        return self._call.number

    def replaces(self) -> str:
        """Give the header that names the call to the agent, for another INVITE to take its place (RFC 3891)."""
        call = self._call
        return f"Replaces: {call.name};to-tag={call.to.removeprefix(';tag=')};from-tag={call.tag}"

    def is_unreachable(self) -> None:
        """Have the other side's operating system report that this address can't be reached (ICMP)."""
        self.world.unreachable(self.agent, self.address)

    # What it hears

    async def response(self, method: str, code: int = 0, *, within_s: float = PATIENCE_S) -> Got | None:
        """Wait for a response to `method`: with `code`, or any final one (0); None if none came."""
        return await self._find(
            lambda sip: sip.method == method and (sip.code == code if code else sip.code >= 200), within_s
        )

    async def asked(self, method: str, *, within_s: float = PATIENCE_S) -> Got | None:
        """Wait for a request; None if none came."""
        return await self._find(lambda sip: sip.code == 0 and sip.method == method, within_s)

    def count(self, method: str, code: int = 0) -> int:
        """Count what is in the box and was not taken."""
        return sum(got.sip.method == method and got.sip.code == code for got in self._got)

    async def sleep(self, low_s: float, high_s: float) -> None:
        """Wait a random while."""
        await asyncio.sleep(self.rng.uniform(low_s, high_s))

    def fresh(self, user: str = "agent") -> None:
        """Forget the call; the next request begins another."""
        self._call = self._new_call(user)

    def adopt(self, invite: Got, tag: str) -> None:
        """Take an INVITE that came for the call, so that requests can be sent in its dialog."""
        self._call = _Call(invite.sip.call, tag, "agent", to=f";tag={invite.sip.from_tag}")

    def numbered(self, number: int) -> None:
        """Go on from a CSeq number: an ACK has that of its INVITE, whatever was asked meanwhile."""
        self._call.number = number

    def confirm(self, got: Got) -> None:
        """Take the far end's tag from a response."""
        if got.sip.to_tag:
            self._call.to = f";tag={got.sip.to_tag}"

    async def _find(self, fits: Callable[[Sip], bool], within_s: float) -> Got | None:
        try:
            async with asyncio.timeout(within_s):
                while True:
                    for index, got in enumerate(self._got):
                        if fits(got.sip):
                            return self._got.pop(index)
                    await self._changed.wait()
        except TimeoutError:
            return None

    def _receive(self, data: bytes, source: Address) -> None:
        sip = read_sip(data)
        if sip is not None and not self.deaf:
            self._got.append(Got(sip, data, source))
            self._changed.set()
            self._changed = asyncio.Event()

    def _new_call(self, user: str) -> _Call:
        return _Call(f"{self.rng.getrandbits(64):x}@{self.address[0]}", f"{self.rng.getrandbits(32):x}", user)


RTP_PORT: Final = 30000


def _unheard(data: bytes, source: Address) -> None:
    """Hear nothing."""


def _message(*lines: str, body: str = "") -> bytes:
    typed = any("\r\nContent-Type:" in f"\r\n{line}" for line in lines)
    kind = ("Content-Type: application/sdp",) if body and not typed else ()
    return "\r\n".join((*lines, *kind, f"Content-Length: {len(body)}", "", body)).encode()


# Peers that call an agent


async def up(peer: Peer, *, body: bool = True, extra: str = "") -> bool:
    """Invite and wait for the 200, repeating the INVITE as timer A does; not acknowledged yet."""
    data = peer.request("INVITE", peer.sdp() if body else "", extra=extra)
    for wait_s in (0.5, 1.0, 2.0, 4.0, 8.0, 16.0):
        got = await peer.response("INVITE", within_s=wait_s)
        if got is not None:
            peer.confirm(got)
            return got.sip.code < 300
        peer.send(data)
    return False


async def says_bye(peer: Peer) -> None:
    """Hang up, repeating as timer E does."""
    data = peer.request("BYE")
    for wait_s in (0.5, 1.0, 2.0, 4.0, 4.0, 4.0):
        if await peer.response("BYE", within_s=wait_s) is not None:
            return
        peer.send(data)


async def never_acknowledges(peer: Peer) -> None:
    """Let the 200 go without an ACK: the agent must repeat it, give up after 32 s and say BYE."""
    if await up(peer):
        bye = await peer.asked("BYE", within_s=60)
        if bye is not None:
            peer.reply(bye, 200, "OK")


async def vanishes(peer: Peer) -> None:
    """Acknowledge, and never be heard of again: no media, no BYE, no answer to one."""
    if await up(peer):
        peer.request("ACK")
        peer.deaf = True
        await asyncio.sleep(90)


async def cancels(peer: Peer) -> None:
    """Cancel at any instant, so that CANCEL and 200 cross now and then."""
    peer.request("INVITE", peer.sdp())
    await peer.sleep(0.0, 0.5)
    await _cancel(peer)


async def _cancel(peer: Peer) -> None:
    peer.request("CANCEL", same=True)
    got = await peer.response("INVITE", within_s=8)
    if got is None:
        return
    peer.confirm(got)
    if got.sip.code < 300:
        peer.request("ACK")
        await says_bye(peer)
    else:
        peer.request("ACK", same=True)


async def fidgets(peer: Peer) -> None:
    """Do, while the phone rings, all that makes no sense then: ask again, acknowledge nothing, go out of reach."""
    invite = peer.request("INVITE", peer.sdp())
    if await peer.response("INVITE", 180) is None:
        return
    for act in peer.rng.sample(range(3), 3):
        await peer.sleep(0.0, 0.2)
        if act == 0:
            peer.send(invite)
        elif act == 1:
            peer.request("ACK", same=True)
        else:
            peer.is_unreachable()
    await peer.sleep(0.0, 0.5)
    await _cancel(peer)


async def repeats(peer: Peer) -> None:
    """Send everything several times."""
    invite = peer.request("INVITE", peer.sdp())
    if peer.rng.random() < 0.3:
        await peer.sleep(0.0, 0.3)
        peer.request("ACK", same=True)
    for _ in range(3):
        await peer.sleep(0.0, 0.3)
        peer.send(invite)
    got = await peer.response("INVITE")
    if got is None:
        return
    peer.confirm(got)
    ack = peer.request("ACK")
    peer.send(ack)
    peer.send(invite)
    await peer.sleep(0.5, 3)
    peer.send(ack)
    bye = peer.request("BYE")
    for _ in range(4):
        await peer.sleep(0.0, 0.4)
        peer.send(bye)
    await peer.response("BYE")


async def offers_late(peer: Peer) -> None:
    """Invite without a description and answer theirs in the ACK (RFC 3264 section 5)."""
    if await up(peer, body=False):
        peer.request("ACK", peer.sdp())
        await peer.sleep(1, 5)
        await says_bye(peer)


async def answers_late_with_nothing(peer: Peer) -> None:
    """Invite without a description and leave the answer out of the ACK: there is no call to be had."""
    if await up(peer, body=False):
        peer.request("ACK")
        bye = await peer.asked("BYE")
        if bye is not None:
            await lets_go_badly(peer, bye)


async def holds(peer: Peer) -> None:
    """Hold, ask for an offer, offer what nobody speaks, resume, hang up."""
    if not await up(peer):
        return
    peer.request("ACK")
    for body in (peer.sdp(direction="sendonly"), peer.sdp(direction="inactive"), "", peer.sdp(codecs="3"), peer.sdp()):
        await peer.sleep(0.5, 2)
        data = peer.request("INVITE", body)
        got = await peer.response("INVITE", within_s=1.5)
        if got is None:
            peer.send(data)
            got = await peer.response("INVITE", within_s=8)
        if got is None:
            continue
        if got.sip.code < 300:
            peer.request("ACK", "" if body else peer.sdp())
        else:
            peer.request("ACK", same=True)
    await says_bye(peer)


async def pings(peer: Peer) -> None:
    """Ask OPTIONS now and then, sometimes twice the same."""
    for _ in range(5):
        peer.fresh()
        data = peer.request("OPTIONS")
        if peer.rng.random() < 0.5:
            peer.send(data)
        await peer.response("OPTIONS", within_s=2)
        await peer.sleep(0.1, 3)


async def is_refused(peer: Peer) -> None:
    """Call what can't be had and acknowledge the refusal late, twice or never; be out of reach before or after it."""
    peer.fresh()
    if peer.rng.random() < 0.5:
        invite = peer.request("INVITE", peer.sdp(codecs="3 18"))
    else:
        invite = peer.request("INVITE", peer.sdp(), extra="Require: teleportation")
    got = await peer.response("INVITE")
    if got is None:
        return
    peer.confirm(got)
    manner = peer.rng.randrange(4)
    if manner == 0:
        await asyncio.sleep(40)  # the refusal is repeated (timer G) and given up (timer H)
        return
    await peer.sleep(0, 2)
    if manner == 1:
        peer.is_unreachable()
    peer.send(invite)
    peer.request("ACK", same=True)
    if manner > 1:
        await peer.sleep(0.1, 1)
        peer.request("ACK", same=True)
        peer.send(invite)
        peer.is_unreachable()


async def talks_nonsense(peer: Peer) -> None:
    """Send what no one should: bytes at random, torn messages, unknown methods, strangers' dialogs."""
    rng = peer.rng
    whole = _message(
        f"INVITE sip:agent@{peer.agent[0]} SIP/2.0",
        f"Via: SIP/2.0/UDP {peer.address[0]};branch=z9hG4bKtorn{rng.getrandbits(32):x};rport",
        f"From: <sip:peer@{peer.address[0]}>;tag=1",
        f"To: <sip:agent@{peer.agent[0]}>",
        "Call-ID: torn",
        "CSeq: 1 INVITE",
        "Max-Forwards: 70",
    )
    for _ in range(20):
        kind = rng.randrange(5)
        if kind == 0:
            peer.send(rng.randbytes(rng.randrange(1, 400)))
        elif kind == 1:
            peer.send(whole[: rng.randrange(1, len(whole) - 40)])
        elif kind == 2:
            torn = bytearray(whole)
            for _ in range(rng.randrange(1, 8)):
                torn[rng.randrange(8, 60)] = rng.randrange(256)
            peer.send(bytes(torn))
        elif kind == 3:
            peer.fresh()
            peer.request(rng.choice(("SUBSCRIBE", "PUBLISH", "MESSAGE", "REFER", "FROBNICATE")))
        else:
            peer.fresh()
            peer.confirm(Got(Sip(200, "", 0, "", "", "", f"{rng.getrandbits(32):x}"), b"", peer.agent))
            peer.request(rng.choice(("BYE", "INFO", "ACK", "INVITE", "CANCEL")))
        await peer.sleep(0, 0.5)
    await asyncio.sleep(40)  # ACKs are owed for torn INVITEs, and never come


async def will_not_let_go(peer: Peer) -> None:
    """Stay until the agent hangs up, and then longer."""
    if not await up(peer):
        return
    peer.request("ACK")
    bye = await peer.asked("BYE", within_s=60)
    if bye is None:
        await says_bye(peer)
        return
    await lets_go_badly(peer, bye)


async def lets_go_badly(peer: Peer, bye: Got) -> None:
    """Answer a BYE slowly, doubly, wrongly or never."""
    manner = peer.rng.choice((0, 1, 2, 2, 2, 3, 4))
    if manner == 0:
        await asyncio.sleep(40)
    elif manner == 1:
        peer.reply(bye, 481, "Call/Transaction Does Not Exist")
    elif manner == 2:
        peer.reply(bye, 100, "Trying")
        await peer.sleep(1, 6)
        peer.reply(bye, 100, "Trying")
        for code, reason in peer.rng.choice((((200, "OK"), (481, "Gone")), ((481, "Gone"), (200, "OK")))):
            peer.reply(bye, code, reason)
            peer.reply(bye, 100, "Too late")
            peer.reply(bye, code, reason)
    else:
        peer.reply(bye, 183, "Hm")
        if manner == 3:
            await peer.sleep(0.2, 2)
            peer.is_unreachable()
        await asyncio.sleep(40)


Manner = Callable[[Peer], Awaitable[None]]

CALLS_US: Final[tuple[Manner, ...]] = (
    never_acknowledges, vanishes, cancels, repeats, offers_late, *(answers_late_with_nothing,) * 2, holds, pings,
    is_refused, talks_nonsense, will_not_let_go,
)  # fmt: skip
"""Peers that call an agent."""

RINGS_A_PHONE: Final[tuple[Manner, ...]] = (*CALLS_US, *(fidgets,) * 6)
"""Peers that call somebody who lets it ring."""
