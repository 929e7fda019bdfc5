"""linphone, through its console client: commands on stdin, what happens in words on stdout, sound from and to files."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import threading

import numpy as np

from interop import kit
from interop.peers.peer import Place


class Linphone:
    """One linphonec with one account; with `encryption` "srtp" it protects what it says, and takes nothing else."""

    def __init__(self, place: Place, *, codec: str = "PCMU/8000/1", encryption: str = "none") -> None:
        self.codec, self.encryption = codec, encryption
        self.said = place.said()
        self.folder = folder = place.folder
        self.place = place
        self.records, self.echoes = True, False
        port = kit.free_port()
        self.uri = place.uri(port)
        (folder / ".asoundrc").write_text("pcm.!default { type null }\nctl.!default { type null }\n")
        # It starts no core where it can't open its database.
        (folder / ".local/share/linphone").mkdir(parents=True)
        (folder / "rc").write_text("\n".join(self._settings(port)) + "\n")
        program = shutil.which("linphonec")
        assert program
        self.process = subprocess.Popen(
            [program, "-a", "-c", "rc", "-d", "6", "-l", "log"],
            cwd=folder,
            env={"HOME": str(folder), "PATH": os.environ["PATH"]},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.screen = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        for line in ("soundcard use files", "play said.wav", "record heard.wav"):
            self.command(line)
        kit.until("linphonec", lambda: "record heard.wav" in self.screen)
        if place.registrar is not None:
            carried = "" if place.transport == "udp" else f";transport={place.transport}"
            # By another name than anybody else here has: whom it finds at its registrar's name it calls through it.
            host, password = place.registrar.host.replace("127.0.0.1", "localhost"), place.registrar.password
            self.command(f"register sip:{place.user}@{host} sip:{host}{carried} {password}")

    def _settings(self, port: int) -> list[str]:
        transport, certificates = self.place.transport, self.place.certificates
        name, rate, channels = self.codec.split("/")
        lines = [
            "[sip]", f"sip_port={port}", f"sip_tcp_port={port if transport == 'tcp' else 0}",
            f"sip_tls_port={port + 1 if transport == 'tls' else 0}",
            "use_ipv6=0", "ipv6_migration_done=1", "bind_address=127.0.0.1", "guess_hostname=0",
            f'contact="{self.place.user}" <sip:{self.place.user}@127.0.0.1>',
            f"root_ca={certificates.authority}", f"client_cert_chain={certificates.certificate}",
            f"client_cert_key={certificates.key}",
            f"media_encryption={self.encryption}", f"media_encryption_mandatory={int(self.encryption != 'none')}",
        ]  # fmt: skip
        if self.place.expires_s:
            lines += [
                "session_expires_enabled=1", f"session_expires_value={self.place.expires_s}",
                "session_expires_min_value=90",
            ]  # fmt: skip
        lines += [
            "[rtp]", "bind_address=127.0.0.1", f"audio_rtp_port={kit.free_port()}", 
            "audio_adaptive_jitt_comp_enabled=0", "audio_jitt_comp=120",
            "[audio_codec_0]", f"mime={name}", f"rate={rate}", f"channels={channels}", "enabled=1",
        ]  # fmt: skip
        return lines

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as out:
            while piece := out.read(1):
                self.screen += piece

    def command(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def shown(self, pattern: str) -> list[str]:
        return re.findall(pattern, self.screen)

    def registered(self) -> bool:
        return "to [LinphoneRegistrationOk]" in (self.folder / "log").read_text(errors="replace")

    def dial(self, to: str) -> None:
        if self._calls():
            self.hold()  # it has one call at a time
        before, over = len(self.shown("Media streams established")), len(self.shown(r"Call \d+ .*ended"))
        self.command(f"call {to}")

        def up() -> bool:
            assert len(self.shown(r"Call \d+ .*(?:ended|error)")) == over, self.screen[-1000:]
            return len(self.shown("Media streams established")) > before

        kit.until("the answer", up)

    def _calls(self) -> list[str]:
        """Give the numbers of the calls that are up, oldest first."""
        over = set(self.shown(r"Call (\d+) [^\n]* (?:ended|error)"))
        begun = dict.fromkeys(self.shown(r"[Cc]all (\d+) (?:with [^\n]* connected|\(audio\))"))
        return [call for call in begun if call not in over]

    def up(self) -> bool:
        return bool(self._calls())

    def heard(self) -> np.ndarray:
        return kit.growing(self.folder / "heard.wav", int(self.codec.split("/")[1]))

    def keys(self) -> str:
        return "".join(self.shown(r"Receiving tone (.) from"))

    def hold(self) -> None:
        before = len(self.shown("is now paused"))
        self.command("pause")
        kit.until("the pause", lambda: len(self.shown("is now paused")) > before)  # sooner it refuses to resume

    def resume(self) -> None:
        self.command(f"resume {self._calls()[-1]}")

    def echo(self) -> None:
        """Nothing: it records all through."""

    def press(self, key: str) -> None:
        self.command(key)

    def refresh(self) -> None:
        """Nothing: its timer does it."""

    def blind(self, to: str) -> None:
        self.command(f"transfer {self._calls()[-1]} {to}")

    def attended(self) -> None:
        first, second = self._calls()[-2:]
        self.command(f"transfer {first} --to-call {second}")

    def expect(self, what: str) -> None:
        """Nothing: a phone takes what comes."""

    def follow(self) -> None:
        """Nothing: a phone does by itself."""

    def hangup(self) -> None:
        self.command("terminate all")

    def fresh(self) -> None:
        """Nothing: it goes on writing the same file."""

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join()
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
