"""What the far end is told of our RTP port: what a STUN server sees of the socket itself, or our own address."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from offhook import _native as native
from offhook.carriers.door import WAIT_S, Door
from offhook.policy.reach import Reach
from offhook.sip.sdp import Session, parse_sdp
from offhook.testing.stun import StunServer, answer

STUN = ("10.8.0.1", 3478)
OUTER = ("203.0.113.9", 61_000)


def told(session: Session) -> tuple[str | None, int]:
    return session.connection, session.media[0].port


@pytest.mark.parametrize("up", [True, False])
def test_an_answer_names_what_the_server_sees_or_our_own(stage: Any, up: bool) -> None:
    async def story() -> None:
        server = StunServer(stage.world.network, STUN, OUTER)
        server.up = up
        peer = stage.peer()
        async with stage.desk() as desk:
            desk.line.reach = Reach(stun=STUN)
            peer.request("INVITE", peer.sdp())
            leg = await desk.rung()
            began = stage.world.seconds
            answering = asyncio.ensure_future(leg.answer())
            ok = await peer.response("INVITE")
            local = desk.media.engine.local(leg._number)
            assert told(parse_sdp(ok.data.partition(b"\r\n\r\n")[2])) == (OUTER if up else local)
            assert set(server.asked) == {local}  # from the RTP socket itself
            assert stage.world.seconds - began < WAIT_S + 0.1
            peer.confirm(ok)
            peer.request("ACK")
            await answering
            await leg.hangup()
            peer.reply(await peer.asked("BYE"), 200, "OK")
            peer.close()
        server.close()

    stage.play(story())


def test_an_answer_that_comes_too_late_changes_nothing(stage: Any) -> None:
    async def story() -> None:
        server = StunServer(stage.world.network, STUN)
        server.up = False
        async with stage.desk() as desk:
            door = Door(desk.media, "10.1.0.1", STUN, desk.line.rng)
            own = door.address
            assert not await door.known()
            door._heard(native.Mapped(door.number, 1, 0, OUTER))
            assert door.address == own
            assert len(server.asked) == 3
            door.close()
        server.close()

    stage.play(story())


def test_only_a_binding_request_is_answered() -> None:
    request = b"\0\1\0\0\x21\x12\xa4\x42" + bytes(12)
    assert answer(request, OUTER) is not None
    assert answer(b"\1\1" + request[2:], OUTER) is None
    assert answer(request[:19], OUTER) is None
