"""SIP messages: a start line, header fields in order, a body (RFC 3261 section 7).

    parse_message(bytes) -> Request | Response          bytes(message)
        long names, no folding, no Content-Length           CRLF, exact Content-Length last

The two are inverses: `parse_message(bytes(m)) == m`. Reading takes what RFC 4475 calls valid but odd (compact names,
any case, folding, white space before the colon, bare LF, octets behind the Content-Length of a datagram); writing is
strict, and a line break in a value can't be written at all. Header values stay text until someone asks for their types
(`header`), so a message that is only passed on or matched costs little. The usual message takes the short way through
`parse_message`; whatever is odd about one sends it the long way round, which gives the same for the usual one.

Text that is not UTF-8 survives a round trip (surrogateescape).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, cast

from offhook.sip.codes import REASONS
from offhook.sip.codes import reason as reason_phrase
from offhook.sip.grammar import Fields, Malformed, is_token, number, split_list

SIZE_LIMIT: Final = 65_535
"""Bytes of one message: what a UDP datagram can carry; a stream gets no more."""

FIELDS_LIMIT: Final = 256
"""Header fields of one message: the longest Via and route lists in the field stay far below."""

VALUE_LIMIT: Final = 16_384
"""Characters of one header value, all folds joined: an Identity token fits several times."""

SHORT_LIMIT: Final = 32
"""Octets that a request's body may fall short of its Content-Length in a datagram: RFC 5118 section 4.6 is such a
message and calls it valid, and section 18.3 only says SHOULD. Who counts line ends otherwise than they go out falls
short by so many; a body that was cut off does not end with its line."""

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
    "P-Associated-URI",
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


def _no_index() -> dict[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class Message:
    """What requests and responses share. Names in `headers` are canonical; Content-Length is never among them.

    `index` has the first value of every header by its name; it is made from `headers` unless the reader has it already.
    """

    headers: Fields
    body: bytes
    index: dict[str, str] = field(default_factory=_no_index, repr=False, compare=False, kw_only=True)

    def __post_init__(self) -> None:
        """Make the index."""
        if not self.index:
            self.index.update(self.headers[::-1])

    def first(self, name: str) -> str | None:
        """Give the value of the first field `name` (canonical), None where there is none."""
        return self.index.get(name)

    def all(self, name: str) -> list[str]:
        """Give the values of every field `name` (canonical), each as one text."""
        if name not in self.index:
            return []
        if len(self.index) == len(self.headers):  # each name once, as nearly always
            return [self.index[name]]
        return [value for key, value in self.headers if key == name]

    def values(self, name: str) -> list[str]:
        """Give the elements of a list header: fields in order, each split at its commas. Malformed if unreadable."""
        return [element for value in self.all(name) for element in split_list(value)]


@dataclass(frozen=True, slots=True)
class Request(Message):
    """A request. `uri` is as written."""

    method: str
    uri: str

    def __bytes__(self) -> bytes:
        """Write the message. ValueError where a part holds a line break."""
        return write(f"{self.method} {self.uri} {_VERSION}\r\n", block(self.headers), self.body)


@dataclass(frozen=True, slots=True)
class Response(Message):
    """A response. `reason` may be empty."""

    code: int
    reason: str

    def __bytes__(self) -> bytes:
        """Write the message. ValueError where a part holds a line break."""
        return write(f"{_VERSION} {self.code} {self.reason}\r\n", block(self.headers), self.body)


def block(headers: Fields) -> str:
    """Write header fields, one a line. ValueError where one holds a line break."""
    text = "".join([f"{name}: {value}\r\n" for name, value in headers])
    # One break a line and no more: whatever came into a value, it can't have become a header of its own.
    if text.count("\n") != len(headers) or text.count("\r") != len(headers):
        raise ValueError("a line break in a header value")
    return text


_STATUS_LINES: Final = {code: f"{_VERSION} {code} {phrase}\r\n" for code, phrase in REASONS.items()}


def status_line(code: int, reason: str = "") -> str:
    """Write the first line of a response, with the usual reason phrase unless one is given."""
    usual = None if reason else _STATUS_LINES.get(code)
    return usual or f"{_VERSION} {code} {reason or reason_phrase(code)}\r\n"


def write(start: str, fields: str, body: bytes) -> bytes:
    """Write a message from its start line, its `block` of headers and its body."""
    if start.count("\n") != 1 or start.count("\r") != 1:
        raise ValueError("a line break in a start line")
    return f"{start}{fields}Content-Length: {len(body)}\r\n\r\n".encode("utf-8", "surrogateescape") + body


def parse_message(data: bytes) -> Request | Response:
    """Read one datagram or one message cut from a stream.

    Malformed (a ProtocolError) where it can't be read: `kind` says why, `code` what to answer a request with (400,
    505 or 513), `fields` are the headers that could be read.
    """
    if len(data) > SIZE_LIMIT:
        raise Malformed("size", "a message larger than a datagram", 513)
    end = data.find(b"\r\n\r\n")
    text = data[: max(end, 0)].decode("utf-8", "surrogateescape")
    start, *lines = text.split("\r\n")
    count = len(lines)
    if (
        not 0 < end < VALUE_LIMIT
        or count > FIELDS_LIMIT
        or text.count("\n") != count
        or text.count("\r") != count
        or "\0" in text
    ):
        return _parse_odd(data)
    spellings = _SPELLINGS.get
    fields: list[tuple[str | None, str]] = []
    for line in lines:  # a fifth faster than a comprehension over a comprehension
        name, _, value = line.partition(":")
        fields.append((spellings(name), value.strip()))
    index = dict(fields[::-1])
    if None in index:
        return _parse_odd(data)
    body = data[end + 4 :]
    length = index.pop("Content-Length", None)
    if length is not None:
        if fields[-1][0] == "Content-Length":  # where nearly all put it
            length = fields.pop()[1]
        else:
            fields.remove(("Content-Length", length))
        if length != str(len(body)):
            return _parse_odd(data)
        if len(index) != len(fields) and "Content-Length" in [name for name, _ in fields]:
            return _parse_odd(data)
    return _message(start, cast("Fields", tuple(fields)), body, cast("dict[str, str]", index))


def _parse_odd(data: bytes) -> Request | Response:
    """Read a message by the long way: every liberty that section 7.3 and RFC 4475 give a sender."""
    head, body = _divide(data)
    text = head.decode("utf-8", "surrogateescape").lstrip("\r\n")
    lines = _unfold(text.replace("\r\n", "\n").split("\n"))
    fields, fault = _scan(lines[1:])
    # Neither can be written again, and both have been used to smuggle a header past a reader. Only a quoted pair may be
    # of NUL (section 25.1; RFC 4475 section 3.1.1.2 has one).
    bare = text.replace("\r\n", "").replace("\\\0", "")
    if "\r" in bare or "\0" in bare:
        clean = tuple([(name, value) for name, value in fields if "\r" not in value and "\0" not in value])
        raise Malformed("control", "a bare CR or NUL in the head", fields=clean)
    if len(head) > VALUE_LIMIT and any(len(value) > VALUE_LIMIT for _, value in fields):
        short = tuple([(name, value) for name, value in fields if len(value) <= 256])
        raise Malformed("size", "a header value that is too long", 513, short)
    rest = tuple([one for one in fields if one[0] != "Content-Length"])
    message = _message(lines[0], rest, b"", {})
    if fault is not None:
        raise Malformed(fault.kind, str(fault), fault.code, rest)
    if isinstance(message, Request):
        return Request(rest, _cut(fields, rest, body, SHORT_LIMIT), message.method, message.uri)
    return Response(rest, _cut(fields, rest, body, 0), message.code, message.reason)


def _divide(data: bytes) -> tuple[bytes, bytes]:
    """Find the empty line between head and body, whichever line ends the sender uses."""
    crlf = data.find(b"\r\n\r\n")
    bare = data.find(b"\n\n")
    if bare >= 0 and (crlf < 0 or bare < crlf):
        return data[:bare], data[bare + 2 :]
    if crlf >= 0:
        return data[:crlf], data[crlf + 4 :]
    return data.rstrip(b"\r\n"), b""


def _unfold(lines: list[str]) -> list[str]:
    """Join folded lines (RFC 3261 section 7.3.1): a line that begins with white space continues the one before."""
    out: list[str] = []
    for line in lines:
        if line[:1] in (" ", "\t") and len(out) > 1:
            # A fold is one space; an empty fold adds nothing.
            joined = line.strip()
            if joined:
                out[-1] = out[-1].rstrip() + " " + joined
        else:
            out.append(line)
    return out


def _scan(lines: list[str]) -> tuple[Fields, Malformed | None]:
    """Read header lines; give what could be read and the first fault."""
    fields: list[tuple[str, str]] = []
    fault: Malformed | None = None
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.rstrip(" \t")
        if not colon or not is_token(name):
            fault = fault or Malformed("header", "a line that is no header")
            continue
        fields.append((canonical(name), value.strip()))
    if len(fields) > FIELDS_LIMIT:
        fault = fault or Malformed("too_many", "too many header fields")
        del fields[FIELDS_LIMIT:]
    return tuple(fields), fault


def _cut(fields: Fields, rest: Fields, body: bytes, bearable: int) -> bytes:
    """Cut the body to its Content-Length (section 18.3); it may be short by so much, if its last line is whole."""
    lengths = {value for name, value in fields if name == "Content-Length"}
    if not lengths:
        return body
    if len(lengths) > 1:
        raise Malformed("content_length", "two lengths", fields=rest)
    try:
        length = number(lengths.pop(), SIZE_LIMIT, "content_length")
    except Malformed as fault:
        raise Malformed("content_length", str(fault), fields=rest) from None
    if length > len(body) + (bearable if body.endswith(b"\n") else 0):
        raise Malformed("content_length", "the body is shorter than its length", fields=rest)
    return body[:length]


def _message(line: str, fields: Fields, body: bytes, index: dict[str, str]) -> Request | Response:
    """Make the message from its start line (section 7.1, 7.2)."""
    if line[:4].upper() == "SIP/":
        return _response(line, fields, body, index)
    method, _, rest = line.partition(" ")
    uri, space, version = rest.rpartition(" ")
    if not is_token(method):
        raise Malformed("start_line", "a start line without a method", fields=fields)
    if version != _VERSION and (version.upper() != _VERSION or not space):
        if version[:4].upper() == "SIP/" and version[4:].replace(".", "", 1).isdigit() and uri:
            raise Malformed("version", "a version of SIP that is not 2.0", 505, fields)
        raise Malformed("start_line", "a start line without a version", fields=fields)
    if not uri or " " in uri or "\t" in uri or "<" in uri or ">" in uri or '"' in uri:
        raise Malformed("request_uri", "a Request-URI with white space or brackets", fields=fields)
    return Request(fields, body, method, uri, index=index)


def _response(line: str, fields: Fields, body: bytes, index: dict[str, str]) -> Response:
    version, _, rest = line.partition(" ")
    code, _, phrase = rest.partition(" ")
    if version.upper() != _VERSION:
        raise Malformed("version", "a version of SIP that is not 2.0", 505, fields)
    if len(code) != 3 or not (code.isascii() and code.isdigit()) or not "1" <= code[0] <= "6":
        raise Malformed("status", "a status code out of range", fields=fields)
    return Response(fields, body, int(code), phrase, index=index)
