"""One call from INVITE to BYE over every transport and family, on real sockets: between hosts, and from a bare peer."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Any

import pytest
import uvloop
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin, Subprotocol

from offhook import _native as native
from offhook.call import Call
from offhook.core.errors import DialFailed
from offhook.run.host import Host
from offhook.run.rules import HostRules
from offhook.run.transports import TlsRules
from offhook.sip.outcomes import Flow
from offhook.testing.authorities import Authority
from offhook.testing.nameserver import Names

NAME = "agent.example"
PATIENCE_S = 10.0
SILENCE = b"\0" * 3200
TRANSPORTS = ("udp", "tcp", "tls", "ws", "wss")
LOOPBACK = {4: "127.0.0.1", 6: "::1"}


class Two:
    """A host that answers as `agent.example` and one that calls it by that name."""

    def __init__(self, stack: AsyncExitStack, folder: Path) -> None:
        issued, authority = self._certificates(folder)
        self._tls = TlsRules(*issued, ca=authority)
        self.ca = authority
        self._stack = stack
        self.heard = 0
        self.over = asyncio.Event()

    @staticmethod
    def _certificates(folder: Path) -> tuple[tuple[Path, Path], Path]:
        authority = Authority("authority")
        issued = authority.host(NAME)
        paths = folder / "ours.crt", folder / "ours.key", folder / "ca.pem"
        for path, data in zip(paths, (issued.chain, issued.key, authority.pem), strict=True):
            path.write_bytes(data)
        return (paths[0], paths[1]), paths[2]

    async def host(self, transport: str, ip: str, *, seed: int, names: Names | None = None) -> Host:
        engine = native.Engine(ip=ip, first_port=22000 + 200 * seed, last_port=22199 + 200 * seed, threads=1)
        allow = ("127.0.0.0/8", "::1/128")
        dial = f"sip:*@{NAME}", "sip:*@bank.example"
        rules = HostRules(listen=((transport, (ip, 0)),), tls=self._tls, allow=allow, dial=dial, ring_s=5.0)
        host = Host(engine=engine, rng=Random(seed), rules=rules, route=lambda wanted: self.answers, resolver=names)
        return await self._stack.enter_async_context(host)

    async def answers(self, call: Call) -> None:
        async for audio in call.audio():
            self.heard += len(audio)
        self.over.set()


async def speaks(call: Call) -> None:
    await call.play(SILENCE)
    await call.heard()
    await call.hangup()


def run(story: Callable[[], Awaitable[None]], loop: Any = uvloop.new_event_loop) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await story()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(bounded())


def overheard(host: Host) -> list[str]:
    """Write down what a host is sent from now on."""
    seen: list[str] = []
    receive = host.line.agent.receive

    def received(now: int, data: bytes, flow: Flow) -> str:
        seen.append(data.decode())
        return receive(now, data, flow)

    host.line.agent.receive = received  # type: ignore[method-assign]
    return seen


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_one_call(transport: str, family: int, tmp_path: Path) -> None:
    ip = LOOPBACK[family]

    async def story() -> None:
        async with AsyncExitStack() as stack:
            two = Two(stack, tmp_path)
            here = await two.host(transport, ip, seed=1)
            port = here.listening[0][1][1]
            names = Names({("A" if family == 4 else "AAAA", NAME): [ip]})
            there = await two.host(transport, ip, seed=2, names=names)
            seen = overheard(here)
            call = await there.dial(f"sip:someone@{NAME}:{port};transport={transport}", speaks)
            await there.finished(call)
            await two.over.wait()
            (invite,) = [text for text in seen if text.startswith("INVITE ")]
            shown = f"[{ip}]" if family == 6 else ip
            assert re.search(rf"^Via: SIP/2\.0/{transport.upper()} {re.escape(shown)}:\d+;", invite, re.MULTILINE)
            contact = re.search(r"^Contact: <(sip:[^>]*)>", invite, re.MULTILINE)
            assert contact is not None
            assert (f";transport={transport}" in contact[1]) is (transport != "udp")
            assert shown in contact[1]
            assert f"c=IN IP{family} {ip}\r\n" in invite
            assert (" UDP/TLS/RTP/SAVPF " in invite) is (transport in ("ws", "wss")), "browsers take nothing else"
            assert [text.split(" ", 1)[0] for text in seen if not text.startswith("SIP/")] == ["INVITE", "ACK", "BYE"]
            assert here.counters()["guard"] == there.counters()["guard"] == 0
            assert two.heard > 0

    run(story)


def text(kind: str, *lines: str, body: str = "") -> str:
    more = ("Content-Type: application/sdp",) if body else ()
    return "\r\n".join([kind, *lines, *more, f"Content-Length: {len(body)}", "", body])


OFFER = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n"


@pytest.mark.parametrize("transport", ["ws", "wss"])
def test_a_browser_calls_and_is_hung_up_on(transport: str, tmp_path: Path) -> None:
    """A far end that can't be called back (RFC 7118): all goes over the websocket that it opened."""

    async def story() -> None:
        async with AsyncExitStack() as stack:
            two = Two(stack, tmp_path)
            here = await two.host(transport, "127.0.0.1", seed=1)
            port = here.listening[0][1][1]
            trusting = ssl.create_default_context(cafile=two.ca) if transport == "wss" else None
            secure: dict[str, Any] = {"ssl": trusting, "server_hostname": NAME} if trusting is not None else {}
            uri = f"{transport}://127.0.0.1:{port}/"
            async with connect(uri, subprotocols=[Subprotocol("sip")], **secure) as browser:
                assert browser.subprotocol == "sip"
                common = (
                    "From: <sip:far@browser.invalid>;tag=f", "Call-ID: c1", "Max-Forwards: 70",
                    "Contact: <sip:far@df7jal23ls0d.invalid;transport=ws>",
                )  # fmt: skip
                via = f"Via: SIP/2.0/{transport.upper()} df7jal23ls0d.invalid;branch=z9hG4bK"
                await browser.send("\r\n\r\n")
                assert await browser.recv() == "\r\n"
                invite = text(
                    f"INVITE sip:agent@{NAME} SIP/2.0", f"{via}1", "To: <sip:agent@agent.example>", "CSeq: 1 INVITE",
                    *common, body=OFFER,
                )  # fmt: skip
                await browser.send(invite)
                while not (answer := str(await browser.recv())).startswith("SIP/2.0 200 "):
                    assert answer.startswith("SIP/2.0 1")
                to = re.search(r"^To: .*$", answer, re.MULTILINE)
                contact = re.search(r"^Contact: <([^>]*)>", answer, re.MULTILINE)
                assert to is not None
                assert contact is not None
                assert f";transport={transport}" in contact[1]
                await browser.send(text(f"ACK {contact[1]} SIP/2.0", f"{via}2", to[0].strip(), "CSeq: 1 ACK", *common))
                closing = asyncio.create_task(here.drain(0.1))
                bye = str(await browser.recv())
                assert bye.startswith("BYE sip:far@df7jal23ls0d.invalid;transport=ws SIP/2.0\r\n")
                assert f"Via: SIP/2.0/{transport.upper()} 127.0.0.1:{port};" in bye
                kept = [
                    line for line in bye.split("\r\n") if line.startswith(("Via:", "From:", "To:", "Call-ID:", "CSeq:"))
                ]
                await browser.send(text("SIP/2.0 200 OK", *kept))
                await closing

    run(story)


UPGRADE = (
    *("GET / HTTP/1.1", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Protocol: sip"),
    *("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"),
)


def test_what_is_no_sip_websocket_is_refused(tmp_path: Path) -> None:
    async def story() -> None:
        async with AsyncExitStack() as stack:
            two = Two(stack, tmp_path)
            here = await two.host("ws", "127.0.0.1", seed=1)
            port = here.listening[0][1][1]
            for kinds in ([], [Subprotocol("chat")]):
                with pytest.raises(InvalidStatus) as refused:
                    await connect(f"ws://127.0.0.1:{port}/", subprotocols=kinds)
                assert refused.value.response.status_code == 400
            own = Origin(f"http://127.0.0.1:{port}")
            listed, evil = Origin("https://phone.example"), Origin("https://evil.example")
            for origins, taken, refused_ones in (
                ((), (None, own), (listed, evil, Origin("null"), Origin("http://localhost"))),
                ((listed,), (None, own, listed), (evil, Origin("https://phone.example.evil.example"))),
            ):
                here.line.transports._origins = origins
                for origin in refused_ones:
                    with pytest.raises(InvalidStatus) as refused:
                        await connect(f"ws://127.0.0.1:{port}/", subprotocols=[Subprotocol("sip")], origin=origin)
                    assert refused.value.response.status_code == 403
                for origin in taken:
                    async with connect(f"ws://127.0.0.1:{port}/", subprotocols=[Subprotocol("sip")], origin=origin):
                        pass
            # Whoever has a name point here is not our own page by it (DNS rebinding).
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            rebound = (*UPGRADE, "Host: evil.example", "Origin: http://evil.example", "", "")
            writer.write("\r\n".join(rebound).encode())
            assert (await reader.read()).startswith(b"HTTP/1.1 403 ")
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"OPTIONS sip:a SIP/2.0\r\n\r\n")
            await reader.read()
            writer.close()

    run(story)


def test_whom_we_can_not_verify_ends_the_call_with_a_reason(tmp_path: Path) -> None:
    async def story() -> None:
        async with AsyncExitStack() as stack:
            two = Two(stack, tmp_path)
            here = await two.host("tls", "127.0.0.1", seed=1)
            names = Names({("A", "bank.example"): ["127.0.0.1"]})
            there = await two.host("udp", "127.0.0.1", seed=2, names=names)
            with pytest.raises(DialFailed, match=r"its certificate is for agent\.example and not for bank\.example"):
                await there.dial(f"sips:x@bank.example:{here.listening[0][1][1]}", speaks)

    run(story)


def test_several_transports_at_once_are_each_named_as_they_are_used(tmp_path: Path) -> None:
    async def story() -> None:
        async with AsyncExitStack() as stack:
            two = Two(stack, tmp_path)
            here = await two.host("udp", "127.0.0.1", seed=1)
            ports = {"udp": here.listening[0][1][1]}
            for transport in ("tcp", "tls", "ws"):
                ports[transport] = (await here.line.listen(transport, ("127.0.0.1", 0)))[1]
            names = Names({("A", NAME): ["127.0.0.1"]})
            there = await two.host("udp", "127.0.0.1", seed=2, names=names)
            sent = overheard(there)
            for transport, port in ports.items():
                call = await there.dial(f"sip:x@{NAME}:{port};transport={transport}", speaks)
                await there.finished(call)
                answer = next(one for one in reversed(sent) if one.startswith("SIP/2.0 200") and "INVITE" in one)
                shown = "" if transport == "udp" else f";transport={transport}"
                assert f"Contact: <sip:offhook@127.0.0.1:{port}{shown}>\r\n" in answer

    run(story)
