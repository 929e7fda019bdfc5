"""Pages are executed: their links lead somewhere, their Python runs, their commands are there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from offhook.run.config import host_rules, load

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def page_id(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, language: str) -> list[str]:
    return [body for tongue, body in FENCE.findall(page.read_text(encoding="utf-8")) if tongue == language]


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=page_id)
def test_python_on_a_page_runs(page: Path) -> None:
    names: dict[str, object] = {"__name__": "page"}
    for number, block in enumerate(blocks(page, "python"), 1):
        exec(compile(block, f"{page_id(page)}, block {number}", "exec"), names)  # a page is ours, like any module


def test_toml_on_a_page_is_toml() -> None:
    for page in PAGES:
        for block in blocks(page, "toml"):
            assert tomllib.loads(block), page_id(page)


def test_a_configuration_on_a_page_is_one_that_is_taken(tmp_path: Path) -> None:
    shown = [block for page in PAGES for block in blocks(page, "toml") if block.startswith("# offhook.toml")]
    assert shown
    for number, block in enumerate(shown):
        file = tmp_path / f"{number}.toml"
        file.write_text(block, encoding="utf-8")
        assert host_rules(load(file), max_calls=1).listen
