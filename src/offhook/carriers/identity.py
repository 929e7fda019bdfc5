"""Who we are in a DTLS handshake: a key and a certificate of its own, made anew with each process.

    P-256 key ─► self-signed certificate ─► its SHA-256 digest, which signalling carries (RFC 8122, 8827 section 6.5)

Nobody vouches for the certificate but the description that names its digest, so it says nothing of us.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from offhook.sip.attributes import Fingerprint


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate and its PKCS #8 key, both DER, and the digest that signalling tells."""

    certificate: bytes
    key: bytes = field(repr=False)
    fingerprint: Fingerprint


def make_identity() -> Identity:
    """Make one."""
    # Only a leg to a browser needs this, and to import it costs more than to do it.
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "WebRTC")])
    # The dates are looked at by nobody (RFC 8122 section 6.2), and a clock that is wrong must not matter.
    begins = datetime(2020, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=36_500))
        .sign(key, SHA256())
    )
    der = certificate.public_bytes(Encoding.DER)
    private = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return Identity(der, private, Fingerprint("sha-256", certificate.fingerprint(SHA256())))
