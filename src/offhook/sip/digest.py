"""Digest: the words of its headers and its arithmetic, for both who asks and who answers (RFC 7616, RFC 8760).

    WWW-/Proxy-Authenticate  ─► parse_auth ─► Challenge      Authorization ─► parse_auth ─► what a client claims
    ha1(user, realm, password) ─► response(method, uri, nonce, nc, cnonce)

Laws: reading is tolerant (odd spacing, tokens where strings belong, several challenges in one field, though RFC 3261
section 25.1 has one a field); writing follows the grammar: what it says is a quoted string is one. A password or what
is made of it is in no value that prints itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from offhook.sip.grammar import Malformed, Params, is_token, param, quote, split_list, unquote


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _sha512_256(data: bytes) -> str:
    # The truncated SHA-512 of FIPS 180-4 with an initial value of its own, as RFC 8760 section 2 has it; the example in
    # RFC 7616 section 3.9.2 was made another way (erratum 4897).
    return hashlib.new("sha512_256", data).hexdigest()


_HASHES: Final[dict[str, Callable[[bytes], str]]] = {"SHA-512-256": _sha512_256, "SHA-256": _sha256, "MD5": _md5}
if "sha512_256" not in hashlib.algorithms_available:  # an OpenSSL without it: then nobody is offered it, and none taken
    del _HASHES["SHA-512-256"]

SESSION: Final = "-SESS"

ALGORITHMS: Final = (*_HASHES, *[f"{name}{SESSION}" for name in _HASHES])
"""Every algorithm that we know, in capitals."""

CHALLENGES_LIMIT: Final = 16
"""Challenges of one message that are looked at: three algorithms for each of a few realms; more is noise."""

_BARE: Final = frozenset({"algorithm", "charset", "nc", "stale", "userhash"})
"""Parameters that are tokens; all others are quoted strings (RFC 3261 section 25.1), `qop` as its place asks."""


@dataclass(frozen=True, slots=True)
class AuthValue:
    """One challenge or one set of credentials: its scheme as written, parameters with names in lower case, unquoted."""

    scheme: str
    params: Params

    def __str__(self) -> str:
        """Write it. ValueError where a value holds a line break."""
        bare = _BARE | {"qop"} if param(self.params, "response") is not None else _BARE
        words = [
            f"{name}={value if name in bare and is_token(value or '') else quote(value or '')}"
            for name, value in self.params
        ]
        return f"{self.scheme} {', '.join(words)}".rstrip()

    def get(self, name: str) -> str:
        """Give a parameter, "" where there is none."""
        return param(self.params, name) or ""

    @property
    def is_digest(self) -> bool:
        """Whether it is of the one scheme that we speak."""
        return self.scheme.lower() == "digest"

    @property
    def algorithm(self) -> str:
        """The algorithm in capitals; MD5 where none is named (RFC 7616 section 3.3)."""
        return self.get("algorithm").upper() or "MD5"


def parse_auth(text: str) -> list[AuthValue]:
    """Read the value of an Authenticate or Authorization field. Malformed where it can't be read."""
    found: list[tuple[str, list[tuple[str, str | None]]]] = []
    for piece in split_list(text):
        name, equal, value = piece.partition("=")
        *scheme, name = name.split() or [""]
        if not equal:
            scheme, name = [*scheme, name], ""
        if len(scheme) == 1 and is_token(scheme[0]):
            found.append((scheme[0], []))
        elif scheme or not found:
            raise Malformed("auth", "credentials without a scheme")
        if not equal:
            continue
        value = value.strip()
        if not is_token(name) or (value[:1] == '"' and (len(value) < 2 or value[-1] != '"')):
            raise Malformed("auth", "a parameter of credentials that can't be read")
        found[-1][1].append((name.lower(), unquote(value)))
        if len(found) > CHALLENGES_LIMIT:
            raise Malformed("auth", "too many challenges in one field")
    return [AuthValue(scheme, tuple(params)) for scheme, params in found]


def digests(values: list[str]) -> list[AuthValue]:
    """Give the digests in the fields of a message, in order; what can't be read or is of another scheme is left out."""
    found: list[AuthValue] = []
    for text in values[:CHALLENGES_LIMIT]:
        try:
            found += [value for value in parse_auth(text) if value.is_digest]
        except Malformed:
            continue
    return found[:CHALLENGES_LIMIT]


def strength(algorithm: str) -> int:
    """Give how strong an algorithm is, from 1; 0 for one that we don't know."""
    name = algorithm.upper().removesuffix(SESSION)
    return len(_HASHES) - list(_HASHES).index(name) if name in _HASHES else 0


def hashed(algorithm: str, text: str) -> str:
    """Give H(text) of RFC 7616 section 3.3 in hex; text is UTF-8 (section 4: the only charset there is)."""
    return _HASHES[algorithm.upper().removesuffix(SESSION)](text.encode("utf-8", "surrogateescape"))


def ha1(algorithm: str, username: str, realm: str, password: str) -> str:
    """Give H(username:realm:password), which a server may keep in place of a password."""
    return hashed(algorithm, f"{username}:{realm}:{password}")


def response(
    algorithm: str, secret: str, *, method: str, uri: str, nonce: str, qop: str = "", nc: str = "", cnonce: str = ""
) -> str:
    """Give the response to a challenge (RFC 7616 section 3.4.1); `secret` is `ha1`.

    Without `qop` it is that of RFC 2069, which RFC 3261 section 22.4 keeps for old servers.
    """
    if algorithm.upper().endswith(SESSION):
        secret = hashed(algorithm, f"{secret}:{nonce}:{cnonce}")
    what = hashed(algorithm, f"{method}:{uri}")
    middle = f"{nonce}:{nc}:{cnonce}:{qop}" if qop else nonce
    return hashed(algorithm, f"{secret}:{middle}:{what}")
