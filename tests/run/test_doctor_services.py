"""The doctor looks at managed services: with servers of this machine, and with none at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from email.utils import formatdate
from time import time
from typing import Any

import pytest

from offhook.run.config import Config, Web
from offhook.run.doctor import Finding
from offhook.run.doctor import services as doctor_services
from offhook.run.doctor.services import examine_services

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
