"""The keys of SRTP in descriptions: a=crypto, as RFC 4568 and 7714 have it, and for the asking (RFC 8643).

    their offer ─► answered ─► our line, Protection          our lines ◄─ offered ◄─ Keyring
                                                             our offer, their answer ─► agreed ─► Protection

One line is taken, theirs of the first that we can: one inline key of the right length, no MKI (a packet would carry it,
and no key of ours has one), a lifetime that is one. KDR and UNENCRYPTED_… change what is on the wire and refuse their
line; WSH and FEC_… do not, and neither does what begins with a dash (section 6.3.7). Keys are in no error's text.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Final

from offhook.core.media import Protection
from offhook.sip.attributes import Crypto, cryptos
from offhook.sip.grammar import is_token
from offhook.sip.sdp import Line, Media

SUITES: Final = {
    "AES_CM_128_HMAC_SHA1_80": 30,
    "AEAD_AES_256_GCM": 44,
    "AEAD_AES_128_GCM": 28,
    "AES_CM_128_HMAC_SHA1_32": 30,
}
"""What we take, in the order in which we offer it, and the bytes of a master key with its salt."""

HARMLESS: Final = ("WSH=", "FEC_ORDER=", "FEC_KEY=", "-")


class Keyring:
    """Our own master keys of one leg: a suite's stays the same for as long as that suite is agreed.

    `draw` gives so many random bytes. A key that was left is never used again: its counters are gone.
    """

    __slots__ = ("_draw", "_keys")

    def __init__(self, draw: Callable[[int], bytes]) -> None:
        self._draw = draw
        self._keys: dict[str, bytes] = {}

    def key(self, suite: str) -> bytes:
        """Give our key of a suite."""
        key = self._keys.get(suite)
        if key is None:
            key = self._keys[suite] = self._draw(SUITES[suite])
        return key

    def settle(self, agreed: Protection | None) -> None:
        """Forget what was not agreed."""
        kept = agreed.suite if agreed is not None else ""
        self._keys = {suite: key for suite, key in self._keys.items() if suite == kept}


def offered(ring: Keyring) -> tuple[Line, ...]:
    """Give the lines of an offer: every suite that we have, each with its key."""
    return tuple([_line(tag, suite, ring.key(suite)) for tag, suite in enumerate(SUITES, 1)])


def answered(media: Media, ring: Keyring) -> tuple[Line, Protection] | None:
    """Take the first line of a section that we can; give ours, and the keys. None where we can take none."""
    for crypto in cryptos(media):
        theirs = _key(crypto)
        if theirs is not None:
            ours = ring.key(crypto.suite)
            return _line(crypto.tag, crypto.suite, ours), Protection(crypto.suite, ours, theirs)
    return None


def agreed(ours: Media, theirs: Media) -> Protection | None:
    """Give the keys of an answer to a section of ours. None where it takes none of our lines, or more than one."""
    lines = cryptos(theirs)
    if len(lines) != 1:
        return None
    (line,) = lines
    mine = [_key(crypto) for crypto in cryptos(ours) if (crypto.tag, crypto.suite) == (line.tag, line.suite)]
    send, receive = next((key for key in mine if key is not None), None), _key(line)
    return Protection(line.suite, send, receive) if send is not None and receive is not None else None


def waiting(ours: Media) -> Protection | None:
    """Give what holds while an offer of ours is out: our first key, and none of theirs."""
    mine = next(iter(cryptos(ours)), None)
    send = None if mine is None else _key(mine)
    return None if mine is None or send is None else Protection(mine.suite, send, None)


def why(media: Media) -> str:
    """Say why `answered` takes nothing of a section."""
    # Their words go into a header and a log: only what can be a suite's name, and not without end.
    suites = ", ".join(
        [crypto.suite for crypto in cryptos(media)[:8] if is_token(crypto.suite) and len(crypto.suite) < 40]
    )
    return f"SRTP was offered by no a=crypto that we take ({suites or 'there is none'})"


def _line(tag: int, suite: str, key: bytes) -> Line:
    return "a", f"crypto:{Crypto(tag, suite, (('inline', b64encode(key).decode()),))}"


def _key(crypto: Crypto) -> bytes | None:
    """Read the key of a line; None where we can't take the line."""
    length = SUITES.get(crypto.suite)
    if length is None or len(crypto.keys) != 1 or not all(word.startswith(HARMLESS) for word in crypto.parameters):
        return None
    method, information = crypto.keys[0]
    text, *more = information.split("|")
    # Between the bars: a lifetime, and an MKI with its length, in this order; either may be missing.
    if method.lower() != "inline" or len(more) > 1 or not all(_lives(word) for word in more):
        return None
    try:
        key = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) == length else None


def _lives(text: str) -> bool:
    """Say whether a text is a lifetime (section 6.1): packets, at most 2^48."""
    power = text.startswith("2^")
    digits = text[2:] if power else text
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 15:
        return False
    return 0 <= int(digits) <= 48 if power else 0 < int(digits) <= 2**48
