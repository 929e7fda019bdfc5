"""Accounts at registrars, over the simulated network and in virtual time: registered, and again after every outage."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest
import structlog

from offhook.carriers.trunks import Trunk
from offhook.core.errors import DialFailed
from offhook.core.instants import SECOND
from offhook.core.media import Address
from offhook.run.accounts import FAREWELL_S
from offhook.sip.challenges import Challenges, Proved, Stale, User
from offhook.sip.grammar import Fields
from offhook.sip.message import Request, Response, parse_message
from offhook.sip.uri import parse_uri
from offhook.testing.world import World

HOST = "10.1.0.1"
PEER = "10.3.0.1"
REGISTRAR = PEER


class Registrar:
    """A registrar that asks for a password, and does what it is told to do wrong."""

    def __init__(self, world: World, ip: str = REGISTRAR) -> None:
        self.world = world
        self.address: Address = (ip, 5060)
        self.down = False
        self.says: list[int] = []
        self.least_s = 0
        self.asked: list[tuple[int, Request]] = []
        self.bound: dict[str, float] = {}
        self.fresh_nonces(b"the first secret")
        world.network.bind(self.address, self._receive)

    def fresh_nonces(self, secret: bytes) -> None:
        self._challenges = Challenges({"bob": User("zanzibar")}, realm=self.address[0], secret=secret)

    def registered(self) -> bool:
        return any(until > self.world.loop.time() for until in self.bound.values())

    def _receive(self, data: bytes, source: Address) -> None:
        request = parse_message(data)
        assert isinstance(request, Request)
        self.asked.append((self.world.loop.now, request))
        if self.down:
            return
        code, fields = self._answer(request, source)
        kept = [(name, request.index[name]) for name in ("Via", "From", "Call-ID", "CSeq")]
        response = Response((*kept, ("To", f"{request.index['To']};tag=r"), *fields), b"", code, "")
        self.world.network.send(self.address, source, bytes(response))

    def _answer(self, request: Request, source: Address) -> tuple[int, Fields]:
        now = self.world.loop.now
        verdict = self._challenges.check(now, request, source[0])
        if not isinstance(verdict, Proved):
            stale = isinstance(verdict, Stale) and verdict.nonce_known
            return 401, self._challenges.ask(now, source[0], stale=stale)
        expires_s = int(request.index["Expires"])
        if expires_s and expires_s < self.least_s:
            return 423, (("Min-Expires", str(self.least_s)),)
        if self.says:
            return self.says.pop(0), ()
        contact = request.values("Contact")[0]
        self.bound[contact.partition(";expires")[0]] = now / SECOND + expires_s
        return 200, (("Contact", contact),)


def trunk(server: str = REGISTRAR, **more: Any) -> Trunk:
    made: dict[str, Any] = {"username": "bob", "password": "zanzibar", "register": True, "expires_s": 60}
    return Trunk(
        "trunk", uri=parse_uri(f"sip:{server}"), networks=(server,) if server[0] == "1" else (), **(made | more)
    )


async def nobody(call: object) -> None:
    """Answer no call."""


@pytest.mark.survives(18)
@pytest.mark.parametrize("seed", range(10))
def test_registered_again_within_ten_seconds_of_the_registrars_return_and_no_storm(stage, seed):
    """The registrar is down for 60 s, comes back with other nonces, finds 60 s too brief, then fails once."""

    async def story() -> None:
        registrar = Registrar(stage.world)
        async with stage.host(nobody, trunks=(trunk(),)) as host:
            await asyncio.sleep(100 + Random(seed).uniform(0, 60))
            assert registrar.registered()
            registrar.down = True
            registrar.bound.clear()
            await asyncio.sleep(60)
            storm = len([1 for now, _ in registrar.asked if now > stage.world.loop.now - 60 * SECOND])
            registrar.down = False
            registrar.fresh_nonces(b"another secret it is")
            registrar.least_s, registrar.says = 120, [500]
            back, asked = stage.world.loop.time(), len(registrar.asked)
            while not registrar.registered():
                assert stage.world.loop.time() - back < 10
                await asyncio.sleep(0.05)
            assert storm <= 22  # a request in 4 s, and its first repeats
            assert len(registrar.asked) - asked <= 8
            await asyncio.sleep(1)
            assert [standing.state for standing in host.registrations()] == ["registered"]
        registrar.world.network.unbind(registrar.address)

    stage.play(story())


def test_the_log_has_one_line_a_change_and_no_password(stage):
    async def story() -> None:
        registrar = Registrar(stage.world)
        with structlog.testing.capture_logs() as logs:
            async with stage.host(nobody, trunks=(trunk(),)):
                await asyncio.sleep(300)
                registrar.says = [403]
                await asyncio.sleep(900)
        assert [(entry["event"], entry.get("code")) for entry in logs] == [
            ("registered", None),
            ("not registered", 403),
            ("registered", None),
            ("unregistered", None),
        ]
        assert "zanzibar" not in str(logs)
        assert not registrar.registered()
        stage.world.network.unbind(registrar.address)

    stage.play(story())


@pytest.mark.survives(16)
def test_closing_takes_the_binding_back_and_waits_for_nobody_long(stage):
    async def story() -> None:
        registrar = Registrar(stage.world)
        host = stage.host(nobody, trunks=(trunk(),))
        async with host:
            await asyncio.sleep(5)
            assert registrar.registered()
        assert registrar.asked[-1][1].index["Expires"] == "0"
        assert not registrar.registered()
        silent = stage.host(nobody, trunks=(trunk(),))
        async with silent:
            await asyncio.sleep(5)
            registrar.down = True
            closing = stage.world.loop.time()
        assert stage.world.loop.time() - closing <= FAREWELL_S + 0.1
        stage.world.network.unbind(registrar.address)

    stage.play(story())


def test_a_name_that_is_not_known_is_told_and_does_not_stop_the_host(stage):
    async def story() -> None:
        registrar = Registrar(stage.world)
        with structlog.testing.capture_logs() as logs:
            async with stage.host(nobody, trunks=(trunk("nowhere.invalid"),)) as host:
                await asyncio.sleep(20)
                assert next(standing.state for standing in host.registrations()) in ("waiting", "seeking")
        assert len([entry for entry in logs if entry["event"] == "the registrar is not found"]) == 1
        assert [entry["reason"] for entry in logs if entry["event"] == "not registered"] == [
            "the registrar's name leads nowhere"
        ]
        stage.world.network.unbind(registrar.address)

    stage.play(story())


@pytest.mark.survives(19)
def test_a_call_through_a_trunk_that_asks_for_a_password_gets_through(stage):
    async def story() -> None:
        asked = Challenges({"bob": User("zanzibar")}, realm=PEER, secret=bytes(16))
        peer = stage.peer()
        async with stage.host(nobody, trunks=(trunk(PEER, register=False),), dial=("+1",)) as host:
            dialling = asyncio.create_task(host.dial("+15551234567", nobody))
            first = await peer.asked("INVITE")
            invite = parse_message(first.data)
            kept = [(name, invite.index[name]) for name in ("Via", "From", "To", "Call-ID", "CSeq")]
            fields = asked.ask(stage.world.loop.now, HOST, proxy=True)
            peer.send(bytes(Response((*kept, *fields), b"", 407, "")))
            second = await peer.asked("INVITE")
            request = parse_message(second.data)
            assert isinstance(request, Request)
            assert asked.check(stage.world.loop.now, request, HOST) == Proved("bob")
            peer.reply(second, 486, "Busy Here", tag="t")
            with pytest.raises(DialFailed):
                await dialling
        peer.close()

    stage.play(story())
