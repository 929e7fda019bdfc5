"""Which services there are, and how one is made of its table in `offhook.toml`.

[services.twilio] ─► account's fields, checked ─► TwilioAccount ─► Service
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from importlib import import_module
from typing import Any, Final

from offhook.carriers.services.service import Service
from offhook.core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Entry:
    """A service that there is: its module here, the account, what makes a service of one, and what is to be pasted.

    `paste` says of each URL of ours where in the service's own console it belongs.
    """

    module: str
    account: str
    make: str
    paste: Sequence[tuple[str, str]]


SERVICES: Final[Mapping[str, Entry]] = {
    "twilio": Entry(
        "twilio",
        "TwilioAccount",
        "twilio",
        (
            ("Phone Numbers, your number, A call comes in (webhook, HTTP POST)", "voice"),
            ("Call status changes", "status"),
        ),
    ),
    "vonage": Entry(
        "vonage",
        "VonageAccount",
        "Vonage",
        (
            ("Applications, your application, Voice, Answer URL (HTTP POST)", "voice"),
            ("Applications, your application, Voice, Event URL (HTTP POST)", "status"),
        ),
    ),
}
"""By name."""


def make(name: str, table: Mapping[str, Any]) -> Service:
    """Make a service of its account's table. ConfigError where it can't work; the text names the key."""
    if name not in SERVICES:
        raise ConfigError(f"services.{name}: there is no such service; there are: {', '.join(sorted(SERVICES))}")
    entry = SERVICES[name]
    found = import_module(f"offhook.carriers.services.{entry.module}")
    kind: type[Any] = getattr(found, entry.account)
    build: Callable[[Any], Service] = getattr(found, entry.make)
    known = {field.name: field for field in fields(kind)}
    for key in table:
        if key not in known:
            raise ConfigError(f"services.{name}.{key}: there is no such key; there are: {', '.join(known)}")
    for key, field in known.items():
        if key not in table and field.default is MISSING and field.default_factory is MISSING:
            raise ConfigError(f"services.{name}.{key}: it is needed; docs/services/{name}.md says where it is found")
    return build(kind(**{key: _checked(name, known[key], value) for key, value in table.items()}))


def _checked(name: str, field: Field[Any], value: Any) -> Any:
    """Give a value of the field's type. ConfigError where it is none."""
    wanted = str(field.type)
    kinds: dict[str, type] = {"str": str, "bool": bool, "int": int, "float": float}
    kind = kinds.get(wanted)
    if wanted == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is not None and (not isinstance(value, kind) or (kind is not bool and isinstance(value, bool))):
        raise ConfigError(f"services.{name}.{field.name}: {value!r} is no {wanted}")
    if wanted.startswith("tuple[str") and isinstance(value, list):
        return tuple(str(one) for one in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return value
