"""Softphones of ours over the simulated network: they register, call, are called; strangers guess and are shut out."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest
import structlog

from offhook.core.errors import ConfigError, DialFailed, NotAllowed
from offhook.core.media import Address
from offhook.policy.admission import Kind
from offhook.run.config import Config, host_rules
from offhook.run.rules import User
from offhook.sip.auth import Account, Login
from offhook.sip.digest import ha1
from offhook.sip.message import Request, Response, parse_message
from offhook.sip.outcomes import Flow
from offhook.sip.uri import parse_uri
from offhook.testing.world import World

HOST: Address = ("10.1.0.1", 5060)
USERS = (User("alice", "wonderland"), User("bob", "builder-8"))


class Softphone:
    """A phone that answers challenges, and rings when it is called."""

    def __init__(
        self, world: World, ip: str, user: str = "alice", password: str = "wonderland", realm: str = "offhook"
    ) -> None:
        self.world = world
        self.address: Address = (ip, 5060)
        self.user = user
        self.account = Account(Login(user, password, (parse_uri("sip:10.1.0.1"),), realm=realm), rng=Random(user))
        self.got: asyncio.Queue[Request | Response] = asyncio.Queue()
        self.seq = 0
        world.network.bind(self.address, lambda data, source: self.got.put_nowait(parse_message(data)))

    def close(self) -> None:
        self.world.network.unbind(self.address)

    def send(self, message: Request | Response) -> None:
        self.world.network.send(self.address, HOST, bytes(message))

    def request(self, method: str, *fields: tuple[str, str], uri: str = "sip:10.1.0.1", claimed: str = "") -> Request:
        ip, port = self.address
        self.seq += 1
        aor = f"<sip:{claimed or self.user}@10.1.0.1>"
        made = (
            ("Via", f"SIP/2.0/UDP {ip}:{port};rport;branch=z9hG4bK{self.user}{ip}{self.seq}"),
            ("Max-Forwards", "70"),
            ("From", f"{aor};tag={self.seq}"),
            ("To", aor if method == "REGISTER" else f"<{uri}>"),
            ("Call-ID", f"{self.user}-{ip}"),
            ("CSeq", f"{self.seq} {method}"),
            ("Contact", f"<sip:{self.user}@{ip}:{port}>"),
            *fields,
        )
        return Request(made, b"", method, uri)

    async def hears(self, within_s: float = 5.0) -> Request | Response | None:
        try:
            return await asyncio.wait_for(self.got.get(), within_s)
        except TimeoutError:
            return None

    async def asks(self, method: str, *fields: tuple[str, str], **more: Any) -> int:
        """Ask, with the password where it is asked for; give the final code, 0 where nobody answers."""
        flow = Flow("udp", self.address, HOST)
        said: tuple[tuple[str, str], ...] = ()
        for _ in range(3):
            request = self.request(method, *fields, *said, **more)
            self.send(request)
            answer = await self.hears()
            if not isinstance(answer, Response):
                return 0
            if answer.code != 401 or (known := self.account.answer(request, answer, flow)) is None:
                return answer.code
            said = known
        return 401

    async def registers(self) -> int:
        return await self.asks("REGISTER", ("Expires", "600"))

    def replies(self, request: Request, code: int) -> None:
        kept = [(name, request.index[name]) for name in ("Via", "From", "Call-ID", "CSeq")]
        self.send(Response((*kept, ("To", f"{request.index['To']};tag=x")), b"", code, ""))

    async def called(self, within_s: float = 5.0) -> Request:
        while True:
            message = await self.hears(within_s)
            assert message is not None, "nobody called"
            if isinstance(message, Request) and message.method == "INVITE":
                return message


async def nobody(call: object) -> None:
    """Say nothing."""


def outside(stage: Any, **more: Any) -> Any:
    """A host that knows no networks, only users."""
    return stage.host(nobody, users=USERS, allow=(), **more)


def test_a_softphone_from_anywhere_registers_and_its_address_is_a_users(stage):
    async def story() -> None:
        phone = Softphone(stage.world, "10.7.0.1")
        with structlog.testing.capture_logs() as logs:
            async with outside(stage) as host:
                assert host.admission.source("10.7.0.1").kind is Kind.UNKNOWN
                assert await phone.registers() == 200
                assert (host.admission.source("10.7.0.1").kind, host.admission.source("10.7.0.1").name) == (
                    Kind.USER,
                    "alice",
                )
                await asyncio.sleep(601)
                assert host.admission.source("10.7.0.1").kind is Kind.UNKNOWN
        assert [entry["event"] for entry in logs] == ["a user is registered", "a user is gone"]
        phone.close()

    stage.play(story())


@pytest.mark.parametrize("to", ["alice", "sip:alice@offhook", "sip:alice@10.1.0.1", "sip:alice@localhost"])
def test_a_user_is_called_where_it_registered_whatever_dial_allows(stage, to):
    async def story() -> None:
        phone = Softphone(stage.world, "10.7.0.1")
        async with outside(stage, dial=()) as host:
            await phone.registers()
            dialling = asyncio.create_task(host.dial(to, nobody))
            invite = await phone.called()
            assert invite.uri == "sip:alice@10.7.0.1:5060"
            phone.replies(invite, 603)
            with pytest.raises(DialFailed) as failed:
                await dialling
            assert failed.value.code == 603
        phone.close()

    stage.play(story())


def test_a_user_at_two_places_is_called_at_one_after_the_other(stage):
    async def story() -> None:
        phones = [Softphone(stage.world, f"10.7.0.{number}") for number in (1, 2)]
        async with outside(stage) as host:
            for phone in phones:
                assert await phone.registers() == 200
                await asyncio.sleep(1)
            dialling = asyncio.create_task(host.dial("alice", nobody))
            for phone, code in zip(reversed(phones), (486, 480), strict=True):
                phone.replies(await phone.called(), code)
            with pytest.raises(DialFailed) as failed:
                await dialling
            assert failed.value.code == 480
        for phone in phones:
            phone.close()

    stage.play(story())


def test_a_user_that_is_nowhere_is_not_registered_and_a_stranger_is_not_dialled(stage):
    async def story() -> None:
        async with outside(stage, dial=()) as host:
            with pytest.raises(DialFailed, match="bob is not registered"):
                await host.dial("bob", nobody)
            for to in ("mallory", "sip:mallory@offhook", "sip:alice@elsewhere.example", "sip:alice@offhook?X=y"):
                with pytest.raises(NotAllowed):
                    await host.dial(to, nobody)

    stage.play(story())


@pytest.mark.survives(30)
@pytest.mark.survives(31)
def test_a_dictionary_of_ten_thousand_words_is_cut_off_after_a_few_and_told_in_one_line(stage):
    """Against a user that is there and one that is not: to be seen from outside, the same."""

    async def story() -> None:
        owner = Softphone(stage.world, "10.7.0.1")
        attackers = [
            Softphone(stage.world, f"10.9.0.{number}", user) for number, user in ((1, "alice"), (2, "mallory"))
        ]
        heard: list[list[int]] = [[], []]
        with structlog.testing.capture_logs() as logs:
            async with outside(stage) as host:
                assert await owner.registers() == 200
                for number in range(5_000):
                    for attacker, codes in zip(attackers, heard, strict=True):
                        flow = Flow("udp", attacker.address, HOST)
                        fields: tuple[tuple[str, str], ...] | None = ()
                        while not attacker.got.empty():
                            answer = attacker.got.get_nowait()
                            assert isinstance(answer, Response)
                            codes.append(answer.code)
                            login = Login(attacker.user, f"word{number}", (parse_uri("sip:10.1.0.1"),), realm="offhook")
                            attacker.account = Account(login, rng=Random(number))
                            fields = attacker.account.answer(attacker.request("REGISTER"), answer, flow)
                        attacker.send(attacker.request("REGISTER", *(fields or ())))
                    await asyncio.sleep(0.7)
                assert await owner.registers() == 200
                assert host.counters()["guard"] == 0
        assert heard[0] == heard[1]
        # One ban ends after ten minutes, and the next begins after as many words as the first.
        assert set(heard[0]) == {401}
        assert len(heard[0]) < 100
        attacks = [(entry["kind"], entry["source"]) for entry in logs if entry["event"] == "an attack"]
        assert attacks == [("brute_force", "10.9.0.1"), ("brute_force", "10.9.0.2")]
        for one in (owner, *attackers):
            one.close()

    stage.play(story())


def test_a_call_from_a_stranger_is_asked_for_a_password_and_from_a_user_it_rings(stage):
    async def story() -> None:
        stranger, phone = Softphone(stage.world, "10.9.0.1", "mallory", "x"), Softphone(stage.world, "10.7.0.1")
        async with outside(stage):
            assert await stranger.asks("INVITE", uri="sip:agent@10.1.0.1") == 401
            assert await phone.asks("INVITE", uri="sip:agent@10.1.0.1", claimed="bob") == 403
            assert await phone.asks("INVITE", uri="sip:agent@10.1.0.1") == 180
        stranger.close()
        phone.close()

    stage.play(story())


@pytest.mark.parametrize("hashed", [True, False])
def test_the_file_says_how_users_prove_themselves_and_in_which_realm(stage, hashed):
    secret = {"ha1": {"SHA-256": ha1("SHA-256", "alice", "office", "wonderland")}}
    alice = secret if hashed else {"password": "wonderland"}
    config = Config(sip={"realm": "office", "digests": ["SHA-256"]}, users={"alice": alice})  # type: ignore[arg-type]
    made = host_rules(config, max_calls=1)

    async def story() -> None:
        async with stage.host(nobody, allow=(), users=made.users, settings=made.settings):
            phone = Softphone(stage.world, "10.2.0.9", realm="office")
            phone.send(phone.request("REGISTER"))
            challenge = await phone.hears()
            assert challenge is not None
            assert 'realm="office"' in challenge.index["WWW-Authenticate"]
            assert "algorithm=SHA-256" in challenge.index["WWW-Authenticate"]
            assert await phone.asks("REGISTER") == 200
            phone.close()

    stage.play(story())


def test_a_user_without_the_hash_that_phones_are_asked_for_is_an_error():
    secret = {"ha1": ha1("MD5", "alice", "offhook", "wonderland")}
    config = Config(sip={"digests": ["SHA-256", "MD5"]}, users={"alice": secret})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"users\.alice\.ha1: there is none for SHA-256"):
        host_rules(config, max_calls=1)
