"""Which services there are, and how one is made of its table in `offhook.toml`.

[services.twilio] ─► account's fields, checked ─► TwilioAccount ─► Service
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from importlib import import_module
from typing import Any, Final, Literal, cast, get_args, get_origin, get_type_hints

from offhook.carriers.services.service import Direct, Service
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
    instead: tuple[str, str, str, str] | None = None
    """A key of the table that chooses another way; then module, account and what makes a service of one."""


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
        "vonage",
        (
            ("Applications, your application, Voice, Answer URL (HTTP POST)", "voice"),
            ("Applications, your application, Voice, Event URL (HTTP POST)", "status"),
        ),
    ),
    "jambonz": Entry(
        "jambonz",
        "JambonzAccount",
        "Jambonz",
        (
            ("Applications, your application, Calling webhook (POST)", "voice"),
            ("Applications, your application, Call status webhook (POST)", "status"),
        ),
    ),
    "signalwire": Entry(
        "signalwire",
        "SignalWireAccount",
        "signalwire",
        (
            ("Phone Numbers, your number, Handle calls using cXML webhooks, When a call comes in (POST)", "voice"),
            ("Phone Numbers, your number, Status change webhook (POST)", "status"),
        ),
    ),
    "telnyx": Entry(
        "telnyx",
        "TelnyxAccount",
        "telnyx",
        (
            ("Voice, Programmable Voice, your application, Webhook URL (TeXML: Voice URL, POST)", "voice"),
            ("for TeXML alone: your application, Status callback URL (POST)", "status"),
        ),
    ),
    "plivo": Entry(
        "plivo",
        "PlivoAccount",
        "plivo",
        (
            ("Voice, Applications, your application, Primary Answer URL (POST)", "voice"),
            ("Voice, Applications, your application, Hangup URL (POST)", "status"),
        ),
    ),
    "genesys": Entry(
        "genesys", "GenesysAccount", "Genesys", (("Integrations, Audio Connector, Connection URI", "media/audio"),)
    ),
    "freeswitch": Entry(
        "direct",
        "FreeSwitchAccount",
        "FreeSwitch",
        (
            (
                "dialplan, uuid_audio_stream UUID start URL mono 16k, URL (SECRET: services.freeswitch.secret)",
                "media/SECRET",
            ),
        ),
    ),
    "asterisk": Entry(
        "direct",
        "AsteriskSocketAccount",
        "AsteriskSocket",
        (("websocket_client.conf, uri", "media/audio"),),
        instead=("api", "asterisk", "AsteriskAccount", "Asterisk"),
    ),
    "audiosocket": Entry("direct", "AudioSocketAccount", "AudioSocket", ()),
    "openai": Entry(
        "openai_sip",
        "OpenAiAccount",
        "OpenAiSip",
        (("Settings, Project, Webhooks, endpoint for realtime.call.incoming", "voice"),),
    ),
    "exotel": Entry(
        "exotel",
        "ExotelAccount",
        "exotel",
        (("App Bazaar, your flow, Voicebot applet, URL (with exotel:PASSWORD@ in it)", "voice"),),
    ),
}
"""By name."""


def make(name: str, table: Mapping[str, Any]) -> Service | Direct:
    """Make a service of its account's table. ConfigError where it can't work; the text names the key."""
    if name not in SERVICES:
        raise ConfigError(f"services.{name}: there is no such service; there are: {', '.join(sorted(SERVICES))}")
    entry = SERVICES[name]
    kind, build = _found(entry, table)
    known = {field.name: field for field in fields(kind)}
    for key in table:
        if key not in known:
            raise ConfigError(f"services.{name}.{key}: there is no such key; there are: {', '.join(known)}")
    for key, field in known.items():
        if key not in table and field.default is MISSING and field.default_factory is MISSING:
            raise ConfigError(f"services.{name}.{key}: it is needed; docs/services/{name}.md says where it is found")
    wanted = get_type_hints(kind)
    return build(kind(**{key: _checked(f"services.{name}.{key}", wanted[key], value) for key, value in table.items()}))


def places(name: str, table: Mapping[str, Any]) -> None:
    """See that a service places calls. ConfigError, with what to do in place of it, where it only brings them."""
    if name not in SERVICES:
        return
    _, made = _found(SERVICES[name], table)
    if isinstance(made, type) and issubclass(made, Direct):
        raise ConfigError(f"{name} places no calls, it only brings them: {made.instead}")


def _found(entry: Entry, table: Mapping[str, Any]) -> tuple[type[Any], Callable[[Any], Service | Direct]]:
    """Give the account of the way that a table chooses, and what makes a service of one."""
    module, account, maker = entry.module, entry.account, entry.make
    if entry.instead is not None and entry.instead[0] in table:
        _, module, account, maker = entry.instead
    found = import_module(f"offhook.carriers.services.{module}")
    return getattr(found, account), getattr(found, maker)


def _checked(key: str, wanted: Any, value: Any) -> Any:
    """Give a value as it is wanted. ConfigError where it is none."""
    if get_origin(wanted) is Literal:
        if value not in get_args(wanted):
            raise ConfigError(f"{key}: {value!r} is none of {', '.join(map(str, get_args(wanted)))}")
        return value
    if get_origin(wanted) is tuple and isinstance(value, list):
        return tuple([str(one) for one in cast("list[object]", value)])
    if wanted is float and type(value) is int:
        return float(value)
    if isinstance(wanted, type) and type(value) is not wanted:
        raise ConfigError(f"{key}: {value!r} is no {wanted.__name__}")
    return value
