"""ICE and DTLS in offer and answer (RFC 8839, 8842, 5763, 9143), for browsers and WebRTC gateways. Functions only.

    their offer ─► answered ─► Tunnel, the lines of our answer          our offer: offered ─► accepted(their answer)

What a browser calls a stream of audio is one UDP way for all of it: so rtcp-mux must be agreed, and a description that
leaves out what a handshake needs is refused, never answered by less.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from offhook.core.errors import ProtocolError
from offhook.core.media import Address, Tunnel
from offhook.sip.attributes import Candidate, Dtls, Fingerprint, Ice
from offhook.sip.grammar import is_address
from offhook.sip.sdp import Line, Media, Session

PROFILES: Final = ("UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP")
"""Those that are keyed by DTLS (RFC 5764 section 9), the one that is offered in front."""

HASHES: Final = ("sha-256", "sha-384", "sha-512")
"""Digests that may vouch for a certificate; SHA-1 no longer may (RFC 8122 section 5)."""

CHARS: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
"""What ICE's names and passwords are made of (RFC 8839 section 5.4)."""

CANDIDATES_LIMIT: Final = 32
"""Candidates of a far end that are checked: browsers have a dozen."""

PREFERENCE: Final = 126 << 24 | 255
"""A host candidate's priority without its local preference (RFC 8445 section 5.1.2.1)."""


@dataclass(frozen=True, slots=True)
class Here:
    """What we say of ourselves: ICE's user name and password, where we are reached, and our certificate's digest."""

    ufrag: str
    pwd: str = field(repr=False)
    addresses: tuple[Address, ...]
    fingerprint: Fingerprint
    lite: bool = True

    @property
    def head(self) -> tuple[Line, ...]:
        """The lines for the whole description."""
        return (("a", "ice-lite"),) if self.lite else ()

    def lines(self, setup: str) -> tuple[Line, ...]:
        """Write the lines of the section."""
        candidates = tuple(
            [
                Candidate(str(n + 1), 1, "udp", PREFERENCE | (65_535 - n) << 8, host, port, "host")
                for n, (host, port) in enumerate(self.addresses)
            ]
        )
        ice = Ice(self.ufrag, self.pwd, self.lite, ("ice2",), candidates, True)
        return (*ice.lines(), *Dtls((self.fingerprint,), setup, None).lines(), ("a", "rtcp-mux"))


def is_tunnelled(media: Media) -> bool:
    """Say whether a section wants ICE and DTLS."""
    return media.protocol.upper() in PROFILES


def names(session: Session, media: Media) -> tuple[str, str]:
    """Give the user name and password of a section's ICE. ProtocolError (488) where it has none."""
    ice = Ice.of(session, media)
    ufrag, pwd = (ice.ufrag or "").strip(), (ice.pwd or "").strip()
    if not (4 <= len(ufrag) <= 256 and 22 <= len(pwd) <= 256 and CHARS.issuperset(ufrag) and CHARS.issuperset(pwd)):
        raise ProtocolError("a secure stream without ICE", 488)
    return ufrag, pwd


def answered(session: Session, media: Media, here: Here) -> tuple[Tunnel, tuple[Line, ...]]:
    """Take an offered section; give the tunnel and the lines that answer it. ProtocolError (488) where it can't be."""
    setup = Dtls.of(session, media).setup
    if setup not in ("actpass", "active", "passive"):
        raise ProtocolError("a secure stream that does not say who begins its handshake", 488)
    # A browser begins as soon as ICE has found the way: it is the first to know.
    active = setup == "passive"
    lite = Ice.of(session, media).lite
    mine = here if not lite else Here(here.ufrag, here.pwd, here.addresses, here.fingerprint, lite=False)
    tunnel = _tunnel(session, media, mine, controlling=lite, active=active)
    return tunnel, mine.lines("active" if active else "passive")


def accepted(offer: Session, ours: Media, answer: Session, theirs: Media) -> Tunnel:
    """Read the answer to an offer of ours. ProtocolError (488) where it breaks RFC 8842 or can't be gone along with."""
    setup = Dtls.of(answer, theirs).setup
    if setup not in ("active", "passive"):
        raise ProtocolError("an answer that does not say who begins the handshake", 488)
    mine, said = Ice.of(offer, ours), Dtls.of(offer, ours)
    assert mine.ufrag is not None and mine.pwd is not None  # noqa: PT018 - we wrote it
    here = Here(mine.ufrag, mine.pwd, (), said.fingerprints[0], mine.lite)
    if here.lite and Ice.of(answer, theirs).lite:
        raise ProtocolError("neither end looks for a way: both are ice-lite", 488)
    return _tunnel(answer, theirs, here, controlling=not here.lite, active=setup == "passive")


def _tunnel(session: Session, media: Media, here: Here, *, controlling: bool, active: bool) -> Tunnel:
    if media.attribute("rtcp-mux") is None:
        raise ProtocolError("a secure stream without rtcp-mux", 488)
    prints = [(one.algorithm, one.digest) for one in Dtls.of(session, media).fingerprints if one.algorithm in HASHES]
    if not prints:
        raise ProtocolError("a secure stream without a fingerprint of SHA-2", 488)
    near = [str(one) for one in Ice.of(session, media).candidates if _is_near(one)]
    return Tunnel(
        ours=(here.ufrag, here.pwd),
        theirs=names(session, media),
        candidates=tuple(near[:CANDIDATES_LIMIT]),
        fingerprints=tuple(prints),
        lite=here.lite,
        controlling=controlling,
        active=active,
    )


def _is_near(candidate: Candidate) -> bool:
    """Say whether a candidate can be checked: ours are UDP, and names (mDNS) are looked up by nobody here."""
    return candidate.component == 1 and candidate.transport.lower() == "udp" and is_address(candidate.address)
