"""Reading events that anybody may have made: whatever is there, a text, a number or a table comes out, or nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, cast

TEXT_LIMIT: Final = 10_000
"""Characters of one text that are read."""

_UNSENT: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")

Table = Mapping[str, object]
NOTHING: Final[Table] = {}


def table(value: object, *path: str) -> Table:
    """Give the table at a path; an empty one where there is none."""
    for name in path:
        value = table(value).get(name)
    return cast("Table", value) if isinstance(value, Mapping) else NOTHING


def tables(value: object) -> Sequence[Table]:
    """Give the tables of a list."""
    found = cast("list[object]", value) if isinstance(value, list) else []
    return [table(one) for one in found]


def text(value: object, *path: str) -> str:
    """Give the text at a path; "" where there is none. A number is read as it is written."""
    if path:
        value = table(value, *path[:-1]).get(path[-1])
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)[:TEXT_LIMIT] if abs(value) < 1e18 else ""
    return value[:TEXT_LIMIT].encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def plain(value: str) -> str:
    """Give what of a text can be spoken and sent: no control characters, no halves of characters."""
    return _UNSENT.sub("", value)


def texts(value: object) -> dict[str, str]:
    """Give what of a table is text."""
    return {text(name): text(one) for name, one in table(value).items() if isinstance(one, str)}
