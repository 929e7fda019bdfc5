"""SIPp calls the echo: a thousand calls at fifty a second without a failure, over UDP and TCP, without and with RTP."""

from __future__ import annotations

import re
import socket
import struct
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.interop

SPEAKING = """<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="a call with audio">
<send retrans="500"><![CDATA[
INVITE sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:sipp@[local_ip]:[local_port]>;tag=[pid]-[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: <sip:sipp@[local_ip]:[local_port]>
Max-Forwards: 70
Content-Type: application/sdp
Content-Length: [len]

v=0
o=- 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [auto_media_port] RTP/AVP 8
a=rtpmap:8 PCMA/8000
]]></send>
<recv response="100" optional="true"/>
<recv response="180" optional="true"/>
<recv response="200"/>
<send><![CDATA[
ACK sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:sipp@[local_ip]:[local_port]>;tag=[pid]-[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
CSeq: 1 ACK
Max-Forwards: 70
Content-Length: 0

]]></send>
<nop><action><exec play_pcap_audio="{pcap}"/></action></nop>
<pause milliseconds="{lasting}"/>
<send retrans="500"><![CDATA[
BYE sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:sipp@[local_ip]:[local_port]>;tag=[pid]-[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
CSeq: 2 BYE
Max-Forwards: 70
Content-Length: 0

]]></send>
<recv response="200"/>
</scenario>
"""

PCAPS = "/usr/share/sip-tester"


def sipp(program: str, kit: Any, serving: Any, *options: str, calls: int, rate: int = 50) -> str:
    """Let SIPp place calls; give what it printed at the end. It fails if one call did."""
    command = [
        program, f"127.0.0.1:{serving.port}", "-i", "127.0.0.1", "-p", str(kit.free_port()), "-mi", "127.0.0.1",
        "-r", str(rate), "-m", str(calls), "-l", "4000", "-nostdin", "-timeout", "120", "-timeout_error", *options,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, cwd=serving.log.parent, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:] + serving.log.read_text()[-2000:]
    return done.stdout


def count(screen: str, name: str) -> int:
    """Give a cumulative count of SIPp's last screen."""
    found = re.findall(rf"{name}\s*\|\s*\d+\s*\|\s*(\d+)", screen)
    assert found, screen[-3000:]
    return int(found[-1])


@pytest.mark.parametrize("transport", ["u1", "t1", "tn"])
def test_a_thousand_calls_are_answered_and_none_fails(
    serve: Any, kit: Any, peer: Callable[[str, str], str], transport: str
) -> None:
    serving = serve()
    screen = sipp(
        peer("sipp", "sip-tester"),
        kit,
        serving,
        "-sn",
        "uac",
        "-d",
        "0",
        "-t",
        transport,
        "-max_socket",
        "500",
        calls=1000,
    )
    assert (count(screen, "Successful call"), count(screen, "Failed call")) == (1000, 0)
    kit.until("the last call to end", lambda: len(serving.events("ended")) == 1000)
    assert {line["reason"] for line in serving.events("ended")} == {"remote_hangup"}
    assert serving.stop() == 0


class Wire(threading.Thread):
    """Watches RTP on the loopback device: when the first packet of each stream went by, either way."""

    def __init__(self, ports: range) -> None:
        super().__init__(daemon=True)
        self.towards: dict[tuple[int, int], int] = {}
        self.back: dict[tuple[int, int], int] = {}
        self.ending = threading.Event()
        self._ports = ports
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 26)
        self._socket.setsockopt(socket.SOL_SOCKET, 35, 1)  # SO_TIMESTAMPNS: when the kernel saw it
        self._socket.bind(("lo", 0))
        self._socket.settimeout(0.2)

    def run(self) -> None:
        with self._socket:
            while not self.ending.is_set():
                try:
                    frame, ancillary, _, address = self._socket.recvmsg(128, 64)
                except TimeoutError:
                    continue
                # Loopback shows every packet leaving and arriving; the second is enough.
                if address[2] == socket.PACKET_OUTGOING or frame[12:14] != b"\x08\x00" or frame[23] != 17:
                    continue
                source, destination = struct.unpack_from("!HH", frame, 34)
                if frame[42] >> 6 != 2 or frame[43] & 0x7F != 8:
                    continue
                seconds, nanoseconds = struct.unpack_from("@qq", ancillary[0][2])
                at = seconds * 1_000_000_000 + nanoseconds
                if destination in self._ports:
                    self.towards.setdefault((source, destination), at)
                elif source in self._ports:
                    self.back.setdefault((destination, source), at)


def test_a_thousand_calls_with_audio_hear_their_own(
    serve: Any, kit: Any, peer: Callable[[str, str], str], peer_file: Callable[[str, str], Path], tmp_path: Path,
) -> None:  # fmt: skip
    program = peer("sipp", "sip-tester")
    peer_file(f"{PCAPS}/g711a.pcap", "sip-tester")
    scenario = tmp_path / "speaking.xml"
    scenario.write_text(SPEAKING.replace("{pcap}", f"{PCAPS}/g711a.pcap").replace("{lasting}", "1000"))
    serving = serve(rtp=(10_000, 13_999))
    try:
        wire = Wire(range(10_000, 14_000))
    except PermissionError:
        pytest.skip("watching the wire needs CAP_NET_RAW: run as root")
    wire.start()
    try:
        screen = sipp(program, kit, serving, "-sf", str(scenario), "-mp", "16000", calls=1000)
    finally:
        wire.ending.set()
        wire.join()
    assert (count(screen, "Successful call"), count(screen, "Failed call")) == (1000, 0)
    assert len(wire.towards) >= 1000
    deaf = [stream for stream in wire.towards if stream not in wire.back]
    assert deaf == []
    waits = sorted((wire.back[stream] - at) / 1e6 for stream, at in wire.towards.items())
    print(f"first packet back after p50 {waits[len(waits) // 2]:.1f} ms, at most {waits[-1]:.1f} ms")
    assert serving.stop() == 0
