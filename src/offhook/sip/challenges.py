"""Asking others who they are: challenges that cost us nothing to have made, and the check of what comes back.

    no credentials ─► challenge: nonce = instant, HMAC(instant, source)     nothing is kept
    credentials ────► check ─┬─ nonce not ours, too old, its count used ─► Stale: asked again
                             ├─ unknown user, wrong password ────────────► Wrong: asked again, in the same words
                             └─ all well ────────────────────────────────► Proved(user)

Laws: an unknown user costs the same work and gets the same answer as a wrong password, so that nobody can find out who
is there; what is compared is compared in constant time; a nonce is good for one source and a while, and each count of
it once. RFC 3261 section 22, RFC 7616 sections 3.3 to 3.5, RFC 8760 section 2.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from offhook.core.instants import MILLISECOND, SECOND, Duration, Instant
from offhook.sip.digest import ALGORITHMS, SESSION, AuthValue, digests, ha1, hashed, response
from offhook.sip.grammar import Fields
from offhook.sip.message import Request

NONCES_LIMIT: Final = 4096
"""Nonces in use whose counts are kept. Only who knows a password gets a place; a softphone needs one or two."""

OFFERED: Final = ("MD5",)
"""What we ask for unless told, the strongest first (RFC 8760 section 2.3).

Softphones that are still shipped (baresip 1.0 among them) give up at a challenge with an algorithm that they don't
know, even where another is offered beside it.
"""

_STAMP: Final = 16
"""Characters of a nonce that say when it was made (12: milliseconds in hex) and which of that millisecond it is."""


@dataclass(frozen=True, slots=True)
class User:
    """One who may prove who they are: by a password as it is, or by `secrets`, HA1 by algorithm (RFC 7616 3.4.2)."""

    password: str | None = field(default=None, repr=False)
    secrets: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)


@dataclass(frozen=True, slots=True)
class Proved:
    """The credentials are a user's."""

    user: str


@dataclass(frozen=True, slots=True)
class Stale:
    """No credentials for us, or right in form and of a nonce that is used up: to be asked, no reason for suspicion."""

    nonce_known: bool


@dataclass(frozen=True, slots=True)
class Wrong:
    """The user is unknown or the password wrong: nobody is told which. `user` is as claimed."""

    user: str


Verdict = Proved | Stale | Wrong


class Challenges:
    """Challenges in one realm. `secret` is random and this process's own: at least 16 bytes."""

    def __init__(
        self,
        users: Mapping[str, User],
        *,
        realm: str,
        secret: bytes,
        algorithms: tuple[str, ...] = OFFERED,
        lifetime: Duration = 300 * SECOND,
    ) -> None:
        assert len(secret) >= 16
        assert set(algorithms) <= set(ALGORITHMS)
        self.realm = realm
        self.lifetime = lifetime
        self._secret = secret
        self._algorithms = algorithms
        # Everybody's HA1 is made once, so that a check is the same look-up and the same hashes for anyone.
        nobody = hmac.new(secret, b"nobody", sha256).hexdigest()
        self._nobody = {name: ha1(name, nobody, realm, nobody) for name in algorithms}
        self._users = {name: self._secrets(name, user) for name, user in users.items()}
        self._hidden = {hashed(name, f"{user}:{realm}"): user for name in algorithms for user in users}
        self._counts: OrderedDict[str, int] = OrderedDict()
        self._floor: Instant = -1
        self._serial = 0

    def _secrets(self, name: str, user: User) -> dict[str, str]:
        if user.password is not None:
            return {algorithm: ha1(algorithm, name, self.realm, user.password) for algorithm in self._algorithms}
        given = {algorithm.upper(): secret.lower() for algorithm, secret in user.secrets.items()}
        return {algorithm: given.get(algorithm.removesuffix(SESSION), "") for algorithm in self._algorithms}

    def ask(self, now: Instant, source: str, *, stale: bool = False, proxy: bool = False) -> Fields:
        """Give the fields of a 401 (or a 407, for a `proxy`)."""
        # The serial tells apart what is asked of two phones behind one address in the same millisecond.
        self._serial = (self._serial + 1) & 0xFFFF
        nonce = self._nonce(f"{now // MILLISECOND:012x}{self._serial:04x}", source)
        fields: list[tuple[str, str]] = []
        for algorithm in self._algorithms:
            words = [("realm", self.realm), ("nonce", nonce), ("algorithm", algorithm), ("qop", "auth")]
            if stale:
                words.append(("stale", "TRUE"))
            challenge = AuthValue("Digest", tuple(words))
            fields.append(("Proxy-Authenticate" if proxy else "WWW-Authenticate", str(challenge)))
        return tuple(fields)

    def check(self, now: Instant, request: Request, source: str) -> Verdict:
        """Judge the credentials of a request, wherever they stand (Authorization or Proxy-Authorization)."""
        given = digests([*request.all("Authorization"), *request.all("Proxy-Authorization")])
        ours = [value for value in given if value.get("realm") == self.realm and value.algorithm in self._algorithms]
        if not ours:
            return Stale(nonce_known=False)
        claim = ours[0]
        claimed = claim.get("username")
        name = self._hidden.get(claimed, claimed) if claim.get("userhash").lower() == "true" else claimed
        secret = self._users.get(name, self._nobody)[claim.algorithm]
        expected = response(
            claim.algorithm,
            secret,
            method=request.method,
            uri=claim.get("uri"),
            nonce=claim.get("nonce"),
            qop=claim.get("qop").lower(),
            nc=claim.get("nc"),
            cnonce=claim.get("cnonce"),
        )
        same = hmac.compare_digest(expected.encode(), claim.get("response").lower().encode("utf-8", "replace"))
        # The nonce is looked at before the proof counts: else an old one would tell who guessed right.
        made = self._made(claim.get("nonce"), source)
        fresh = made is not None and made > self._floor and 0 <= now - made <= self.lifetime
        if not fresh:
            return Stale(nonce_known=made is not None)
        if not (same and secret and name in self._users and _same_uri(claim.get("uri"), request.uri)):
            return Wrong(name)
        return Proved(name) if self._counted(claim) else Stale(nonce_known=True)

    # --- nonces

    def _nonce(self, stamp: str, source: str) -> str:
        return stamp + hmac.new(self._secret, f"{stamp} {source}".encode(), sha256).hexdigest()[:32]

    def _made(self, nonce: str, source: str) -> Instant | None:
        """Give when we made a nonce for a source, None where we did not."""
        wanted = self._nonce(nonce[:_STAMP], source)
        if not hmac.compare_digest(wanted.encode("utf-8", "replace"), nonce.encode("utf-8", "replace")):
            return None
        return int(nonce[:12], 16) * MILLISECOND

    def _counted(self, claim: AuthValue) -> bool:
        """Take the count of a nonce (RFC 7616 section 3.4); False where it was used before."""
        try:
            # Without qop there is no count (RFC 2069): such a nonce is good once.
            count = int(claim.get("nc"), 16) if claim.get("qop") else 1 << 32
        except ValueError:
            return False
        nonce = claim.get("nonce")
        if count <= self._counts.get(nonce, 0):
            return False
        self._counts[nonce] = count
        if len(self._counts) > NONCES_LIMIT:
            # What is forgotten must not be good again: nonces as old as that one are refused from now on.
            oldest, _ = self._counts.popitem(last=False)
            self._floor = max(self._floor, int(oldest[:12], 16) * MILLISECOND)
        return True


def _same_uri(claimed: str, asked: str) -> bool:
    """Say whether credentials are for the Request-URI that they came with (RFC 7616 section 3.4.6).

    Some write it without port or parameters: what must be the same is whom it is for.
    """

    def core(uri: str) -> str:
        return uri.partition(";")[0].partition("?")[0].lower().removesuffix(":5060")

    return core(claimed) == core(asked)
