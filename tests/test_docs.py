"""Pages are executed: their links lead somewhere, their Python runs, their commands are there."""

from __future__ import annotations

import io
import re
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from offhook.call.events import CallEvent
from offhook.policy.admission import Admission
from offhook.run.config import Config, host_rules, load, routes_of
from offhook.run.security import SecurityLog
from offhook.sip.codes import REASONS
from offhook.sip.meanings import COMMON, MEANINGS, REFUSALS, Cause

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
        config = load(file)
        assert host_rules(config, max_calls=1).listen
        assert all(route.agent for route in routes_of(config))


def keys_of(table: type[BaseModel], where: str = "") -> Iterator[str]:
    """Name every key of a table and of those in it, as the page of the configuration does."""
    names = {"trunks": "trunks.NAME", "users": "users.NAME", "routes": "routes.NUMBER"}
    for name, field in table.model_fields.items():
        key = where + (field.alias or name) if where else names.get(name, name)
        inner = [one for one in parts(field.annotation) if isinstance(one, type) and issubclass(one, BaseModel)]
        if inner:
            yield from keys_of(inner[0], f"{key}.")
        else:
            yield key


def parts(annotation: object) -> Iterator[object]:
    yield annotation
    for one in get_args(annotation):
        yield from parts(one)


def test_every_key_of_the_configuration_has_its_line() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `([^`]+)` \| \S", text, re.MULTILINE)
    assert sorted(told) == sorted(keys_of(Config))


def test_fail2ban_finds_the_source_in_a_line_of_the_security_log() -> None:
    page = ROOT / "docs" / "security.md"
    pattern = re.search(r"^failregex = (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert pattern is not None
    for line in blocks(page, "text"):
        found = re.match(pattern[1].replace("<ADDR>", r"(?P<ip>\S+)"), line)
        assert found is not None
        assert found["ip"] == "203.0.113.9"
    written = io.StringIO()
    log = SecurityLog(Admission([], strangers=True), written)
    for now in range(5):
        log.note(now, "203.0.113.9", "brute_force", "user=\x1b[2Jroot \r\nkind=fake source=1.2.3.4")
    (line,) = written.getvalue().splitlines()
    assert re.match(pattern[1].replace("<ADDR>", r"203\.0\.113\.9 "), line)


def rows_of(page: str, section: str) -> list[list[str]]:
    """Give the rows of a section's tables, cell by cell, without the ticks."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8").partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    rows = [row.strip("|").replace("`", "").split(" | ") for row in text.splitlines() if row.startswith("| `")]
    return [[cell.strip() for cell in row] for row in rows]


def test_every_meaning_of_an_end_has_its_line_with_its_codes() -> None:
    told = {
        name: (codes, causes, refusal) for name, _, codes, causes, refusal in rows_of("calls.md", "What an end means")
    }
    assert set(told) == MEANINGS
    for name, (codes, causes, refusal) in told.items():
        assert refusal == str(REFUSALS.get(name, "–")), name
        known = {code for code in range(400, 700) if code in REASONS and COMMON.of(code) == name}
        if name != "failed":  # which every other code is
            assert numbers(codes) == known, name
        said = {cause for cause in range(1, 128) if COMMON.of(500, (Cause("Q.850", cause),)) == name}
        if name not in ("failed", "ended"):
            assert numbers(causes) == said, name


def numbers(cell: str) -> set[int]:
    return set() if cell == "–" else {int(number) for number in cell.split()}


def test_every_event_has_its_line_with_its_fields() -> None:
    events = {event.event: event for event in get_args(CallEvent)}
    told = {row[0]: row[1] for row in rows_of("calls.md", "Events")}
    assert list(told) == list(events)
    for name, cell in told.items():
        named = [field.name for field in fields(events[name]) if field.name not in ("t", "call")]
        assert (cell.split(", ") if cell != "–" else []) == named
