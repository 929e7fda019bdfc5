"""The ways of a line: where a request goes, by which of our sockets, and why the last one there could not be gone.

URI ─► resolver (RFC 3263) ─► to: ways, best first          known: one way at once, or None while it is looked up
a connection that broke ─► failed ─► fault: in words
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from random import Random
from typing import Final

from offhook.core.errors import ConfigError, NotAllowed, OffhookError
from offhook.run.resolver import Resolver
from offhook.run.transports import Transports
from offhook.sip.grammar import is_address
from offhook.sip.locate import locate
from offhook.sip.outcomes import Flow
from offhook.sip.uri import Uri

NAMES_LIMIT: Final = 1024
"""Next hops, named by far ends, that are remembered."""

NAME_S: Final = 60.0
"""How long such a name is believed, and how long it is not asked for again where it is not known."""

FAULTS_LIMIT: Final = 1024
"""Flows that failed whose reason is remembered."""


class Ways:
    """Finds them. Belongs to the loop that it is made on."""

    def __init__(self, transports: Transports, resolver: Resolver, rng: Random) -> None:
        self._transports = transports
        self._resolver = resolver
        self._rng = rng
        self._names: dict[Uri, tuple[float, Flow | None]] = {}
        self._finding: set[asyncio.Task[None]] = set()
        self._faults: dict[Flow, str] = {}
        self._loop = asyncio.get_running_loop()

    async def to(self, uri: Uri) -> tuple[Flow, ...]:
        """Find where a request to `uri` goes, best first: the others are for when that one fails.

        NotAllowed for a transport that we don't have, Unreachable for a name that is not known.
        """
        able = self._transports.able()
        if is_address(uri.host) and (6 if ":" in uri.host else 4) not in able.families:
            raise ConfigError(f"no address to reach {uri.host} from: add one of its family to sip.listen")
        ways = await self._resolver.ways(uri, able, self._rng)
        return tuple([self._transports.flow(way.transport, (way.ip, way.port), way.name) for way in ways])

    def known(self, uri: Uri) -> Flow | None:
        """Say where a request inside a dialog goes, at once; None where that is not known (yet)."""
        if is_address(uri.host):
            try:
                _, ways = locate(uri, {}, self._transports.able(), self._rng)
            except NotAllowed:
                return None
            return self._transports.flow(ways[0].transport, (ways[0].ip, ways[0].port), ways[0].name) if ways else None
        until, flow = self._names.get(uri, (0.0, None))
        if until <= self._loop.time():
            if len(self._names) >= NAMES_LIMIT:
                self._names.clear()
            self._names[uri] = self._loop.time() + NAME_S, flow
            task = self._loop.create_task(self._find(uri), name=f"find {uri.host}")
            self._finding.add(task)
            task.add_done_callback(self._finding.discard)
        return flow

    async def _find(self, uri: Uri) -> None:
        """Look up a next hop that a far end has named, for the requests that will follow."""
        with contextlib.suppress(OffhookError):
            ways = await self.to(uri)
            self._names[uri] = self._loop.time() + NAME_S, ways[0]

    def failed(self, flow: Flow, why: str) -> None:
        """Hear why a connection is gone or could not be opened."""
        if len(self._faults) >= FAULTS_LIMIT:
            self._faults.clear()
        self._faults[flow] = why

    def fault(self, ways: Sequence[Flow]) -> str:
        """Say why the last of some ways could not be gone, in words; "" where nothing is known of it."""
        return next((self._faults[flow] for flow in reversed(ways) if flow in self._faults), "")

    async def close(self) -> None:
        """Give up what is being looked up."""
        finding = list(self._finding)
        for task in finding:
            task.cancel()
        await asyncio.gather(*finding, return_exceptions=True)
        await self._resolver.close()
