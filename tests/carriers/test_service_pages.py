"""The page of each service is done as it says: its configuration, its command, and then a call by the service."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from offhook.carriers.services.table import SERVICES
from offhook.testing.carriers import FAKES
from offhook.testing.carriers.direct import FakeAudioSocket
from offhook.testing.carriers.service import FakeService

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "services"


def block(name: str, language: str) -> str:
    page = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    found = re.search(rf"^( *)```{language}\n(.*?)^ *```$", page, re.MULTILINE | re.DOTALL)
    assert found is not None, f"{name}.md has no {language}"
    return textwrap.dedent(found[2])


async def calls(fake: FakeService) -> None:
    async with fake as phone:
        caller = await phone.call()
        await caller.says("is anybody there")
        await caller.hears("is anybody there")
        await caller.hangs_up()


def test_every_service_has_its_page_and_its_row() -> None:
    index = (PAGES / "README.md").read_text(encoding="utf-8")
    for name in SERVICES:
        assert (PAGES / f"{name}.md").is_file()
        assert f"({name}.md)" in index


@pytest.mark.parametrize("name", sorted(set(FAKES) & set(SERVICES)))
def test_a_newcomer_who_does_what_the_page_says_has_a_number_that_talks(name: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    public = f"http://127.0.0.1:{port}"
    text = block(name, "toml").replace("127.0.0.1:8080", f"127.0.0.1:{port}").replace("https://agent.example", public)
    with socket.create_server(("127.0.0.1", 0)) as free:
        place = f"127.0.0.1:{free.getsockname()[1]}"
    text = text.replace("127.0.0.1:9092", place)
    (tmp_path / "offhook.toml").write_text(f'sip = {{ listen = ["udp://127.0.0.1:0"] }}\n{text}', encoding="utf-8")
    fake = FAKES[name](public)
    if isinstance(fake, FakeAudioSocket):
        fake.place = place
    program, *words = shlex.split(block(name, "sh").strip())
    assert program == "offhook"
    serving = subprocess.Popen(
        [sys.executable, "-c", "from offhook.cli import main; main()", *words],
        cwd=tmp_path,
        env={**os.environ, **fake.secrets},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert serving.stderr is not None
        said: list[str] = []
        for line in serving.stderr:
            said.append(line)
            if "services can call" in line:
                break
        told = "".join(said)
        for _, kind in SERVICES[name].paste:
            assert f"{public.removeprefix('http')}/services/{name}/{kind}" in told
        if not fake.commanded:
            asyncio.run(calls(fake))
    finally:
        serving.send_signal(signal.SIGTERM)
        serving.communicate(timeout=20)
    assert serving.returncode == 0
