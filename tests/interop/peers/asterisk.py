"""Asterisk with ARI, out of a folder that `tools/asterisk` fills: a phone calls it, it calls Stasis, offhook answers.

    pjsua2 ══ SIP, RTP ══ Asterisk ── events (we dial it), REST (we ask it), media (it dials us) ── offhook
    100: Stasis(offhook)      agents: ANSWERS is Echo(), BUSY is that; calls of ours and transfers go there

Its libraries are its own, down to the loader: it runs on a machine with older ones.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import urllib.request
from base64 import b64encode
from pathlib import Path
from typing import Any

from interop import kit

ROOT = Path(__file__).parents[3] / ".venv" / "asterisk"
INSTALL = "tools/asterisk"
LOADER = ROOT / "usr/lib64/ld-linux-x86-64.so.2"
LIBRARIES = ROOT / "usr/lib/x86_64-linux-gnu"
PASSWORD, API_PASSWORD = "media-secret", "ari-secret"
ANSWERS, BUSY = "+15557770200", "+15557770300"

FILES = {
    "asterisk.conf": """[directories]
astetcdir => {folder}
astmoddir => {libraries}/asterisk/modules
astvarlibdir => {folder}/var
astdbdir => {folder}/var
astkeydir => {folder}/var
astdatadir => {root}/usr/share/asterisk
astspooldir => {folder}/var
astrundir => {folder}
astlogdir => {folder}
""",
    "modules.conf": "[modules]\nautoload = yes\nnoload = chan_unistim.so\nnoload = chan_iax2.so\n",
    "logger.conf": "[logfiles]\nmessages.log => notice,warning,error,verbose\n",
    "http.conf": "[general]\nenabled = yes\nbindaddr = 127.0.0.1\nbindport = {http}\n",
    "ari.conf": "[general]\nenabled = yes\n[offhook]\ntype = user\npassword = {api_password}\n",
    "websocket_client.conf": """[offhook]
type = websocket_client
uri = ws://127.0.0.1:{web}/services/asterisk/media/audio
protocols = media
username = offhook
password = {password}
connection_type = per_call_config
""",
    "pjsip.conf": """[udp]
type = transport
protocol = udp
bind = 127.0.0.1:{sip}
[anonymous]
type = endpoint
context = in
disallow = all
allow = ulaw
direct_media = no
""",
    "extensions.conf": """[in]
exten => 100,1,Stasis(offhook)
[agents]
exten => {answers},1,Answer()
 same => n,Echo()
exten => {busy},1,Hangup(17)
""",
}

CONFIG = """[sip]
listen = ["udp://127.0.0.1:0"]
[web]
listen = "127.0.0.1:{web}"
[services.asterisk]
user = "offhook"
password = "{password}"
api = "http://127.0.0.1:{http}/ari"
api_user = "offhook"
api_password = "{api_password}"
endpoint = "Local/{{}}@agents"
context = "agents"
caller = "+15550001111"
[dial]
allow = ["+1"]
"""
"""What offhook is told of it."""


class Asterisk:
    """One Asterisk, with ports of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "var").mkdir()
        self.folder = folder
        taken: set[int] = set()
        ports = []
        for _ in range(3):
            ports.append(kit.free_port(taken))
            taken.add(ports[-1])
        self.sip, self.http, web = ports
        values: dict[str, Any] = {"folder": folder, "root": ROOT, "libraries": LIBRARIES, "sip": self.sip}
        values |= {"http": self.http, "web": web, "password": PASSWORD, "api_password": API_PASSWORD}
        values |= {"answers": ANSWERS, "busy": BUSY}
        for name, text in FILES.items():
            (folder / name).write_text(text.format(**values))
        self.toml = CONFIG.format(**values)
        """The configuration of an offhook that answers for it."""
        self.start()

    def start(self) -> None:
        """Start it, and wait until it is there."""
        command = [
            str(LOADER), "--library-path", str(LIBRARIES), str(ROOT / "usr/sbin/asterisk"),
            "-f", "-C", str(self.folder / "asterisk.conf"), "-vvv", "-p",
        ]  # fmt: skip
        with (self.folder / "out").open("ab") as out:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        with kit.ended_if_it_fails(self.stop):
            kit.until("Asterisk to be there", lambda: self._process.poll() is not None or self._answers())
            assert self._process.poll() is None, self.log()[-2000:]

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            self.ask("applications")
            return True
        return False

    def ask(self, what: str) -> Any:
        """Give what ARI says of something."""
        proof = b64encode(f"offhook:{API_PASSWORD}".encode()).decode()
        order = urllib.request.Request(f"http://127.0.0.1:{self.http}/ari/{what}")
        order.add_header("authorization", f"Basic {proof}")
        with urllib.request.urlopen(order, timeout=5) as answer:
            return json.load(answer)

    def apps(self) -> list[str]:
        """Give the applications whose events somebody holds."""
        return [one["name"] for one in self.ask("applications")]

    def running(self) -> list[str]:
        """Give the programs of the dialplan that run."""
        return [one["dialplan"]["app_name"] for one in self.ask("channels")]

    def log(self) -> str:
        """Give all that it said."""
        log = self.folder / "messages.log"
        return (log if log.exists() else self.folder / "out").read_text(errors="replace")

    def stop(self) -> None:
        """End it. Idempotent."""
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
