"""Our accounts at trunks and registrars: who we are there, and that we stay registered.

    Trunk ─► Account (credentials) ─► Registrations ─► Seeking ─► name service ─► found
                                                   └─► Registered, Unregistered ─► one line in the log

Laws: one line a change of state; what is under way to find a registrar ends with the line; when the line closes, the
bindings are taken back, and nobody waits longer for that than `FAREWELL_S`.
"""

from __future__ import annotations

import asyncio
import contextlib
import platform
from collections.abc import Sequence
from ipaddress import ip_network
from typing import TYPE_CHECKING, Final
from uuid import NAMESPACE_URL, uuid5

import structlog

from offhook.carriers.trunks import Trunk
from offhook.core.errors import OffhookError
from offhook.core.instants import SECOND
from offhook.policy.admission import Kind, Source
from offhook.sip.auth import Account, Login
from offhook.sip.outcomes import AccountOutcome, Flow, Registered, Seeking
from offhook.sip.registration import Registering, Standing
from offhook.sip.uri import Uri

if TYPE_CHECKING:
    from offhook.run.line import SipLine

log = structlog.get_logger("offhook.accounts")

FAREWELL_S: Final = 2.0
"""How long the registrars have to take note that we are gone; who does not finds out when the binding expires."""


_STREAMS: Final = ("tcp", "tls", "ws", "wss")


def login(trunk: Trunk) -> Login | None:
    """Give what a trunk knows us by, None where it knows us by our address alone."""
    if trunk.uri is None or not (user := trunk.auth_username or trunk.username):
        return None
    servers = (trunk.uri, *trunk.spares, *([trunk.outbound_proxy] if trunk.outbound_proxy is not None else []))
    hosts = [server.host for server in servers]
    # Its own address is among its networks, but not every program there is the trunk: that one goes by its port, too.
    networks = [ip_network(text) for text in trunk.networks if text not in hosts]
    return Login(user, trunk.password, servers, trunk.realm or None, tuple(networks), trunk.secrets)


def registering(trunk: Trunk) -> Registering | None:
    """Give what to register at a trunk, None where it wants no registration."""
    if not trunk.register or trunk.uri is None or not (user := trunk.username or trunk.auth_username):
        return None
    aor = Uri("sip", user, trunk.uri.host, trunk.uri.port)
    hop = trunk.next_hop()
    stream = hop.scheme == "sips" or (hop.param("transport") or "udp").lower() in _STREAMS
    hidden = trunk.contact == "rewrite"
    # RFC 5626 where only our own connection leads back to us. Section 4.1: the instance is the same after every start.
    instance = uuid5(NAMESPACE_URL, f"{aor} {platform.node()}").urn if stream else ""
    return Registering(trunk.name, aor, trunk.expires_s, instance, keepalive=stream or hidden, rewrite_contact=hidden)


class Accounts:
    """The accounts of one line at its trunks."""

    def __init__(self, line: SipLine, trunks: Sequence[Trunk]) -> None:
        self._line = line
        self._trunks = {trunk.name: trunk for trunk in trunks}
        self._accounts = {
            trunk.name: Account(known, rng=line.rng) for trunk in trunks if (known := login(trunk)) is not None
        }
        self._seeking: dict[str, asyncio.Task[None]] = {}
        self._heard: dict[str, tuple[Flow, ...]] = {}
        self._faults: dict[str, str] = {}
        self._leaving: set[str] = set()
        self._left: asyncio.Future[None] | None = None
        line.on_account = self._told

    def account(self, name: str) -> Account | None:
        """Give the account of a trunk, None where it has none."""
        return self._accounts.get(name)

    def standings(self) -> list[Standing]:
        """Give how each account that registers stands."""
        return self._line.agent.registrations.standings()

    def begin(self) -> None:
        """Register those that are to be."""
        line = self._line
        for name, trunk in self._trunks.items():
            if (rules := registering(trunk)) is not None:
                line.agent.registrations.register(line.now(), rules, self._accounts.get(name))
        line.settle()

    async def close(self) -> None:
        """Take all bindings back, and wait a moment for the registrars to say yes. Idempotent."""
        for task in list(self._seeking.values()):
            task.cancel()
        await asyncio.gather(*self._seeking.values(), return_exceptions=True)
        line = self._line
        self._leaving = {standing.name for standing in self.standings()}
        if self._leaving:
            left = self._left = asyncio.get_running_loop().create_future()
            for name in list(self._leaving):
                line.agent.registrations.unregister(line.now(), name)
            line.settle()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(left, FAREWELL_S)
        for name in list(self._heard):
            self._hear(name, ())

    # What the user agent tells

    def _told(self, outcome: AccountOutcome) -> None:
        name = outcome.account
        if isinstance(outcome, Seeking):
            task = asyncio.get_running_loop().create_task(self._seek(name), name=f"seek the registrar of {name}")
            self._seeking[name] = task
        elif isinstance(outcome, Registered):
            log.info("registered", account=name, contact=outcome.contact, for_s=outcome.expires_s)
        elif outcome.retry_at is None:
            log.info("unregistered", account=name)
            self._leaving.discard(name)
            if self._left is not None and not self._left.done() and not self._leaving:
                self._left.set_result(None)
        else:
            again_s = round((outcome.retry_at - self._line.now()) / SECOND)
            log.warning("not registered", account=name, code=outcome.code, reason=outcome.reason, again_in_s=again_s)

    async def _seek(self, name: str) -> None:
        """Find the ways to the registrars of an account."""
        ways: tuple[Flow, ...] = ()
        line = self._line
        for server in self._trunks[name].next_hops():
            try:
                ways += await line.ways_to(server)
                self._faults.pop(str(server), None)
            except OffhookError as error:
                if self._faults.get(str(server)) != str(error):
                    self._faults[str(server)] = str(error)
                    log.warning("the registrar is not found", account=name, server=str(server), error=str(error))
        self._hear(name, ways)
        self._seeking.pop(name, None)
        line.agent.registrations.found(line.now(), name, ways)
        line.settle()

    def _hear(self, name: str, ways: tuple[Flow, ...]) -> None:
        """Take what comes from the registrars' addresses, for as long as we are their customer."""
        before = self._heard.pop(name, ())
        self._line.dialled(ways, +1)
        self._line.dialled(before, -1)
        for flow in before:
            self._line.admission.forget(flow.remote[0])
        for flow in ways:
            # Its calls come from where we registered, whatever networks the configuration names.
            self._line.admission.learn(flow.remote[0], Source(Kind.TRUNK, name))
        if ways:
            self._heard[name] = ways
