"""Whom a certificate speaks for (RFC 5922 section 7): SIP domains in its subjectAltName, and nothing else.

    URI:sip:example.com      that domain          DNS:example.com, DNS:*.example.com      that host, one label for the *

Section 7.1 looks at DNS names only where no SIP URI is there. It forbids wildcards, which most trunks' certificates
have none the less: one whole leftmost label is taken, as RFC 6125 section 6.4.3 does.
"""

from __future__ import annotations

from collections.abc import Sequence

from offhook.sip.grammar import Malformed, is_address
from offhook.sip.uri import parse_uri

AltNames = Sequence[tuple[str, str]]
"""The subjectAltName of a certificate: kinds ("DNS", "URI", "IP Address" …) and values."""


def domains(names: AltNames) -> tuple[str, ...]:
    """Give the SIP domains and hosts that a certificate is for, in lower case; none where it names none."""
    found: list[str] = []
    for kind, value in names:
        if kind == "URI" and value.lower().startswith(("sip:", "sips:")):
            try:
                uri = parse_uri(value)
            except Malformed:
                continue
            if uri.user is None:  # section 7.1: one for a user is not one for the domain
                found.append(uri.host.lower())
    return tuple(found) or tuple([value.lower() for kind, value in names if kind in ("DNS", "IP Address")])


def speaks_for(names: AltNames, host: str) -> bool:
    """Say whether a certificate with these names is for `host`: a name or a numeric address."""
    host = host.lower().rstrip(".")
    known = domains(names)
    if host in known or not host:
        return bool(host)
    _, dot, rest = host.partition(".")
    return bool(dot) and not is_address(host) and "." in rest and f"*.{rest}" in known
