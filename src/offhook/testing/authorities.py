"""Certification authorities made up for a test, for telephone numbers (RFC 8226) and for hosts; and their certificates.

    Authority("Root") ─► .pem (the trust store)        .numbers("1234") ─► Issued(key, chain) for a provider's code
                                                       .host("sip.example", …) ─► Issued for TLS
Nothing of it is ever written down but by the test that asks for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from offhook.carriers.stir import TN_AUTHORISATION


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate with its key, both in PEM; `chain` begins with the certificate itself."""

    key: bytes
    chain: bytes


class FakeCertificates:
    """What `run.certificates.Certificates` is to an `Identification`, without a network: URLs known beforehand.

    A URL is fetched in `delay_s`, once; one that is not in `served` can't be had.
    """

    def __init__(self, served: Mapping[str, bytes], *, delay_s: float = 0.2) -> None:
        self._served = served
        self._delay_s = delay_s
        self._kept: dict[str, bytes | None] = {}
        self.fetched: list[str] = []

    def get(self, url: str) -> bytes | None:
        """Give what is kept."""
        return self._kept.get(url)

    def known(self, url: str) -> bool:
        """Say whether it was fetched."""
        return url in self._kept

    async def want(self, *urls: str) -> None:
        """Fetch."""
        for url in urls:
            if url not in self._kept:
                self.fetched.append(url)
                await asyncio.sleep(self._delay_s)
                self._kept[url] = self._served.get(url)

    async def close(self) -> None:
        """End nothing: nothing is under way."""


class Authority:
    """One that issues certificates, signed by itself. `begins` and `days` bound all that it issues, too."""

    def __init__(self, name: str, *, begins: datetime | None = None, days: int = 30) -> None:
        self._begins = begins or datetime.now(UTC) - timedelta(days=1)
        self._ends = self._begins + timedelta(days=days)
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._own = self._sign(self._name, self._key.public_key(), authority=True)

    @property
    def pem(self) -> bytes:
        """Its own certificate, as a trust store holds it."""
        return self._own.public_bytes(Encoding.PEM)

    def numbers(self, provider: str = "1234", *, one: str = "", curve: ec.EllipticCurve | None = None) -> Issued:
        """Issue a certificate that may sign for a provider's numbers, or for `one` only."""
        tag, text = (0xA2, one) if one else (0xA0, provider)
        inner = bytes([0x16, len(text)]) + text.encode("ascii")
        entry = bytes([tag, len(inner)]) + inner
        listed = x509.UnrecognizedExtension(TN_AUTHORISATION, bytes([0x30, len(entry)]) + entry)
        return self._issue(f"SHAKEN {text}", [listed], curve or ec.SECP256R1())

    def unlisted(self) -> Issued:
        """Issue a certificate that is for no telephone numbers."""
        return self._issue("Nobody", [], ec.SECP256R1())

    def host(self, *names: str, ended: bool = False, domain: str = "", alone: bool = False) -> Issued:
        """Issue a certificate for TLS on hosts (names or addresses); `ended`: one that has run out.

        `domain` puts a SIP domain beside them (RFC 5922); `alone`: it is signed by itself and not by us.
        """
        found: list[x509.GeneralName] = [
            x509.IPAddress(ip_address(name)) if _numeric(name) else x509.DNSName(name) for name in names
        ]
        if domain:
            found.append(x509.UniformResourceIdentifier(f"sip:{domain}"))
        if alone:
            return Authority(names[0])._issue(names[0], [x509.SubjectAlternativeName(found)], None, ended=ended)
        return self._issue(names[0], [x509.SubjectAlternativeName(found)], ec.SECP256R1(), ended=ended)

    def _issue(
        self,
        name: str,
        extensions: Sequence[x509.ExtensionType],
        curve: ec.EllipticCurve | None,
        *,
        ended: bool = False,
    ) -> Issued:
        """`curve` None: for our own key, which makes it signed by itself."""
        key = self._key if curve is None else ec.generate_private_key(curve)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = self._sign(subject, key.public_key(), extensions=extensions, ended=ended)
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return Issued(secret, made.public_bytes(Encoding.PEM) + (b"" if curve is None else self.pem))

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        *,
        authority: bool = False,
        extensions: Sequence[x509.ExtensionType] = (),
        ended: bool = False,
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._begins)
            .not_valid_after(self._begins + timedelta(hours=1) if ended else self._ends)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .add_extension(_usage(authority=authority), critical=True)
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self._key, hashes.SHA256())


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _numeric(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
