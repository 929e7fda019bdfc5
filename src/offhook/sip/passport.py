"""Signed caller identity: the Identity header and the token in it (RFC 8224, 8225, 8588, 8946). No cryptography here.

    Identity: header.payload.signature;info=<https://…>;alg=ES256;ppt=shaken
        parse_identity ─► Signed(passport, message, signature, info)
                                  └─► fault(…): do the claims fit this call?

Numbers are compared in the canonical form of RFC 8224 section 8.3: digits, without the plus. The compact form (an empty
payload) is not taken: SHAKEN forbids it (RFC 8588 section 6), and what it leaves out would be a guess.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from offhook.sip.grammar import Malformed, param, parse_params, unquote

FRESH_S: Final = 60
"""How old a signature may be, and how far its clock ahead of ours (RFC 8224 section 6.2.1)."""

IDENTITIES_LIMIT: Final = 8
"""Identity headers of one INVITE: its origin's and one a diversion."""

TOKEN_LIMIT: Final = 8192
"""Bytes of one Identity header."""

DESTINATIONS_LIMIT: Final = 16
"""Destinations that one token may name; a call has one."""


_INFO: Final = re.compile(r";\s*info\s*=\s*<([^<>]*)>", re.IGNORECASE)
"""The one parameter of SIP whose value stands in angle brackets (RFC 8224 section 4)."""


@dataclass(frozen=True, slots=True)
class Passport:
    """What one token claims. Numbers are digits; `orig` and `dest` may be URIs.

    `ppt` is "shaken", "div" or "" (a plain one); `attest` "A", "B" or "C" and `origid` are SHAKEN's; `div` is the
    number that was called before the diversion. `iat` is seconds since 1970. `x5u` is where the certificate is.
    """

    ppt: str
    orig: str
    dest: tuple[str, ...]
    iat: int
    x5u: str
    attest: str = ""
    origid: str = ""
    div: str = ""


@dataclass(frozen=True, slots=True)
class Signed:
    """A passport with its signature over `message`, as one Identity header carries it."""

    passport: Passport
    message: bytes
    signature: bytes

    def header(self) -> str:
        """Write the Identity header's value."""
        passport = self.passport
        ppt = f';ppt="{passport.ppt}"' if passport.ppt else ""
        token = f"{self.message.decode('ascii')}.{_encoded(self.signature)}"
        return f"{token};info=<{passport.x5u}>;alg=ES256{ppt}"


def canonical(number: str) -> str:
    """Give a telephone number as passports write it: its digits (RFC 8224 section 8.3). "" where it is none."""
    text = number.strip().removeprefix("tel:").partition(";")[0]
    digits = text.removeprefix("+")
    for separator in "-.() ":
        digits = digits.replace(separator, "")
    return digits if digits.isascii() and digits.isdigit() else ""


def signing_input(passport: Passport) -> bytes:
    """Write what is signed: header and payload in RFC 8225's lexical order, without white space."""
    header: dict[str, str] = {"alg": "ES256", "typ": "passport", "x5u": passport.x5u}
    if passport.ppt:
        header["ppt"] = passport.ppt
    payload: dict[str, object] = {
        "dest": {"tn": list(passport.dest)},
        "iat": passport.iat,
        "orig": {"tn": passport.orig},
    }
    if passport.ppt == "shaken":
        payload |= {"attest": passport.attest, "origid": passport.origid}
    elif passport.ppt == "div":
        payload["div"] = {"tn": passport.div}
    return f"{_encoded(_canonical_json(header))}.{_encoded(_canonical_json(payload))}".encode("ascii")


def parse_identity(value: str) -> Signed:
    """Read an Identity header. Malformed where it can't be read or is not signed by ES256."""
    if len(value) > TOKEN_LIMIT:
        raise Malformed("identity", "an Identity header that is too long")
    token, semicolon, rest = value.strip().partition(";")
    where = _INFO.search(semicolon + rest)
    params = parse_params(_INFO.sub("", semicolon + rest))
    pieces = token.strip().split(".")
    if len(pieces) != 3 or not all(pieces):
        raise Malformed("identity", "an Identity header without a full token")
    header, payload = _object(pieces[0]), _object(pieces[1])
    if header.get("alg") != "ES256" or header.get("typ") != "passport":
        raise Malformed("identity", "a token that is no passport signed by ES256")
    ppt = _text(header, "ppt", optional=True)
    named = param(params, "ppt")
    if named is not None and unquote(named) != ppt:
        raise Malformed("identity", "an Identity header of another kind than its token")
    x5u = _text(header, "x5u")
    if where is None or where[1] != x5u:
        raise Malformed("identity", "an Identity header that points to another certificate than its token")
    passport = Passport(
        ppt=ppt,
        orig=_party(payload.get("orig")),
        dest=_parties(payload.get("dest")),
        iat=_instant(payload.get("iat")),
        x5u=x5u,
        attest=_text(payload, "attest", optional=ppt != "shaken"),
        origid=_text(payload, "origid", optional=ppt != "shaken"),
        div=_party(payload.get("div")) if ppt == "div" else "",
    )
    if ppt == "shaken" and passport.attest not in ("A", "B", "C"):
        raise Malformed("identity", "an attestation that is none of A, B and C")
    return Signed(passport, f"{pieces[0]}.{pieces[1]}".encode("ascii"), _decoded(pieces[2]))


def fault(passports: Sequence[Passport], claimed: Sequence[str], called: Sequence[str], unix_s: int) -> tuple[int, str]:
    """Say what in signed claims does not fit the call; (0, "") where all does.

    `claimed` are the numbers that the INVITE says it comes from (From, P-Asserted-Identity), `called` those that it is
    for (Request-URI, To), in canonical form. The codes are those of RFC 8224 section 6.2.2.
    """
    origin = next((passport for passport in passports if passport.ppt != "div"), None)
    if origin is None:
        return 428, "a diversion of no signed call"
    if any(abs(unix_s - passport.iat) > FRESH_S for passport in passports if passport.ppt != "div"):
        return 403, "the signature is stale"
    if origin.orig not in claimed:
        return 438, "the signed caller is another one"
    # RFC 8946 section 5: from whom it is for now, back through each diversion to whom the caller rang.
    reached = set(called)
    left = [passport for passport in passports if passport.ppt == "div" and passport.orig == origin.orig]
    while not reached & set(origin.dest):
        step = next((passport for passport in left if reached & set(passport.dest)), None)
        if step is None:
            return 438, "the signed call is for someone else"
        left.remove(step)
        reached = {step.div}
    return 0, ""


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _decoded(text: str) -> bytes:
    try:
        raw = text.encode("ascii")
        return urlsafe_b64decode(raw + b"=" * (-len(raw) % 4))
    except (UnicodeEncodeError, Error, ValueError):
        raise Malformed("identity", "a token that is not base64url") from None


def _canonical_json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()


def _object(text: str) -> dict[str, object]:
    try:
        value: object = json.loads(_decoded(text))
    except (ValueError, RecursionError):
        raise Malformed("identity", "a token that is not JSON") from None
    if not isinstance(value, dict):
        raise Malformed("identity", "a token that is no JSON object")
    return cast("dict[str, object]", value)


def _text(table: dict[str, object], name: str, *, optional: bool = False) -> str:
    value = table.get(name, "" if optional else None)
    if not isinstance(value, str) or not (value.isprintable() and value.isascii()):
        raise Malformed("identity", f"a token without a readable {name}")
    return value


def _instant(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 40:
        raise Malformed("identity", "a token without a time")
    return value


def _party(value: object) -> str:
    """Read `{"tn": "12155551212"}` or `{"uri": "sip:…"}`."""
    if not isinstance(value, dict):
        raise Malformed("identity", "a token without its parties")
    table = cast("dict[str, object]", value)
    if "tn" in table:
        number = canonical(_text(table, "tn"))
        if not number:
            raise Malformed("identity", "a party whose number is none")
        return number
    return _text(table, "uri")


def _parties(value: object) -> tuple[str, ...]:
    """Read `{"tn": ["1215…"], "uri": ["sip:…"]}`."""
    if not isinstance(value, dict):
        raise Malformed("identity", "a token without its parties")
    table = cast("dict[str, object]", value)
    found: list[str] = []
    for name in ("tn", "uri"):
        listed = table.get(name, [])
        if not isinstance(listed, list):
            raise Malformed("identity", "a token whose destinations are no list")
        for one in cast("list[object]", listed)[:DESTINATIONS_LIMIT]:
            found.append(_party({name: one}))
    if not found:
        raise Malformed("identity", "a token for nobody")
    return tuple(found)
