"""SIP messages: a start line, header fields in order, a body (RFC 3261 section 7).

    parse_message(bytes) -> Request | Response          bytes(message)
        long names, no folding, Content-Length apart         CRLF, exact Content-Length last

The two are inverses: `parse_message(bytes(m)) == m`. Reading takes what RFC 4475 calls valid but odd (compact names, any
case, folding, white space before the colon, bare LF, octets behind the Content-Length of a datagram); writing is strict,
and a line break in a value can't be written at all. Header values stay text until someone asks for their types
(`header`), so a message that is only passed on or matched costs little.

Text that is not UTF-8 survives a round trip (surrogateescape).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from offhook.sip.codes import reason as reason_phrase
from offhook.sip.grammar import TOKEN, Fields, Malformed, number, split_list

SIZE_LIMIT: Final = 65_535
"""Bytes of one message: what a UDP datagram can carry; a stream gets no more."""

FIELDS_LIMIT: Final = 256
"""Header fields of one message: the longest Via and route lists in the field stay far below."""

VALUE_LIMIT: Final = 16_384
"""Characters of one header value, all folds joined: an Identity token fits several times."""

_VERSION: Final = "SIP/2.0"

_COMPACT: Final = {
    "a": "Accept-Contact",
    "b": "Referred-By",
    "c": "Content-Type",
    "d": "Request-Disposition",
    "e": "Content-Encoding",
    "f": "From",
    "i": "Call-ID",
    "j": "Reject-Contact",
    "k": "Supported",
    "l": "Content-Length",
    "m": "Contact",
    "n": "Identity-Info",
    "o": "Event",
    "r": "Refer-To",
    "s": "Subject",
    "t": "To",
    "u": "Allow-Events",
    "v": "Via",
    "x": "Session-Expires",
    "y": "Identity",
}

_KNOWN: Final = (
    "Accept",
    "Accept-Encoding",
    "Accept-Language",
    "Alert-Info",
    "Allow",
    "Authorization",
    "CSeq",
    "Call-ID",
    "Call-Info",
    "Contact",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Language",
    "Content-Length",
    "Content-Type",
    "Date",
    "Diversion",
    "Error-Info",
    "Event",
    "Expires",
    "From",
    "History-Info",
    "In-Reply-To",
    "MIME-Version",
    "Max-Forwards",
    "Min-Expires",
    "Min-SE",
    "Organization",
    "P-Asserted-Identity",
    "P-Preferred-Identity",
    "Path",
    "Priority",
    "Privacy",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Proxy-Require",
    "RAck",
    "RSeq",
    "Reason",
    "Record-Route",
    "Refer-To",
    "Referred-By",
    "Replaces",
    "Reply-To",
    "Require",
    "Retry-After",
    "Route",
    "Server",
    "Session-Expires",
    "Service-Route",
    "Subject",
    "Subscription-State",
    "Supported",
    "Timestamp",
    "To",
    "Unsupported",
    "User-Agent",
    "Via",
    "WWW-Authenticate",
    "Warning",
)

_NAMES: Final[dict[str, str]] = {name.lower(): name for name in _KNOWN} | _COMPACT
_SPELLINGS: Final[dict[str, str]] = {name: name for name in _KNOWN} | _NAMES


def canonical(name: str) -> str:
    """Give the one spelling of a header name: long for compact, known capitals, else each word capitalised."""
    known = _SPELLINGS.get(name) or _NAMES.get(name.lower())
    return known or "-".join([word.capitalize() for word in name.split("-")])


@dataclass(frozen=True, slots=True)
class Message:
    """What requests and responses share. Names in `headers` are canonical; Content-Length is never among them."""

    headers: Fields
    body: bytes

    def first(self, name: str) -> str | None:
        """Give the value of the first field `name` (canonical), None where there is none."""
        for key, value in self.headers:
            if key == name:
                return value
        return None

    def all(self, name: str) -> list[str]:
        """Give the values of every field `name` (canonical), each as one text."""
        return [value for key, value in self.headers if key == name]

    def values(self, name: str) -> list[str]:
        """Give the elements of a list header: fields in order, each split at its commas. Malformed if unreadable."""
        return [element for key, value in self.headers if key == name for element in split_list(value)]


@dataclass(frozen=True, slots=True)
class Request(Message):
    """A request. `uri` is as written."""

    method: str
    uri: str

    def __bytes__(self) -> bytes:
        """Write the message. ValueError where a part holds a line break."""
        return _write(f"{self.method} {self.uri} {_VERSION}\r\n", self.headers, self.body)


@dataclass(frozen=True, slots=True)
class Response(Message):
    """A response. `reason` may be empty."""

    code: int
    reason: str

    def __bytes__(self) -> bytes:
        """Write the message. ValueError where a part holds a line break."""
        return _write(f"{_VERSION} {self.code} {self.reason}\r\n", self.headers, self.body)


def response(code: int, headers: Fields, body: bytes = b"", reason: str = "") -> Response:
    """Make a response with the usual reason phrase unless one is given."""
    return Response(headers, body, code, reason or reason_phrase(code))


def _write(start: str, headers: Fields, body: bytes) -> bytes:
    head = start + "".join([f"{name}: {value}\r\n" for name, value in headers])
    # One break a line and no more: whatever came into a value, it can't have become a header of its own.
    breaks = len(headers) + 1
    if head.count("\n") != breaks or head.count("\r") != breaks:
        raise ValueError("a line break in a header value")
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode("utf-8", "surrogateescape") + body


def _scan(lines: list[str]) -> tuple[Fields, Malformed | None]:
    """Read header lines; give what could be read and the first fault."""
    fields: list[tuple[str, str]] = []
    fault: Malformed | None = None
    spellings = _SPELLINGS
    for line in lines:
        name, colon, value = line.partition(":")
        known = spellings.get(name)
        if known is None:
            name = name.rstrip(" \t")
            if not colon or not name or not TOKEN.issuperset(name):
                fault = fault or Malformed("header", "a line that is no header")
                continue
            known = canonical(name)
        fields.append((known, value.strip(" \t")))
    if len(fields) > FIELDS_LIMIT:
        fault = fault or Malformed("too_many", "too many header fields")
        del fields[FIELDS_LIMIT:]
    return tuple(fields), fault


def _unfold(lines: list[str]) -> list[str]:
    """Join folded lines (RFC 3261 section 7.3.1): a line that begins with white space continues the one before."""
    out: list[str] = []
    for line in lines:
        if line[:1] in (" ", "\t") and out:
            joined = line.strip(" \t")
            # A fold is one space; an empty fold adds nothing.
            if joined:
                out[-1] = out[-1].rstrip(" \t") + " " + joined
        else:
            out.append(line)
    return out


def _length(fields: Fields, body: bytes, *, exact: bool) -> tuple[Fields, bytes]:
    """Take Content-Length out of the fields and cut the body to it (section 18.3)."""
    lengths = [value for name, value in fields if name == "Content-Length"]
    if not lengths:
        return fields, body
    rest = tuple([field for field in fields if field[0] != "Content-Length"])
    if len(lengths) > 1 and len(set(lengths)) > 1:
        raise Malformed("content_length", "two lengths", fields=rest)
    try:
        length = number(lengths[0], SIZE_LIMIT, "content_length")
    except Malformed as fault:
        raise Malformed("content_length", str(fault), fields=rest) from None
    if length > len(body) or (exact and length != len(body)):
        raise Malformed("content_length", "the body is shorter than its length", fields=rest)
    return rest, body[:length]


def parse_message(data: bytes) -> Request | Response:
    """Read one datagram or one message cut from a stream.

    Malformed (a ProtocolError) where it can't be read: `kind` says why, `code` what to answer a request with (400,
    505 or 513), `fields` are the headers that could be read.
    """
    if len(data) > SIZE_LIMIT:
        raise Malformed("size", "a message larger than a datagram", 513)
    head, blank, body = data.partition(b"\r\n\r\n")
    lone = head.find(b"\n\n") if b"\n\n" in head else -1
    if lone >= 0:
        body = data[lone + 2 :]
        head = data[:lone]
    elif not blank:
        head, blank, body = data.partition(b"\n\n")
        if not blank:
            head = head.rstrip(b"\r\n")
    text = head.decode("utf-8", "surrogateescape").lstrip("\r\n")
    lines = text.split("\r\n")
    if text.count("\n") != len(lines) - 1:
        lines = text.replace("\r\n", "\n").split("\n")
    if "\n " in text or "\n\t" in text:
        lines = _unfold(lines)
    fields, fault = _scan(lines[1:])
    if text.count("\r") > text.count("\r\n") or "\0" in text:
        # Neither can be written again, and both have been used to smuggle a header past a reader.
        bare = tuple([(name, value) for name, value in fields if "\r" not in value and "\0" not in value])
        raise Malformed("control", "a bare CR or NUL in the head", fields=bare)
    if len(head) > VALUE_LIMIT and any(len(value) > VALUE_LIMIT for _, value in fields):
        raise Malformed("size", "a header value that is too long", 513, ())
    message = _start_line(lines[0], fields)
    if fault is not None:
        raise Malformed(fault.kind, str(fault), fault.code, fields)
    rest, body = _length(fields, body, exact=False)
    if isinstance(message, Request):
        return Request(rest, body, message.method, message.uri)
    return Response(rest, body, message.code, message.reason)


def _start_line(line: str, fields: Fields) -> Request | Response:
    if line[:8] == "SIP/2.0 " or line[:4].upper() == "SIP/":
        return _status_line(line, fields)
    method, _, rest = line.partition(" ")
    uri, space, version = rest.rpartition(" ")
    if not method or not TOKEN.issuperset(method):
        raise Malformed("start_line", "a start line without a method", fields=fields)
    if version != _VERSION:
        upper = version.upper()
        if upper == _VERSION and space:
            pass
        elif upper[:4] == "SIP/" and upper[4:].replace(".", "", 1).isdigit() and uri:
            raise Malformed("version", "a version of SIP that is not 2.0", 505, fields)
        else:
            raise Malformed("start_line", "a start line without a version", fields=fields)
    if not uri or " " in uri or "\t" in uri or "<" in uri or ">" in uri or '"' in uri:
        raise Malformed("request_uri", "a Request-URI with white space or brackets", fields=fields)
    return Request(fields, b"", method, uri)


def _status_line(line: str, fields: Fields) -> Response:
    version, _, rest = line.partition(" ")
    code, _, phrase = rest.partition(" ")
    if version.upper() != _VERSION:
        raise Malformed("version", "a version of SIP that is not 2.0", 505, fields)
    if len(code) != 3 or not (code.isascii() and code.isdigit()) or not "1" <= code[0] <= "6":
        raise Malformed("status", "a status code out of range", fields=fields)
    return Response(fields, b"", int(code), phrase)
