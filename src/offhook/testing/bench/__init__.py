"""What `offhook bench` runs: one file a bench, one table of what each must reach (`budgets`), one shape of result."""

from __future__ import annotations

import sys
from importlib import import_module

from offhook.core.errors import OffhookError
from offhook.testing.bench.budgets import NAMES
from offhook.testing.bench.result import Result

__all__ = ["NAMES", "Result", "main", "measure"]


def measure(name: str, *, seed: int = 1, calls: int | None = None, seconds: float | None = None) -> Result:
    """Run one bench. ValueError for a name that is not in `NAMES`; OffhookError where the machine does not allow it.

    `calls` and `seconds` shorten or stretch the benches that have them; the others ignore them.
    """
    if name not in NAMES:
        raise ValueError(f"there is no bench {name!r}; there are {', '.join(NAMES)}")
    return import_module(f"offhook.testing.bench.{name}").run(seed=seed, calls=calls, seconds=seconds)


def main(name: str, *, json: bool, calls: int | None = None, seed: int = 1, seconds: float | None = None) -> int:
    """Run one bench and print its result; give the exit code.

    0 means measured, whether the figures are good or not (`meets` says that); 1 means that it could not be measured.
    """
    try:
        result = measure(name, seed=seed, calls=calls, seconds=seconds)
    except (OffhookError, OSError, ValueError) as reason:
        print(f"offhook bench {name}: {reason}", file=sys.stderr)
        return 1
    if json:
        print(result.as_json())
    else:
        _table(result)
    return 0


def _table(result: Result) -> None:
    from rich.console import Console
    from rich.table import Table

    shape = ", ".join(f"{key} {value}" for key, value in result.shape.items())
    table = Table(title=f"{result.bench} (seed {result.seed})", caption=shape, title_justify="left")
    for heading, justify in (("figure", "left"), ("measured", "right"), ("must", "right"), ("", "left")):
        table.add_column(heading, justify="right" if justify == "right" else "left", overflow="fold")
    for what, figure, must, verdict in result.lines():
        style = {"met": "green", "NOT MET": "bold red"}.get(verdict, "")
        table.add_row(what, figure, must, verdict, style=style)
    Console().print(table)
