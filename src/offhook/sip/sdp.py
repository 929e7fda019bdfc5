"""Session descriptions (RFC 8866): a session part and its media, every line kept in order.

    v= o= s= …  session lines          Session.lines
    m=audio …   one Media a section    Session.media[n].lines

`parse_sdp` and `bytes` are inverses. Nothing is dropped: a line that we have no use for is kept as its type and value,
and the properties read out of the lines what offer/answer needs. Reading takes bare LF, missing final line ends and
lines out of order; what it needs and can't read is Malformed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from offhook.sip.grammar import TOKEN, Malformed, number

LINES_LIMIT: Final = 1024
"""Lines of one description. WebRTC's largest offers in the field have some 500."""

MEDIA_LIMIT: Final = 64
"""Media sections of one description: each must be answered, and conferences offer a few dozen."""

Line = tuple[str, str]
"""One line: its type letter and its value."""

_LETTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")

DIRECTIONS: Final = ("sendrecv", "sendonly", "recvonly", "inactive")


@dataclass(frozen=True, slots=True)
class Media:
    """One m= section. `protocol` is as written (`RTP/AVP`); `formats` are payload numbers as text for RTP.

    Only a declined section (port 0) may be without formats.
    """

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    lines: tuple[Line, ...] = ()
    ports: int | None = None

    def __str__(self) -> str:
        """Write the section."""
        ports = "" if self.ports is None else f"/{self.ports}"
        first = f"m={' '.join((self.kind, f'{self.port}{ports}', self.protocol, *self.formats))}\r\n"
        return first + "".join([f"{letter}={value}\r\n" for letter, value in self.lines])

    def attribute(self, name: str) -> str | None:
        """Give the value of the first a=name ("" for a flag), None where there is none."""
        return _attribute(self.lines, name)

    def attributes(self, name: str) -> list[str]:
        """Give the values of every a=name."""
        start = f"{name}:"
        return [value[len(start) :] for letter, value in self.lines if letter == "a" and value.startswith(start)]

    @property
    def connection(self) -> str | None:
        """The address of this section's own c= line, None where it has none."""
        return _connection(self.lines)


@dataclass(frozen=True, slots=True)
class Session:
    """A whole description: its session lines (v=, o=, s= … in order) and its media."""

    lines: tuple[Line, ...]
    media: tuple[Media, ...] = ()

    def __bytes__(self) -> bytes:
        """Write the description. ValueError where a value holds a line break."""
        head = "".join([f"{letter}={value}\r\n" for letter, value in self.lines])
        text = head + "".join([str(section) for section in self.media])
        breaks = len(self.lines) + len(self.media) + sum([len(section.lines) for section in self.media])
        if text.count("\n") != breaks or text.count("\r") != breaks:
            raise ValueError("a line break in an SDP value")
        return text.encode("utf-8", "surrogateescape")

    def attribute(self, name: str) -> str | None:
        """Give the value of the first session-level a=name ("" for a flag), None where there is none."""
        return _attribute(self.lines, name)

    @property
    def connection(self) -> str | None:
        """The address of the session-level c= line, None where there is none."""
        return _connection(self.lines)

    @property
    def origin(self) -> str | None:
        """The o= line."""
        for letter, value in self.lines:
            if letter == "o":
                return value
        return None

    def address(self, media: Media) -> str | None:
        """Give where a section's media goes: its own c= line, else the session's."""
        return media.connection or self.connection

    def direction(self, media: Media) -> str:
        """Give a section's direction: its own, else the session's, else sendrecv (RFC 3264 section 5.1)."""
        for lines in (media.lines, self.lines):
            for letter, value in lines:
                if letter == "a" and value in DIRECTIONS:
                    return value
        return "sendrecv"


def _attribute(lines: tuple[Line, ...], name: str) -> str | None:
    start = f"{name}:"
    for letter, value in lines:
        if letter == "a":
            if value.rstrip() == name:
                return ""
            if value.startswith(start):
                return value[len(start) :]
    return None


def _connection(lines: tuple[Line, ...]) -> str | None:
    for letter, value in lines:
        if letter == "c":
            return value.split()[2].partition("/")[0]
    return None


def parse_sdp(data: bytes) -> Session:
    """Read a description. Malformed (400) where it can't be read."""
    text = data.decode("utf-8", "surrogateescape")
    if "\0" in text:
        raise Malformed("sdp", "NUL in SDP")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    raw = text.split("\n")
    if len(raw) > LINES_LIMIT:
        raise Malformed("sdp", "too many lines of SDP", 413)
    session: list[Line] = []
    sections: list[Media] = []
    current = session
    opened: tuple[str, int, int | None, str, tuple[str, ...]] | None = None
    for line in raw:
        letter, equal, value = line.partition("=")
        if letter not in _LETTERS or not equal:
            if not line or line.isspace():
                continue
            # White space round the type is an error of the sender's (RFC 8866 section 5) and of no meaning: RFC 4475
            # section 3.1.1.8 has a valid message with `m =video`.
            letter = letter.strip(" \t")
            if letter not in _LETTERS or not equal:
                raise Malformed("sdp", "a line of SDP without a type")
        if letter == "m":
            if opened is not None:
                sections.append(_section(opened, current))
                if len(sections) >= MEDIA_LIMIT:
                    raise Malformed("sdp", "too many media sections", 413)
            opened = _media_line(value)
            current = []
            continue
        if letter == "c" and len(value.split()) < 3:
            raise Malformed("sdp", "a c= line without an address")
        current.append((letter, value))
    if opened is not None:
        sections.append(_section(opened, current))
    if not session or session[0][0] != "v" or session[0][1].strip() != "0":
        raise Malformed("sdp", "SDP does not begin with v=0")
    return Session(tuple(session), tuple(sections))


def _section(opened: tuple[str, int, int | None, str, tuple[str, ...]], lines: list[Line]) -> Media:
    kind, port, ports, protocol, formats = opened
    return Media(kind, port, protocol, formats, tuple(lines), ports)


def _media_line(value: str) -> tuple[str, int, int | None, str, tuple[str, ...]]:
    pieces = value.split()
    # Who declines a stream has no use for formats, and some leave them out.
    if len(pieces) < (3 if pieces[1:2] == ["0"] else 4) or not TOKEN.issuperset(pieces[0]):
        raise Malformed("sdp", "an m= line without kind, port, protocol and formats")
    port, slash, count = pieces[1].partition("/")
    ports = number(count, 65535, "sdp") if slash else None
    return pieces[0], number(port, 65535, "sdp"), ports, pieces[2], tuple(pieces[3:])
