"""Calls that a program, or the command line, has a service place: over real HTTP and websockets."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

import offhook
from offhook.call import events
from offhook.carriers.services.table import places
from offhook.core.errors import ConfigError
from offhook.testing.callers import Caller
from offhook.testing.carriers.twilio import ACCOUNT, TOKEN, FakeTwilio

TO = "+15557770001"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


async def picked_up(fake: FakeTwilio) -> Caller:
    async with asyncio.timeout(20):
        while not fake.ends:  # noqa: ASYNC110 - another's doing: there is nothing to be woken by
            await asyncio.sleep(0.02)
    return fake.caller(next(iter(fake.ends.values())))


def test_a_program_has_a_service_place_its_call() -> None:
    async def main() -> None:
        public = f"http://127.0.0.1:{free_port()}"
        found: list[str] = []
        told: list[Any] = []

        async def asks(call: offhook.Call) -> None:
            found.append(await call.who_answered(timeout_s=10))
            await call.hangup()

        fake = FakeTwilio(public)
        fake.answerers[TO] = "human"
        async with fake, fake.serving() as api:
            config = {
                "web": {"listen": public.removeprefix("http://"), "public_url": public},
                "services": {
                    "twilio": {"account": ACCOUNT, "token": TOKEN, "api": api, "caller": "+15552223333"},
                },
                "dial": {"allow": ["+1"]},
            }
            async with offhook.Phone(config, events=told.append) as phone:
                call = await phone.dial(TO, asks, carrier="twilio", detect="async")
                await phone.finished(call)
                with pytest.raises(ConfigError, match="nobody"):
                    await phone.dial(TO, asks, carrier="nobody")
                with pytest.raises(ValueError, match="headers"):
                    await phone.dial(TO, asks, carrier="twilio", withhold=True)
        assert found == ["human"]
        assert [event.what for event in told if isinstance(event, events.AnsweredBy)] == ["human"]

    asyncio.run(main())


def test_a_call_by_the_command_line_goes_by_a_service(tmp_path: Path) -> None:
    async def main() -> None:
        port = free_port()
        public = f"http://127.0.0.1:{port}"
        fake = FakeTwilio(public)
        async with fake, fake.serving() as api:
            (tmp_path / "offhook.toml").write_text(
                f'[services.twilio]\naccount = "{ACCOUNT}"\ntoken = "{TOKEN}"\n'
                f'api = "{api}"\ncaller = "+15552223333"\n',
                encoding="utf-8",
            )
            words = ("call", TO, "offhook.examples:echo", "--carrier", "twilio", "--events", "events.jsonl")
            where = ("--public", public, "--http", f"127.0.0.1:{port}")
            program = (sys.executable, "-c", "from offhook.cli import main; main()", *words, *where)
            calling = await asyncio.create_subprocess_exec(
                *program, cwd=tmp_path, env={**os.environ}, stderr=asyncio.subprocess.PIPE
            )
            callee = await picked_up(fake)
            await callee.says("is anybody there")
            await callee.hears("is anybody there")
            await callee.hangs_up()
            _, said = await asyncio.wait_for(calling.communicate(), 30)
        assert calling.returncode == 0, said.decode()
        assert "answered" in said.decode()
        assert '"event": "ended"' in (tmp_path / "events.jsonl").read_text(encoding="utf-8")

    asyncio.run(main())


@pytest.mark.parametrize(("table", "key"), [("", "services.twilio.account"), ("caller", "services.twilio.caller")])
def test_what_is_missing_in_the_file_is_said(tmp_path: Path, table: str, key: str) -> None:
    async def main() -> None:
        keys = "" if not table else f'account = "{ACCOUNT}"\ntoken = "{TOKEN}"\n'
        (tmp_path / "offhook.toml").write_text(f"[services.twilio]\n{keys}", encoding="utf-8")
        program = (sys.executable, "-c", "from offhook.cli import main; main()", "call", TO, "offhook.examples:echo")
        calling = await asyncio.create_subprocess_exec(
            *program, "--carrier", "twilio", cwd=tmp_path, stderr=asyncio.subprocess.PIPE
        )
        _, said = await asyncio.wait_for(calling.communicate(), 30)
        assert calling.returncode == 1
        assert key in said.decode()

    asyncio.run(main())


INSTEAD = {
    "freeswitch": ({"secret": "abcdef0123456789"}, "call by SIP"),
    "asterisk": ({"user": "offhook", "password": "secret"}, "call by SIP"),
    "audiosocket": ({}, "call by SIP"),
    "genesys": ({"api_key": "key", "client_secret": "c2VjcmV0"}, "have Genesys call"),
}


@pytest.mark.parametrize("carrier", INSTEAD)
def test_a_service_that_only_brings_calls_says_what_places_them(carrier: str, tmp_path: Path) -> None:
    table, instead = INSTEAD[carrier]

    async def nobody(call: offhook.Call) -> None:
        raise AssertionError("nobody was called")

    nobody.needs_models = False  # pyright: ignore[reportFunctionMemberAccess] (a function that says nothing gets them)

    async def main() -> None:
        async with offhook.Phone({"services": {carrier: table}, "dial": {"allow": ["+1"]}}) as phone:
            for caller in ("", "+15552223333"):
                with pytest.raises(ConfigError, match=f"{carrier} places no calls, it only brings them: .*{instead}"):
                    await phone.dial(TO, nobody, carrier=carrier, caller=caller)
        program = (sys.executable, "-c", "from offhook.cli import main; main()", "call", TO, "offhook.examples:echo")
        calling = await asyncio.create_subprocess_exec(
            *program, "--carrier", carrier, cwd=tmp_path, stderr=asyncio.subprocess.PIPE
        )
        _, said = await asyncio.wait_for(calling.communicate(), 30)
        assert calling.returncode == 1
        assert instead in said.decode(), "also where the file does not know it"

    asyncio.run(main())


def test_what_places_no_calls_by_one_way_may_by_another() -> None:
    with pytest.raises(ConfigError, match="places no calls"):
        places("asterisk", {})
    places("asterisk", {"api": "http://127.0.0.1:8088/ari"})
