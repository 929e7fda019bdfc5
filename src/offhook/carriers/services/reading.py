"""How what strangers send is read: each thing as what it should be, or as nothing. None of it raises.

Services write numbers as texts or as numbers, leave out what is empty, and change their minds between versions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

from offhook.carriers.services.http import read_json
from offhook.core.errors import ProtocolError

KEYS: Final = frozenset("0123456789*#ABCD")
PARAMS_LIMIT: Final = 64
"""Custom parameters of a call that are read."""

TEXT_LIMIT: Final = 2048
"""Characters of an id, a number or a parameter that are read."""

MESSAGE_LIMIT: Final = 65_536
"""Characters of a text message that are read: what services say is short, and media in text is some kB."""


def message(frame: str | bytes) -> Mapping[str, object] | None:
    """Read a message that is a JSON object; None where it is none, or too long."""
    if len(frame) > MESSAGE_LIMIT:
        return None
    try:
        return read_json(frame)
    except ProtocolError:
        return None


def legible(value: str) -> str:
    """Give a text that every encoding can write: halves of characters that have no other half are replaced."""
    return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def text(value: object) -> str:
    """Give a text or a whole number as a text, "" for anything else."""
    if isinstance(value, str):
        return legible(value[:TEXT_LIMIT])
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 64:
        return str(value)
    return ""


def whole(value: object) -> int | None:
    """Give a whole number that is not negative, written as one or as a text; None for anything else."""
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() and len(value) <= 18 else None
    if isinstance(value, float):
        return int(value) if 0 <= value < 1 << 53 else None
    if isinstance(value, int) and not isinstance(value, bool):
        return value if 0 <= value < 1 << 63 else None
    return None


def key(value: object) -> str:
    """Give a key of a telephone, "" for anything else."""
    pressed = text(value).upper()
    return pressed if pressed in KEYS else ""


def inner(value: object) -> Mapping[str, object]:
    """Give an object, an empty one for anything else."""
    return cast("Mapping[str, object]", value) if isinstance(value, dict) else {}


def items(value: object) -> list[object]:
    """Give a list, an empty one for anything else."""
    return cast("list[object]", value) if isinstance(value, list) else []


def params(value: Mapping[str, object], *known: str) -> dict[str, str]:
    """Give what is a text or a number in an object, by its names, without those that are `known`."""
    told = {text(name): text(one) for name, one in list(value.items())[:PARAMS_LIMIT] if name not in known}
    return {name: one for name, one in told.items() if name and one}


def e164(value: object) -> str:
    """Give a number with its plus where it is one that lacks it, else the text as it is."""
    number = text(value)
    return f"+{number}" if number.isascii() and number.isdigit() and 7 <= len(number) <= 15 else number
