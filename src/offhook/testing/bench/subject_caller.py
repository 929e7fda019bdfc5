"""The caller of `setup`: INVITEs at a steady rate over one UDP socket, and how long each waited for its 200.

orders    {"hold": N} → {"ports": […]}: N calls that stay up; the ports are where they listen for RTP
          {"call": N, "rate": R, "up_ms": M} → {"waits_ms": […], "failed": F}: N calls, each hung up M ms after its 200

A wait ends when the kernel got the 200, not when Python read it, so that the caller's own load does not count.
"""

from __future__ import annotations

import json
import re
import select
import socket
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

from offhook.testing.bench.machine import tell

TIMESTAMPS: Final = 35
"""SO_TIMESTAMPNS of Linux, which the socket module does not name."""

PATIENCE_S: Final = 5.0
"""How long a call may take before it counts as failed: ten times Timer A."""

_PORT: Final = re.compile(rb"\r\nm=audio (\d+) ")
_TO: Final = re.compile(rb"\r\nTo: ([^\r]*)\r\n")
_CALL: Final = re.compile(rb"\r\nCall-ID: (\d+)\r\n")
_CSEQ: Final = re.compile(rb"\r\nCSeq: \d+ (\w+)\r\n")


@dataclass(slots=True)
class Caller:
    """One socket towards one user agent."""

    to: tuple[str, int]
    here: int = 0
    number: int = 0
    sent_at: dict[int, float] = field(default_factory=dict[int, float])
    waits_ms: list[float] = field(default_factory=list[float])
    ports: list[int] = field(default_factory=list[int])
    leaving: deque[tuple[float, int, bytes]] = field(default_factory=deque[tuple[float, int, bytes]])
    sock: socket.socket = field(default_factory=lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))

    def __post_init__(self) -> None:
        """Bind it."""
        self.sock.bind(("127.0.0.1", 0))
        self.sock.setsockopt(socket.SOL_SOCKET, TIMESTAMPS, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.sock.setblocking(False)
        self.sock.connect(self.to)
        self.here = self.sock.getsockname()[1]

    def write(self, method: str, number: int, to: str, body: str = "") -> None:
        """Send one request of a call."""
        seq = 2 if method == "BYE" else 1
        kind = "Content-Type: application/sdp\r\n" if body else ""
        self.sock.send(
            f"{method} sip:bench@127.0.0.1 SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.here};branch=z9hG4bK{method[0]}{number}\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:caller@127.0.0.1>;tag=c{number}\r\nTo: {to}\r\n"
            f"Call-ID: {number}\r\nCSeq: {seq} {method}\r\nContact: <sip:caller@127.0.0.1:{self.here}>\r\n"
            f"{kind}Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )

    def invite(self) -> None:
        """Begin a call."""
        self.number += 1
        body = (
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            "m=audio 9 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"
        )
        self.sent_at[self.number] = time.time()
        self.write("INVITE", self.number, "<sip:bench@127.0.0.1>", body)

    def read(self, up_s: float | None) -> None:
        """Take what came; acknowledge each 200 to an INVITE, and hang up `up_s` later (None: never)."""
        while True:
            try:
                data, ancillary, _, _ = self.sock.recvmsg(4096, 64)
            except BlockingIOError:
                return
            if not data.startswith(b"SIP/2.0 200 "):
                continue
            call, method, to = _CALL.search(data), _CSEQ.search(data), _TO.search(data)
            if call is None or method is None or to is None or method[1] != b"INVITE":
                continue
            number = int(call[1])
            began = self.sent_at.pop(number, None)
            self.write("ACK", number, to[1].decode())
            if began is None:
                continue  # a 200 again: its ACK was lost
            raw = next(piece for _, kind, piece in ancillary if kind == TIMESTAMPS)
            seconds, nanoseconds = int.from_bytes(raw[:8], "little"), int.from_bytes(raw[8:16], "little")
            self.waits_ms.append((seconds + nanoseconds / 1e9 - began) * 1000)
            port = _PORT.search(data)
            self.ports.append(int(port[1]) if port is not None else 0)
            if up_s is not None:
                self.leaving.append((time.monotonic() + up_s, number, to[1]))

    def run(self, calls: int, rate: float, up_s: float | None) -> int:
        """Place calls; give how many failed."""
        self.waits_ms.clear()
        self.ports.clear()
        begin = time.monotonic()
        placed = 0
        last = begin + calls / rate
        while placed < calls or self.leaving or (self.sent_at and time.monotonic() < last + PATIENCE_S):
            now = time.monotonic()
            while placed < calls and begin + placed / rate <= now:
                self.invite()
                placed += 1
            while self.leaving and self.leaving[0][0] <= now:
                _, number, to = self.leaving.popleft()
                self.write("BYE", number, to.decode())
            due = [begin + placed / rate] if placed < calls else []
            due += [self.leaving[0][0]] if self.leaving else []
            wait = min(due, default=now + 0.1) - time.monotonic()
            select.select([self.sock], [], [], max(0.0, wait))
            self.read(up_s)
        failed = len(self.sent_at)
        self.sent_at.clear()
        return failed


def obey(caller: Caller, order: dict[str, Any]) -> None:
    """Carry out one order and report."""
    match order:
        case {"hold": int(count)}:
            failed = caller.run(count, 200, None)
            tell(ports=caller.ports, failed=failed)
        case {"call": int(count), "rate": rate, "up_ms": up_ms}:
            failed = caller.run(count, float(rate), float(up_ms) / 1000)
            tell(waits_ms=caller.waits_ms, failed=failed)
        case _:
            tell(unknown=order)


def main() -> None:
    """Obey until stdin is closed."""
    caller = Caller(("127.0.0.1", int(sys.argv[1])))
    tell(ready=True)
    for line in sys.stdin:
        obey(caller, json.loads(line))


if __name__ == "__main__":
    main()
