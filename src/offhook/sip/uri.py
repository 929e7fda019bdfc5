"""SIP, SIPS and other URIs (RFC 3261 section 19.1, RFC 3966 for `tel`).

    sip:user:password@host:port;params?headers        any other scheme is kept as its opaque text

`parse_uri` and `str` are inverses: what is read is written back as it stood, escapes included.
"""

from __future__ import annotations

from dataclasses import dataclass

from offhook.sip.grammar import Malformed, Params, param, parse_host_port, parse_params, write_host_port, write_params

_SCHEME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789+-.")
_USER = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.!~*'()%&=+$,;?/#")
_HEX = frozenset("0123456789abcdefABCDEF")


@dataclass(frozen=True, slots=True)
class Uri:
    """A URI. `user` is as written (escaped; None where there is no `@`). `host` has no brackets.

    `opaque` is all behind the colon where the scheme is not `sip` or `sips`; the other fields are empty then.
    """

    scheme: str
    user: str | None = None
    host: str = ""
    port: int | None = None
    params: Params = ()
    headers: str = ""
    opaque: str = ""
    password: str | None = None

    def __str__(self) -> str:
        """Write the URI as it goes on the wire."""
        if self.opaque:
            return f"{self.scheme}:{self.opaque}"
        user = "" if self.user is None else self.user if self.password is None else f"{self.user}:{self.password}"
        at = "" if self.user is None else "@"
        headers = f"?{self.headers}" if self.headers else ""
        return f"{self.scheme}:{user}{at}{write_host_port(self.host, self.port)}{write_params(self.params)}{headers}"

    @property
    def is_sip(self) -> bool:
        """Whether this is a SIP or SIPS URI."""
        return self.scheme in ("sip", "sips")

    def param(self, name: str) -> str | None:
        """Give a URI parameter: "" where it stands without a value, None where it is not there."""
        return param(self.params, name)


def unescape(text: str) -> str:
    """Undo %-escapes (RFC 3261 section 19.1.2); a `%` without two hex digits stays."""
    if "%" not in text:
        return text
    head, *rest = text.split("%")
    out = bytearray(head.encode("utf-8", "surrogateescape"))
    for piece in rest:
        if len(piece) >= 2 and _HEX.issuperset(piece[:2]):
            out.append(int(piece[:2], 16))
            piece = piece[2:]
        else:
            out += b"%"
        out += piece.encode("utf-8", "surrogateescape")
    return out.decode("utf-8", "surrogateescape")


def parse_uri(text: str) -> Uri:
    """Read a URI. Malformed (400) where it breaks the grammar."""
    scheme, colon, rest = text.partition(":")
    scheme = scheme.lower()
    if not colon or not scheme or not rest or not _SCHEME.issuperset(scheme) or not "a" <= scheme[0] <= "z":
        raise Malformed("uri", "a URI without a scheme")
    if any(character <= " " or character in '<>"\x7f' for character in rest):
        raise Malformed("uri", "a URI with white space or brackets in it")
    if scheme not in ("sip", "sips"):
        return Uri(scheme, opaque=rest)
    # A user part may hold ; and ? but a host part never holds @, so the last @ before nothing else ends the user.
    user, at, host = rest.rpartition("@")
    if "@" in user:
        raise Malformed("uri", "a URI with two @")
    host, question, headers = host.partition("?")
    if question and not headers:
        raise Malformed("uri", "a URI with an empty list of headers")
    host, semicolon, params = host.partition(";")
    name, port = parse_host_port(host)
    if not at:
        return Uri(scheme, None, name, port, parse_params(semicolon + params), headers)
    user, colon, password = user.partition(":")
    # Bytes beyond ASCII are tolerated: real numbers plans put UTF-8 there.
    if not user or not (_USER.issuperset(user) or not user.isascii()):
        raise Malformed("uri", "a user part with characters that must be escaped")
    return Uri(scheme, user, name, port, parse_params(semicolon + params), headers, "", password if colon else None)
