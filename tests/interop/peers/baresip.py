"""baresip, driven over its control socket; its recorder writes both directions as they are encoded and decoded."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from interop import kit
from interop.peers.peer import Place

MODULES = Path("/usr/lib/baresip/modules")
WIDE = ("g722", "l16", "opus")
"""Codecs that are modules of their own; they are named with rate and channels: "L16/16000/1"."""


class Baresip:
    """One baresip with one account."""

    def __init__(self, place: Place, *, codecs: tuple[str, ...] = ("PCMU",), encryption: str = "") -> None:
        self.said = place.said()
        self.folder = folder = place.folder
        self.place = place
        self.echoes, self._agreed = False, 0
        port, rtp, control = kit.free_port(), kit.free_port(), kit.free_port()
        self.uri = place.uri(port)
        lines = [
            f"sip_listen 127.0.0.1:{port}", "net_interface 127.0.0.1", f"rtp_ports {rtp}-{rtp + 100}",
            f"sip_certificate {place.certificates.both}", f"sip_cafile {place.certificates.authority}",
            f"module_path {MODULES}", "module g711.so", "module aufile.so", "module sndfile.so",
            *[f"module {name}.so" for name in WIDE if any(name in codec.lower() for codec in codecs)],
            "module aubridge.so", *(["module srtp.so"] if encryption else []),
            "module_tmp account.so", "module_app menu.so", "module_app ctrl_tcp.so",
            f"ctrl_tcp_listen 127.0.0.1:{control}",
            "jitter_buffer_delay 0-0", "audio_buffer 160-500",
            f"audio_source aufile,{folder}/said.wav", "audio_player aubridge,ear",
            f"audio_alert aufile,{folder}/alert.wav", f"snd_path {folder}",
            "ausrc_srate 8000", "auplay_srate 8000", "ausrc_channels 1", "auplay_channels 1",
        ]  # fmt: skip
        (folder / "config").write_text("\n".join(lines) + "\n")
        (folder / "accounts").write_text(
            self._account(codecs) + (f";mediaenc={encryption}" if encryption else "") + "\n"
        )
        (folder / "contacts").write_text("")
        program = shutil.which("baresip")
        assert program
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [program, "-s", "-f", str(folder)], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        self.control = kit.until("baresip", lambda: self._connect(control))
        self.control.setblocking(False)
        self._told = b""
        self._events: list[dict[str, Any]] = []

    def _account(self, codecs: tuple[str, ...]) -> str:
        place = self.place
        host, more = ("127.0.0.1", ";regint=0")
        if place.registrar is not None:
            carried = "" if place.transport == "udp" else f";transport={place.transport}"
            host, more = (
                place.registrar.host + carried,
                f";regint=60;auth_user={place.user};auth_pass={place.registrar.password}",
            )
        return f"<sip:{place.user}@{host}>;answermode=auto;audio_codecs={','.join(codecs).lower()}{more}"

    def _connect(self, port: int) -> socket.socket | None:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1)
        except OSError:
            assert self.process.poll() is None, (self.folder / "log").read_text()
            return None

    def command(self, command: str, params: str = "") -> None:
        """Give a command; returns once it has been taken."""
        done = len(self._responses())
        text = json.dumps({"command": command, "params": params}).encode()
        self.control.sendall(b"%d:%s," % (len(text), text))
        kit.until(command, lambda: len(self._responses()) > done)

    def _responses(self) -> list[dict[str, Any]]:
        self.told("")
        return [event for event in self._events if "response" in event]

    def told(self, kind: str) -> list[dict[str, Any]]:
        """Give the events of this type that it has reported."""
        with contextlib.suppress(BlockingIOError):
            while piece := self.control.recv(65536):
                self._told += piece
        while (colon := self._told.find(b":")) > 0:
            end = colon + 1 + int(self._told[:colon])
            if len(self._told) <= end:
                break
            self._events.append(json.loads(self._told[colon + 1 : end]))
            self._told = self._told[end + 1 :]
        return [event for event in self._events if event.get("type") == kind]

    def registered(self) -> bool:
        # Its event may be over before anybody listens to it.
        taken = re.compile(rb"^SIP/2\.0 200 [^\r]*\r\n(?:[^\r\n]+\r\n)*CSeq: \d+ REGISTER\r\n", re.MULTILINE)
        return bool(taken.search((self.folder / "log").read_bytes()))

    def dial(self, to: str) -> None:
        before = len(self.told("CALL_ESTABLISHED"))
        closed = len(self.told("CALL_CLOSED"))
        self.command("dial", to)

        def up() -> bool:
            over = self.told("CALL_CLOSED")[closed:]
            assert not over, f"not answered: {over}"
            return len(self.told("CALL_ESTABLISHED")) > before

        kit.until("the answer", up)

    def up(self) -> bool:
        return len(self.told("CALL_ESTABLISHED")) > len(self.told("CALL_CLOSED"))

    def recorded(self, way: str) -> np.ndarray:
        """Give what it recorded, "dec"oded or "enc"oded."""
        files = sorted(self.folder.glob(f"dump-*-{way}.wav"), key=lambda file: file.name)
        return np.concatenate([np.zeros(0, "<i2"), *[kit.growing(file) for file in files]])

    def heard(self) -> np.ndarray:
        return self.recorded("dec")

    def keys(self) -> str:
        return "".join(event["param"] for event in self.told("CALL_DTMF_START"))

    def hold(self) -> None:
        self._say_again()
        self.command("hold")

    def resume(self) -> None:
        self.command("resume")

    def echo(self) -> None:
        self.echoes = True
        self.command("ausrc", "aubridge,ear")

    def press(self, key: str) -> None:
        self.command("sndcode", key)

    def refresh(self) -> None:
        self.command("reinvite")

    def blind(self, to: str) -> None:
        self.command("transfer", f"<{to}>")

    def attended(self) -> None:
        raise NotImplementedError

    def expect(self, what: str) -> None:
        if what == "our-hold":
            self._say_again()

    def follow(self) -> None:
        """Nothing: a phone does by itself."""

    def hangup(self) -> None:
        self.command("hangup")

    @property
    def records(self) -> bool:
        # With the first hold, whoever's, 1.0 takes its recorder out of what it hears and never puts it back.
        return len(self.told("CALL_REMOTE_SDP")) <= self._agreed + 1

    def _say_again(self) -> None:
        # What goes back goes by a bridge from its ear to its mouth; a hold makes the ear anew, and not the bridge.
        if self.echoes:
            self.command("ausrc", f"aufile,{self.folder}/said.wav")
        self.echoes = False

    def fresh(self) -> None:
        self._say_again()
        self._agreed = len(self.told("CALL_REMOTE_SDP"))

    def stop(self) -> None:
        self.control.close()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
