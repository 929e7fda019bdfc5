"""What a newcomer does with a page: takes its blocks, writes them down, runs its command and reads what it says."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
import textwrap
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

PAGES = Path(__file__).parents[2] / "docs" / "services"
OFFHOOK = ("-c", "from offhook.cli import main; main()")


def block(name: str, language: str, heading: str = "") -> str:
    """Give the first block in a language on the page of a service, or of one section there."""
    page = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    if heading:
        _, there, page = page.partition(f"\n## {heading}\n")
        assert there, f"{name}.md has no section: {heading}"
        page = page.partition("\n## ")[0]
    found = re.search(rf"^( *)```{language}\n(.*?)^ *```$", page, re.MULTILINE | re.DOTALL)
    assert found is not None, f"{name}.md has no {language} under {heading or 'its title'}"
    return textwrap.dedent(found[2])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@asynccontextmanager
async def running(
    words: Sequence[str], folder: Path, secrets: Mapping[str, str]
) -> AsyncGenerator[Callable[[str], Awaitable[str]]]:
    """Run Python with `words` in a folder until SIGTERM; give what reads all that is said, to the line with a word."""
    program = await asyncio.create_subprocess_exec(
        sys.executable, *words, cwd=folder, env={**os.environ, **secrets}, stderr=asyncio.subprocess.PIPE
    )
    assert program.stderr is not None
    lines = program.stderr
    told: list[str] = []

    async def said(word: str) -> str:
        async with asyncio.timeout(30):
            while not any(word in line for line in told):
                line = (await lines.readline()).decode()
                assert line, f"it ended, and never said {word!r}: {''.join(told)}"
                told.append(line)
        return "".join(told)

    try:
        yield said
    finally:
        if program.returncode is None:
            program.send_signal(signal.SIGTERM)
        _, rest = await asyncio.wait_for(program.communicate(), 20)
    assert program.returncode == 0, "".join(told) + rest.decode()
