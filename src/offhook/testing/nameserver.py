"""Names for tests: a name server on loopback that counts and misbehaves on demand, and names for virtual time.

async with NameServer({("A", "pbx.example"): ["192.0.2.1"]}) as names:
    resolver = Resolver([names.address])
resolver = Names({("A", "pbx.example"): ["192.0.2.1"]})
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Literal

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from offhook.core.media import Address
from offhook.run.resolver import Resolver, records
from offhook.sip.locate import Question, Record

Zone = Mapping[tuple[str, str], Sequence[str]]
"""Records in a zone file's words, by kind and name: `("SRV", "_sip._udp.pbx.example"): ["0 1 5060 a.example."]`."""

Mood = Literal["well", "dead", "slow", "cut", "broken"]


class Names(Resolver):
    """Knows a zone and asks nobody: the name service of a virtual world. `asked` counts the questions."""

    def __init__(self, zone: Zone | None = None) -> None:
        super().__init__()
        self.zone = dict(zone or {})
        self.asked: Counter[tuple[str, str]] = Counter()

    async def look(self, question: Question) -> tuple[Record, ...]:
        """Answer from the zone."""
        key = (question.kind, question.name)
        self.asked[key] += 1
        found = dns.rrset.from_text_list(f"{question.name}.", 60, "IN", question.kind, list(self.zone.get(key, ())))
        return tuple(records(question, found))


class NameServer:
    """Answers from `zone` (which may be changed at any time).

    `mood`: "dead" never answers, "slow" answers after `delay_s`, "cut" truncates over UDP so that TCP must be asked,
    "broken" says SERVFAIL. `asked` counts the questions by kind and name, `over` by transport.
    """

    def __init__(self, zone: Zone, *, ttl_s: int = 60, mood: Mood = "well", delay_s: float = 0.5) -> None:
        self.zone: dict[tuple[str, str], Sequence[str]] = dict(zone)
        self.ttl_s = ttl_s
        self.mood: Mood = mood
        self.delay_s = delay_s
        self.asked: Counter[tuple[str, str]] = Counter()
        self.over: Counter[str] = Counter()
        self.address: Address = ("127.0.0.1", 0)
        self._wire: asyncio.DatagramTransport | None = None
        self._server: asyncio.Server | None = None
        self._late: set[asyncio.TimerHandle] = set()

    async def __aenter__(self) -> NameServer:
        """Bind a port for UDP and TCP."""
        loop = asyncio.get_running_loop()
        for _ in range(20):  # the port that UDP was given may be taken for TCP
            wire, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), local_addr=("127.0.0.1", 0))
            self._wire = wire
            self.address = wire.get_extra_info("sockname")[:2]
            try:
                self._server = await asyncio.start_server(self._stream, *self.address)
            except OSError:
                wire.close()
                continue
            return self
        raise OSError("no port is free for both UDP and TCP")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the port back."""
        for handle in self._late:
            handle.cancel()
        if self._wire is not None:
            self._wire.close()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def datagram(self, data: bytes, source: Any) -> None:
        """Take a question that came over UDP."""
        wire = self._wire
        assert wire is not None
        answer = self._answer(data, "udp")
        if answer is None:
            return
        if self.mood == "slow":
            self._late.add(asyncio.get_running_loop().call_later(self.delay_s, wire.sendto, answer, source))
        else:
            wire.sendto(answer, source)

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            size = int.from_bytes(await reader.readexactly(2), "big")
            answer = self._answer(await reader.readexactly(size), "tcp")
            if answer is not None:
                writer.write(len(answer).to_bytes(2, "big") + answer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # whoever asked has gone
        finally:
            writer.close()

    def _answer(self, data: bytes, transport: str) -> bytes | None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        key = (dns.rdatatype.to_text(question.rdtype), question.name.to_text(omit_final_dot=True).lower())
        self.asked[key] += 1
        self.over[transport] += 1
        if self.mood == "dead":
            return None
        response = dns.message.make_response(query)
        if self.mood == "broken":
            response.set_rcode(dns.rcode.SERVFAIL)
        elif self.mood == "cut" and transport == "udp":
            response.flags |= dns.flags.TC
        elif key in self.zone:
            records = list(self.zone[key])
            if records:
                response.answer.append(dns.rrset.from_text_list(question.name, self.ttl_s, "IN", key[0], records))
        elif not any(name == key[1] for _, name in self.zone):
            response.set_rcode(dns.rcode.NXDOMAIN)
        return response.to_wire()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._server.datagram(data, addr)
