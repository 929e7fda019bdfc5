"""Peers that change a session that is up, or let it be changed, as real ones do: out of turn, late, or not at all.

CALLS_US    hold, UPDATE, refresh or fail to          IS_HELD    are called, held and resumed, and quarrel about it
"""

from __future__ import annotations

import asyncio
from typing import Final

from offhook.testing.peers import Manner, Peer, lets_go_badly, says_bye, up

TIMED: Final = "Supported: timer\r\nSession-Expires: 90"
ALLOWS: Final = "\r\nAllow: INVITE, ACK, CANCEL, BYE, UPDATE"


async def _acknowledges(peer: Peer, *, body: str = "", within_s: float = 8.0) -> None:
    """Wait for the final response to an INVITE inside the call and acknowledge it."""
    got = await peer.response("INVITE", within_s=within_s)
    if got is not None:
        peer.request("ACK", body if got.sip.code < 300 else "", same=got.sip.code >= 300)


async def _holds(peer: Peer, terms: str) -> None:
    """Hold, so that nobody minds the silence, under the same terms."""
    peer.request("ACK")
    data = peer.request("INVITE", peer.sdp(direction="inactive"), extra=terms)
    got = await peer.response("INVITE", within_s=1.5)
    if got is None:
        peer.send(data)
    else:
        peer.confirm(got)
        peer.request("ACK", same=got.sip.code >= 300)
        return
    await _acknowledges(peer)


async def updates(peer: Peer) -> None:
    """Say UPDATE with and without a description, twice the same, and while something else is open."""
    if not await up(peer):
        return
    peer.request("ACK")
    for _ in range(6):
        await peer.sleep(0.2, 2)
        body = peer.rng.choice(("", peer.sdp(direction="sendonly"), peer.sdp(), peer.sdp(codecs="3"), "junk"))
        crossed = peer.rng.random() < 0.3
        if crossed:
            peer.request("INVITE", peer.sdp())
        data = peer.request("UPDATE", body)
        if peer.rng.random() < 0.5:
            peer.send(data)
        await peer.response("UPDATE", within_s=4)
        if crossed:
            await _acknowledges(peer)
    await says_bye(peer)


async def refreshes(peer: Peer) -> None:
    """Keep a held call by refreshing it in time, then stop: it must end by itself."""
    method = peer.rng.choice(("INVITE", "UPDATE"))
    terms = f"{TIMED};refresher=uac"
    if not await up(peer, extra=terms):
        return
    await _holds(peer, terms)
    for _ in range(peer.rng.choice((0, 0, 1))):
        await asyncio.sleep(40)
        body = peer.sdp(direction="inactive") if method == "INVITE" else ""
        peer.request(method, body, extra=terms)
        if method == "INVITE":
            await _acknowledges(peer)
        else:
            await peer.response(method, within_s=8)
    bye = await peer.asked("BYE", within_s=100)
    if bye is not None:
        await lets_go_badly(peer, bye)


async def is_refreshed(peer: Peer) -> None:
    """Let the agent refresh a held call, and answer that well, badly or not at all."""
    allows = peer.rng.choice((ALLOWS, ""))
    method = "UPDATE" if allows else "INVITE"
    terms = f"{TIMED};refresher=uas{allows}"
    if not await up(peer, extra=terms):
        return
    await _holds(peer, terms)
    refresh = await peer.asked(method, within_s=60)
    if refresh is None:
        return
    manner = peer.rng.randrange(6)
    if manner == 0:
        peer.reply(refresh, 481, "Gone")
    elif manner == 1:
        pass  # silence: it ends the call
    elif manner == 2:
        peer.reply(refresh, 503, "Busy", extra="Retry-After: 2")
    elif manner == 3:
        peer.reply(refresh, 405, "No")
    elif manner == 4:
        peer.reply(refresh, 491, "Pending")
    else:
        for _ in range(peer.rng.choice((1, 3))):
            body = peer.sdp(direction="inactive") if method == "INVITE" else ""
            peer.reply(refresh, 200, "OK", body, extra="Session-Expires: 90;refresher=uac")
            await peer.sleep(0.1, 0.5)
    for _ in range(3):
        bye = await peer.asked("BYE", within_s=8)
        if bye is not None:
            await lets_go_badly(peer, bye)
            return
    await says_bye(peer)


async def quarrels(peer: Peer) -> None:
    """Be called and held: agree, refuse, want the same at the same time, be slow, or say nothing at all."""
    invite = await peer.asked("INVITE")
    if invite is None:
        return
    peer.adopt(invite, "q")
    peer.reply(invite, 200, "OK", peer.sdp(), tag="q")
    for _ in range(8):
        change = await peer.asked("INVITE", within_s=12)
        if change is None:
            break
        manner = peer.rng.choice((0, 0, 0, 1, 1, 2, 3, 4, 5, 6))
        if manner == 0:
            for _ in range(peer.rng.choice((1, 2))):
                peer.reply(change, 200, "OK", peer.sdp(direction=peer.rng.choice(("recvonly", "inactive", "sendrecv"))))
                await peer.sleep(0.0, 0.3)
        elif manner == 1:
            peer.request("INVITE", peer.sdp(direction="sendonly"))
            peer.reply(change, 491, "Request Pending")
            await _acknowledges(peer)
        elif manner == 2:
            peer.reply(change, 488, "Not Acceptable Here")
        elif manner == 3:
            peer.reply(change, 500, "Not Now", extra="Retry-After: 1")
        elif manner == 4:
            peer.reply(change, 200, "OK")
        elif manner == 5:
            peer.reply(change, 100, "Trying")
            cancel = await peer.asked("CANCEL", within_s=40)
            if cancel is not None:
                peer.reply(cancel, 200, "OK")
                if peer.rng.random() < 0.5:
                    peer.reply(change, 487, "Request Terminated")
        else:
            await asyncio.sleep(35)
    bye = await peer.asked("BYE", within_s=90)
    if bye is not None:
        await lets_go_badly(peer, bye)


CALLS_US: Final[tuple[Manner, ...]] = (updates, updates, refreshes, is_refreshed, is_refreshed)
"""Peers that call an agent."""

IS_HELD: Final[tuple[Manner, ...]] = (quarrels, quarrels)
"""Peers that an agent calls, to hold them and take them back."""
