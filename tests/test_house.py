"""The laws of STYLE.md that no linter says. Each test names what to do about a finding."""

from __future__ import annotations

import ast
import importlib
import itertools
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src" / "offhook"
LONGEST = 500
# Where else than in run/ everything may be caught, and why.
CATCHES = {
    "src/offhook/testing/loop.py": "it stands in for an executor: what was raised belongs to whoever awaits it",
    "src/offhook/testing/simulation.py": "whatever breaks a world is a finding of the simulator",
    "src/offhook/testing/world.py": "the same, for one world",
    "src/offhook/providers/local.py": "it ends the workers that it began, and raises again",
}
# The files with `unsafe`, and what each is for.
UNSAFE = {
    "native/src/sys.rs": "system calls that the standard library has no door for",
    "native/src/codec/bcg729.rs": "the door to a library of the system's that is opened at run time",
}
# Tests that may pause: they wait for another process, with a deadline, or stop this one on purpose.
PAUSES = ("tests/interop/kit.py", "tests/run/test_line.py")

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
WORDS = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
MADE = {"target", "out", "__pycache__", "node_modules", "corpus", "artifacts"}
TEXT = {".py", ".pyi", ".rs", ".md", ".toml", ".txt", ".sh", ".html", ".css", ".js", ".json", ".xml", ""}


def files(*tops: str, suffixes: set[str] = TEXT) -> Iterator[Path]:
    for top in tops:
        start = ROOT / top
        for path in [start] if start.is_file() else sorted(start.rglob("*")):
            if path.is_file() and path.suffix in suffixes and not MADE & set(path.relative_to(ROOT).parts):
                yield path


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def lines_with(pattern: str, paths: Iterator[Path]) -> list[str]:
    found = re.compile(pattern)
    return [
        f"{name(path)}:{number}: {line.strip()[:100]}"
        for path in paths
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if found.search(line)
    ]


def imports(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    plain = (alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names)
    froms = (node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module)
    return {module.split(".")[0] for module in itertools.chain(plain, froms)}


def test_a_file_is_one_idea() -> None:
    long: list[str] = []
    for path in files("src", "native/src", suffixes={".py", ".rs"}):
        count = len(path.read_text(encoding="utf-8").splitlines())
        if count > LONGEST:
            long.append(f"{name(path)}: {count} lines, {LONGEST} allowed")
    assert long == [], "split it by idea"


def test_what_rust_does_not_check_is_in_the_files_that_are_for_it() -> None:
    unsafe = {line.split(":")[0] for line in lines_with(r"\bunsafe\b|allow\(unsafe_code\)", files("native/src"))}
    unsafe -= {"native/src/lib.rs"}  # it denies it
    assert unsafe == set(UNSAFE), "native/src/lib.rs says no to it elsewhere"
    for place in UNSAFE:
        text = (ROOT / place).read_text(encoding="utf-8")
        assert len(re.findall(r"\bunsafe (?:\{|impl)", text)) == text.count("// SAFETY:"), f"{place}: each says why"


def test_nothing_is_left_for_later_and_nothing_sleeps() -> None:
    left = r"\b(TODO|FIXME|XXX)\b|NotImplementedError|unimplemented!|todo!\(|\btime\.sleep\("
    assert lines_with(left, files("src", "native/src", "workers", suffixes={".py", ".rs"})) == []


def test_tests_wait_for_events_and_never_for_time() -> None:
    here = Path(__file__).name
    sleeping = r"\btime\.sleep\(|@pytest\.mark\.(skip|xfail)\b"
    found = lines_with(sleeping, (path for path in files("tests", suffixes={".py"}) if path.name != here))
    assert [place for place in found if not place.startswith(PAUSES)] == []


def test_only_the_host_catches_everything() -> None:
    caught = lines_with(r"except\s*(BaseException|Exception)?\s*(as \w+)?:", files("src", suffixes={".py"}))
    assert [place for place in caught if not place.startswith(("src/offhook/run/", *CATCHES))] == []


def test_names_say_what_a_thing_is() -> None:
    vague = r"^\s*class \w*(Manager|Handler|Helper)\b|^\s*(pub )?struct \w*(Manager|Handler|Helper)\b"
    assert lines_with(vague, files("src", "native/src", suffixes={".py", ".rs"})) == []
    assert [name(path) for path in files("src", "native/src") if re.search(r"utils?|helpers?|misc", path.stem)] == []


@pytest.mark.parametrize("room", ["core", "sip", "agent", "policy"])
def test_a_pure_room_stands_on_the_standard_library_alone(room: str) -> None:
    allowed = sys.stdlib_module_names | {"offhook"}
    foreign = {name(path): imports(path) - allowed for path in files(f"src/offhook/{room}", suffixes={".py"})}
    assert {path: modules for path, modules in foreign.items() if modules} == {}


def modules(path: Path) -> set[str]:
    """Name all that a file imports, wherever in it, in full."""
    found: set[str] = set()
    package = path.relative_to(ROOT / "src").with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            start = ".".join([*above, *([node.module] if node.module else [])])
            found |= {start} | {f"{start}.{alias.name}" for alias in node.names}
    return found


def test_nothing_but_the_command_line_imports_the_simulator() -> None:
    product = (path for path in files("src", suffixes={".py"}) if not path.is_relative_to(SRC / "testing"))
    users = {name(path) for path in product if any(one.startswith("offhook.testing") for one in modules(path))}
    assert users == {"src/offhook/cli.py"}


def test_gpl_code_is_never_imported() -> None:
    gpl = {"piper", "pjsua2", "espeakng", "phonemizer"}
    assert [name(path) for path in files("src", suffixes={".py"}) if imports(path) & gpl] == []


def test_the_gpl_worker_carries_its_own_licence() -> None:
    for program in files("workers/piper", suffixes={".py"}):
        assert "GNU GENERAL PUBLIC LICENSE" in (program.parent / "LICENSE").read_text()


def requirements(path: Path) -> list[str]:
    text = path.read_text().replace("\\\n", " ")
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


@pytest.mark.parametrize("path", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda path: path.name)
def test_requirements_are_pinned_by_hash_and_name_no_address(path: Path) -> None:
    assert [
        line for line in requirements(path) if not re.match(r"[a-z0-9._-]+==\S+ .*--hash=sha256:\w{64}", line)
    ] == []
    assert [line for line in path.read_text().splitlines() if "://" in line or "index" in line or " @ " in line] == []


def test_what_the_project_asks_for_is_locked() -> None:
    def canonical(requirement: str) -> str:
        return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", requirement)[0]).lower()

    asked = [
        *PROJECT["project"]["dependencies"],
        *itertools.chain.from_iterable(PROJECT["project"]["optional-dependencies"].values()),
        *itertools.chain.from_iterable(PROJECT["dependency-groups"].values()),
    ]
    locked = {canonical(line) for file in files("requirements") for line in requirements(file)}
    assert {canonical(requirement) for requirement in asked} - locked == set(), "run tools/lock"


def test_every_make_word_that_a_page_tells_is_there() -> None:
    assert WORDS is not None
    words = set(WORDS[1].split())
    assert len(words) <= 10
    told = {
        word
        for page in files("README.md", "STYLE.md", "ARCHITECTURE.md", "docs", suffixes={".md"})
        for word in re.findall(r"(?:^|`)make ([a-z]+)", page.read_text(), re.MULTILINE)
    }
    assert told - words == set()
    assert {"setup", "demo", "test"} <= told


def test_the_tree_names_no_machine_and_no_registry() -> None:
    # Spelled in halves, or this file would name them.
    halves = [("/wo", "rk/"), ("/ro", "ot/"), ("/ho", "me/[a-z]"), ("python", r"hosted\.org"), ("//py", r"pi\.org")]
    places = "|".join(first + second for first, second in halves)
    folders = ["src", "native", "tests", "bench", "docs", "tools", "workers", "requirements", ".ci"]
    pages = ["README.md", "STYLE.md", "CHANGELOG.md", "ARCHITECTURE.md", "NOTICE", "Makefile", "pyproject.toml"]
    present = [top for top in [*folders, *pages] if (ROOT / top).exists()]
    assert lines_with(places, files(*present)) == []


def test_the_version_is_said_once_and_the_same() -> None:
    crate = tomllib.loads((ROOT / "native" / "Cargo.toml").read_text())["package"]["version"]
    assert crate == PROJECT["project"]["version"]
    assert f"## {crate}" in (ROOT / "CHANGELOG.md").read_text()


def test_preflight_asks_for_a_rust_that_every_crate_takes() -> None:
    command = [
        "cargo",
        "metadata",
        "--format-version=1",
        "--locked",
        "--manifest-path",
        str(ROOT / "native/Cargo.toml"),
    ]
    packages = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["packages"]

    def version(package: dict[str, str | None]) -> tuple[int, ...]:
        return tuple(int(part) for part in (package["rust_version"] or "0").split("."))

    ours = next(version(package) for package in packages if package["name"] == "offhook-native")
    assert [package["name"] for package in packages if version(package)[:2] > ours[:2]] == []


def test_every_public_name_is_there() -> None:
    offhook = importlib.import_module("offhook")
    assert {public for public in offhook.__all__ if not hasattr(offhook, public)} == set()
    assert callable(offhook.run), "the room `run` is a verb too"
