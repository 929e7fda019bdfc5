"""How others reach a host: found out at its start, and told in every description."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_network
from typing import Any

import pytest

from offhook.policy.reach import Reach
from offhook.run.reach import found
from offhook.run.rules import HostRules
from offhook.sip.sdp import parse_sdp
from offhook.testing.stun import StunServer

STUN, OUTER = ("10.8.0.1", 3478), ("203.0.113.9", 61_000)


def test_a_server_is_looked_up_once_and_done_without_where_it_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    async def known() -> Reach:
        return await found(HostRules(stun=("127.0.0.1", 3478), local_networks=("10.0.0.0/8",)))

    assert asyncio.run(known()) == Reach(None, (ip_network("10.0.0.0/8"),), ("127.0.0.1", 3478))
    assert asyncio.run(found(HostRules(external="203.0.113.9"))) == Reach("203.0.113.9")

    async def unknown() -> Reach:
        async def fails(*_: Any, **__: Any) -> Any:
            raise socket.gaierror(-2, "not known")

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", fails)
        return await found(HostRules(stun=("nowhere.invalid", 3478)))

    assert asyncio.run(unknown()) == Reach()


@pytest.mark.parametrize("local", [False, True])
def test_the_offer_of_a_call_of_ours_names_what_the_server_sees_but_not_at_home(stage: Any, local: bool) -> None:
    async def story() -> None:
        server = StunServer(stage.world.network, STUN, OUTER)

        async def listens(call: Any) -> None:
            async for _ in call.audio():
                pass

        networks = ("10.3.0.0/16",) if local else ()
        async with stage.host(listens, stun=STUN, local_networks=networks) as host:
            peer = stage.peer()
            dialling = asyncio.ensure_future(host.dial("sip:peer@10.3.0.1", listens))
            invite = await peer.asked("INVITE")
            session = parse_sdp(invite.data.partition(b"\r\n\r\n")[2])
            told = (session.connection, session.media[0].port)
            assert (told == OUTER) is not local
            assert bool(server.asked) is not local
            peer.reply(invite, 486, "Busy Here")
            await asyncio.gather(dialling, return_exceptions=True)
            peer.close()
        server.close()

    stage.play(story())


@pytest.mark.parametrize("remote", ["10.3.0.1", "10.2.0.1"])
def test_via_contact_and_sdp_name_the_outer_address_to_all_but_our_own_networks(stage: Any, remote: str) -> None:
    async def story() -> None:
        async def listens(call: Any) -> None:
            async for _ in call.audio():
                pass

        networks = ("10.3.0.0/16",) if remote == "10.2.0.1" else ("10.2.0.0/16",)
        async with stage.host(listens, external="203.0.113.9", local_networks=networks) as host:
            peer = stage.peer()
            dialling = asyncio.ensure_future(host.dial("sip:peer@10.3.0.1", listens))
            invite = await peer.asked("INVITE")
            ours = "203.0.113.9" if remote == "10.3.0.1" else "10.1.0.1"
            head, _, body = invite.data.partition(b"\r\n\r\n")
            assert parse_sdp(body).connection == ours
            lines = head.decode().split("\r\n")
            assert any(line.startswith(f"Via: SIP/2.0/UDP {ours}:") for line in lines)
            assert any(line.startswith("Contact:") and f"@{ours}:" in line for line in lines)
            peer.reply(invite, 486, "Busy Here")
            await asyncio.gather(dialling, return_exceptions=True)
            peer.close()

    stage.play(story())
