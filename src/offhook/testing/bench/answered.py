"""What pjsua2 spends on a call: G.711 through its bridge and back under our load. It takes 4 calls a process.

    pjsua2, in a process of its own (bench/pjsua2_echo.py) ── INVITE ──► we answer 200 with the load's ports
         └══════════════════════ RTP, every call heard and played back ══════════════════════► load

What a call costs is the difference between four and one, a third of it: the clock of its bridge runs anyway.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from offhook.testing.bench.budgets import Figure
from offhook.testing.bench.machine import BenchFailed, Subject, cores, wait
from offhook.testing.bench.relayed import SETTLE_S, description, media_port
from offhook.testing.bench.result import NOT_RUN
from offhook.testing.bench.tools import load

ECHO = Path(__file__).resolve().parents[4] / "bench" / "pjsua2_echo.py"
LEGS_FROM = 48_000
FEW, MANY = 1, 4


def pjsua2(load_program: str, seconds: int, seed: int) -> Mapping[str, Figure] | str:
    """Run it with one call and with four, each for `seconds`; `NOT_RUN` where it is not installed."""
    if find_spec("pjsua2") is None or not ECHO.is_file():
        return NOT_RUN
    (few, _), (many, lost) = (_echoed(load_program, calls, seconds, seed) for calls in (FEW, MANY))
    return {"cms": (many - few) / (MANY - FEW), "cms_of_one": few, "lost_of_four": lost}


def _echoed(load_program: str, calls: int, seconds: int, seed: int) -> tuple[float, int]:
    """CPU-ms a second with so many calls, and packets that did not come back."""
    ours, theirs = cores()
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as answering,
        Subject([sys.executable, str(ECHO)], ours) as subject,
    ):
        answering.bind(("127.0.0.1", 0))
        subject.report(30)
        subject.order(dial=calls, to=f"sip:load@127.0.0.1:{answering.getsockname()[1]}")
        local = [LEGS_FROM + 2 * number for number in range(calls)]
        targets = _answer(answering, local)
        subject.report(30)
        with load(
            load_program, targets, seconds, theirs, echo=False, seed=seed, besides=("--first-port", str(LEGS_FROM))
        ) as sender:
            if sender.report(30)["ports"] != local:
                raise BenchFailed(f"ports from {LEGS_FROM} on are in use")
            sender.order(start=True)
            wait(SETTLE_S)
            before = subject.cpu_ms()
            window = seconds - 2 * SETTLE_S
            wait(window)
            used = subject.cpu_ms() - before
            told = sender.report(30)
    return used / window, max(0, told["sent"] - told["received"])


def _answer(answering: socket.socket, local: list[int]) -> list[int]:
    """Answer a call for each of our ports; give where each has to send."""
    until = time.monotonic() + 20
    answers: dict[bytes, bytes] = {}
    remote: list[int] = []
    while len(remote) < len(local):
        answering.settimeout(max(0.01, until - time.monotonic()))
        try:
            text, source = answering.recvfrom(65536)
        except TimeoutError:
            raise BenchFailed("pjsua2 did not call") from None
        if not text.startswith(b"INVITE "):
            continue
        call = next(line for line in text.splitlines() if line.lower().startswith(b"call-id:"))
        if call not in answers:
            answers[call] = _ok(text, description(local[len(remote)]), answering.getsockname()[1])
            remote.append(media_port(text.decode()))
        answering.sendto(answers[call], source)
    return remote


def _ok(invite: bytes, body: str, port: int) -> bytes:
    """Write 200 for an INVITE (RFC 3261 section 8.2.6): what must be the same is copied, and To gets a tag."""
    kept: list[str] = []
    for line in invite.decode().split("\r\n\r\n", 1)[0].splitlines()[1:]:
        match line.partition(":")[0].lower():
            case "via" | "from" | "call-id" | "cseq":
                kept.append(line)
            case "to":
                kept.append(f"{line};tag=load")
            case _:
                pass
    head = ["SIP/2.0 200 OK", *kept, f"Contact: <sip:load@127.0.0.1:{port}>", "Content-Type: application/sdp"]
    return "\r\n".join([*head, f"Content-Length: {len(body)}", "", body]).encode()
