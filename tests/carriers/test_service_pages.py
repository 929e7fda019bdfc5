"""The page of each service is done as it says: its configuration, its command, and then a call by the service."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path

import pytest

from carriers.newcomer import OFFHOOK, PAGES, block, free_port, running
from offhook.carriers.services.service import Direct
from offhook.carriers.services.table import SERVICES
from offhook.run.config import load
from offhook.run.doctor.services import examine_services
from offhook.testing.carriers import FAKES, FakeOpenAi
from offhook.testing.carriers.direct import FakeAudioSocket
from offhook.testing.carriers.service import FakeService

SECTIONS = {
    "texml": ("telnyx", "By documents (TeXML)"),
    "ari": ("asterisk", "By its REST interface (ARI)"),
}
"""The fakes of ways that stand in a section of another page."""


ALL = {**FAKES, "openai": FakeOpenAi}


def page_of(fake: str) -> tuple[str, str]:
    return SECTIONS.get(fake, (fake, ""))


def for_this_machine(text: str, name: str, fake: FakeService, public: str, api: str) -> str:
    """Give a page's configuration with this machine in the place of the world."""
    text = text.replace("127.0.0.1:8080", public.removeprefix("http://")).replace("https://agent.example", public)
    if isinstance(fake, FakeAudioSocket):
        fake.place = f"127.0.0.1:{free_port()}"
        text = text.replace("127.0.0.1:9092", fake.place)
    if "http://127.0.0.1:8088" in text:
        text = text.replace("http://127.0.0.1:8088", api)
    elif not isinstance(fake.service(), Direct):
        text = text.replace(f"[services.{name}]\n", f'[services.{name}]\napi = "{api}"\n')
    return f'sip = {{ listen = ["udp://127.0.0.1:0"] }}\n{text}'


async def calls(fake: FakeService) -> None:
    caller = await fake.call()
    if isinstance(fake, FakeOpenAi):  # nothing of its sound comes here, so nothing of it can be given back
        await caller.hears("good evening", within_s=60)
        return await caller.hangs_up()
    await caller.says("is anybody there")
    await caller.hears("is anybody there")
    await caller.hangs_up()


def test_every_service_has_its_page_and_its_row() -> None:
    index = (PAGES / "README.md").read_text(encoding="utf-8")
    for name in SERVICES:
        assert (PAGES / f"{name}.md").is_file()
        assert f"({name}.md)" in index


@pytest.mark.parametrize("one", sorted(ALL))
def test_a_newcomer_who_does_what_the_page_says_has_a_number_that_talks(
    one: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        name, section = page_of(one)
        public = f"http://127.0.0.1:{free_port()}"
        fake = ALL[one](public)
        for variable, value in fake.secrets.items():
            monkeypatch.setenv(variable, value)
        program, *words = shlex.split(block(name, "sh", section))
        assert program == "offhook"
        async with fake, fake.serving() as api:
            text = for_this_machine(block(name, "toml", section), name, fake, public, api)
            (tmp_path / "offhook.toml").write_text(text, encoding="utf-8")
            async with running((*OFFHOOK, *words), tmp_path, fake.secrets) as said:
                told = await said("ready:" if isinstance(fake, FakeAudioSocket) else "services can call")
                assert ("http://" in told) is not isinstance(fake, FakeAudioSocket), "no door that nobody uses"
                for _, kind in SERVICES[name].paste:
                    assert f"{public.removeprefix('http')}/services/{name}/{kind}" in told
                looked = [finding async for finding in examine_services(load(tmp_path / "offhook.toml"))]
                assert {finding.level for finding in looked} == {"good"}, looked
                await calls(fake)

    asyncio.run(main())


def test_a_program_answers_as_the_command_does(tmp_path: Path) -> None:
    async def main() -> None:
        public = f"http://127.0.0.1:{free_port()}"
        fake = FAKES["twilio"](public)
        (tmp_path / "app.py").write_text(block("README", "python", "In a program"), encoding="utf-8")
        async with fake, fake.serving() as api:
            text = for_this_machine(block("twilio", "toml"), "twilio", fake, public, api)
            (tmp_path / "offhook.toml").write_text(text, encoding="utf-8")
            async with running(("app.py",), tmp_path, fake.secrets) as said:
                told = await said("services can call")
                assert f"{public}/services/twilio/voice" in told
                await calls(fake)

    asyncio.run(main())
