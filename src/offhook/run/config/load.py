"""Reading `offhook.toml`: where an agent runs. The agent says what it is; file, environment and flags say where.

    flags  ►  environment (OFFHOOK__SIP__LISTEN …)  ►  offhook.toml  ►  defaults          the first that speaks wins

Text may name environment variables as `${NAME}`, so that no secret stands in the file. A key that is not known is an
error that names it: a typo must never switch a safety off. What a later version brings is told apart from a typo.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, cast

from pydantic import ValidationError
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsError

from offhook.core.errors import ConfigError
from offhook.run.config.tables import Config

DEFAULT_FILE: Final = Path("offhook.toml")
"""Read where it is there; another file must be named."""

Settings = Config | Path | str | Mapping[str, Any] | None
"""A configuration, the path of one, the keys of one, or None for `offhook.toml` and the environment."""

_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

LATER: Final = {"records": "recording", "stir": "verifying and signing callers"}
"""Keys that are no typo, and what they ask for that is not in this version."""


def load(path: Path | None = None, flags: Mapping[str, Any] | None = None) -> Config:
    """Read the flags, the environment and the file (`offhook.toml` here, if there is one, where none is named).

    ConfigError where it can't work; the text names the key and what is wrong with it.
    """
    file = path if path is not None else DEFAULT_FILE if DEFAULT_FILE.is_file() else None
    try:
        values: dict[str, Any] = {} if file is None else _table(file.read_text())
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror or error}") from None
    except ValueError as error:
        raise ConfigError(f"{file}: {error}") from None

    class Layers(Config):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, InitSettingsSource(settings_cls, values)

    try:
        return Layers(**(flags or {}))
    except ValidationError as error:
        where = f"{file}: " if file is not None else ""
        raise ConfigError(where + "; ".join(_sentences(error))) from None
    except SettingsError as error:
        raise ConfigError(f"environment: {error}") from None


def config_of(settings: Settings) -> Config:
    """Read a configuration. ConfigError where it can't be."""
    if isinstance(settings, Config):
        return settings
    if isinstance(settings, (str, Path)):
        return load(Path(settings))
    return load(None, settings)


def _table(text: str) -> dict[str, Any]:
    return {key: _expanded(value, key) for key, value in tomllib.loads(text).items()}


def _expanded(value: Any, where: str) -> Any:
    """Put environment variables where `${NAME}` stands. ValueError where one is not set."""
    if isinstance(value, str):
        return _VARIABLE.sub(lambda name: _variable(name[1], where), value)
    if isinstance(value, list):
        return [_expanded(piece, where) for piece in cast("list[Any]", value)]
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        return {key: _expanded(piece, f"{where}.{key}" if where else key) for key, piece in table.items()}
    return value


def _variable(name: str, where: str) -> str:
    value = os.environ.get(name)
    if value is None:
        raise ValueError(f"{where}: the environment variable {name} is not set")
    return value


def _sentences(error: ValidationError) -> Iterator[str]:
    """Say of each fault what it is; first what is not there yet, by what it asks for."""
    for fault in error.errors():
        key = ".".join([str(part) for part in fault["loc"]])
        what = next((what for pattern, what in LATER.items() if fnmatchcase(key, pattern)), None)
        if what is not None:
            yield f"{key}: not in this version ({what})"
        elif fault["type"] == "extra_forbidden":
            yield f"{key}: there is no such key"
        else:
            yield f"{key}: {fault['msg'].removeprefix('Value error, ')}"
