"""Every key of a trunk does something: a host as the file makes it, in virtual time, and what its peers see."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from offhook.call import Call
from offhook.core.errors import ConfigError, DialFailed
from offhook.run.config import Config, host_rules
from offhook.sip.challenges import Challenges, Proved, User
from offhook.sip.digest import ha1
from offhook.sip.message import Request, Response, parse_message
from tests.run.conftest import HOST, PEER

SPARE = "10.3.0.2"
NUMBER = "+15551234567"


async def listens(call: Call) -> None:
    async for _ in call.audio():
        pass


@pytest.fixture
def host(stage: Any) -> Any:
    """Make a host whose only trunk has these keys; `sip` are keys of the line."""

    def make(agent: Any = listens, *, sip: dict[str, Any] | None = None, **keys: Any) -> Any:
        told = {"address": f"sip:{PEER}", "calls": 9, **keys}
        made = host_rules(Config(trunks={"main": told}, dial={"allow": ["+1"]}, sip=sip or {}), max_calls=9)  # type: ignore[arg-type]
        return stage.host(agent, trunks=made.trunks, dial=made.dial, settings=made.settings, audio=made.audio)

    return make


async def refused(dialling: asyncio.Task[Any]) -> DialFailed:
    with pytest.raises(DialFailed) as failed:
        await dialling
    return failed.value


async def invited(peer: Any, answered: int, extra: str = "") -> Any:
    """Wait for an INVITE and answer it with a code."""
    invite = await peer.asked("INVITE")
    assert invite is not None
    peer.reply(invite, answered, "Said", peer.sdp() if answered < 300 else "", tag="t", extra=extra)
    return invite


def test_codecs_are_offered_and_taken_as_the_trunk_has_them(stage: Any, host: Any) -> None:
    async def story() -> None:
        async with host(codecs=["PCMA"]) as one:
            peer = stage.peer()
            dialling = asyncio.create_task(one.dial(NUMBER, listens))
            invite = await invited(peer, 486)
            assert b" RTP/AVP 8 13 101\r\n" in invite.data
            assert (await refused(dialling)).meaning == "busy"
            peer.fresh()
            peer.request("INVITE", peer.sdp(codecs="0 8 101"))
            got = await peer.response("INVITE", 200)
            assert b" RTP/AVP 8 101\r\n" in got.data
            peer.confirm(got)
            peer.request("ACK")
            peer.request("BYE")
            await peer.response("BYE")
            peer.close()
            await stage.world.settle()

    stage.play(story())


@pytest.mark.parametrize(
    ("codes", "extra", "meaning"),
    [({"480": "busy"}, "", "busy"), ({"Q.850;41": "declined"}, "Reason: Q.850;cause=41", "declined"), ({}, "", "")],
)
def test_codes_mean_what_the_trunk_means_by_them(stage: Any, host: Any, codes: Any, extra: str, meaning: str) -> None:
    async def story() -> None:
        async with host(codes=codes) as one:
            peer = stage.peer()
            dialling = asyncio.create_task(one.dial(NUMBER, listens))
            await invited(peer, 480, extra)
            assert (await refused(dialling)).meaning == (meaning or "unavailable")
            peer.close()
            await stage.world.settle()

    stage.play(story())


def test_a_meaning_that_is_none_is_an_error_that_names_its_key() -> None:
    trunk = {"address": "sip:192.0.2.1", "codes": {"480": "bussy"}}
    with pytest.raises(ConfigError, match=r"trunks\.main\.codes: 'bussy' is no meaning"):
        host_rules(Config(trunks={"main": trunk}), max_calls=1)  # type: ignore[arg-type]


def test_min_se_s_is_the_trunks_own_both_ways(stage: Any, host: Any) -> None:
    async def story() -> None:
        async with host(min_se_s=300) as one:
            peer = stage.peer()
            peer.request("INVITE", peer.sdp(), extra="Supported: timer\r\nSession-Expires: 200")
            got = await peer.response("INVITE", 422)
            assert b"\r\nMin-SE: 300\r\n" in got.data
            peer.confirm(got)
            peer.request("ACK", same=True)
            dialling = asyncio.create_task(one.dial(NUMBER, listens))
            invite = await invited(peer, 486)
            assert b"\r\nMin-SE: 300\r\n" in invite.data
            await refused(dialling)
            peer.close()
            await stage.world.settle()

    stage.play(story())


@pytest.mark.parametrize("reliable", [True, False])
def test_reliable_has_the_trunk_acknowledge_that_it_rings(stage: Any, host: Any, reliable: bool) -> None:
    async def story() -> None:
        async with host(reliable=reliable):
            peer = stage.peer()
            peer.request("INVITE", peer.sdp(), extra="Supported: 100rel")
            got = await peer.response("INVITE", 180)
            assert (b"\r\nRSeq: " in got.data) is reliable
            peer.request("CANCEL", same=True)
            final = await peer.response("INVITE")
            peer.confirm(final)
            if final.sip.code < 300:
                peer.request("ACK")
                peer.request("BYE")
                await peer.response("BYE")
            else:
                peer.request("ACK", same=True)
            peer.close()
            await stage.world.settle()

    stage.play(story())


@pytest.mark.parametrize("contact", ["rewrite", "keep"])
def test_contact_rewrite_answers_where_messages_come_from(stage: Any, host: Any, contact: str) -> None:
    async def story() -> None:
        async with host(contact=contact) as one:
            peer, behind = stage.peer(), stage.peer("10.3.0.9")
            dialling = asyncio.create_task(one.dial(NUMBER, listens))
            invite = await peer.asked("INVITE")
            ok = peer.sdp()
            text = _answer(invite.data, "sip:x@10.3.0.9", ok)
            peer.send(text)
            asked = peer if contact == "rewrite" else behind
            assert await asked.asked("ACK") is not None
            call = await dialling
            await call.hangup()
            assert await asked.asked("BYE") is not None
            peer.close()
            behind.close()

    stage.play(story())


def _answer(data: bytes, contact: str, body: str) -> bytes:
    invite = parse_message(data)
    kept = [(name, invite.index[name]) for name in ("Via", "From", "Call-ID", "CSeq")]
    to = ("To", f"{invite.index['To']};tag=t")
    more = (("Contact", f"<{contact}>"), ("Content-Type", "application/sdp"))
    return bytes(Response((*kept, to, *more), body.encode(), 200, ""))


@pytest.mark.parametrize("refuse", [480, None])
def test_refuse_is_what_a_drain_says_to_the_trunk(stage: Any, host: Any, refuse: int | None) -> None:
    async def story() -> None:
        async with host(**({"refuse": refuse} if refuse else {})) as one:
            peer = stage.peer()
            await one.drain(0)
            peer.request("INVITE", peer.sdp())
            got = await peer.response("INVITE")
            assert got.sip.code == (refuse or 503)
            assert b"\r\nRetry-After: " in got.data
            peer.confirm(got)
            peer.request("ACK", same=True)
            peer.close()
            await stage.world.settle()

    stage.play(story())


def test_dtmf_by_info(stage: Any, host: Any) -> None:
    async def presses(call: Call) -> None:
        await call.up()
        await call.press("5")

    async def story() -> None:
        async with host(presses, dtmf="info"):
            peer = stage.peer()
            peer.request("INVITE", peer.sdp())
            got = await peer.response("INVITE", 200)
            peer.confirm(got)
            peer.request("ACK")
            info = await peer.asked("INFO")
            assert info is not None
            assert b"5" in info.data.partition(b"\r\n\r\n")[2]
            peer.reply(info, 200, "OK")
            bye = await peer.asked("BYE")
            peer.reply(bye, 200, "OK")
            peer.close()
            await stage.world.settle()

    stage.play(story())


@pytest.mark.parametrize("code", [503, 408, None])
def test_the_next_gateway_is_tried_by_its_own_name(stage: Any, host: Any, code: int | None) -> None:
    async def story() -> None:
        async with host(address=[f"sip:{PEER}", f"sip:{SPARE}"]) as one:
            peer, spare = stage.peer(), stage.peer(SPARE)
            dialling = asyncio.create_task(one.dial(NUMBER, listens))
            if code is None:
                peer.close()  # nobody is there: no answer, for 32 s
            else:
                await invited(peer, code)
            invite = await spare.asked("INVITE", within_s=40)
            assert invite is not None
            assert invite.data.startswith(f"INVITE sip:{NUMBER}@{SPARE} ".encode())
            spare.reply(invite, 486, "Busy", tag="t")
            assert (await refused(dialling)).code == 486
            assert one.admission.source(SPARE).trunk == "main", "it may call us, too"
            if code is not None:
                peer.close()
            spare.close()

    stage.play(story())


def test_what_the_callee_says_at_the_first_gateway_stands(stage: Any, host: Any) -> None:
    async def story() -> None:
        async with host(address=[f"sip:{PEER}", f"sip:{SPARE}"]) as one:
            peer, spare = stage.peer(), stage.peer(SPARE)
            dialling = asyncio.create_task(one.dial(NUMBER, listens))
            await invited(peer, 603)
            assert (await refused(dialling)).code == 603
            assert await spare.asked("INVITE", within_s=3) is None
            peer.close()
            spare.close()

    stage.play(story())


def test_the_next_registrar_is_asked_where_the_first_is_dead(stage: Any, host: Any) -> None:
    async def story() -> None:
        async with host(address=[f"sip:{PEER}", f"sip:{SPARE}"], username="luigi", password="secret") as one:
            dead, spare = stage.peer(), stage.peer(SPARE)
            assert await dead.asked("REGISTER") is not None
            register = await spare.asked("REGISTER", within_s=60)
            assert register is not None
            assert register.data.startswith(f"REGISTER sip:{PEER} ".encode()), "it is one account, of one domain"
            contact = (parse_message(register.data)).index["Contact"]
            spare.reply(register, 200, "OK", tag="r", extra=f"Contact: {contact};expires=3600")
            await asyncio.sleep(1)
            assert [standing.state for standing in one.registrations()] == ["registered"]
            dead.close()
            spare.close()

    stage.play(story())


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_ha1_proves_who_we_are_without_the_password(stage: Any, host: Any, algorithm: str) -> None:
    secret = ha1(algorithm, "luigi", PEER, "zanzibar")
    keys: Any = {"ha1": secret if algorithm == "MD5" else {algorithm: secret}}

    async def story() -> None:
        asked = Challenges(
            {"luigi": User("zanzibar")}, realm=PEER, secret=bytes(16), algorithms=("SHA-512-256", "SHA-256", "MD5")
        )
        async with host(username="luigi", register=False, **keys) as one:
            peer = stage.peer()
            dialling = asyncio.create_task(one.dial(NUMBER, listens))
            first = await peer.asked("INVITE")
            invite = parse_message(first.data)
            kept = [(name, invite.index[name]) for name in ("Via", "From", "To", "Call-ID", "CSeq")]
            peer.send(bytes(Response((*kept, *asked.ask(stage.world.loop.now, HOST, proxy=True)), b"", 407, "")))
            second = await peer.asked("INVITE")
            request = parse_message(second.data)
            assert isinstance(request, Request)
            assert asked.check(stage.world.loop.now, request, HOST) == Proved("luigi")
            assert f"algorithm={algorithm}" in request.index["Proxy-Authorization"]
            peer.reply(second, 486, "Busy Here", tag="t")
            await refused(dialling)
            peer.close()

    stage.play(story())
