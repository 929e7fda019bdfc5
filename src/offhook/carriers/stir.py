"""Who a call really comes from: signatures and certificates of STIR/SHAKEN (RFC 8224, 8226, 8588; ATIS-1000074).

    INVITE ─► identities ─► Identities ─┬─ certificates (their URLs), fetched elsewhere ─┐
                                        └──────────────► verify(certificates, trust) ◄───┘ ─► Verdict
    sign(passport, key) ─► Identity header

Computation only: time, certificates and roots are given. A verdict informs; whether a call is refused for it is policy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, Final, Literal, Union, cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store, VerificationError

from offhook.core.errors import ConfigError
from offhook.core.verdict import State, Verdict
from offhook.sip.grammar import Malformed
from offhook.sip.message import Request
from offhook.sip.passport import (
    IDENTITIES_LIMIT,
    Passport,
    Signed,
    canonical,
    fault,
    parse_identity,
    signing_input,
)

TN_AUTHORISATION: Final = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.26")
"""The extension that says for which numbers or provider a certificate may sign (RFC 8226 section 9)."""

CERTIFICATES_LIMIT: Final = 8
"""Certificates of one chain."""


@dataclass(frozen=True, slots=True)
class Identities:
    """The signed identities of one INVITE, and what they must fit. `broken` is why one could not be read."""

    signed: tuple[Signed, ...]
    claimed: tuple[str, ...]
    called: tuple[str, ...]
    broken: str = ""

    @property
    def certificates(self) -> tuple[str, ...]:
        """Where the certificates are that signed it."""
        return tuple(dict.fromkeys(one.passport.x5u for one in self.signed))


class Untrusted(Exception):
    """A certificate that may not vouch for a number; the text says why."""


def identities(invite: Request, claimed: Sequence[str], called: Sequence[str]) -> Identities | None:
    """Read the Identity headers of an INVITE; None where it has none. Numbers are given as they were written."""
    values = invite.all("Identity")
    if not values:
        return None
    who = tuple([number for number in map(canonical, claimed) if number])
    whom = tuple([number for number in map(canonical, called) if number])
    signed: list[Signed] = []
    broken = "" if len(values) <= IDENTITIES_LIMIT else "too many Identity headers"
    for value in values[:IDENTITIES_LIMIT]:
        try:
            one = parse_identity(value)
        except Malformed as error:
            broken = str(error)
        else:
            # RFC 8224 section 4: kinds of token that we do not know are left alone.
            if one.passport.ppt in ("", "shaken", "div"):
                signed.append(one)
    return Identities(tuple(signed), who, whom, broken)


def verify(found: Identities, certificates: Callable[[str], bytes | None], trust: Trust, unix_s: int) -> Verdict:
    """Verify the identities of a call. `certificates` gives the PEM chain behind a URL, None where it can't be had."""
    if not found.signed:
        return Verdict("invalid", by="signature", code=438, reason=found.broken or "no token of a kind that we know")
    origin = next((one.passport for one in found.signed if one.passport.ppt != "div"), found.signed[0].passport)
    diverted = any(one.passport.ppt == "div" for one in found.signed)
    verdict = Verdict("valid", origin.attest, origin.origid, "signature", diverted=diverted)
    code, reason = fault([one.passport for one in found.signed], found.claimed, found.called, unix_s)
    if code:
        return replace(verdict, state="invalid", code=code, reason=reason)
    for one in found.signed:
        chain = certificates(one.passport.x5u)
        if chain is None:
            return replace(verdict, state="unknown", code=436, reason="the certificate could not be had")
        try:
            certified = trust.certified(chain, unix_s)
            certified.vouch(one.passport.div if one.passport.ppt == "div" else one.passport.orig)
        except Untrusted as error:
            return replace(verdict, state="invalid", code=437, reason=str(error))
        if not _holds(certified.key, one):
            return replace(verdict, state="invalid", code=438, reason="the signature does not hold")
    return verdict


def _holds(key: ec.EllipticCurvePublicKey, signed: Signed) -> bool:
    signature = signed.signature
    if len(signature) != 64:  # RFC 7518 section 3.4: R and S, 32 octets each
        return False
    der = encode_dss_signature(int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))
    try:
        key.verify(der, signed.message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Certified:
    """A key that a trusted certificate vouches for, and for which numbers (None: a provider, for its own)."""

    key: ec.EllipticCurvePublicKey
    numbers: tuple[tuple[int, int, int], ...] | None

    def vouch(self, number: str) -> None:
        """Untrusted where the certificate does not cover a number."""
        if self.numbers is None:
            return
        for digits, first, last in self.numbers:
            if len(number) == digits and first <= int(number or "0") <= last:
                return
        raise Untrusted("the certificate does not cover this number")


class Trust:
    """The certification authorities that may vouch for telephone numbers."""

    def __init__(self, roots: bytes) -> None:
        """Take roots in PEM. ConfigError where there are none."""
        try:
            found = x509.load_pem_x509_certificates(roots)
        except ValueError as error:
            raise ConfigError(f"the trust store can't be read: {error}") from None
        self._store = Store(found)

    def certified(self, chain: bytes, unix_s: int) -> Certified:
        """Give what a PEM chain, the signer's own certificate first, vouches for. Untrusted where nothing."""
        try:
            leaf, *others = x509.load_pem_x509_certificates(chain)
        except ValueError:
            raise Untrusted("the certificate can't be read") from None
        if len(others) >= CERTIFICATES_LIMIT:
            raise Untrusted("the chain is too long")
        verifier = (
            PolicyBuilder()
            .store(self._store)
            .time(datetime.fromtimestamp(unix_s, UTC))
            .extension_policies(ca_policy=_authorities(), ee_policy=ExtensionPolicy.permit_all())
            .build_client_verifier()
        )
        try:
            verifier.verify(leaf, others)
        except VerificationError as error:
            raise Untrusted(f"the certificate is not trusted: {' '.join(str(error).split())}") from None
        key = leaf.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
            raise Untrusted("the certificate's key is none of ES256")
        return Certified(key, _numbers(leaf))


def _authorities() -> ExtensionPolicy:
    # The web's rules for who may issue, but an authority of telephone numbers may bear the TNAuthList, too.
    return ExtensionPolicy.webpki_defaults_ca()


@cache
def _tn_list() -> Any:
    """Give the type of RFC 8226's TNAuthorizationList, in a sequence of one."""

    @asn1.sequence
    class Range:
        start: asn1.IA5String
        count: int

    spc = Annotated[asn1.Variant[asn1.IA5String, Literal["spc"]], asn1.Explicit(0)]
    span = Annotated[asn1.Variant[Range, Literal["range"]], asn1.Explicit(1)]
    one = Annotated[asn1.Variant[asn1.IA5String, Literal["one"]], asn1.Explicit(2)]
    entry: Any = Union[spc, span, one]  # noqa: UP007 (the decoder reads it at run time)
    boxed: dict[str, Any] = {"__annotations__": {"entries": list[entry]}}
    return asn1.sequence(type("Boxed", (), boxed))


def _numbers(leaf: x509.Certificate) -> tuple[tuple[int, int, int], ...] | None:
    """Read for which numbers a certificate may sign: digits, first and last of each range; None for a provider's."""
    try:
        extension = leaf.extensions.get_extension_for_oid(TN_AUTHORISATION)
    except x509.ExtensionNotFound:
        raise Untrusted("the certificate is for no telephone numbers") from None
    except ValueError:
        raise Untrusted("the certificate's extensions can't be read") from None
    raw = cast("x509.UnrecognizedExtension", extension.value).value
    try:
        entries = asn1.decode_der(_tn_list(), _boxed(raw)).entries
    except ValueError:
        raise Untrusted("the certificate's list of numbers can't be read") from None
    spans: list[tuple[int, int, int]] = []
    for entry in entries:
        if entry.tag == "spc":
            return None
        ranged = entry.tag == "range"
        first = str(entry.value.start.as_str() if ranged else entry.value.as_str())
        if not (first.isascii() and first.isdigit()):
            raise Untrusted("the certificate's list of numbers holds none")
        spans.append((len(first), int(first), int(first) + (entry.value.count - 1 if ranged else 0)))
    return tuple(spans)


def _boxed(der: bytes) -> bytes:
    """Put a DER value into a SEQUENCE of one: the decoder reads named types only, and a list is none."""
    size = len(der)
    length = bytes([size]) if size < 128 else bytes([0x82, size >> 8 & 255, size & 255])
    return (b"\x30" + length if size < 128 or size > 255 else b"\x30\x81" + bytes([size])) + der


@dataclass(frozen=True, slots=True)
class Signer:
    """What signs our calls. `x5u` is where others find the certificate."""

    key: ec.EllipticCurvePrivateKey
    x5u: str

    def sign(self, passport: Passport) -> str:
        """Give the Identity header of a passport; its `x5u` becomes ours."""
        made = replace(passport, x5u=self.x5u)
        message = signing_input(made)
        r, s = decode_dss_signature(self.key.sign(message, ec.ECDSA(hashes.SHA256())))
        return Signed(made, message, r.to_bytes(32) + s.to_bytes(32)).header()


def signer(pem: bytes, x5u: str) -> Signer:
    """Read a private key in PEM. ConfigError where it is none of ES256, or `x5u` is not https."""
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"the signing key can't be read: {error}") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise ConfigError("the signing key must be an elliptic one on P-256 (ES256)")
    if not x5u.startswith("https://") or not x5u.isascii() or not x5u.isprintable() or ">" in x5u:
        raise ConfigError(f"{x5u!r} must be an https URL: there others find the certificate")
    return Signer(key, x5u)


_VERSTATS: Final[dict[str, State]] = {
    "tn-validation-passed": "valid",
    "tn-validation-failed": "invalid",
    "no-tn-validation": "unsigned",
}


def from_verstat(value: str, attestation: str = "") -> Verdict:
    """Read what a trunk verified for us: `verstat` (3GPP TS 24.229 section 7.2A.20), with or without `-A`, `-B`, `-C`.

    Only to be asked for trunks that are trusted: anyone can write this.
    """
    text = value.strip().lower()
    grade = attestation.strip().upper()
    if text[-2:] in ("-a", "-b", "-c"):
        text, grade = text[:-2], text[-1].upper()
    state = _VERSTATS.get(text)
    if state is None:
        return Verdict()
    return Verdict(state, grade if grade in ("A", "B", "C") and state != "unsigned" else "", by="trunk")
