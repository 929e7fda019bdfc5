"""The words of RFC 3261 section 25.1 that every header is made of: tokens, quoted strings, lists and parameters.

    value     =  element *( COMMA element )                 split_list: commas in quotes and <> do not count
    element   =  text *( SEMI name [ EQUAL value ] )    parse_params

Reading is tolerant of white space wherever the grammar has LWS or SWS; what can't be read is `Malformed`, whose `kind`
is one of a small fixed set of words, so that counters by kind are bounded.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address

from offhook.core.errors import ProtocolError

Fields = tuple[tuple[str, str], ...]
"""Header fields in order: canonical name, value without folding."""

Params = tuple[tuple[str, str | None], ...]
"""Parameters in order: name in lower case, value as written (None where there is no `=`)."""

TOKEN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.!%*_+`'~")
_IPV6 = frozenset("0123456789abcdefABCDEF:.%")

LIST_LIMIT = 128
"""Elements in one list: more Vias or routes than any Max-Forwards allows is an attack, not a call."""

PARAMS_LIMIT = 64
"""Parameters of one element; the longest lists in the field have about ten."""


class Malformed(ProtocolError):
    """A message or a part of it that can't be read. `fields` are the headers that could be, to answer it with."""

    def __init__(self, kind: str, reason: str, code: int = 400, fields: Fields = ()) -> None:
        super().__init__(reason, code)
        self.kind = kind
        self.fields = fields


def is_token(text: str) -> bool:
    """Say whether `text` is a token of RFC 3261 section 25.1."""
    # Letters and digits alone are nearly always all there is, and the cheaper question.
    return (text.isalnum() and text.isascii()) or (bool(text) and TOKEN.issuperset(text))


def quote(text: str) -> str:
    """Write `text` as a quoted-string. ValueError where it holds a line break, which no quoting can carry."""
    if "\r" in text or "\n" in text:
        raise ValueError("a quoted string can't hold a line break")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\0", "\\\0")
    return f'"{escaped}"'


def unquote(text: str) -> str:
    """Read a quoted-string (or give `text` as it is where it has no quotes)."""
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    inner = text[1:-1]
    if "\\" not in inner:
        return inner
    out: list[str] = []
    escaped = False
    for character in inner:
        if character == "\\" and not escaped:
            escaped = True
            continue
        out.append(character)
        escaped = False
    return "".join(out)


def end_of_quote(text: str, start: int) -> int:
    """Give the index after the quoted-string that begins at `start`. Malformed where it never ends."""
    at = start + 1
    while True:
        close = text.find('"', at)
        if close < 0:
            raise Malformed("quote", "a quoted string does not end")
        slashes = 0
        while text[close - 1 - slashes] == "\\" and close - 1 - slashes > start:
            slashes += 1
        if slashes % 2 == 0:
            return close + 1
        at = close + 1


def _split(text: str, separator: str, limit: int) -> list[str]:
    """Split at `separator` outside of quotes and angle brackets."""
    parts: list[str] = []
    begin = at = 0
    angle = False
    size = len(text)
    while at < size:
        character = text[at]
        if character == '"':
            at = end_of_quote(text, at)
            continue
        if character == "<":
            angle = True
        elif character == ">":
            angle = False
        elif character == separator and not angle:
            parts.append(text[begin:at])
            if len(parts) >= limit:
                raise Malformed("too_many", "too many elements in one header")
            begin = at + 1
        at += 1
    parts.append(text[begin:])
    return parts


def split_list(value: str) -> list[str]:
    """Split a comma-separated value into its elements, stripped. Malformed where one is empty (`a,,b`)."""
    if "," not in value:
        return [value.strip()]
    if '"' in value or "<" in value:
        parts = _split(value, ",", LIST_LIMIT)
    else:
        parts = value.split(",", LIST_LIMIT)
        if len(parts) > LIST_LIMIT:
            raise Malformed("too_many", "too many elements in one header")
    stripped = [part.strip() for part in parts]
    if not all(stripped):
        raise Malformed("separator", "an empty element in a list")
    return stripped


def parse_params(text: str) -> Params:
    """Read `;name=value;flag`. `text` begins with `;` or is empty. Malformed for empty or unreadable parameters."""
    if not text:
        return ()
    if text[0] != ";" or '"' in text or "<" in text or " " in text or "\t" in text or not text.isascii():
        return _parse_odd_params(text.strip())
    pieces = text[1:].split(";", PARAMS_LIMIT)
    if len(pieces) > PARAMS_LIMIT or "," in text:
        raise Malformed("params", "too many parameters, or a comma among them")
    out: list[tuple[str, str | None]] = []
    for piece in pieces:
        name, equal, value = piece.partition("=")
        if not name.isalnum() and not is_token(name):
            raise Malformed("params", "a parameter without a name")
        out.append((name.lower(), value if equal else None))
    return tuple(out)


def _parse_odd_params(text: str) -> Params:
    """Read parameters with quotes or white space among them."""
    if not text:
        return ()
    if text[0] != ";":
        raise Malformed("params", "something stands where only parameters may")
    out: list[tuple[str, str | None]] = []
    for piece in _split(text[1:], ";", PARAMS_LIMIT):
        name, equal, value = piece.partition("=")
        name, value = name.strip(), value.strip()
        if not is_token(name):
            raise Malformed("params", "a parameter without a name")
        if value[:1] == '"':
            if end_of_quote(value, 0) != len(value):
                raise Malformed("params", "text behind a quoted parameter")
        elif " " in value or "\t" in value or "," in value or '"' in value or "<" in value:
            raise Malformed("params", "a parameter that is no token")
        out.append((name.lower(), value if equal else None))
    if len(out) > PARAMS_LIMIT:
        raise Malformed("params", "too many parameters")
    return tuple(out)


def write_params(params: Params) -> str:
    """Write parameters, each with its `;`."""
    return "".join([f";{name}" if value is None else f";{name}={value}" for name, value in params])


def param(params: Params, name: str) -> str | None:
    """Give the value of the first parameter `name` ("" where it stands without one), None where it is not there."""
    for key, value in params:
        if key == name:
            return value or ""
    return None


def number(text: str, limit: int, kind: str) -> int:
    """Read decimal digits up to `limit`. Malformed (as `kind`) otherwise."""
    if not (text.isdigit() and text.isascii()) or len(text) > 20:
        raise Malformed(kind, "a number that is none")
    value = int(text)
    if value > limit:
        raise Malformed(kind, "a number out of range")
    return value


def is_host(text: str) -> bool:
    """Say whether `text` can be a host name or an IPv4 address."""
    plain = text.replace(".", "").replace("-", "").replace("_", "")
    return plain.isalnum() and plain.isascii()


@lru_cache(maxsize=1024)  # a far end's media comes from few hosts
def is_address(host: str) -> bool:
    """Say whether a host is a numeric address (an IPv6 one without brackets) that the media plane can read, too."""
    if ":" in host:
        try:
            return IPv6Address(host).scope_id is None  # a scope is of the sender's machine and means nothing here
        except AddressValueError:
            return False
    parts = host.split(".")
    if len(parts) != 4 or not host.isascii():
        return False
    for part in parts:
        # Without the zeros in front that some readers take for octal and others refuse.
        if not part.isdigit() or len(part) > 3 or int(part) > 255 or (part[0] == "0" and part != "0"):
            return False
    return True


@lru_cache(maxsize=1024)  # the Vias of a far end's requests name few places
def parse_host_port(text: str) -> tuple[str, int | None]:
    """Read `host`, `host:port`, `[v6]` or `[v6]:port`; the host keeps no brackets."""
    if text[:1] == "[":
        host, bracket, rest = text[1:].partition("]")
        if not bracket or ":" not in host or not _IPV6.issuperset(host):
            raise Malformed("host", "an IPv6 reference without its end")
        rest = rest.strip()
        if rest and rest[0] != ":":
            raise Malformed("host", "text behind an IPv6 reference")
        digits = rest[1:].strip() if rest else ""
        colon = rest[:1]
    else:
        host, colon, digits = text.partition(":")
        host = host.strip()
        digits = digits.strip()
        if not is_host(host):
            raise Malformed("host", "a host that is none")
    if not colon:
        return host, None
    return host, number(digits, 65535, "host")


def write_host_port(host: str, port: int | None) -> str:
    """Write a host (an IPv6 one in brackets) and its port."""
    text = f"[{host}]" if ":" in host else host
    return text if port is None else f"{text}:{port}"
