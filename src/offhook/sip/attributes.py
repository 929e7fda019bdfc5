"""What descriptions say of bundling, ICE, DTLS, SDES, RTCP and RTP extensions, as values.

    a=group      a=mid                              Group             RFC 5888, 9143
    a=candidate  a=ice-ufrag, -pwd, -lite, -options Candidate, Ice    RFC 8839
    a=fingerprint  a=setup  a=tls-id                Fingerprint, Dtls RFC 8122, 8842
    a=crypto                                        Crypto            RFC 4568
    a=rtcp-fb  a=extmap  a=ssrc                     Feedback, Extension, Source  RFC 4585, 8285, 5576

Each value reads itself with `parse` (None where the text is none: a line that can't be read is one that is not
understood, and is kept in its section as it stands) and writes itself with `str`; the two are inverses but for white
space. `Ice` and `Dtls` gather what holds for one section, from its own lines and the session's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from offhook.core.media import Address
from offhook.sip.sdp import Line, Media, Session

LIMIT: Final = 256
"""Values of one kind that are read of one section: browsers send some 40 candidates; more is not looked at."""

SETUPS: Final = ("active", "passive", "actpass", "holdconn")


def _number(text: str, most: int) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= most else None


@dataclass(frozen=True, slots=True)
class Group:
    """Sections that belong together, for what `semantics` says ("BUNDLE", "LS" …)."""

    semantics: str
    mids: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read the value of a=group."""
        words = text.split()
        return cls(words[0], tuple(words[1:])) if words else None

    def __str__(self) -> str:
        """Write the value."""
        return " ".join((self.semantics, *self.mids))


@dataclass(frozen=True, slots=True)
class Candidate:
    """Where an ICE agent may be reached. `address` may be a name (mDNS); `component` 1 is RTP, 2 RTCP."""

    foundation: str
    component: int
    transport: str
    priority: int
    address: str
    port: int
    kind: str
    related: Address | None = None
    extensions: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read the value of a=candidate."""
        words = text.split()
        if len(words) < 8 or len(words) % 2 or words[6].lower() != "typ":
            return None
        component, priority, port = _number(words[1], 256), _number(words[3], 2**32 - 1), _number(words[5], 65535)
        if component is None or priority is None or port is None:
            return None
        more = [(words[at], words[at + 1]) for at in range(8, len(words), 2)]
        related = None
        if len(more) > 1 and (more[0][0], more[1][0]) == ("raddr", "rport"):
            near = _number(more[1][1], 65535)
            if near is None:
                return None
            related, more = (more[0][1], near), more[2:]
        return cls(words[0], component, words[2], priority, words[4], port, words[7], related, tuple(more))

    def __str__(self) -> str:
        """Write the value."""
        words = [self.foundation, str(self.component), self.transport, str(self.priority), self.address, str(self.port)]
        words += ["typ", self.kind]
        if self.related is not None:
            words += ["raddr", self.related[0], "rport", str(self.related[1])]
        return " ".join(words + [word for pair in self.extensions for word in pair])


@dataclass(frozen=True, slots=True)
class Ice:
    """What one section says for ICE; `ufrag` is None where the far end does not speak it."""

    ufrag: str | None
    pwd: str | None
    lite: bool
    options: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    complete: bool

    @classmethod
    def of(cls, session: Session, media: Media) -> Self:
        """Gather it."""
        ufrag, pwd = _either(session, media, "ice-ufrag"), _either(session, media, "ice-pwd")
        options = tuple((_either(session, media, "ice-options") or "").split())
        found = [Candidate.parse(text) for text in media.attributes("candidate")[:LIMIT]]
        candidates = tuple([candidate for candidate in found if candidate is not None])
        complete = media.attribute("end-of-candidates") is not None
        return cls(ufrag, pwd, session.attribute("ice-lite") is not None, options, candidates, complete)

    def lines(self) -> tuple[Line, ...]:
        """Write the section's lines (ice-lite is the session's)."""
        texts = [] if self.ufrag is None else [f"ice-ufrag:{self.ufrag}"]
        texts += [] if self.pwd is None else [f"ice-pwd:{self.pwd}"]
        texts += [f"ice-options:{' '.join(self.options)}"] if self.options else []
        texts += [f"candidate:{candidate}" for candidate in self.candidates]
        texts += ["end-of-candidates"] if self.complete else []
        return tuple([("a", text) for text in texts])


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The digest of a certificate: `algorithm` in lower case, `digest` as its bytes."""

    algorithm: str
    digest: bytes

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read the value of a=fingerprint."""
        words = text.split()
        if len(words) != 2 or any(len(pair) != 2 for pair in words[1].split(":")):
            return None
        try:
            return cls(words[0].lower(), bytes.fromhex(words[1].replace(":", "")))
        except ValueError:
            return None

    def __str__(self) -> str:
        """Write the value."""
        return f"{self.algorithm} {self.digest.hex(':').upper()}"


@dataclass(frozen=True, slots=True)
class Dtls:
    """What one section says for DTLS; no fingerprint, no DTLS. `setup` is one of `SETUPS`, None where none is said."""

    fingerprints: tuple[Fingerprint, ...]
    setup: str | None
    tls_id: str | None

    @classmethod
    def of(cls, session: Session, media: Media) -> Self:
        """Gather it: a section's own fingerprints take the place of the session's."""
        texts = media.attributes("fingerprint") or _all(session.lines, "fingerprint")
        found = [Fingerprint.parse(text) for text in texts[:LIMIT]]
        setup = (_either(session, media, "setup") or "").strip().lower()
        prints = tuple([one for one in found if one is not None])
        return cls(prints, setup if setup in SETUPS else None, _either(session, media, "tls-id"))

    def lines(self) -> tuple[Line, ...]:
        """Write the section's lines."""
        texts = [f"fingerprint:{one}" for one in self.fingerprints]
        texts += [] if self.setup is None else [f"setup:{self.setup}"]
        texts += [] if self.tls_id is None else [f"tls-id:{self.tls_id}"]
        return tuple([("a", text) for text in texts])


@dataclass(frozen=True, slots=True)
class Crypto:
    """One way to key SRTP: `keys` are (method, information) such as ("inline", "base64|2^20|1:4"), as written."""

    tag: int
    suite: str
    keys: tuple[tuple[str, str], ...]
    parameters: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read the value of a=crypto."""
        words = text.split()
        if len(words) < 3:
            return None
        tag = _number(words[0], 999_999_999)
        pairs = [key.partition(":") for key in words[2].split(";") if key]
        if tag is None or not pairs or not all(colon for _, colon, _ in pairs):
            return None
        return cls(tag, words[1], tuple([(method, information) for method, _, information in pairs]), tuple(words[3:]))

    def __str__(self) -> str:
        """Write the value."""
        keys = ";".join([f"{method}:{information}" for method, information in self.keys])
        return " ".join((str(self.tag), self.suite, keys, *self.parameters))


@dataclass(frozen=True, slots=True)
class Feedback:
    """RTCP feedback ("nack", "ccm" …) that is understood for a payload number (None: for all)."""

    payload: int | None
    kind: str
    parameters: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read the value of a=rtcp-fb."""
        words = text.split()
        if len(words) < 2:
            return None
        payload = _number(words[0], 127)
        return None if payload is None and words[0] != "*" else cls(payload, words[1], tuple(words[2:]))

    def __str__(self) -> str:
        """Write the value."""
        return " ".join(("*" if self.payload is None else str(self.payload), self.kind, *self.parameters))


@dataclass(frozen=True, slots=True)
class Extension:
    """An RTP header extension under its number; `direction` is "" where none is said."""

    number: int
    direction: str
    uri: str
    parameters: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read the value of a=extmap."""
        words = text.split()
        if len(words) < 2:
            return None
        digits, _, direction = words[0].partition("/")
        number = _number(digits, 4351)  # RFC 8285 section 5: 4096 and up are only for offering
        return None if number is None else cls(number, direction, words[1], tuple(words[2:]))

    def __str__(self) -> str:
        """Write the value."""
        way = f"/{self.direction}" if self.direction else ""
        return " ".join((f"{self.number}{way}", self.uri, *self.parameters))


@dataclass(frozen=True, slots=True)
class Source:
    """What is said of one SSRC under a `name` ("cname", "msid" …)."""

    ssrc: int
    name: str
    value: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read the value of a=ssrc."""
        digits, _, rest = text.lstrip().partition(" ")
        name, colon, value = rest.lstrip().partition(":")
        ssrc = _number(digits, 2**32 - 1)
        return None if ssrc is None or not name else cls(ssrc, name, value if colon else None)

    def __str__(self) -> str:
        """Write the value."""
        return f"{self.ssrc} {self.name}" + ("" if self.value is None else f":{self.value}")


def groups(session: Session) -> list[Group]:
    """Give the groups of a description."""
    found = [Group.parse(text) for text in _all(session.lines, "group")[:LIMIT]]
    return [group for group in found if group is not None]


def cryptos(media: Media) -> list[Crypto]:
    """Give the ways to key SRTP that a section offers, in its order."""
    found = [Crypto.parse(text) for text in media.attributes("crypto")[:LIMIT]]
    return [crypto for crypto in found if crypto is not None]


def feedbacks(media: Media) -> list[Feedback]:
    """Give the RTCP feedback that a section understands."""
    found = [Feedback.parse(text) for text in media.attributes("rtcp-fb")[:LIMIT]]
    return [feedback for feedback in found if feedback is not None]


def extensions(media: Media) -> list[Extension]:
    """Give the RTP header extensions of a section."""
    found = [Extension.parse(text) for text in media.attributes("extmap")[:LIMIT]]
    return [extension for extension in found if extension is not None]


def sources(media: Media) -> list[Source]:
    """Give what a section says of its SSRCs."""
    found = [Source.parse(text) for text in media.attributes("ssrc")[:LIMIT]]
    return [source for source in found if source is not None]


def bundled(session: Session, mids: tuple[str, ...]) -> tuple[Line, ...]:
    """Give the a=group lines of an answer that takes only `mids` (RFC 9143 section 7.3): no others may be in them."""
    kept = [
        Group(group.semantics, tuple([mid for mid in group.mids if mid in mids]))
        for group in groups(session)
        if group.semantics == "BUNDLE"
    ]
    return tuple([("a", f"group:{group}") for group in kept if group.mids])


def _all(lines: tuple[Line, ...], name: str) -> list[str]:
    start = f"{name}:"
    return [value[len(start) :] for letter, value in lines if letter == "a" and value.startswith(start)]


def _either(session: Session, media: Media, name: str) -> str | None:
    own = media.attribute(name)
    return session.attribute(name) if own is None else own
