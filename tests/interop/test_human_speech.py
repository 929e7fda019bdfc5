"""Human speech, played into real calls by SIPp, reaches the events as words: clean, and with 5 % of the packets lost.

    prompt.wav ─► µ-law, RTP ─► pcap ─► SIPp ══ UDP ══► offhook serve ─► --events ─► words, beside the printed text

The prompts are a seeded shuffle of all the short ones that the package has, none left out. Speech begins at another
moment in every call, sometimes over the greeting: what is said over the agent must be heard too.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import wave
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from offhook import _native

SOUNDS = "/usr/share/asterisk/sounds/en_US_f_Allison"
TEXTS = "/usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz"
PACKAGES = "asterisk-core-sounds-en asterisk-core-sounds-en-wav"
SEED = int(os.environ.get("OFFHOOK_SEED", "7"))
CALLS = int(os.environ.get("OFFHOOK_PROMPTS", "30"))

ONES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]

SCENARIO = """<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="a prompt">
<send retrans="500"><![CDATA[
INVITE sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:prompt@[local_ip]:[local_port]>;tag=[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: <sip:prompt@[local_ip]:[local_port]>
Max-Forwards: 70
Content-Type: application/sdp
Content-Length: [len]

v=0
o=- 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [auto_media_port] RTP/AVP 0
a=rtpmap:0 PCMU/8000
]]></send>
<recv response="100" optional="true"/>
<recv response="180" optional="true"/>
<recv response="200" rrs="true"/>
<send><![CDATA[
ACK [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
[routes]
From: <sip:prompt@[local_ip]:[local_port]>;tag=[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
CSeq: 1 ACK
Max-Forwards: 70
Content-Length: 0

]]></send>
<nop><action><exec play_pcap_audio="{pcap}"/></action></nop>
<pause milliseconds="{lasting}"/>
<send retrans="500"><![CDATA[
BYE [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
[routes]
From: <sip:prompt@[local_ip]:[local_port]>;tag=[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
CSeq: 2 BYE
Max-Forwards: 70
Content-Length: 0

]]></send>
<recv response="200" crlf="true"/>
</scenario>
"""


@dataclass(frozen=True, slots=True)
class Prompt:
    name: str
    text: str
    wav: Path


def words(text: str) -> list[str]:
    spaced = re.sub(r"\d", lambda digit: f" {ONES[int(digit[0])]} ", text.lower().replace("-", " "))
    return re.sub(r"[^a-z' ]+", " ", spaced).replace("'", "").split()


def word_errors(said: list[str], heard: list[str]) -> int:
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said, 1):
        above, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (word != other))
    return row[-1]


def prompts(texts: Path, sounds: Path) -> list[Prompt]:
    by_name = {str(wav.relative_to(sounds).with_suffix("")): wav for wav in sorted(sounds.rglob("*.wav"))}
    found: list[Prompt] = []
    for line in gzip.decompress(texts.read_bytes()).decode().splitlines():
        name, colon, text = line.partition(":")
        if colon and not line.startswith(";") and 5 <= len(words(text)) <= 16 and name.strip() in by_name:
            found.append(Prompt(name.strip(), text.strip(), by_name[name.strip()]))
    random.Random(SEED).shuffle(found)
    return found


def speech(wav: Path) -> bytes:
    with wave.open(str(wav)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
        return file.readframes(file.getnframes())


def pcap(pcm: bytes, loss: float, rng: random.Random) -> bytes:
    """The file that SIPp plays: an Ethernet capture of the RTP stream, without the packets that are lost."""
    out = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)]
    payload = _native.encode("PCMU", pcm + bytes(-len(pcm) % 320))
    for number in range(len(payload) // 160):
        if rng.random() < loss:
            continue
        rtp = struct.pack("!BBHII", 0x80, 0x80 if number == 0 else 0, number + 1, number * 160, 0x1234)
        udp = struct.pack("!HHHH", 6000, 6000, 8 + 12 + 160, 0) + rtp + payload[number * 160 : number * 160 + 160]
        ip = struct.pack(
            "!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), number, 0, 64, 17, 0, bytes([127, 0, 0, 1]), bytes([127, 0, 0, 1])
        )
        frame = bytes(12) + b"\x08\x00" + ip + udp
        out.append(struct.pack("<IIII", 1 + number // 50, number % 50 * 20_000, len(frame), len(frame)) + frame)
    return b"".join(out)


def free_port() -> int:
    for port in random.SystemRandom().sample(range(20000, 32000, 10), 50):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")


def play(sipp: str, folder: Path, number: int, prompt: Prompt, serving: int, loss: float) -> None:
    """Place one call that plays the prompt. How it ends is the agent's to say: it may hang up first."""
    rng = random.Random(f"{SEED}/{prompt.name}")
    before = bytes(16 * rng.randrange(300, 5000))
    pcm = before + speech(prompt.wav) + bytes(16 * 3500)
    recording = folder / f"{number}.pcap"
    recording.write_bytes(pcap(pcm, loss, rng))
    scenario = folder / f"{number}.xml"
    scenario.write_text(SCENARIO.replace("{pcap}", str(recording)).replace("{lasting}", str(len(pcm) // 16 + 300)))
    port = free_port()
    command = [
        sipp,
        f"127.0.0.1:{serving}",
        "-sf",
        str(scenario),
        "-s",
        prompt.name.replace("/", "."),
        "-i",
        "127.0.0.1",
    ]
    command += ["-p", str(port), "-mp", str(port + 2), "-m", "1", "-nostdin", "-timeout", "60"]
    subprocess.run(command, cwd=folder, capture_output=True, timeout=90, check=False)


def heard_by_called(events: Path) -> dict[str, list[str]]:
    called: dict[str, str] = {}
    heard: dict[str, list[str]] = {}
    for line in events.read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "incoming":
            called[event["call"]] = re.sub(r"^<?sip:|[@;>].*", "", event["called"])
        elif event["event"] == "heard":
            heard.setdefault(called[event["call"]], []).extend(words(event["text"]))
    return heard


@pytest.mark.interop
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("loss", "most"), [(0.0, 0.15), (0.05, 0.25)], ids=["clean", "5 % lost"])
def test_words_of_human_callers_are_heard(
    loss: float, most: float, tmp_path: Path, peer: Callable[..., str], peer_file: Callable[..., Path]
) -> None:
    sipp = peer("sipp", "sip-tester")
    chosen = prompts(peer_file(TEXTS, PACKAGES), peer_file(SOUNDS, PACKAGES))[:CALLS]
    events, port = tmp_path / "events.jsonl", free_port()
    command = [
        str(Path(sys.executable).with_name("offhook")),
        "serve",
        "--sip",
        f"127.0.0.1:{port}",
        "--events",
        str(events),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as serve:
        assert serve.stderr is not None
        try:
            said = []
            for line in iter(serve.stderr.readline, ""):
                said.append(line)
                if "ready: " in line:
                    break
            assert "ready: " in "".join(said[-1:]), "".join(said)
            with ThreadPoolExecutor(2) as lanes:
                list(lanes.map(lambda job: play(sipp, tmp_path, job[0], job[1], port, loss), enumerate(chosen)))
        finally:
            serve.send_signal(signal.SIGTERM)
            serve.communicate(timeout=60)
    heard = heard_by_called(events)
    errors = total = 0
    for prompt in chosen:
        said, got = words(prompt.text), heard.get(prompt.name.replace("/", "."), [])
        wrong = word_errors(said, got)
        errors, total = errors + wrong, total + len(said)
        print(f"{wrong:3d} {prompt.name}: {' '.join(said)!r} heard as {' '.join(got)!r}")
    print(f"word errors: {errors}/{total} = {errors / total:.3f}")
    assert errors / total <= most
