"""The doctor looks at managed services: with servers of this machine, and with none at all."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path
from time import time
from typing import Any, cast

import pytest

from offhook.console.services import reached
from offhook.run.config import Config, Web
from offhook.run.doctor import Finding
from offhook.run.doctor import services as doctor_services
from offhook.run.doctor.services import examine_services
from offhook.testing.authorities import Authority, Issued

ACCOUNT = {"account": "AC" + "0" * 32, "token": "secret"}


@asynccontextmanager
async def server(answers: Mapping[str, tuple[int, str]], date: str = "") -> AsyncGenerator[str]:
    """Answer paths by HTTP; give where."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, path, _ = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[0].split(" ")
        code, body = answers.get(f"{method} {path}", (404, ""))
        dated = f"date: {date}\r\n" if date else ""
        writer.write(f"HTTP/1.1 {code} X\r\n{dated}content-length: {len(body)}\r\n\r\n{body}".encode())
        writer.close()

    listener = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with listener:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"


async def found(web: dict[str, Any], **keys: Any) -> dict[str, Finding]:
    config = Config(web=Web(**web), services={"twilio": {**ACCOUNT, **keys}})
    return {finding.subject: finding async for finding in examine_services(config)}


def test_an_address_that_leads_here_is_good_and_strangers_are_refused_there() -> None:
    async def main() -> None:
        ours = {"GET /services/here": (200, "nonce"), "POST /services/twilio/voice": (401, "")}
        async with server(ours) as here, server({}, formatdate(time(), usegmt=True)) as api:
            web = {"listen": here.removeprefix("http://"), "public_url": here}
            findings = await found(web, api=api, caller="+15552223333")
        assert {finding.level for finding in findings.values()} == {"good"}
        assert findings["public address"].text.endswith("leads here")
        assert "+15552223333" in findings["service twilio"].text
        assert "clock" in findings["service twilio, webhooks"].text

    asyncio.run(main())


@pytest.mark.parametrize(("code", "level"), [(404, "fault"), (200, "fault"), (403, "good")])
def test_what_webhooks_get_is_looked_at(code: int, level: str) -> None:
    async def main() -> None:
        ours = {"GET /services/here": (200, "nonce"), "POST /services/twilio/voice": (code, "")}
        async with server(ours) as here:
            findings = await found({"listen": here.removeprefix("http://"), "public_url": here}, api=here)
        assert findings["service twilio, webhooks"].level == level

    asyncio.run(main())


def test_an_address_that_something_else_answers_is_a_fault_that_names_the_proxy() -> None:
    async def main() -> None:
        async with server({"GET /services/here": (200, "a")}) as here, server({}) as other:
            findings = await found({"listen": here.removeprefix("http://"), "public_url": other}, api=here)
        assert findings["public address"].level == "fault"
        assert "/services/" in findings["public address"].fix

    asyncio.run(main())


def test_where_nothing_serves_it_is_said_that_nobody_can_tell() -> None:
    async def main() -> None:
        async with server({}) as other:
            findings = await found({"listen": "127.0.0.1:9", "public_url": other}, api=other)
        assert findings["public address"].level == "warning"
        assert "offhook serve" in findings["public address"].fix

    asyncio.run(main())


@pytest.mark.parametrize(("off_s", "word"), [(300, "behind"), (-300, "ahead of")])
def test_a_clock_that_is_off_is_a_fault(off_s: int, word: str) -> None:
    async def main() -> None:
        async with server({}, formatdate(time() + off_s, usegmt=True)) as api:
            findings = await found({"public_url": api}, api=api)
        assert findings["service twilio, clock"].level == "fault"
        assert word in findings["service twilio, clock"].text

    asyncio.run(main())


@pytest.mark.parametrize(
    ("web", "words"),
    [({}, "where they find us"), ({"public_url": "http://agent.example"}, "https alone")],
)
def test_an_address_that_services_can_not_use_is_a_fault(web: dict[str, Any], words: str) -> None:
    async def main() -> None:
        async with server({}) as api:
            findings = await found(web, api=api)
        assert findings["public address"].level == "fault"
        assert words in findings["public address"].text

    asyncio.run(main())


def test_without_a_network_nothing_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*_: object) -> object:
        raise OSError

    monkeypatch.setattr(doctor_services.socket, "getaddrinfo", nowhere)
    findings = asyncio.run(found({"public_url": "https://agent.example"}))
    assert (findings["public address"].level, findings["service twilio, clock"].level) == ("fault", "warning")


def test_an_account_that_can_not_work_is_a_fault() -> None:
    config = Config(services={"twilio": {"account": "AC"}, "nobody": {}})

    async def main() -> list[Finding]:
        return [finding async for finding in examine_services(config)]

    findings = asyncio.run(main())
    assert [finding.level for finding in findings] == ["fault", "fault"]
    assert all(finding.fix for finding in findings)


@asynccontextmanager
async def behind(issued: Issued, folder: Path) -> AsyncGenerator[str]:
    """Stand where a proxy would, with its certificate; give the address."""
    (folder / "key.pem").write_bytes(issued.key)
    (folder / "chain.pem").write_bytes(issued.chain)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "chain.pem", folder / "key.pem")
    proxy = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0, ssl=context)
    async with proxy:
        yield f"https://127.0.0.1:{proxy.sockets[0].getsockname()[1]}"


ROOT = Authority("Root")
CERTIFICATES = {
    "ended": (ROOT.host("127.0.0.1", ended=True), "has expired", "renew it"),
    "another's": (ROOT.host("agent.example"), "not for that name", "get one for 127.0.0.1"),
    "its own": (ROOT.host("127.0.0.1", alone=True), "self-signed", "Let's Encrypt"),
    "nobody's": (Authority("Nobody").host("127.0.0.1"), "that nobody knows", "fullchain.pem"),
}


@pytest.mark.parametrize("which", CERTIFICATES)
def test_a_certificate_that_services_refuse_is_told_with_what_to_do(
    which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    issued, why, fix = CERTIFICATES[which]
    (tmp_path / "world.pem").write_bytes(ROOT.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "world.pem"))

    async def main() -> None:
        async with behind(issued, tmp_path) as public, server({}) as api:
            finding = (await found({"public_url": public}, api=api))["public address"]
            said = await reached(public, "nonce")
        assert finding.level == "fault"
        assert why in finding.text
        assert fix in finding.fix
        assert why in said
        assert fix in said, "serve says the same"

    asyncio.run(main())


class Plain(asyncio.Protocol):
    """A web server without TLS."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n")
        self.transport.close()


def test_who_does_not_speak_tls_or_is_not_there_is_told_apart() -> None:
    async def main() -> None:
        plain = await asyncio.get_running_loop().create_server(Plain, "127.0.0.1", 0)
        async with plain, server({}) as api:
            where = f"https://127.0.0.1:{plain.sockets[0].getsockname()[1]}"
            speaks = (await found({"public_url": where}, api=api))["public address"]
            gone = (await found({"public_url": "https://127.0.0.1:9"}, api=api))["public address"]
        assert "TLS" in speaks.text
        assert "https alone" in speaks.fix
        assert "nobody listens" in gone.text
        assert "tunnel" in gone.fix

    asyncio.run(main())


ARI = {"user": "offhook", "password": "media", "api_user": "offhook", "api_password": "ari"}


@pytest.mark.parametrize(
    ("code", "level", "word"), [(200, "good", "knows us"), (401, "fault", "does not know us"), (404, "fault", "404")]
)
def test_an_asterisk_is_asked_whether_it_knows_us_and_needs_no_public_address(code: int, level: str, word: str) -> None:
    async def main() -> list[Finding]:
        async with server({"GET /ari/applications": (code, "[]")}) as api:
            config = Config(services={"asterisk": {**ARI, "api": f"{api}/ari"}})
            return [finding async for finding in examine_services(config)]

    _, known = asyncio.run(main())
    assert (known.subject, known.level) == ("service asterisk, API", level)
    assert word in known.text
    assert "ari:" not in known.text + known.fix


def test_an_asterisk_that_is_not_there_is_a_fault() -> None:
    async def main() -> list[Finding]:
        config = Config(services={"asterisk": {**ARI, "api": "http://127.0.0.1:9/ari"}})
        return [finding async for finding in examine_services(config)]

    _, known = asyncio.run(main())
    assert known.level == "fault"
    assert "asterisk.md" in known.fix


@pytest.mark.parametrize(("code", "level"), [(200, "good"), (401, "fault"), (404, "fault")])
def test_openai_is_asked_for_the_model(code: int, level: str) -> None:
    async def main() -> list[Finding]:
        async with server({"GET /v1/models/gpt-realtime-2.1": (code, "{}")}) as api:
            account = {"api_key": "sk-1", "webhook_secret": "whsec_c2VjcmV0", "api": f"{api}/v1"}
            config = Config(web=Web(public_url=api), services={"openai": account})
            return [finding async for finding in examine_services(config)]

    [known] = [finding for finding in asyncio.run(main()) if finding.subject == "service openai, API"]
    assert known.level == level
    assert "sk-1" not in known.text + known.fix
