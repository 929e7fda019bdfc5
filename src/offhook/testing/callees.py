"""Peers that an agent calls and that misbehave as real ones do: each a script for one call, over UDP."""

from __future__ import annotations

from typing import Final

from offhook.testing.peers import Manner, Peer, lets_go_badly


async def is_busy(peer: Peer) -> None:
    """Refuse, again and again if the ACK is late."""
    invite = await peer.asked("INVITE")
    if invite is None:
        return
    if peer.rng.random() < 0.5:
        peer.reply(invite, 180, "Ringing", tag="b")
        await peer.sleep(0.1, 2)
    for _ in range(3):
        peer.reply(invite, 486, "Busy Here", tag="b")
        peer.reply(invite, 183, "Too late", tag="b")
        await peer.sleep(0.1, 1)
    if peer.rng.random() < 0.5:
        peer.is_unreachable()


async def goes_out_of_reach(peer: Peer) -> None:
    """Ring, and be gone."""
    invite = await peer.asked("INVITE")
    if invite is not None:
        peer.reply(invite, 180, "Ringing", tag="o")
        await peer.sleep(0.2, 2)
        peer.is_unreachable()


async def never_answers(peer: Peer) -> None:
    """Not even provisionally, or only so."""
    manner = peer.rng.choice((0, 0, 1, 2, 2))
    invite = await peer.asked("INVITE")
    if invite is None:
        return
    if manner:
        peer.reply(invite, 100, "Trying")
        peer.reply(invite, 180, "Ringing", tag="n")
    cancel = await peer.asked("CANCEL", within_s=90)
    if cancel is not None and manner == 1:
        peer.reply(cancel, 200, "OK", tag="n")
        peer.reply(invite, 487, "Request Terminated", tag="n")


async def answers_twice(peer: Peer) -> None:
    """Answer with two 200s from two phones, as a fork does, and with much else besides."""
    invite = await peer.asked("INVITE")
    if invite is None:
        return
    peer.reply(invite, 180, "Ringing", tag="one")
    peer.reply(invite, 183, "Session Progress", tag="two")
    for tag in ("one", "two", "one"):
        peer.reply(invite, 200, "OK", peer.sdp(), tag=tag)
        await peer.sleep(0, 0.4)
    peer.reply(invite, 180, "Ringing", tag="one")
    peer.reply(invite, 486, "Busy Here", tag="three")
    for _ in range(3):
        bye = await peer.asked("BYE", within_s=30)
        if bye is None:
            return
        await lets_go_badly(peer, bye)


async def refuses_at_once(peer: Peer) -> None:
    """Refuse without ever having rung, then change its mind."""
    invite = await peer.asked("INVITE")
    if invite is not None:
        peer.reply(invite, 603, "Decline", tag="r")
        await peer.sleep(0, 0.2)
        peer.reply(invite, 603, "Decline", tag="r")
        peer.reply(invite, 200, "OK", peer.sdp(), tag="r")


IS_CALLED: Final[tuple[Manner, ...]] = (
    is_busy, never_answers, never_answers, answers_twice, refuses_at_once, goes_out_of_reach,
)  # fmt: skip
"""Peers that an agent calls."""
