"""Who we are to one trunk or registrar, and to whom we prove it (RFC 3261 section 22, RFC 7616, RFC 8760).

    request ─► open: credentials in advance, where the last nonce is known ─► out
    401, 407 ─► answer ─┬─ asked by another host, or of another realm? ─► None: they get nothing
                        ├─ we have just answered that, and it was refused ─► None: the password is wrong
                        └─ the strongest algorithm that we know ─► credentials

Laws: nothing made of the password goes to whom it was not meant for: a challenge counts only if the request went to a
host of the account and the realm is the account's. A callee can write any realm into its challenge and would have
something to guess the password from (the "digest leak"), so both are asked. A nonce is used with a count that only
grows; the same challenge is answered once, and once more where the server says that it was stale.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import TYPE_CHECKING, Final

from offhook.core.media import Address
from offhook.sip.digest import SESSION, AuthValue, digests, ha1, hashed, response, strength
from offhook.sip.grammar import Fields, is_address
from offhook.sip.header import parse_name_addr
from offhook.sip.message import Request, Response
from offhook.sip.outcomes import Flow
from offhook.sip.uri import Uri

if TYPE_CHECKING:
    import random

KINDS: Final = (("WWW-Authenticate", "Authorization"), ("Proxy-Authenticate", "Proxy-Authorization"))
"""Who asks and what answers: a registrar or a far end with 401, a proxy with 407."""

ADDRESSES_LIMIT: Final = 64
"""Addresses that the names of one account have led to: some trunks have dozens."""

_TLS: Final = frozenset({"tls", "wss"})


@dataclass(frozen=True, slots=True)
class Login:
    """What one trunk or registrar knows us by.

    `user` is the name that proves who we are. `realm` None stands for the host of any of `servers`, which may
    challenge us, as may `networks` (a trunk that answers from other addresses than its name leads to). `secrets` are
    HA1 by algorithm, in capitals, where the password itself is not known here.
    """

    user: str
    password: str = field(repr=False)
    servers: tuple[Uri, ...]
    realm: str | None = None
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)

    def secret(self, algorithm: str, realm: str) -> str:
        """Give HA1 for an algorithm; "" where we have neither it nor the password."""
        if self.secrets:
            return self.secrets.get(algorithm.removesuffix(SESSION), "")
        return ha1(algorithm, self.user, realm, self.password)

    @property
    def realms(self) -> frozenset[str]:
        """The realms that we answer, in lower case."""
        if self.realm is not None:
            return frozenset((self.realm.lower(),))
        return frozenset(server.host.lower() for server in self.servers)


@dataclass(slots=True)
class _Known:
    """A challenge that the server gave, to be used again: `count` is how often its nonce was."""

    challenge: AuthValue
    count: int = 0


class Account:
    """Answers the challenges of one trunk or registrar, and says what its calls go by.

    `trouble` says in plain words why the last challenge got no answer; "" where that may pass by itself (a nonce that
    was stale again). `contact` is the URI that the registrar knows us by and `routes` the way that it wants our
    requests to take (RFC 3608), while we are registered.
    """

    def __init__(self, login: Login, *, rng: random.Random) -> None:
        self.login = login
        self.trouble = ""
        self.contact = ""
        self.routes: tuple[str, ...] = ()
        self._rng = rng
        self._known: dict[tuple[str, bool], _Known] = {}
        self._stale: deque[str] = deque(maxlen=16)
        self._addresses: dict[Address, None] = {}

    def trusts(self, flow: Flow) -> bool:
        """Say whether what is sent on a flow goes to the host that this account is for."""
        servers = (*self.login.servers, *self._edges())
        name = flow.name.lower()
        address, port = flow.remote[0], flow.remote[1]
        if name and not is_address(name):
            known = any(server.host.lower() == name and server.port in (None, port) for server in servers)
            if known and len(self._addresses) < ADDRESSES_LIMIT:
                # So that what is asked in a call over the trunk's own address later is known for the trunk's, too.
                self._addresses[address, port] = None
            return known
        if (address, port) in self._addresses:
            return True
        usual = 5061 if flow.transport in _TLS else 5060
        if any(server.host == address and (server.port or usual) == port for server in servers):
            return True
        return is_address(address) and any(ip_address(address) in network for network in self.login.networks)

    def next_hop(self, otherwise: Uri) -> Uri:
        """Give where requests go first: what the registrar said (RFC 3608), else `otherwise`."""
        return next(iter(self._edges()), otherwise)

    def _edges(self) -> tuple[Uri, ...]:
        # The registrar has told us of it over a way that we trust, so we trust it as we do the registrar.
        return tuple([parse_name_addr(route).parsed() for route in self.routes[:1]])

    def open(self, request: Request, flow: Flow) -> Fields:
        """Give the credentials to send in advance, which spares a round trip (RFC 7616 section 3.6); none is ().

        Only where the server counts how often a nonce is used: else it could not tell it from a replay.
        """
        if not self._known or not self.trusts(flow):
            return ()
        fields: list[tuple[str, str]] = []
        for _, name in KINDS:
            known = self._known.get((name, request.method == "REGISTER"))
            if known is not None and "auth" in _qops(known.challenge):
                fields.append((name, self._credentials(request, known)))
        return tuple(fields)

    def answer(self, request: Request, response: Response, flow: Flow) -> Fields | None:
        """Give the fields that answer a challenge, None where it gets no answer from us (`trouble` says why)."""
        if not self.trusts(flow):
            self.trouble = f"{flow.remote[0]} asks for our password and is no host of this account: it gets nothing"
            return None
        fields: list[tuple[str, str]] = []
        self.trouble = "the challenge names no algorithm or quality of protection that we know"
        challenged = False
        for asks, name in KINDS:
            key = (name, request.method == "REGISTER")
            said = next(iter(digests(request.all(name))), None)
            challenge = self._strongest(digests(response.all(asks)))
            if challenge is not None:
                challenged = True
                if not self._may_answer(challenge, said):
                    return None
                self._known[key] = _Known(challenge)
            elif said is None or key not in self._known:
                continue
            # What the other kind of server was told before is told it anew: its nonce has been used, too.
            fields.append((name, self._credentials(request, self._known[key])))
        if not challenged:
            return None
        self.trouble = ""
        return tuple(fields)

    def _strongest(self, challenges: list[AuthValue]) -> AuthValue | None:
        """Choose among the challenges of our realm, whatever their order (RFC 8760 section 2.4 leaves it to policy)."""
        best: AuthValue | None = None
        for one in challenges:
            if one.get("realm").lower() not in self.login.realms:
                self.trouble = f"it asks for realm {_shown(one.get('realm'))}, which is not this account's"
                continue
            qops = _qops(one)
            if qops and "auth" not in qops:
                continue
            if self.login.secrets and not self.login.secret(one.algorithm, ""):
                self.trouble = f"it asks for {_shown(one.algorithm)}, for which this account has no ha1"
                continue
            if strength(one.algorithm) > (strength(best.algorithm) if best is not None else 0):
                best = one
        return best

    def _may_answer(self, challenge: AuthValue, said: AuthValue | None) -> bool:
        """Say whether another answer can help: not where the first use of a nonce was refused as wrong."""
        stale = challenge.get("stale").lower() == "true"
        first = said is not None and said.get("nc") in ("", "00000001")
        if said is not None and first and (not stale or said.get("nonce") in self._stale):
            self.trouble = "" if stale else f"user {_shown(self.login.user)} or its password is not accepted"
            return False
        if stale:
            self._stale.append(challenge.get("nonce"))
        return True

    def _credentials(self, request: Request, known: _Known) -> str:
        """Write the credentials for a request, counting one more use of the nonce."""
        challenge, login = known.challenge, self.login
        known.count += 1
        algorithm, realm, nonce = challenge.algorithm, challenge.get("realm"), challenge.get("nonce")
        qop = "auth" if "auth" in _qops(challenge) else ""
        # RFC 2617 section 3.2.2: without qop there is neither count nor cnonce, but a session is made of both.
        cnonce = f"{self._rng.getrandbits(96):024x}" if qop or algorithm.endswith("-SESS") else ""
        nc = f"{known.count:08x}" if qop else ""
        secret = login.secret(algorithm, realm)
        proof = response(
            algorithm, secret, method=request.method, uri=request.uri, nonce=nonce, qop=qop, nc=nc, cnonce=cnonce
        )
        hidden = challenge.get("userhash").lower() == "true"
        words = [
            ("username", hashed(algorithm, f"{login.user}:{realm}") if hidden else login.user),
            ("realm", realm),
            ("nonce", nonce),
            ("uri", request.uri),
            ("response", proof),
            ("algorithm", challenge.get("algorithm")),
            ("cnonce", cnonce),
            ("opaque", challenge.get("opaque")),
            ("qop", qop),
            ("nc", nc),
            ("userhash", "true" if hidden else ""),
        ]
        # An empty opaque was given and goes back (RFC 7616 section 3.4); nothing else that is empty was.
        asked = {name for name, _ in challenge.params}
        kept = [
            (name, value) for name, value in words if value or name in ("realm", "nonce") or name in asked & {"opaque"}
        ]
        return str(AuthValue("Digest", tuple(kept)))


def _qops(challenge: AuthValue) -> list[str]:
    return [word.strip().lower() for word in challenge.get("qop").split(",") if word.strip()]


def _shown(text: str) -> str:
    """Write what a far end said so that it may stand in a log line."""
    return ascii(text[:60])
