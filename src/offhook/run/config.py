"""`offhook.toml`: where an agent runs. The agent says what it is; this file, the environment and the flags say where.

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
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Annotated, Any, Final, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from offhook.carriers.negotiation import AudioRules
from offhook.core.codecs import AUDIO, Codec
from offhook.core.errors import ConfigError, ProtocolError
from offhook.core.media import Address
from offhook.run.host import HostRules
from offhook.sip.uri import Uri, parse_uri
from offhook.sip.useragent import Settings

DEFAULT_FILE: Final = Path("offhook.toml")
"""Read where it is there; another file must be named."""

LOOPBACK: Final = IPv4Network("127.0.0.0/8")

DIAL_LOOPBACK: Final = ("sip:*@127.0.0.1", "sip:*@localhost")
"""What may be dialled where nothing is configured: this machine."""

CODECS: Final[dict[str, Codec]] = {codec.name: codec for codec in AUDIO}

_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_LISTEN: Final = re.compile(r"(?P<transport>[a-z]+)://(?P<host>[^:/]+):(?P<port>\d+)")
_RULE: Final = re.compile(r"\+?[0-9]+|\+|sip:\S+")

_ACCOUNT: Final = (
    "registering with a trunk: give the address of one that knows this machine by its own, and its networks"
)
LATER: Final = {
    "dial.minutes_a_day": "limits of dialling",
    "records": "recording",
    "trunks.*.profile": _ACCOUNT,
    "trunks.*.username": _ACCOUNT,
    "trunks.*.password": _ACCOUNT,
}
"""Keys that are no typo, and what they ask for that is not in this version."""


def parse_listen(text: str) -> tuple[str, Address]:
    """Read `udp://127.0.0.1:5060`. ValueError where it is not that."""
    found = _LISTEN.fullmatch(text)
    if found is not None and found["transport"] in ("tls", "ws", "wss"):
        raise ValueError(f"{text}: {found['transport']} is not in this version; take udp or tcp")
    if found is None or found["transport"] not in ("udp", "tcp"):
        raise ValueError(f"{text!r} is not like udp://127.0.0.1:5060 or tcp://127.0.0.1:5060")
    return found["transport"], parse_address(f"{found['host']}:{found['port']}")


def parse_address(text: str) -> Address:
    """Read `127.0.0.1:5060`. ValueError where it is not a numeric IPv4 address and a port."""
    host, _, port = text.rpartition(":")
    if host == "localhost":
        host = "127.0.0.1"
    if not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{text!r} is not like 127.0.0.1:5060")
    return str(IPv4Address(host)), int(port)


def _listens(text: str) -> str:
    parse_listen(text)
    return text


def _codec(text: str) -> str:
    if text.upper() not in CODECS:
        raise ValueError(f"{text!r} is none of {', '.join(CODECS)}")
    return text.upper()


def _port_range(span: tuple[int, int]) -> tuple[int, int]:
    first, last = span
    if not 1 <= first <= last <= 65535 or first + first % 2 + 1 > last:
        raise ValueError(f"{first} to {last} holds no pair of ports: it must be like [10000, 19999]")
    return span


def _rule(text: str) -> str:
    if not _RULE.fullmatch(text):
        raise ValueError(f"{text!r} is neither the beginning of a number like +1555 nor like sip:*@pbx.example")
    return text


def _one_model(choice: object) -> object:
    if isinstance(choice, list):
        names = cast("list[object]", choice)
        if len(names) != 1:
            raise ValueError("several in failover order are not in this version; name one")
        return names[0]
    return choice


Listen = Annotated[str, AfterValidator(_listens)]
CodecName = Annotated[str, AfterValidator(_codec)]
PortRange = Annotated[tuple[int, int], AfterValidator(_port_range)]
Rule = Annotated[str, AfterValidator(_rule)]
ModelName = Annotated[str, BeforeValidator(_one_model)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Sip(_Table):
    """Where and how we speak SIP.

    `allow` are the networks whose SIP is read at all (none given: this machine only). `external_address` goes into Via,
    Contact and SDP; "auto" takes the one that the route to each far end uses. `codecs` in order of preference; `send`
    makes us send another codec than we take, where the far end offered both.
    """

    listen: list[Listen] = Field(default=["udp://127.0.0.1:5060", "tcp://127.0.0.1:5060"], min_length=1)
    external_address: str = "auto"
    rtp_ports: PortRange = (10000, 19999)
    allow: list[IPv4Network] | None = None
    user: str = "offhook"
    codecs: list[CodecName] = Field(default=["PCMU", "PCMA"], min_length=1)
    send: CodecName | None = None
    ring_s: float = Field(default=60.0, gt=0, le=300)


class Dial(_Table):
    """What may be dialled and transferred to: `+1` (a prefix), `sip:*@pbx.example`."""

    allow: list[Rule] = []


class Trunk(_Table):
    """A carrier or PBX that knows us by our address: `address` is a SIP URI, `networks` where its calls come from."""

    address: str
    networks: list[IPv4Network] = []


class Models(_Table):
    """Which models listen, think and speak; nothing: the local ones. Names as in Pydantic AI, or a URL.

    `voice` is how the voice is to sound where an agent does not say, by a name that `tts` knows.
    """

    llm: ModelName = "local"
    stt: ModelName = "local"
    tts: ModelName = "local"
    key: SecretStr | None = None
    voice: str | None = None


class Config(BaseSettings):
    """The whole file. `max_calls` None: what the models were measured to carry, 1000 where none are local."""

    model_config = SettingsConfigDict(env_prefix="OFFHOOK__", env_nested_delimiter="__", extra="forbid", frozen=True)

    sip: Sip = Sip()
    routes: dict[str, str] = {}
    dial: Dial = Dial()
    trunks: dict[str, Trunk] = {}
    models: Models = Models()
    max_calls: int | None = Field(default=None, ge=1, le=20_000)
    drain_s: float = Field(default=600.0, ge=0, le=86_400)
    media_threads: int = Field(default=1, ge=1, le=64)


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
    faults = {".".join([str(part) for part in fault["loc"]]): fault for fault in error.errors()}
    later: dict[str, list[str]] = {}
    for key in faults:
        for pattern, what in LATER.items():
            if fnmatchcase(key, pattern):
                later.setdefault(what, []).append(key)
    for what, keys in later.items():
        yield f"{', '.join(keys)}: not in this version ({what})"
    accounts = [key.rpartition(".")[0] for key in later.get(_ACCOUNT, [])]
    for key, fault in faults.items():
        if any(key in keys for keys in later.values()) or key.removesuffix(".address") in accounts:
            continue
        if fault["type"] == "extra_forbidden":
            yield f"{key}: there is no such key"
        else:
            yield f"{key}: {fault['msg'].removeprefix('Value error, ')}"


def host_rules(config: Config, *, max_calls: int, dial_also: tuple[str, ...] = ()) -> HostRules:
    """Make of a configuration what the host goes by. ConfigError where it would be open to strangers.

    `dial_also` are targets that the operator named on the command line.
    """
    sip = config.sip
    listen = tuple([parse_listen(text) for text in sip.listen])
    trunks = {name: _trunk(name, trunk) for name, trunk in config.trunks.items()}
    networks = list(sip.allow) if sip.allow is not None else [LOOPBACK]
    for trunk in config.trunks.values():
        networks += trunk.networks
    outside = [text for text, (_, (ip, _)) in zip(sip.listen, listen, strict=True) if IPv4Address(ip) not in LOOPBACK]
    if outside and sip.allow is None and not trunks:
        raise ConfigError(
            f"{outside[0]} can be reached from other machines, and nothing says who may call: set sip.allow to the "
            'networks that may, as in allow = ["192.168.0.0/16"], or add a trunk, or listen on 127.0.0.1'
        )
    default = trunks.get("main") or next(iter(trunks.values()), None)
    return HostRules(
        listen=listen,
        external=None if sip.external_address == "auto" else _external(sip.external_address),
        allow=tuple([str(network) for network in networks]),
        dial=(*DIAL_LOOPBACK, *config.dial.allow, *dial_also),
        trunk=default,
        max_calls=max_calls,
        ring_s=sip.ring_s,
        audio=AudioRules(
            codecs=tuple([CODECS[name] for name in sip.codecs]),
            send=CODECS[sip.send] if sip.send is not None else None,
        ),
        settings=Settings(user=sip.user, max_calls=2 * max_calls + 100),
    )


def address_note(config: Config) -> str:
    """Say what `external_address = "auto"` does not find out, where the file asks for it and it matters; else ""."""
    sip = config.sip
    reached = any(IPv4Address(parse_listen(text)[1][0]) not in LOOPBACK for text in sip.listen)
    if not reached or sip.external_address != "auto" or "external_address" not in sip.model_fields_set:
        return ""
    return (
        "sip.external_address = auto: each far end is told the address of our own that faces it; the outer one of a "
        "NAT is not found out in this version, set it"
    )


def _external(text: str) -> str:
    try:
        return str(IPv4Address(text))
    except ValueError:
        raise ConfigError(f'sip.external_address: {text!r} is neither "auto" nor an IPv4 address') from None


def _trunk(name: str, trunk: Trunk) -> Uri:
    try:
        uri = parse_uri(trunk.address)
    except ProtocolError as error:
        raise ConfigError(f"trunks.{name}.address: {error}") from None
    if uri.scheme != "sip":
        raise ConfigError(f"trunks.{name}.address: {trunk.address!r} is not like sip:gateway.example")
    if (uri.param("transport") or "udp").lower() not in ("udp", "tcp"):
        raise ConfigError(f"trunks.{name}.address: {trunk.address!r}: this version speaks udp and tcp only")
    return uri
