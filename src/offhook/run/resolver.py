"""The name service at the edge: answers for `sip.locate`, from DNS or the system's own table of names.

    Question ─► cache ─► DNS (dnspython: UDP, TCP where the answer was cut) ─► records ─► cache, for their TTL
                  names without a dot, addresses that DNS does not know ─► getaddrinfo (hosts file)

Laws: every question has a deadline, so that a dead name server delays a call and never holds it; the cache is bounded
in names and in time; what goes wrong is an empty answer, as for a name that is not there.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Sequence
from random import Random
from typing import TYPE_CHECKING, Any, Final

from offhook.core.errors import Unreachable
from offhook.sip.locate import Able, Host, Naptr, Question, Record, Srv, Way, locate
from offhook.sip.uri import Uri

if TYPE_CHECKING:
    from dns.asyncresolver import Resolver as DnsResolver

QUESTION_S: Final = 3.0
"""How long one question may take, all name servers tried."""

SEARCH_S: Final = 8.0
"""How long the whole search may take: a caller hears nothing meanwhile."""

ROUNDS: Final = 4
"""One more than `locate` can ask for."""

TTL_MOST_S: Final = 3600.0
"""An answer is not believed longer, whatever it says of itself."""

TTL_LEAST_S: Final = 1.0
"""An answer is believed for as long as the questions of one search take."""

UNKNOWN_S: Final = 30.0
"""How long a name that was not there is not asked for again."""

FAILED_S: Final = 2.0
"""How long a name server that did not answer is not asked the same again."""

CACHE_LIMIT: Final = 4096
"""Questions whose answers are kept."""


class Resolver:
    """Asks the name servers at `servers` (ip, port), or those of the system where there is none given."""

    def __init__(self, servers: Sequence[tuple[str, int]] = ()) -> None:
        self._servers = tuple(servers)
        self._dns: DnsResolver | None = None
        self._cache: dict[Question, tuple[float, tuple[Record, ...]]] = {}
        self._asking: dict[Question, asyncio.Task[tuple[Record, ...]]] = {}

    async def ways(self, uri: Uri, able: Able, rng: Random) -> tuple[Way, ...]:
        """Give the ways to a URI, best first. Unreachable where there is none, NotAllowed as `locate` says."""
        answers: dict[Question, tuple[Record, ...]] = {}
        try:
            async with asyncio.timeout(SEARCH_S):
                for _ in range(ROUNDS):
                    questions, ways = locate(uri, answers, able, rng)
                    if ways:
                        return ways
                    if not questions:
                        break
                    found = await asyncio.gather(*[self.look(question) for question in questions])
                    answers |= dict(zip(questions, found, strict=True))
        except TimeoutError:
            raise Unreachable(f"{uri.host} is not known: the name service did not answer in time") from None
        raise Unreachable(f"{uri.host} is not known: the name service has no address for it")

    async def look(self, question: Question) -> tuple[Record, ...]:
        """Answer one question; an empty answer where there is none. Two who ask the same wait for one answer."""
        now = asyncio.get_running_loop().time()
        known = self._cache.get(question)
        if known is not None and now < known[0]:
            return known[1]
        task = self._asking.get(question)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._look(question), name=f"look {question.name}")
            self._asking[question] = task
            task.add_done_callback(lambda _: self._asking.pop(question, None))
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Give up what is being asked."""
        asking = list(self._asking.values())
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    async def _look(self, question: Question) -> tuple[Record, ...]:
        local = "." not in question.name
        records, lasts_s = ((), UNKNOWN_S) if local else await self._ask(question)
        if not records and question.kind in ("A", "AAAA"):
            records = await self._table(question)
        if len(self._cache) >= CACHE_LIMIT:
            self._cache.clear()
        until = asyncio.get_running_loop().time() + min(max(lasts_s, TTL_LEAST_S), TTL_MOST_S)
        self._cache[question] = until, records
        return records

    async def _ask(self, question: Question) -> tuple[tuple[Record, ...], float]:
        """Ask DNS; give the records and how long they last, in seconds."""
        import dns.exception
        import dns.resolver

        try:
            answer = await self._resolver().resolve(question.name, question.kind, search=False, lifetime=QUESTION_S)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return (), UNKNOWN_S
        except (dns.exception.DNSException, OSError, ValueError):  # ValueError: a name that can't be written in DNS
            return (), FAILED_S
        return tuple(records(question, answer)), float(answer.rrset.ttl if answer.rrset is not None else UNKNOWN_S)

    def _resolver(self) -> DnsResolver:
        if self._dns is None:
            import dns.asyncresolver
            import dns.nameserver
            import dns.resolver

            try:
                self._dns = dns.asyncresolver.Resolver(configure=not self._servers)
            except dns.resolver.NoResolverConfiguration:  # a machine without name servers: its own table is all
                self._dns = dns.asyncresolver.Resolver(configure=False)
            if self._servers:
                self._dns.nameservers = [dns.nameserver.Do53Nameserver(ip, port) for ip, port in self._servers]
        return self._dns

    async def _table(self, question: Question) -> tuple[Record, ...]:
        """Ask the system, whose hosts file knows names that no name server does."""
        family = socket.AF_INET6 if question.kind == "AAAA" else socket.AF_INET
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(QUESTION_S):
                found = await loop.getaddrinfo(question.name, 0, family=family, type=socket.SOCK_DGRAM)
        except (OSError, UnicodeError, TimeoutError):
            return ()
        return tuple(dict.fromkeys([Host(str(address[0])) for *_, address in found]))


def records(question: Question, answer: Iterable[Any]) -> Iterable[Record]:
    """Take from an answer what the question was for."""
    for one in answer:
        match question.kind:
            case "NAPTR":
                flags, service = one.flags.decode("latin-1"), one.service.decode("latin-1")
                yield Naptr(one.order, one.preference, flags, service, one.replacement.to_text())
            case "SRV":
                yield Srv(one.priority, one.weight, one.port, one.target.to_text())
            case "A" | "AAAA":
                yield Host(one.address)
