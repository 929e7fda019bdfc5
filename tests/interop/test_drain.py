"""A process that is told to end lets its calls finish, takes no new ones, and gives its registration back."""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.interop

CALLS = 20
TALK_S = 8
DRAIN_S = 30
AT_ONCE_S = 0.25

TOML = """
drain_s = {drain}
[trunks.main]
address = "sip:127.0.0.1:{port}"
username = "luigi"
password = "correct horse"
"""


class Registrar:
    """Takes every REGISTER. `asked` are the intervals that were asked for, in seconds."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            data, source = self._socket.recvfrom(4096)
            if data == b"end":
                return
            lines = data.decode().split("\r\n")
            fields = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
            if not lines[0].startswith("REGISTER "):
                continue
            expires_s = int(fields["Expires"])
            self.asked.append(expires_s)
            kept = [f"{name}: {fields[name]}" for name in ("Via", "From", "Call-ID", "CSeq")]
            bound = [f"Contact: {fields['Contact']};expires={expires_s}"] if expires_s else []
            answer = ["SIP/2.0 200 OK", *kept, f"To: {fields['To']};tag=r", *bound, "Content-Length: 0", "", ""]
            self._socket.sendto("\r\n".join(answer).encode(), source)

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.sendto(b"end", ("127.0.0.1", self.port))
        self._thread.join(5)
        self._socket.close()


@pytest.fixture
def registrar() -> Iterator[Registrar]:
    with closing(Registrar()) as one:
        yield one


def knock(port: int, number: int) -> tuple[bytes, float]:
    """Call once; give the first answer and how long it took, in seconds."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        far.bind(("127.0.0.1", 0))
        far.settimeout(2)
        here = far.getsockname()[1]
        lines = (
            f"INVITE sip:agent@127.0.0.1:{port} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{here};rport;branch=z9hG4bKlate{number}",
            f"From: <sip:late@127.0.0.1>;tag={number}",
            f"To: <sip:agent@127.0.0.1:{port}>",
            f"Call-ID: late-{number}",
            "CSeq: 1 INVITE",
            f"Contact: <sip:late@127.0.0.1:{here}>",
            "Max-Forwards: 70",
            "Content-Length: 0",
            "",
            "",
        )
        began = time.monotonic()
        far.sendto("\r\n".join(lines).encode(), ("127.0.0.1", port))
        return far.recv(4096), time.monotonic() - began


@pytest.mark.survives(16)
@pytest.mark.timeout(120)
def test_twenty_calls_finish_new_ones_are_sent_away_and_the_binding_is_taken_back(
    serve: Any, kit: Any, peer: Any, registrar: Registrar, tmp_path: Path
) -> None:
    sipp = peer("sipp", "sip-tester")
    serving = serve(toml=TOML.format(drain=DRAIN_S, port=registrar.port))
    kit.until("the registration", lambda: registrar.asked)
    command = [sipp, "-sn", "uac", f"127.0.0.1:{serving.port}", "-i", "127.0.0.1", "-p", str(kit.free_port())]
    command += ["-r", str(CALLS), "-m", str(CALLS), "-l", str(CALLS), "-d", str(TALK_S * 1000), "-nostdin"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path) as calling:
        kit.until("twenty calls", lambda: len(serving.events("answered")) == CALLS)
        began = time.monotonic()
        serving.process.send_signal(signal.SIGTERM)
        kit.until("the drain", lambda: b"draining:" in serving.log.read_bytes())
        for number in range(3):
            answer, took_s = knock(serving.port, number)
            assert answer.startswith(b"SIP/2.0 503 ")
            assert b"\r\nRetry-After: " in answer
            assert took_s < AT_ONCE_S
        assert calling.wait(2 * TALK_S + 10) == 0, "no call was cut"
    assert serving.process.wait(DRAIN_S) == 0
    assert time.monotonic() - began < DRAIN_S, "it ended as soon as the last call had"
    assert [one["reason"] for one in serving.events("ended")] == ["remote_hangup"] * CALLS
    assert registrar.asked[0] > 0
    assert registrar.asked[-1] == 0
