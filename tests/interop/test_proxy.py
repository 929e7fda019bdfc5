"""A proxy in front of `serve`, as docs/services/README.md sets it up: Caddy, with TLS, for a service's calls."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from xml.etree.ElementTree import ParseError

import pytest

from carriers.newcomer import OFFHOOK, PAGES, block, free_port, running
from carriers.test_service_pages import calls, for_this_machine
from offhook.core.errors import DialFailed
from offhook.testing.carriers.twilio import FakeTwilio

pytestmark = pytest.mark.interop


@asynccontextmanager
async def proxied(caddy: str, folder: Path, behind: int, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[int]:
    """Run Caddy with the page's file before a port of this machine; give its own. Its authority is the world's."""
    page = (PAGES / "README.md").read_text(encoding="utf-8")
    found = re.search(r"^   (agent\.example \{.*?^   \})$", page, re.MULTILINE | re.DOTALL)
    assert found is not None
    port = free_port()
    text = found[1].replace("agent.example {", f"https://127.0.0.1:{port} {{\n    tls internal")
    text = text.replace("127.0.0.1:8080", f"127.0.0.1:{behind}")
    options = (
        "{\n    admin off\n    skip_install_trust\n    auto_https disable_redirects\n    default_sni 127.0.0.1\n}\n"
    )
    (folder / "Caddyfile").write_text(options + text + "\n", encoding="utf-8")
    program = await asyncio.create_subprocess_exec(
        *(caddy, "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")),
        env={"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert program.stderr is not None
        async with asyncio.timeout(30):
            while b"certificate obtained successfully" not in (line := await program.stderr.readline()):
                assert line, "Caddy has ended"
        monkeypatch.setenv("SSL_CERT_FILE", str(folder / "caddy" / "pki" / "authorities" / "local" / "root.crt"))
        yield port
    finally:
        program.terminate()
        await program.communicate()


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_calls_come_through_a_proxy_and_an_address_that_is_not_its_own_is_told(
    name: str, peer: Callable[[str, str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caddy = peer("caddy", "caddy")

    async def main() -> None:
        behind = free_port()
        async with proxied(caddy, tmp_path, behind, monkeypatch) as port:
            real = f"https://127.0.0.1:{port}"
            fake = FakeTwilio(real)
            text = for_this_machine(
                block("twilio", "toml"), "twilio", fake, f"http://127.0.0.1:{behind}", "http://127.0.0.1:9"
            )
            text = re.sub('public_url = ".*"', f'public_url = "{real.replace("127.0.0.1", name)}"', text)
            (tmp_path / "offhook.toml").write_text(text, encoding="utf-8")
            words = ("serve", "offhook.examples:echo", "--carrier", "twilio")
            async with fake, running((*OFFHOOK, *words), tmp_path, fake.secrets) as said:
                if name == "127.0.0.1":
                    await said("services can call")
                    return await calls(fake)
                await said("ready:")
                with pytest.raises((DialFailed, ParseError)):
                    await fake.call()
                told = await said("was refused")
                assert f"it is signed for {real}: set web.public_url to that" in told

    asyncio.run(main())
