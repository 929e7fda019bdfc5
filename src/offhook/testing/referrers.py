"""Peers that transfer, or are transferred: REFER in both roles as the field has it, half done and out of turn.

CALLS_US    refer the agent elsewhere, or take a place          IS_HANDED_ON    are asked to call someone else
IS_JOINED   answer, and others are called in
"""

from __future__ import annotations

import asyncio
from typing import Final

from offhook.testing.peers import Got, Manner, Peer, says_bye, up

NOWHERE: Final = "10.3.0.77"
"""Where nobody is."""

TARGETS: Final = (
    f"<sip:desk@{NOWHERE}>",
    f"<sip:desk@{NOWHERE}?Replaces=a%40b%3Bto-tag%3D1%3Bfrom-tag%3D2>",
    "<sip:+900123@203.0.113.9>",
    "<sip:desk@127.0.0.1>",
    "<sip:desk@10.3.0.1;method=BYE>",
    "<http://169.254.169.254/>",
    "<sip:desk@[::1>",
    "nonsense",
)


async def refers_us(peer: Peer) -> None:
    """Refer the agent to somewhere, twice, and hear what becomes of it, or hang up at once."""
    if not await up(peer):
        return
    peer.request("ACK")
    await peer.sleep(0.1, 2)
    target = peer.rng.choice(TARGETS)
    data = peer.request("REFER", extra=f"Refer-To: {target}\r\nReferred-By: <sip:peer@{peer.address[0]}>")
    if peer.rng.random() < 0.5:
        peer.send(data)
    got = await peer.response("REFER", within_s=6)
    manner = peer.rng.randrange(3)
    if got is not None and got.sip.code < 300:
        if peer.rng.random() < 0.5:
            peer.request("REFER", extra=f"Refer-To: {target}")
        if manner:
            await _hears_news(peer, refuse=manner == 1)
    await says_bye(peer)


async def _hears_news(peer: Peer, *, refuse: bool) -> None:
    for _ in range(4):
        news = await peer.asked("NOTIFY", within_s=10)
        if news is None:
            return
        peer.reply(news, 481 if refuse else 200, "As it is")
        if refuse or b"terminated" in news.data:
            return


async def refers_from_outside(peer: Peer) -> None:
    """Refer without a call, and with dialogs that are guessed."""
    for extra in ("", "\r\nTarget-Dialog: a@b;local-tag=1;remote-tag=2", "\r\nTarget-Dialog: junk"):
        peer.fresh()
        peer.request("REFER", extra=f"Refer-To: <sip:desk@{NOWHERE}>{extra}")
        await peer.response("REFER", within_s=3)
        await peer.sleep(0, 0.5)


async def takes_its_own_place(peer: Peer) -> None:
    """Call again in place of the first call, as who moves to another phone; sometimes in a place that is not there."""
    if not await up(peer):
        return
    peer.request("ACK")
    await peer.sleep(0.2, 2)
    place = peer.replaces()
    if peer.rng.random() < 0.3:
        place = place.replace("to-tag=", "to-tag=x")
    peer.fresh()
    data = peer.request("INVITE", peer.sdp(), extra=place)
    for wait_s in (0.5, 1.0, 2.0, 4.0):
        got = await peer.response("INVITE", within_s=wait_s)
        if got is not None:
            break
        peer.send(data)
    else:
        return
    peer.confirm(got)
    peer.request("ACK", same=got.sip.code >= 300)
    bye = await peer.asked("BYE", within_s=2)
    if bye is not None:
        peer.reply(bye, 200, "OK")
    if got.sip.code < 300:
        await peer.sleep(0.2, 2)
        await says_bye(peer)


async def is_handed_on(peer: Peer) -> None:
    """Be called and asked to call someone else: go, refuse, say nothing, or tell half of it."""
    invite = await peer.asked("INVITE")
    if invite is None:
        return
    peer.reply(invite, 200, "OK", peer.sdp(), tag="h")
    await peer.asked("ACK")
    refer = await peer.asked("REFER", within_s=20)
    if refer is None:
        return
    manner = peer.rng.randrange(7)
    if manner == 0:
        peer.reply(refer, peer.rng.choice((403, 405, 420, 501, 603)), "No")
    elif manner == 1:
        await asyncio.sleep(40)
    else:
        if manner == 2:
            _tells(peer, refer, "SIP/2.0 100 Trying", "active;expires=60")
        peer.reply(refer, 202, "Accepted")
        if manner == 3:
            _tells(peer, refer, "SIP/2.0 180 Ringing", "active;expires=60")
            await asyncio.sleep(65)
        elif manner == 4:
            _tells(peer, refer, "SIP/2.0 200 OK", "active;expires=60")
            _tells(peer, refer, "SIP/2.0 200 OK", "terminated;reason=noresource")
        elif manner == 5:
            _tells(peer, refer, "SIP/2.0 486 Busy Here", "terminated;reason=noresource")
        else:
            _tells(peer, refer, "junk", "terminated;reason=timeout")
    await _goes(peer)


async def picks_up(peer: Peer) -> None:
    """Be who a caller is handed to: ring, answer, and hang up or be hung up in the end."""
    invite = await peer.asked("INVITE")
    if invite is None:
        return
    peer.adopt(invite, "p")
    peer.reply(invite, 180, "Ringing", tag="p")
    await peer.sleep(0.0, 2.0)
    peer.reply(invite, 200, "OK", peer.sdp(), tag="p")
    await peer.asked("ACK", within_s=8)
    bye = await peer.asked("BYE", within_s=peer.rng.uniform(1.0, 12.0))
    if bye is not None:
        peer.reply(bye, 200, "OK")
    else:
        await says_bye(peer)


def _tells(peer: Peer, refer: Got, line: str, state: str) -> None:
    """Send a NOTIFY in the dialog that a REFER came in."""
    ip, port = peer.address
    given = dict(row.split(": ", 1) for row in refer.data.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:])
    number = peer.rng.choice(("", f";id={given['CSeq'].split()[0]}"))
    rows = (
        f"NOTIFY sip:agent@{peer.agent[0]} SIP/2.0",
        f"Via: SIP/2.0/UDP {ip}:{port};branch=z9hG4bK{peer.rng.getrandbits(48):x};rport",
        "Max-Forwards: 70",
        f"From: {given['To']}",
        f"To: {given['From']}",
        f"Call-ID: {given['Call-ID']}",
        f"CSeq: {peer.next_number()} NOTIFY",
        f"Contact: <sip:peer@{ip}:{port}>",
        f"Event: refer{number}",
        f"Subscription-State: {state}",
        "Content-Type: message/sipfrag;version=2.0",
        f"Content-Length: {len(line)}",
    )
    peer.send("\r\n".join((*rows, "", line)).encode())


async def _goes(peer: Peer) -> None:
    bye: Got | None = await peer.asked("BYE", within_s=30)
    if bye is not None:
        peer.reply(bye, 200, "OK")


CALLS_US: Final[tuple[Manner, ...]] = (refers_us, refers_us, refers_from_outside, takes_its_own_place)
"""Peers that call an agent."""

IS_HANDED_ON: Final[tuple[Manner, ...]] = (is_handed_on, is_handed_on)
"""Peers that an agent calls and then hands on."""

IS_JOINED: Final[tuple[Manner, ...]] = (picks_up, picks_up, picks_up)
"""Peers that an agent calls, and then calls others in."""
