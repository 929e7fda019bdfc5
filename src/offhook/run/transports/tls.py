"""TLS: our certificate, whom we believe, and in plain words why not (RFC 3261 section 26.3, RFC 5922).

    we connect ─► chain verified against the system's authorities or `ca` ─► name that was asked for ─► SIP
    they connect ─► our certificate, read anew when its file has changed ─► theirs, where `client_ca` asks for one

Laws: nobody is called unverified; nothing below TLS 1.2; a certificate that can't be read leaves the last one in use.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

from offhook.core.errors import ConfigError, Unreachable
from offhook.sip.domains import AltNames, domains, speaks_for

HANDSHAKE_S: Final = 10.0
"""How long a handshake may take."""

_NO_STAMP: Final = (-1,)
"""The times of no files: what has them is read anew."""

_MINIMUM: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}

EXPIRED, NOT_YET, SELF_SIGNED, SELF_SIGNED_CHAIN, NO_ISSUER, NO_FIRST = 10, 9, 18, 19, 20, 21
"""Why a certificate is not believed, as OpenSSL numbers it."""

_UNVERIFIED: Final = {
    EXPIRED: "its certificate has expired",
    NOT_YET: "its certificate is not valid yet",
    SELF_SIGNED: "its certificate is self-signed; if it is to be believed, name it as sip.tls.ca",
    SELF_SIGNED_CHAIN: "its certificate is of an authority that this machine does not know; name that as sip.tls.ca",
    NO_ISSUER: "its certificate is of an authority that this machine does not know; name that as sip.tls.ca",
    NO_FIRST: "its certificate comes without the authority that made it",
}


@dataclass(frozen=True, slots=True)
class TlsRules:
    """Files in PEM. `certificate` and `key` are ours, needed to listen and shown where a far end asks when we connect.

    `client_ca` are the authorities whose certificate everyone who connects must have (None: none is asked for); `ca`
    those that we believe when we connect (None: the system's). `minimum` is the least version.
    """

    certificate: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None
    ca: Path | None = None
    minimum: Literal["1.2", "1.3"] = "1.2"


class Tls:
    """Makes contexts by rules; each is made once and anew when a file that it was made from has changed."""

    def __init__(self, rules: TlsRules, report: Callable[[str], None]) -> None:
        self._rules = rules
        self._report = report
        self._made: dict[bool, tuple[tuple[int, ...], ssl.SSLContext]] = {}

    def listening(self) -> ssl.SSLContext:
        """Give the context for those who connect. ConfigError where there is no certificate or it can't be read."""
        if self._rules.certificate is None:
            raise ConfigError("to listen on tls:// or wss:// a certificate is needed: set sip.tls.certificate and key")
        return self._current(ours=False)

    def calling(self) -> ssl.SSLContext:
        """Give the context for connections of ours. ConfigError where a file can't be read."""
        return self._current(ours=True)

    def reread(self) -> None:
        """Read the files anew now, whatever their times say; what can't be read is told, and the last one stays."""
        for ours, (_, context) in list(self._made.items()):
            self._made[ours] = _NO_STAMP, context
            self._current(ours=ours)

    def _current(self, *, ours: bool) -> ssl.SSLContext:
        known = self._made.get(ours)
        try:
            stamp = self._stamp()
            if known is not None and known[0] == stamp:
                return known[1]
            context = self._make(ours=ours)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            text = f"sip.tls: {_reason(error)} ({', '.join(map(str, self._files()))})"
            if known is None:
                raise ConfigError(text) from None
            self._report(f"{text}; the last certificate stays in use")
            # Said once: not looked at again until a file changes once more.
            self._made[ours] = self._made_of(known)
            return known[1]
        self._made[ours] = stamp, context
        return context

    def _made_of(self, known: tuple[tuple[int, ...], ssl.SSLContext]) -> tuple[tuple[int, ...], ssl.SSLContext]:
        try:
            return self._stamp(), known[1]
        except OSError:
            return known

    def _files(self) -> list[Path]:
        rules = self._rules
        return [path for path in (rules.certificate, rules.key, rules.client_ca, rules.ca) if path is not None]

    def _stamp(self) -> tuple[int, ...]:
        return tuple([path.stat().st_mtime_ns for path in self._files()])

    def _make(self, *, ours: bool) -> ssl.SSLContext:
        rules = self._rules
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT if ours else ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = _MINIMUM[rules.minimum]
        if rules.certificate is not None:
            context.load_cert_chain(rules.certificate, rules.key)
        if ours:
            # The name is looked at by `verify`: OpenSSL knows nothing of SIP URIs in certificates.
            context.check_hostname = False
            context.verify_mode = ssl.CERT_REQUIRED
            if rules.ca is not None:
                context.load_verify_locations(rules.ca)
            else:
                context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        elif rules.client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(rules.client_ca)
        return context


def alt_names(wire: Any) -> AltNames:
    """Give the names in the verified certificate of the far end of a TLS transport; none where it showed none."""
    certificate = cast("dict[str, Any]", wire.get_extra_info("peercert") or {})
    return cast("AltNames", certificate.get("subjectAltName", ()))


def verify(names: AltNames, host: str) -> None:
    """Refuse a certificate that is not for the host that was asked for (RFC 5922 section 7.2). Unreachable."""
    if not speaks_for(names, host):
        known = ", ".join(domains(names)[:4]) or "nobody"
        raise Unreachable(f"its certificate is for {ascii(known)[1:-1]} and not for {host}")


def why(error: Exception) -> str:
    """Say in words why a connection could not be opened."""
    match error:
        case TimeoutError():
            return "no answer in time"
        case ssl.SSLCertVerificationError():
            return _UNVERIFIED.get(error.verify_code, f"its certificate is not valid: {error.verify_message}")
        case ssl.SSLError():
            return _handshake(error.reason or "")
        case Unreachable() | ConfigError():
            return str(error)
        case ConnectionRefusedError():
            return "nobody listens there"
        case ConnectionError():
            return "the far end closed the connection"
        case OSError():
            return _reason(error)
        case _:
            return type(error).__name__


def _handshake(reason: str) -> str:
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"):
        return "it does not speak TLS on that port"
    if "PROTOCOL_VERSION" in reason or reason in ("UNSUPPORTED_PROTOCOL", "NO_PROTOCOLS_AVAILABLE"):
        return "it speaks no version of TLS that is new enough (1.2 and up are)"
    if "CERTIFICATE_REQUIRED" in reason or "HANDSHAKE_FAILURE" in reason:
        return "it refuses the handshake: it may ask for a certificate of ours (sip.tls.certificate)"
    if "UNKNOWN_CA" in reason or "BAD_CERTIFICATE" in reason:
        return "it does not believe our certificate (sip.tls.certificate)"
    return f"the TLS handshake failed: {reason.lower().replace('_', ' ') or 'no reason given'}"


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not a certificate and its key").lower().replace("_", " ")
    return (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__
