"""What rtpengine spends on a leg: its userspace relay under our load, in the same minute as our own calls.

    load, leg 2k ══ RTP ══► rtpengine ══► load, leg 2k + 1          both ways; offer and answer by ng (bencode)

It relays and decodes nothing, so it is a bound on moving packets, not on what an endpoint does. Every leg sends and
hears 50 packets a second, as each of our calls does, so CPU is counted a leg.
"""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import cast

from offhook.testing.bench.budgets import Figure
from offhook.testing.bench.machine import BenchFailed, cores, cpu_ms, pin, program, wait
from offhook.testing.bench.ports import free_udp_port
from offhook.testing.bench.result import NOT_RUN
from offhook.testing.bench.tools import load

LEGS_FROM, RELAY_PORTS = 40_000, (20_000, 29_999)
"""Where the load's legs begin, and where rtpengine binds."""
SETTLE_S = 1.0

Value = str | Sequence[str] | Mapping[str, "Value"]


def bencode(value: Value) -> bytes:
    """Write what the ng protocol is made of."""
    match value:
        case str():
            text = value.encode()
            return b"%d:%s" % (len(text), text)
        case Mapping():
            return b"d" + b"".join(bencode(key) + bencode(value[key]) for key in sorted(value)) + b"e"
        case _:
            return b"l" + b"".join(map(bencode, value)) + b"e"


def bdecode(text: bytes) -> Mapping[str, object]:
    """Read a dictionary of it. BenchFailed for anything else."""
    value, end = _value(text, 0)
    if not isinstance(value, dict) or end != len(text):
        raise BenchFailed("rtpengine said something that is no dictionary")
    return cast("dict[str, object]", value)


def _value(text: bytes, at: int) -> tuple[object, int]:
    match text[at : at + 1]:
        case b"i":
            end = text.index(b"e", at)
            return int(text[at + 1 : end]), end + 1
        case b"l" | b"d" as kind:
            items: list[object] = []
            at += 1
            while text[at : at + 1] != b"e":
                item, at = _value(text, at)
                items.append(item)
            return (dict(zip(items[::2], items[1::2], strict=True)) if kind == b"d" else items), at + 1
        case _:
            colon = text.index(b":", at)
            end = colon + 1 + int(text[at:colon])
            return text[colon + 1 : end].decode(), end


def description(port: int) -> str:
    """Give an SDP of one G.711 stream."""
    return (
        f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"
        "a=rtpmap:0 PCMU/8000\r\na=ptime:20\r\na=sendrecv\r\n"
    )


def media_port(sdp: str) -> int:
    """Give the port of an SDP's audio."""
    lines = [line for line in sdp.splitlines() if line.startswith("m=audio ")]
    if not lines:
        raise BenchFailed("a description has no audio")
    return int(lines[0].split()[1])


class Relay:
    """A running rtpengine, asked through its ng protocol."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(("127.0.0.1", port))
        self._cookies = itertools.count(1)

    def ask(self, **what: Value) -> Mapping[str, object]:
        """Ask for something; its answer. BenchFailed where there is none within 2 s, or it refuses."""
        cookie = b"%d_%d" % (os.getpid(), next(self._cookies))
        until = time.monotonic() + 2
        while time.monotonic() < until:
            try:
                self._socket.send(cookie + b" " + bencode(what))
                self._socket.settimeout(0.2)
                heard, _, answer = self._socket.recv(65536).partition(b" ")
            except (TimeoutError, ConnectionRefusedError):
                wait(0.05)
                continue
            if heard == cookie:
                told = bdecode(answer)
                if told.get("result") == "error":
                    raise BenchFailed(f"rtpengine refused: {told.get('error-reason')}")
                return told
        raise BenchFailed("rtpengine does not answer")

    def join(self, number: int, first: int, second: int) -> tuple[int, int]:
        """Relay between two ports; give where each of them must send."""
        names: dict[str, Value] = {"call-id": f"bench-{number}", "from-tag": "a", "ICE": "remove"}
        ways: dict[str, Value] = {"replace": ["origin", "session-connection"]}
        offered = self.ask(command="offer", sdp=description(first), **names, **ways)
        answered = self.ask(command="answer", sdp=description(second), **{"to-tag": "b"}, **names, **ways)
        return media_port(str(answered["sdp"])), media_port(str(offered["sdp"]))

    def close(self) -> None:
        """Ask no more."""
        self._socket.close()


@contextmanager
def _running(path: str, core: int | None) -> Generator[tuple[int, Relay]]:
    port = free_udp_port()
    command = [path, "--foreground", "--config-file=none", "--table=-1", "--interface=127.0.0.1", "--log-level=1"]
    command += [f"--listen-ng=127.0.0.1:{port}", f"--port-min={RELAY_PORTS[0]}", f"--port-max={RELAY_PORTS[1]}"]
    process = subprocess.Popen(  # noqa: S603 (rtpengine, found by its name)
        [*command, "--log-stderr", "--num-threads=1"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    relay = Relay(port)
    try:
        relay.ask(command="ping")
        pin(process.pid, core)
        yield process.pid, relay
    finally:
        relay.close()
        process.kill()
        process.wait()


def rtpengine(load_program: str, calls: int, seconds: int, seed: int) -> Mapping[str, Figure] | str:
    """Relay `calls` calls of two legs for `seconds`; `NOT_RUN` where it is not installed."""
    path = program("rtpengine")
    if path is None:
        return NOT_RUN
    ours, theirs = cores()
    with _running(path, ours) as (pid, relay):
        pairs = [(LEGS_FROM + 4 * number, LEGS_FROM + 4 * number + 2) for number in range(calls)]
        targets = [port for number, pair in enumerate(pairs) for port in relay.join(number, *pair)]
        with load(
            load_program, targets, seconds, theirs, echo=False, seed=seed, besides=("--first-port", str(LEGS_FROM))
        ) as sender:
            if sender.report(30)["ports"] != [port for pair in pairs for port in pair]:
                raise BenchFailed(f"ports from {LEGS_FROM} on are in use")
            sender.order(start=True)
            wait(SETTLE_S)
            before = cpu_ms(pid)
            window = seconds - 2 * SETTLE_S
            wait(window)
            used = cpu_ms(pid) - before
            told = sender.report(30)
    return {"cms_per_leg": used / (2 * calls) / window, "legs": 2 * calls, "lost": told["sent"] - told["received"]}
