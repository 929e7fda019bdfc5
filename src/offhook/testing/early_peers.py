"""Peers that do all that may be done before an answer: fork, ring reliably, redirect, play early media, insist, key.

`IS_CALLED` are those that an agent calls, `CALLS_US` those that call one. As the other rude peers (`peers`) they write
their messages by hand; the checkers see what comes of it.
"""

from __future__ import annotations

import asyncio
import struct
from typing import Final

from offhook.testing.peers import RTP_PORT, Got, Manner, Peer, lets_go_badly

RELIABLE: Final = "Require: 100rel\r\nRSeq: {}"


async def _pracked(peer: Peer) -> bool:
    """Wait for a PRACK and take it."""
    prack = await peer.asked("PRACK", within_s=5)
    if prack is not None:
        peer.reply(prack, 200, "OK")
    return prack is not None


async def _let_go(peer: Peer) -> None:
    bye = await peer.asked("BYE", within_s=60)
    if bye is not None:
        await lets_go_badly(peer, bye)


def _sounds(peer: Peer, invite: Got, packets: int) -> None:
    """Play something to the port that an INVITE named, if it named one."""
    body = invite.data.partition(b"m=audio ")[2].split(b" ", 1)[0]
    if not body.isdigit():
        return
    for number in range(packets):
        data = struct.pack("!BBHII", 0x80, 0, number, 160 * number, 99) + bytes(range(160))
        at = round(number * 0.02, 3)
        asyncio.get_running_loop().call_later(
            at, peer.world.network.send, (peer.address[0], RTP_PORT), (peer.agent[0], int(body)), data
        )


async def forks(peer: Peer) -> None:
    """Ring in several places at once, give one up (199), answer in another, and once more in a third."""
    invite = await peer.asked("INVITE")
    if invite is None:
        return
    for number, tag in enumerate(("one", "two", "three")):
        body = peer.sdp() if peer.rng.random() < 0.6 else ""
        extra = RELIABLE.format(10 * number + 1) if peer.rng.random() < 0.5 else ""
        peer.reply(invite, 183, "Session Progress", body, tag=tag, extra=extra)
        if extra:
            await _pracked(peer)
    await peer.sleep(0, 1)
    peer.reply(invite, 199, "Early Dialog Terminated", tag="one")
    await peer.sleep(0, 1)
    peer.reply(invite, 200, "OK", peer.sdp(), tag="two")
    if peer.rng.random() < 0.5:
        peer.reply(invite, 200, "OK", peer.sdp(), tag="three")
        await _let_go(peer)
    await _let_go(peer)


async def rings_reliably(peer: Peer) -> None:
    """Ring, and describe, reliably: repeat, skip a number, and answer without a description."""
    invite = await peer.asked("INVITE")
    if invite is None:
        return
    first = peer.rng.randrange(1, 2**31)
    peer.reply(invite, 180, "Ringing", tag="r", extra=RELIABLE.format(first))
    peer.reply(invite, 180, "Ringing", tag="r", extra=RELIABLE.format(first))
    await _pracked(peer)
    peer.reply(invite, 183, "Session Progress", peer.sdp(), tag="r", extra=RELIABLE.format(first + 7))  # a hole before
    for _ in range(3):
        peer.reply(invite, 183, "Session Progress", peer.sdp(), tag="r", extra=RELIABLE.format(first + 1))
        if await _pracked(peer):
            break
    await peer.sleep(0, 2)
    peer.reply(invite, 200, "OK", tag="r")
    await _let_go(peer)


async def plays_early(peer: Peer) -> None:
    """Play an announcement before the answer, and then answer or refuse with a reason."""
    invite = await peer.asked("INVITE")
    if invite is None:
        return
    vouched = peer.rng.choice(("", "P-Early-Media: sendrecv", "P-Early-Media: inactive"))
    peer.reply(invite, 183, "Session Progress", peer.sdp(), tag="e", extra=vouched)
    _sounds(peer, invite, 100)
    await peer.sleep(0.5, 2.5)
    if peer.rng.random() < 0.4:
        peer.reply(invite, 503, "Service Unavailable", tag="e", extra='Reason: Q.850;cause=17;text="User busy"')
    else:
        peer.reply(invite, 200, "OK", peer.sdp(), tag="e")
        await _let_go(peer)


async def redirects(peer: Peer) -> None:
    """Send the caller from place to place, in a circle in the end, or let it in somewhere."""
    for hop in range(8):
        invite = await peer.asked("INVITE", within_s=20)
        if invite is None:
            return
        if hop and peer.rng.random() < 0.3:
            peer.reply(invite, 200, "OK", peer.sdp(), tag=f"h{hop}")
            await _let_go(peer)
            return
        ip = peer.address[0]
        there = f"<sip:hop{hop + 1}@{ip}>;q=0.7, <sip:x@{ip}>;q=0.9, <sip:thief@10.9.9.9>, <sip:hop{hop}@{ip}>;q=0.8"
        code = 302 if peer.rng.random() < 0.9 else 305
        peer.reply(invite, code, "Elsewhere", tag=f"h{hop}", extra=f"Contact: {there}")


async def insists(peer: Peer) -> None:
    """Call and insist on reliable responses; acknowledge them well, wrongly or never."""
    data = peer.request("INVITE", peer.sdp(), extra="Require: 100rel")
    manner = peer.rng.choice((0, 0, 1, 2))
    ringing = await peer.response("INVITE", 180, within_s=4)
    if ringing is None:
        peer.send(data)
        ringing = await peer.response("INVITE", 180, within_s=4)
    if ringing is not None:
        peer.confirm(ringing)
        rseq = next(
            (line[6:] for line in ringing.data.decode().split("\r\n") if line.startswith("RSeq: ")),
            "1",
        )
        if manner != 2:
            peer.request("PRACK", extra=f"RAck: {rseq if manner == 0 else 1} 1 INVITE")
            await peer.response("PRACK", within_s=4)
    answer = await peer.response("INVITE")
    if answer is None:
        return
    peer.confirm(answer)
    if answer.sip.code >= 300:
        peer.request("ACK", same=True)
        return
    peer.numbered(1)
    peer.request("ACK")
    peer.numbered(20)
    await peer.sleep(0.5, 3)
    peer.request("BYE")
    await peer.response("BYE")


async def keys_and_texts(peer: Peer) -> None:
    """Press keys by INFO, write texts, and send what nobody understands."""
    data = peer.request("INVITE", peer.sdp(codecs="0 8"), extra="Allow: INVITE, ACK, BYE, CANCEL, INFO")
    answer = await peer.response("INVITE", within_s=6)
    if answer is None:
        peer.send(data)
        answer = await peer.response("INVITE")
    if answer is None or answer.sip.code >= 300:
        return
    peer.confirm(answer)
    peer.request("ACK")
    for method, body, kind in (
        ("INFO", "Signal=5\r\nDuration=160\r\n", "application/dtmf-relay"),
        ("INFO", "#", "application/dtmf"),
        ("INFO", "Signal=\r\n", "application/dtmf-relay"),
        ("INFO", "<x/>", "application/media_control+xml"),
        ("MESSAGE", "hello from beside the call", "text/plain"),
        ("MESSAGE", "x" * 900, "text/html"),
    ):
        await peer.sleep(0.1, 0.8)
        peer.request(method, body, extra=f"Content-Type: {kind}")
        await peer.response(method, within_s=4)
    peer.request("BYE")
    await peer.response("BYE")


async def takes_keys(peer: Peer) -> None:
    """Be called without telephone-event and take keys by INFO: well, not at all, or without a word."""
    invite = await peer.asked("INVITE")
    if invite is None:
        return
    peer.reply(invite, 200, "OK", peer.sdp(codecs="0 8"), tag="k", extra="Allow: INVITE, ACK, BYE, INFO")
    for _ in range(3):
        info = await peer.asked("INFO", within_s=15)
        if info is None:
            break
        manner = peer.rng.random()
        if manner < 0.7:
            peer.reply(info, 200, "OK")
        elif manner < 0.85:
            peer.reply(info, 415, "Unsupported Media Type")
    await _let_go(peer)


IS_CALLED: Final[tuple[Manner, ...]] = (forks, rings_reliably, plays_early, redirects, takes_keys)
"""Peers that an agent calls."""

CALLS_US: Final[tuple[Manner, ...]] = (insists, keys_and_texts)
"""Peers that call an agent."""
