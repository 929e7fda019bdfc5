"""TLS over real sockets: who is believed and who is not, each with a reason in words; certificates that change."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvloop

from offhook.core.errors import ConfigError
from offhook.core.media import Address
from offhook.run.transports import Rate, TlsRules, Transports
from offhook.sip.outcomes import Flow
from offhook.testing.authorities import Authority

HERE = "127.0.0.1"
NAME = "pbx.example"
PATIENCE_S = 10.0
MESSAGE = b"OPTIONS sip:a@pbx.example SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1:5071;branch=z9hG4bK1\r\n\r\n"
LOOPS = [None, uvloop.new_event_loop]


class Ear:
    """Remembers what transports tell, and can be waited for."""

    def __init__(self) -> None:
        self.messages: list[tuple[bytes, Flow]] = []
        self.closed: list[tuple[Flow, str]] = []
        self.warnings: list[str] = []
        self.strangers = False
        self._news = asyncio.Event()

    def received(self, data: bytes, flow: Flow) -> None:
        self.messages.append((data, flow))
        self._news.set()

    def flow_closed(self, flow: Flow, why: str) -> None:
        self.closed.append((flow, why))
        self._news.set()

    def permits(self, ip: str) -> bool:
        return not self.strangers

    def rate(self, ip: str) -> Rate | None:
        return None

    def warned(self, text: str) -> None:
        self.warnings.append(text)

    def flooded(self, ip: str) -> None:
        raise AssertionError

    def carries_calls(self, flow: Flow) -> bool:
        return False

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not holds():
                self._news.clear()
                await self._news.wait()


class Two:
    """Two ends: one listens, the other calls."""

    def __init__(self, transport: str, listening: TlsRules, calling: TlsRules) -> None:
        self.transport = transport
        self.ears = Ear(), Ear()
        self.here, self.there = Transports(self.ears[0], tls=listening), Transports(self.ears[1], tls=calling)
        self.address: Address = (HERE, 0)

    async def __aenter__(self) -> Two:
        self.address = await self.here.listen(self.transport, (HERE, 0))
        await self.there.listen("udp", (HERE, 0))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.there.close()
        await self.here.close()

    def call(self, name: str = NAME) -> Flow:
        flow = self.there.flow(self.transport, self.address, name)
        self.there.send(flow, MESSAGE)
        return flow

    async def came(self, name: str = NAME) -> Flow:
        """Call, and give the flow that it came on."""
        before = len(self.ears[0].messages)
        self.call(name)
        await self.ears[0].until(lambda: len(self.ears[0].messages) > before)
        return self.ears[0].messages[-1][1]

    async def refused(self, name: str = NAME) -> str:
        """Call, and give why that could not be."""
        before = len(self.ears[1].closed)
        flow = self.call(name)
        await self.ears[1].until(lambda: len(self.ears[1].closed) > before)
        assert self.ears[0].messages == [], "nothing may be said to whom is not believed"
        told, why = self.ears[1].closed[-1]
        assert told == flow
        return why


def run(story: Callable[[], Awaitable[None]], loop: Any = None) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(story())  # type: ignore[arg-type]


@dataclass(frozen=True)
class Pair:
    certificate: Path
    key: Path


class Safe:
    """An authority and the files of what it issues."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._authority = Authority(name)
        self.certificate = folder / f"{name}.pem"
        self.certificate.write_bytes(self._authority.pem)

    def issue(self, *names: str, into: str | None = None, **kind: Any) -> Pair:
        """Write a certificate and its key; give the files."""
        issued = self._authority.host(*names, **kind)
        certificate, key = [self._folder / f"{into or names[0]}.{end}" for end in ("crt", "key")]
        certificate.write_bytes(issued.chain)
        key.write_bytes(issued.key)
        return Pair(certificate, key)


@pytest.fixture
def authority(tmp_path: Path) -> Safe:
    return Safe(tmp_path)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("transport", ["tls", "wss"])
def test_a_message_and_its_answer(authority: Safe, transport: str, loop: Any) -> None:
    pair = authority.issue(NAME)

    async def story() -> None:
        rules = TlsRules(pair.certificate, pair.key), TlsRules(ca=authority.certificate)
        async with Two(transport, *rules) as two:
            flow = await two.came()
            assert (flow.transport, flow.local, flow.remote[0]) == (transport, two.address, HERE)
            two.here.send(flow, b"SIP/2.0 200 OK\r\n\r\n")
            await two.ears[1].until(lambda: bool(two.ears[1].messages))
            data, back = two.ears[1].messages[0]
            assert (data, back.remote, back.name) == (b"SIP/2.0 200 OK\r\n\r\n", two.address, NAME)
            assert (await two.came()).connection == flow.connection, "the connection is used again"
            two.there.send(back, MESSAGE)
            await two.ears[0].until(lambda: len(two.ears[0].messages) == 3)

    run(story, loop)


@pytest.mark.survives(39)
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(
    ("kind", "name", "why"),
    [
        ("self-signed", NAME, "its certificate is self-signed"),
        ("unknown authority", NAME, "an authority that this machine does not know"),
        ("another name", "bank.example", "its certificate is for pbx.example and not for bank.example"),
        ("another name", "127.0.0.1", "its certificate is for pbx.example and not for 127.0.0.1"),
        ("expired", NAME, "its certificate has expired"),
    ],
)
def test_who_can_not_be_verified_is_not_called(
    authority: Safe, tmp_path: Path, kind: str, name: str, why: str, loop: Any
) -> None:
    believed = authority
    if kind == "unknown authority":
        believed = Safe(tmp_path, "another")
    pair = authority.issue(NAME, ended=kind == "expired", alone=kind == "self-signed")

    async def story() -> None:
        async with Two("tls", TlsRules(pair.certificate, pair.key), TlsRules(ca=believed.certificate)) as two:
            assert why in await two.refused(name)
            (warning,) = two.ears[1].warnings
            assert warning.startswith(f"no tls connection to {name} ")
            assert "\n" not in warning

    run(story, loop)


@pytest.mark.survives(39)
def test_by_default_only_the_systems_authorities_are_believed(authority: Safe) -> None:
    pair = authority.issue(NAME)

    async def story() -> None:
        async with Two("tls", TlsRules(pair.certificate, pair.key), TlsRules()) as two:
            assert "its certificate" in await two.refused()

    run(story)


@pytest.mark.survives(39)
@pytest.mark.parametrize("loop", LOOPS)
def test_an_old_version_of_tls_is_refused_both_ways(authority: Safe, loop: Any) -> None:
    pair = authority.issue(NAME)

    def old(side: int) -> ssl.SSLContext:
        context = ssl.SSLContext(side)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version, context.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED, ssl.TLSVersion.TLSv1
        return context

    def answer(server: socket.socket, context: ssl.SSLContext) -> None:
        far, _ = server.accept()
        with contextlib.suppress(OSError), context.wrap_socket(far, server_side=True):
            raise AssertionError("the handshake came about")

    async def story() -> None:
        rules = TlsRules(pair.certificate, pair.key, ca=authority.certificate)
        async with Two("tls", rules, rules) as two:
            with pytest.raises((OSError, EOFError)):
                await asyncio.open_connection(*two.address, ssl=old(ssl.PROTOCOL_TLS_CLIENT))
            context = old(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pair.certificate, pair.key)
            with socket.create_server((HERE, 0)) as server:
                two.address = server.getsockname()
                answering = asyncio.get_running_loop().run_in_executor(None, answer, server, context)
                assert "no version of TLS that is new enough" in await two.refused()
                await answering
            assert two.here.counts.handshakes_failed == 1

    # OpenSSL's own deprecation of TLS 1.0 is no finding of this test.
    with pytest.warns(DeprecationWarning, match="TLS"):
        run(story, loop)


def test_who_does_not_speak_tls_is_said_so(authority: Safe) -> None:
    async def story() -> None:
        pair = authority.issue(NAME)
        rules = TlsRules(pair.certificate, pair.key, ca=authority.certificate)
        async with Two("tls", rules, rules) as two:

            async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                writer.write(b"SIP/2.0 400 Bad Request\r\n\r\n")
                writer.close()

            server = await asyncio.start_server(plain, HERE, 0)
            two.address = server.sockets[0].getsockname()
            assert await two.refused() == "it does not speak TLS on that port"
            server.close()
            with socket.socket() as closed:
                closed.bind((HERE, 0))
                two.address = closed.getsockname()
                assert await two.refused() == "nobody listens there"

    run(story)


@pytest.mark.parametrize("loop", LOOPS)
def test_clients_show_a_certificate_where_it_is_asked_for(authority: Safe, tmp_path: Path, loop: Any) -> None:
    pair, client = authority.issue(NAME), authority.issue("client.example")
    foreign = Safe(tmp_path, "another").issue("client.example", into="foreign")
    listening = TlsRules(pair.certificate, pair.key, client_ca=authority.certificate)

    async def story() -> None:
        ca = authority.certificate
        async with Two("tls", listening, TlsRules(client.certificate, client.key, ca=ca)) as two:
            await two.came()
        for rules in (TlsRules(ca=ca), TlsRules(foreign.certificate, foreign.key, ca=ca)):
            async with Two("tls", listening, rules) as two:
                # With TLS 1.3 who calls believes to be connected until it hears otherwise.
                two.call()
                await two.ears[1].until(lambda two=two: bool(two.ears[1].closed))
                assert two.ears[0].messages == []
                assert two.here.counts.handshakes_failed == 1

    run(story, loop)


def test_a_sip_domain_in_the_certificate_is_whom_it_speaks_for(authority: Safe) -> None:
    pair = authority.issue("web.example", domain="trunk.example")

    async def story() -> None:
        rules = TlsRules(pair.certificate, pair.key), TlsRules(ca=authority.certificate)
        async with Two("tls", *rules) as two:
            assert "not for web.example" in await two.refused("web.example")
            await two.came("trunk.example")

    run(story)


def test_a_connection_is_not_used_for_a_name_that_it_was_not_verified_for(authority: Safe) -> None:
    pair = authority.issue("a.example", "b.example")

    async def story() -> None:
        rules = TlsRules(pair.certificate, pair.key), TlsRules(ca=authority.certificate)
        async with Two("tls", *rules) as two:
            first = await two.came("a.example")
            assert (await two.came("b.example")).connection == first.connection
            two.call("c.example")
            await two.ears[1].until(lambda: bool(two.ears[1].closed))
            assert "not for c.example" in two.ears[1].closed[0][1]

    run(story)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_new_certificate_is_shown_without_a_restart(authority: Safe, loop: Any) -> None:
    pair = authority.issue("old.example", into="ours")

    async def story() -> None:
        rules = TlsRules(pair.certificate, pair.key), TlsRules(ca=authority.certificate)
        async with Two("tls", *rules) as two:
            await two.came("old.example")
            authority.issue("new.example", into="ours")
            for path in (pair.certificate, pair.key):
                os.utime(path, (1, 1))  # whatever the file system's clock can tell apart
            await two.came("new.example")
            times = [path.stat().st_mtime_ns for path in (pair.certificate, pair.key)]
            authority.issue("newest.example", into="ours")
            for path, time in zip((pair.certificate, pair.key), times, strict=True):
                os.utime(path, ns=(time, time))
            two.here.reread_certificates()
            await two.came("newest.example")
            pair.certificate.write_text("half a file")
            await two.came("newest.example")
            two.there._towards.clear()
            await two.came("newest.example")
            (warning,) = two.ears[0].warnings
            assert "the last certificate stays in use" in warning
            assert len(two.ears[0].messages) == 5

    run(story, loop)


def test_without_a_certificate_nobody_listens(tmp_path: Path) -> None:
    async def story() -> None:
        broken = tmp_path / "broken.pem"
        broken.write_text("nothing")
        for rules in (TlsRules(), TlsRules(tmp_path / "a", tmp_path / "b"), TlsRules(broken, broken)):
            with pytest.raises(ConfigError, match=r"sip\.tls"):
                await Transports(Ear(), tls=rules).listen("tls", (HERE, 0))

    run(story)


def test_strangers_are_dropped_before_any_handshake(authority: Safe) -> None:
    pair = authority.issue(NAME)

    async def story() -> None:
        rules = TlsRules(pair.certificate, pair.key), TlsRules(ca=authority.certificate)
        async with Two("tls", *rules) as two:
            two.ears[0].strangers = True
            assert await two.refused()
            assert (two.here.counts.screened, two.here.counts.handshakes_failed) == (1, 0)

    run(story)


@pytest.mark.parametrize("mutual", [True, False])
def test_who_has_proved_itself_may_be_called_back_on_its_connection(authority: Safe, mutual: bool) -> None:
    pair, client = authority.issue(NAME), authority.issue("client.example")
    ca = authority.certificate
    listening = TlsRules(pair.certificate, pair.key, client_ca=ca if mutual else None, ca=ca)

    async def story() -> None:
        async with Two("tls", listening, TlsRules(client.certificate, client.key, ca=ca)) as two:
            flow = two.there.flow("tls", two.address, NAME)
            two.there.send(flow, MESSAGE.replace(b";branch", b";alias;branch"))
            await two.ears[0].until(lambda: bool(two.ears[0].messages))
            # Nobody listens on the port of the Via: only the alias (RFC 5923) leads there.
            back = two.here.flow("tls", (HERE, 5071), "client.example")
            two.here.send(back, MESSAGE)
            if mutual:
                await two.ears[1].until(lambda: bool(two.ears[1].messages))
                other = two.here.flow("tls", (HERE, 5071), "other.example")
                two.here.send(other, MESSAGE)
                await two.ears[0].until(lambda: bool(two.ears[0].closed))
                assert two.ears[0].closed[0][0] == other
            else:
                await two.ears[0].until(lambda: bool(two.ears[0].closed))
                assert two.ears[0].closed[0][0] == back

    run(story)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("transport", ["tls", "wss"])
def test_a_hello_that_is_there_before_the_connection_is_taken_is_heard(
    authority: Safe, transport: str, loop: Any
) -> None:
    pair = authority.issue(NAME)
    trusting = ssl.create_default_context(cafile=str(authority.certificate))

    def hello(address: Address) -> tuple[socket.socket, ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO]:
        """Connect and say the first word of TLS while nobody can have taken the connection."""
        came, going = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = trusting.wrap_bio(came, going, server_hostname=NAME)
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.do_handshake()
        wire = socket.create_connection(address, timeout=PATIENCE_S)
        wire.sendall(going.read())
        return wire, tls, came, going

    def shaken(wire: socket.socket, tls: ssl.SSLObject, came: ssl.MemoryBIO, going: ssl.MemoryBIO) -> bool:
        with wire:
            while True:
                try:
                    tls.do_handshake()
                except ssl.SSLWantReadError:
                    came.write(wire.recv(16384))
                    continue
                finally:
                    wire.sendall(going.read())
                return tls.version() is not None

    async def story() -> None:
        ear = Ear()
        here = Transports(ear, tls=TlsRules(pair.certificate, pair.key))
        address = await here.listen(transport, (HERE, 0))
        waiting = [hello(address) for _ in range(20)]  # the loop stands still meanwhile
        threads = [asyncio.get_running_loop().run_in_executor(None, shaken, *one) for one in waiting]
        async with asyncio.timeout(PATIENCE_S):
            assert await asyncio.gather(*threads) == [True] * 20
        assert here.counts.handshakes_failed == 0
        await here.close()

    run(story, loop)
