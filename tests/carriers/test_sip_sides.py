"""The SIP side of each service's page is done as it says: its configuration, its command, and then a call.

In the service's place is a phone of ours: who registers is registered there, who is called by address is called.
"""

from __future__ import annotations

import asyncio
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest

import offhook
from carriers.newcomer import OFFHOOK, block, free_port, running
from offhook.carriers.services.table import SERVICES
from offhook.carriers.trunks import profiles
from offhook.run.doctor.media import Tone

# OpenAI is the far end of a trunk itself: who can send a trunk here needs no OpenAI between.
SECTIONS = {**dict.fromkeys(SERVICES.keys() - {"openai"}, "By SIP"), "amazon": "An external voice system"}
PASSWORD = "correct horse"


def for_this_machine(text: str, service: str) -> str:
    """Give a page's configuration with `service` (HOST:PORT) in the place of the world."""
    text = re.sub(r'^external_address = "[^"]*"', 'external_address = "127.0.0.1"', text, flags=re.MULTILINE)
    text = re.sub(r"^(networks|listen|address) = .*\n", "", text, flags=re.MULTILINE)
    where = f'address = "sip:{service}"\nnetworks = ["127.0.0.1/32"]'
    return re.sub(r"^(profile = .*)$", rf"\1\n{where}", text, flags=re.MULTILINE).replace("app:agent", "app:echo")


@pytest.mark.parametrize("name", sorted(SECTIONS))
def test_a_newcomer_without_a_proxy_has_a_number_that_talks(name: str, tmp_path: Path) -> None:
    text = block(name, "toml", SECTIONS[name])
    ((_, trunk),) = tomllib.loads(text)["trunks"].items()
    made: dict[str, Any] = {**profiles()[trunk["profile"]], **trunk}
    program, *words = shlex.split(block(name, "sh", SECTIONS[name]))
    assert program == "offhook"
    (tmp_path / "app.py").write_text("from offhook.examples.echo import echo\n", encoding="utf-8")

    async def main() -> None:
        here, there = (f"127.0.0.1:{free_port()}" for _ in range(2))
        (tmp_path / "offhook.toml").write_text(for_this_machine(text, there), encoding="utf-8")
        users = {made["username"]: PASSWORD} if made["register"] else {}
        config = {
            "sip": {"listen": [f"udp://{there}", f"tcp://{there}"], "realm": made.get("realm", "127.0.0.1")},
            "users": users,
            "dial": {"allow": ["sip:*@127.0.0.1"]},
        }
        tone = Tone()
        async with offhook.Phone(config) as phone:
            secrets = {"SIP_PASSWORD": PASSWORD}
            async with running((*OFFHOOK, *words, "--sip", here), tmp_path, secrets) as said:
                await said("] registered" if users else "ready:")
                way = ";transport=tcp" if made.get("transport") == "tcp" else ""
                called = made["username"] if users else f"sip:+15551234567@{here}{way}"
                await phone.finished(await phone.dial(called, tone))
        assert tone.level_db > 10, "the echo came back"

    asyncio.run(main())
