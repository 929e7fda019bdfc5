"""Typed reading and writing of the headers that signalling turns on (RFC 3261 section 20, RFC 3581).

Each reader takes the text of one element, gives a value and raises Malformed; each value writes itself with `str`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from offhook.sip.grammar import (
    Malformed,
    Params,
    end_of_quote,
    is_token,
    number,
    param,
    parse_host_port,
    parse_params,
    quote,
    unquote,
    write_host_port,
    write_params,
)
from offhook.sip.uri import Uri, parse_uri

COOKIE: Final = "z9hG4bK"
"""What every branch of RFC 3261 begins with (section 8.1.1.7)."""

CSEQ_LIMIT: Final = 2**32 - 1
"""Sections 8.1.1.5 and 20.16 say 2**31 to those who write; some write past it, so reading stops at 32 bits."""


@dataclass(frozen=True, slots=True)
class Via:
    """One Via element. `transport` is in capitals; `port` is None where the default is meant."""

    transport: str
    host: str
    port: int | None
    params: Params
    version: str = "2.0"

    def __str__(self) -> str:
        """Write the element."""
        return f"SIP/{self.version}/{self.transport} {write_host_port(self.host, self.port)}{write_params(self.params)}"

    def param(self, name: str) -> str | None:
        """Give a parameter: "" where it stands without a value, None where it is not there."""
        return param(self.params, name)

    @property
    def branch(self) -> str:
        """The branch, "" where there is none (RFC 2543)."""
        return param(self.params, "branch") or ""


def parse_via(text: str) -> Via:
    """Read one Via element. White space may stand around every separator (RFC 4475 section 3.1.1.1)."""
    version = "2.0"
    if text.startswith("SIP/2.0/"):
        transport, _, rest = text[8:].partition(" ")
    else:
        protocol, slash, rest = text.partition("/")
        version, slash2, rest = rest.partition("/")
        version = version.strip()
        # A request of another version is answered with 505, and its Via is all there is to answer by.
        digits = version.replace(".", "", 1)
        if not slash or not slash2 or protocol.strip().upper() != "SIP" or not (digits.isdigit() and digits.isascii()):
            raise Malformed("via", "a Via of another protocol")
        transport, _, rest = rest.lstrip().partition(" ")
    if not is_token(transport):
        raise Malformed("via", "a Via without a transport")
    sent_by, semicolon, params = rest.partition(";")
    try:
        host, port = parse_host_port(sent_by.strip())
        return Via(transport.upper(), host, port, parse_params(semicolon + params), version)
    except Malformed as fault:
        raise Malformed("via", str(fault)) from None


@dataclass(frozen=True, slots=True)
class NameAddr:
    """A name-addr or addr-spec with header parameters: From, To, Contact, Route, Refer-To and their like.

    `display` is unquoted. `uri` is its text; `parse_uri` gives its parts.
    """

    display: str
    uri: str
    params: Params = ()

    def __str__(self) -> str:
        """Write the element, always as a name-addr."""
        name = f"{quote(self.display)} " if self.display else ""
        return f"{name}<{self.uri}>{write_params(self.params)}"

    @property
    def tag(self) -> str:
        """The tag, "" where there is none."""
        return param(self.params, "tag") or ""

    def parsed(self) -> Uri:
        """Give the URI's parts. Malformed where it can't be read."""
        return parse_uri(self.uri)


def parse_name_addr(text: str, kind: str = "name_addr") -> NameAddr:
    """Read a From, To, Contact … element. Malformed, as `kind`, where quotes, brackets or the URI are broken."""
    try:
        return _name_addr(text)
    except Malformed as fault:
        raise Malformed(kind, str(fault)) from None


@lru_cache(maxsize=1024)
def _name_addr(text: str) -> NameAddr:
    # The same From and To come with every request of a call, hence the cache: 1024 calls in the making.
    text = text.strip()
    if text[:1] == '"':
        end = end_of_quote(text, 0)
        display = unquote(text[:end])
        rest = text[end:].lstrip()
        if rest[:1] != "<":
            raise Malformed("name_addr", "a quoted name without an address")
        rest = rest[1:]
    else:
        display, bracket, rest = text.partition("<")
        if not bracket:
            return _addr_spec(text)
        display = display.rstrip()
        if "," in display or '"' in display or ";" in display or ">" in display or "\\" in display:
            raise Malformed("name_addr", "a display name that must be quoted")
    uri, bracket, params = rest.partition(">")
    if not bracket:
        raise Malformed("name_addr", "an address without its closing bracket")
    _plausible(uri)
    return NameAddr(display, uri, parse_params(params) if params else ())


def _addr_spec(text: str) -> NameAddr:
    # Section 20.10: without brackets a comma, semicolon or question mark in the URI belongs to the header.
    uri, semicolon, params = text.partition(";")
    uri = uri.rstrip()
    if "?" in uri or "," in uri:
        raise Malformed("name_addr", "an address that must be in brackets")
    _plausible(uri)
    return NameAddr("", uri, parse_params(semicolon + params))


def _plausible(uri: str) -> None:
    """Refuse what is no URI at all, cheaply; the parts are read where they are needed."""
    scheme, _, rest = uri.partition(":")
    if not scheme or not rest or " " in uri or "\t" in uri or "<" in uri or ">" in uri or '"' in uri:
        raise Malformed("uri", "an address that is no URI")


def parse_cseq(text: str) -> tuple[int, str]:
    """Read a CSeq: its number and method."""
    pieces = text.split()
    if len(pieces) != 2 or not is_token(pieces[1]):
        raise Malformed("cseq", "a CSeq without a number and a method")
    return number(pieces[0], CSEQ_LIMIT, "cseq"), pieces[1]


def parse_max_forwards(text: str) -> int:
    """Read a Max-Forwards (section 20.22: 0 to 255)."""
    return number(text.strip(), 255, "max_forwards")


DELTA_LIMIT: Final = 2**31 - 1
"""Seconds that are told apart; a longer time reads as this one (68 years)."""


@dataclass(frozen=True, slots=True)
class SessionExpires:
    """A Session-Expires or a Min-SE (RFC 4028): seconds, and who refreshes ("uac", "uas" or "": not said)."""

    seconds: int
    params: Params = ()

    def __str__(self) -> str:
        """Write the value."""
        return f"{self.seconds}{write_params(self.params)}"

    @property
    def refresher(self) -> str:
        """Who is to refresh; what is neither side says nothing."""
        side = (param(self.params, "refresher") or "").lower()
        return side if side in ("uac", "uas") else ""


def parse_session_expires(text: str) -> SessionExpires:
    """Read a Session-Expires or Min-SE. Malformed where it does not begin with digits."""
    digits, semicolon, params = text.partition(";")
    digits = digits.strip()
    if not digits.isascii() or not digits.isdigit():
        raise Malformed("session_expires", "an interval that is no number")
    seconds = int(digits) if len(digits) < 11 else DELTA_LIMIT
    try:
        return SessionExpires(min(seconds, DELTA_LIMIT), parse_params(semicolon + params) if params else ())
    except Malformed as fault:
        raise Malformed("session_expires", str(fault)) from None


def media_type(text: str) -> tuple[str, Params]:
    """Read a Content-Type: `type/subtype` in lower case, parameters."""
    essence, semicolon, params = text.partition(";")
    kind, _, subtype = essence.partition("/")
    kind, subtype = kind.strip().lower(), subtype.strip().lower()
    if not is_token(kind) or not is_token(subtype):
        raise Malformed("content_type", "a Content-Type that is none")
    return f"{kind}/{subtype}", parse_params(semicolon + params)
