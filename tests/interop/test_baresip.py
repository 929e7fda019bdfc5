"""baresip calls the echo and hears itself: µ-law, A-law, µ-law in with A-law out, over UDP and TCP; keys once each."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.interop

MODULES = "/usr/lib/baresip/modules"
KEYS = "0123456789*#"


@dataclass
class Baresip:
    """One baresip that plays a file into its calls and writes down both directions as it encoded and decoded them."""

    process: subprocess.Popen[bytes]
    control: socket.socket
    folder: Path
    heard_so_far: str = ""

    def command(self, command: str, params: str = "") -> None:
        text = json.dumps({"command": command, "params": params}).encode()
        self.control.sendall(b"%d:%s," % (len(text), text))

    def told(self, event: str) -> bool:
        """Say whether baresip has reported an event of this type."""
        with contextlib.suppress(BlockingIOError):
            self.heard_so_far += self.control.recv(65536).decode(errors="replace")
        return f'"type":"{event}"' in self.heard_so_far

    def recorded(self, kit: Any, way: str) -> np.ndarray:
        (file,) = self.folder.glob(f"dump-*-{way}.wav")
        return kit.read_wav(file)


@pytest.fixture
def baresip(
    kit: Any, peer: Callable[[str, str], str], peer_file: Callable[[str, str], Path], tmp_path: Path
) -> Iterator[Any]:
    """`baresip(codecs)` starts one whose account offers these codecs; it is ended with the test."""
    started: list[Baresip] = []

    def start(codecs: str) -> Baresip:
        program = peer("baresip", "baresip-core")
        peer_file(f"{MODULES}/sndfile.so", "baresip-core")
        folder = tmp_path / "baresip"
        folder.mkdir()
        kit.write_wav(folder / "said.wav", kit.sound(30.0))
        sip, rtp, control = kit.free_port(), kit.free_port(), kit.free_port()
        lines = [
            f"sip_listen 127.0.0.1:{sip}", "net_interface 127.0.0.1", f"rtp_ports {rtp}-{rtp + 100}",
            f"module_path {MODULES}", "module g711.so", "module aufile.so", "module sndfile.so",
            "module_tmp account.so", "module_app menu.so", "module_app ctrl_tcp.so",
            f"ctrl_tcp_listen 127.0.0.1:{control}",
            f"audio_source aufile,{folder}/said.wav", f"audio_player aufile,{folder}/player.wav",
            f"audio_alert aufile,{folder}/alert.wav", f"snd_path {folder}",
            "ausrc_srate 8000", "auplay_srate 8000", "ausrc_channels 1", "auplay_channels 1",
        ]  # fmt: skip
        (folder / "config").write_text("\n".join(lines) + "\n")
        (folder / "accounts").write_text(f"<sip:baresip@127.0.0.1>;regint=0;audio_codecs={codecs}\n")
        (folder / "contacts").write_text("")
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([program, "-f", str(folder)], stdout=log, stderr=log, stdin=subprocess.DEVNULL)

        def connect() -> socket.socket | None:
            try:
                return socket.create_connection(("127.0.0.1", control), timeout=1)
            except OSError:
                assert process.poll() is None, (folder / "log").read_text()
                return None

        found = Baresip(process, kit.until("baresip", connect), folder)
        found.control.setblocking(False)
        started.append(found)
        return found

    yield start
    for one in started:
        one.control.close()
        one.process.terminate()
        one.process.wait(10)


def call(one: Baresip, kit: Any, serving: Any, transport: str) -> None:
    """Dial and wait until it is up."""
    suffix = ";transport=tcp" if transport == "tcp" else ""
    one.command("dial", f"sip:echo@127.0.0.1:{serving.port}{suffix}")
    kit.until("the answer", lambda: one.told("CALL_ESTABLISHED"))


def talk(one: Baresip, kit: Any, serving: Any, transport: str) -> float:
    """Call, speak for four seconds, hang up; give how alike what was heard is to what was said."""
    call(one, kit, serving, transport)
    encoded = lambda: next(one.folder.glob("dump-*-dec.wav"), None)  # noqa: E731
    # The recorder writes as the media goes: 16 bytes a millisecond.
    kit.until("four seconds of echo", lambda: (file := encoded()) is not None and file.stat().st_size > 16 * 4500)
    one.command("hangup")
    kit.until("the end", lambda: serving.events("ended"))
    one.process.terminate()
    one.process.wait(10)
    return kit.correlation(one.recorded(kit, "dec"), one.recorded(kit, "enc")[: 8000 * 4])


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("codec", ["pcmu", "pcma"])
def test_it_hears_itself(serve: Any, kit: Any, baresip: Any, transport: str, codec: str) -> None:
    serving = serve()
    assert talk(baresip(codec), kit, serving, transport) > 0.9
    assert [line["event"] for line in serving.events()] == ["incoming", "answered", "ended"]
    assert serving.stop() == 0


def test_one_codec_in_another_out(serve: Any, kit: Any, baresip: Any) -> None:
    serving = serve(toml='sip = { send = "PCMA", codecs = ["PCMU"] }\n')
    one = baresip("pcmu,pcma")
    assert talk(one, kit, serving, "udp") > 0.9
    # It sends what our answer names, and finds by itself that we send the other that it had offered.
    log = (one.folder / "log").read_text()
    assert re.search(r"decoder changed payload 0 -> 8", log), log[-3000:]


def test_each_key_arrives_once(serve: Any, kit: Any, baresip: Any) -> None:
    serving = serve()
    one = baresip("pcmu")
    call(one, kit, serving, "udp")
    for number, key in enumerate(KEYS, 1):
        one.command("sndcode", key)
        kit.until(f"key {key}", lambda number=number: len(serving.events("digit")) >= number)
    one.command("hangup")
    kit.until("the end", lambda: serving.events("ended"))
    assert "".join(line["digit"] for line in serving.events("digit")) == KEYS
