"""The torture messages against `offhook serve` as a process, over real sockets: it lives, and each gets its verdict."""

from __future__ import annotations

import contextlib
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from offhook.core.errors import ProtocolError
from offhook.sip.grammar import split_list
from offhook.sip.header import parse_via
from offhook.sip.message import Response, parse_message
from offhook.sip.stream import StreamParser
from offhook.testing.golden import Case, torture

CASES = torture(Path(__file__).parent.parent / "golden" / "sip" / "torture.txt")
PATIENCE_S = 10.0
RINGS = {180, 200, 488}
"""What an INVITE that rings may get here, where the agent answers at once: some offer nothing that we speak."""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of an `offhook serve` on loopback; at the end it must drain and exit as it should."""
    config = tmp_path_factory.mktemp("torture") / "offhook.toml"
    config.write_text("")
    command = [str(Path(sys.executable).with_name("offhook")), "serve", "offhook.examples:echo"]
    with socket.socket() as probe, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        probe.bind(("127.0.0.1", 0))
        other.bind(probe.getsockname())
        bound: int = probe.getsockname()[1]
    command += ["--sip", f"127.0.0.1:{bound}", "--config", str(config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        told = b""
        try:
            while b"ready:" not in told:
                line = process.stdout.readline()
                assert line, told
                told += line
            yield bound
            assert process.poll() is None, "it died"
        finally:
            process.kill()


def answer_port(data: bytes) -> int:
    """Where on its host the sender of a message wants its answer (section 18.2.2)."""
    try:
        message = parse_message(data)
        via = parse_via(split_list(message.headers[[name for name, _ in message.headers].index("Via")][1])[0])
    except ProtocolError as fault:
        fields = dict(getattr(fault, "fields", ())[::-1])
        try:
            via = parse_via(split_list(fields.get("Via", ""))[0])
        except ProtocolError:
            return 5060
    return via.port or 5060


def options(transport: str, number: int) -> bytes:
    head = (
        "OPTIONS sip:us@127.0.0.1 SIP/2.0",
        f"Via: SIP/2.0/{transport} 127.0.0.1;rport;branch=z9hG4bK-sound-{transport}-{number}",
        "Max-Forwards: 70",
        f"From: <sip:far@127.0.0.1>;tag={number}",
        "To: <sip:us@127.0.0.1>",
        f"Call-ID: sound-{transport}-{number}",
        "CSeq: 1 OPTIONS",
        "Content-Length: 0",
    )
    return "\r\n".join([*head, "", ""]).encode()


def sounds(port: int, number: int) -> None:
    """A sound request is answered, from wherever it comes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        far.settimeout(PATIENCE_S)
        far.sendto(options("UDP", number), ("127.0.0.1", port))
        assert far.recv(65_536).startswith(b"SIP/2.0 200 ")


def fits(got: list[int], verdict: list[int]) -> bool:
    """Whether the codes that came are those that are owed."""
    return len(got) == len(verdict) and all(
        code == owed or (owed == 180 and code in RINGS) for code, owed in zip(got, verdict, strict=True)
    )


@pytest.mark.survives(1)
@pytest.mark.survives(3)
def test_every_verdict_over_udp(port: int) -> None:
    for number, case in enumerate(CASES):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
            far.bind((f"127.1.{number}.1", answer_port(case.data)))  # an address each: nobody's repeats come here
            far.settimeout(PATIENCE_S)
            far.sendto(case.data, ("127.0.0.1", port))
            codes: list[int] = []
            while not fits(codes, case.udp):
                message = parse_message(far.recv(65_536))
                if isinstance(message, Response) and message.code > 100:
                    codes.append(message.code)
            sounds(port, number)
            if not case.udp:
                # It was before the sound one in the same queue: an answer would be here.
                far.setblocking(False)
                with pytest.raises(BlockingIOError):
                    far.recv(65_536)


def over_tcp(port: int, case: Case, number: int) -> None:
    rng = random.Random(case.name)
    after = b"" if case.breaks or case.unfinished else options("TCP", number)
    owed = [*case.tcp, *([200] if after else case.udp if case.name in ("clerr", "ipv6-in-sdp") else [])]
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as far:
        far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = case.data
        while data:
            size = rng.choice((1, 2, 3, 7, 50, 400))
            far.sendall(data[:size])
            data = data[size:]
        far.sendall(after)
        if not after:
            with contextlib.suppress(OSError):  # it may be closed from the other side already
                far.shutdown(socket.SHUT_WR)
        parser = StreamParser()
        codes: list[int] = []
        rung = False
        while (not after) or not codes or codes[-1] != 200 or len(codes) < len(owed):
            piece = far.recv(65_536)
            if not piece:
                assert not after, case.name
                break
            for data in parser.push(piece):
                message = parse_message(data)
                if isinstance(message, Response) and message.code > 100:
                    # A call that rings may be answered before or behind the next: both are one verdict.
                    if message.index["CSeq"].endswith("INVITE") and message.code in RINGS:
                        if rung:
                            continue
                        rung = True
                    codes.append(message.code)
        assert fits(codes, owed), (case.name, codes, owed)


@pytest.mark.survives(2)
def test_every_verdict_over_tcp_in_pieces(port: int) -> None:
    for number, case in enumerate(CASES):
        over_tcp(port, case, number)
        sounds(port, 1000 + number)
