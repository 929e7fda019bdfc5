"""The small texts of `offhook.toml` and how each is read: `udp://[::]:5060`, `+1`, `sip:*@pbx.example`, a network.

Each reader raises ValueError with the words that the operator is told, or ConfigError where it knows the key.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated, Final

from pydantic import AfterValidator, SecretStr

from offhook import _native as native
from offhook.carriers.trunks import profiles
from offhook.core.codecs import G729, SPOKEN, Codec
from offhook.core.errors import ConfigError, ProtocolError
from offhook.core.media import Address
from offhook.sip.grammar import is_token
from offhook.sip.uri import Uri, parse_uri

CODECS: Final[dict[str, Codec]] = {codec.label: codec for codec in SPOKEN}
_LABELS: Final = {label.lower(): label for label in CODECS}

TRANSPORTS: Final = ("udp", "tcp", "tls", "ws", "wss")

Network = IPv4Network | IPv6Network

LOOPBACK: Final = (ip_network("127.0.0.0/8"), ip_network("::1/128"))

_LISTEN: Final = re.compile(r"(?P<transport>[a-z]+)://(?P<address>(?:[^:/\[\]]+|\[[0-9a-fA-F:.]+\]):\d+)")
_HA1: Final = re.compile(r"(?:[0-9a-fA-F]{32}){1,2}")
_RULE: Final = re.compile(r"!?\+?[0-9]+|\+|sip:\S+")


def parse_listen(text: str) -> tuple[str, Address]:
    """Read `udp://127.0.0.1:5060` or `tls://[::]:5061`. ValueError where it is not that."""
    found = _LISTEN.fullmatch(text)
    if found is None or found["transport"] not in TRANSPORTS:
        raise ValueError(f"{text!r} is not like udp://127.0.0.1:5060, tcp://[::]:5060 or tls://0.0.0.0:5061")
    return found["transport"], parse_address(found["address"])


def parse_address(text: str) -> Address:
    """Read `127.0.0.1:5060` or `[::1]:5060`. ValueError where it is not a numeric address and a port."""
    host, _, port = text.rpartition(":")
    if host == "localhost":
        host = "127.0.0.1"
    if not (port.isdigit() and port.isascii()) or int(port) > 65535:
        raise ValueError(f"{text!r} is not like 127.0.0.1:5060")
    bracketed = host.startswith("[") and host.endswith("]")
    address = ip_address(host[1:-1] if bracketed else host)
    if isinstance(address, IPv6Address) is not bracketed:
        raise ValueError(f"{text!r}: an IPv6 address stands in brackets, as in [::1]:5060")
    return str(address), int(port)


def is_loopback(ip: str) -> bool:
    """Say whether an address is of this machine alone."""
    return ip_address(ip).is_loopback


def parse_sip(text: str, key: str) -> Uri:
    """Read the address of a trunk: `sip:gateway.example:5080`. ConfigError, naming the key, where it is none."""
    try:
        uri = parse_uri(text)
    except ProtocolError as error:
        raise ConfigError(f"{key}: {error}") from None
    if not uri.is_sip or uri.headers:
        raise ConfigError(f"{key}: {text!r} is not like sip:gateway.example")
    if (uri.param("transport") or "udp").lower() not in TRANSPORTS:
        raise ConfigError(f"{key}: {text!r}: the transport is none of {', '.join(TRANSPORTS)}")
    return uri


def _listens(text: str) -> str:
    parse_listen(text)
    return text


def parse_nameserver(text: str) -> Address:
    """Read `192.0.2.53` or `127.0.0.1:5353`. ValueError where it is neither."""
    try:
        return str(ip_address(text)), 53
    except ValueError:
        return parse_address(text)


def _nameserver(text: str) -> str:
    parse_nameserver(text)
    return text


def _codec(text: str) -> str:
    label = _LABELS.get(text.lower())
    if label is None:
        raise ValueError(f"{text!r} is none of {', '.join(CODECS)}")
    if label == G729.label:
        native.Decoder(label)  # it says what to install where that is missing
    return label


def _port_range(span: tuple[int, int]) -> tuple[int, int]:
    first, last = span
    if not 1 <= first <= last <= 65535 or first + first % 2 + 1 > last:
        raise ValueError(f"{first} to {last} holds no pair of ports: it must be like [10000, 19999]")
    return span


def _rule(text: str) -> str:
    if not _RULE.fullmatch(text):
        raise ValueError(f"{text!r} is neither the beginning of a number like +1555 nor like sip:*@pbx.example")
    return text


def _country(text: str) -> str:
    if not (len(text) == 2 and text.isascii() and text.isalpha()):
        raise ValueError(f"{text!r} is no country: two letters, as in US or DE")
    return text.upper()


def _profile(text: str) -> str:
    if text not in profiles():
        raise ValueError(f"{text!r} is none of {', '.join(profiles())}")
    return text


def _header(text: str) -> str:
    if not is_token(text):
        raise ValueError(f"{text!r} is no header name")
    return text


def _value(text: str) -> str:
    if not text.isprintable():
        raise ValueError("a header with a line break or another control character in it")
    return text


def _ha1(text: SecretStr) -> SecretStr:
    if not _HA1.fullmatch(text.get_secret_value()):
        raise ValueError("it is the hash of user:realm:password, as 32 or 64 hexadecimal digits")
    return text


Ha1 = Annotated[SecretStr, AfterValidator(_ha1)]


def _origin(text: str) -> str:
    if not re.fullmatch(r"https?://[^/\s?#@]+", text):
        raise ValueError(f"{text!r} is not the origin of a web page, as in https://phone.example")
    return text.lower()


def _public(text: str) -> str:
    found = re.fullmatch(r"(https?://[^/\s?#@]+)((?:/[A-Za-z0-9._~-]+)*)/?", text)
    if found is None:
        raise ValueError(f"{text!r} is not an address that services could call, as in https://agent.example")
    return found[1].lower() + found[2]


def _http(text: str) -> str:
    parse_address(text)
    return text


HttpAddress = Annotated[str, AfterValidator(_http)]
Nameserver = Annotated[str, AfterValidator(_nameserver)]
Listen = Annotated[str, AfterValidator(_listens)]
PublicUrl = Annotated[str, AfterValidator(_public)]
WebOrigin = Annotated[str, AfterValidator(_origin)]
CodecName = Annotated[str, AfterValidator(_codec)]
PortRange = Annotated[tuple[int, int], AfterValidator(_port_range)]
Rule = Annotated[str, AfterValidator(_rule)]
Country = Annotated[str, AfterValidator(_country)]
ProfileName = Annotated[str, AfterValidator(_profile)]
HeaderName = Annotated[str, AfterValidator(_header)]
HeaderValue = Annotated[str, AfterValidator(_value)]
