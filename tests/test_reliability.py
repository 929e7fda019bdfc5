"""The page of what must survive names the tests that hold each thing, and they are there."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reliability.md"
ROW = re.compile(r"^\| (\d+) \| .* \| .* \| (.*) ?\|$", re.MULTILINE)


def marked() -> dict[int, set[str]]:
    """Give the test files that hold each number, by their marks."""
    found: defaultdict[int, set[str]] = defaultdict(set)
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "survives":
                name = path.relative_to(ROOT / "tests").with_suffix("").as_posix()
                found[ast.literal_eval(node.args[0])].add(name)
    return dict(found)


def test_the_page_names_the_tests_that_hold_each_thing() -> None:
    held = {int(number): tests.strip() for number, tests in ROW.findall(PAGE.read_text(encoding="utf-8"))}
    assert sorted(held) == list(range(1, 43))
    marks = marked()
    shown = {number: ", ".join(f"`{name}`" for name in sorted(marks.get(number, ()))) for number in held}
    # Where this fails the page is behind: what it must say is on the right.
    assert held == shown
