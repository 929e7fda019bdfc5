"""Kamailio: a registrar that asks who one is, and a proxy that stays in the path, with its accounts in text files.

    offhook ══ SIP ══ Kamailio ══ SIP ══ pjsua2          REGISTER: digest, kept     INVITE: digest, Record-Route, on
       └─────────────── RTP ───────────────┘             who is not registered is busy (486)

Its log says what it did: ASKED, SAVED, PROVED and the method.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

from interop import kit
from interop.peers.peer import Certificates, Place, address
from interop.peers.pjsua import Pjsua

MODULES = "/usr/lib/x86_64-linux-gnu/kamailio/modules"
REALM = "registrar.example"

CONFIG = """#!KAMAILIO
debug=2
log_stderror=yes
children=1
tcp_children=1
auto_aliases=no
listen=udp:127.0.0.1:{port}
listen=tcp:127.0.0.1:{port}
mpath="{modules}/"
loadmodule "kex.so"
loadmodule "pv.so"
loadmodule "sl.so"
loadmodule "tm.so"
loadmodule "rr.so"
loadmodule "xlog.so"
loadmodule "siputils.so"
loadmodule "textops.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
modparam("registrar", "gruu_enabled", 0)
loadmodule "db_text.so"
loadmodule "auth.so"
loadmodule "auth_db.so"
modparam("auth", "algorithm", "{algorithm}")
modparam("auth", "qop", "auth")
modparam("auth", "nonce_expire", {nonce_s})
modparam("auth", "nonce_count", 1)
modparam("auth_db", "db_url", "text://{folder}")
modparam("auth_db", "calculate_ha1", 1)
modparam("auth_db", "password_column", "password")
modparam("registrar", "max_expires", {granted_s})
modparam("registrar", "min_expires", 1)
{tls}
request_route {{
    if (is_method("REGISTER")) {{
        if (!www_authorize("{realm}", "subscriber")) {{
            xlog("L_WARN", "ASKED $rm\\n");
            www_challenge("{realm}", "1");
            exit;
        }}
        xlog("L_WARN", "SAVED $rm expires=$hdr(Expires) contact=$ct\\n");
        save("location");
        exit;
    }}
    if (has_totag()) {{
        if (loose_route() || t_check_trans()) t_relay();
        exit;
    }}
    if (is_method("CANCEL")) {{
        if (t_check_trans()) t_relay();
        exit;
    }}
    if (is_method("INVITE")) {{
        if (!proxy_authorize("{realm}", "subscriber")) {{
            xlog("L_WARN", "ASKED $rm\\n");
            proxy_challenge("{realm}", "1");
            exit;
        }}
        xlog("L_WARN", "PROVED $rm from=$fu to=$ru\\n");
        consume_credentials();
        record_route();
        if (!lookup("location")) {{
            sl_send_reply("486", "Busy Here");
            exit;
        }}
        t_relay();
        exit;
    }}
}}
"""

TLS = """enable_tls=yes
listen=tls:127.0.0.1:{port}
loadmodule "tls.so"
modparam("tls", "tls_method", "TLSv1.2+")
modparam("tls", "certificate", "{certificate}")
modparam("tls", "private_key", "{key}")
modparam("tls", "ca_list", "{authority}")
"""


def listens(port: int) -> bool:
    """Say whether someone takes connections there."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Kamailio:
    """One Kamailio with accounts, a password each; TLS, on the port above the others, where it has a certificate."""

    def __init__(
        self,
        folder: Path,
        accounts: Mapping[str, str],
        *,
        certificates: Certificates | None = None,
        algorithm: str = "MD5",
        granted_s: int = 60,
        nonce_s: int = 300,
        port: int = 0,
    ) -> None:
        folder.mkdir(parents=True)
        self.port = port = port or kit.free_port()
        rows = "".join(f"{user}:{REALM}:{password}\n" for user, password in accounts.items())
        (folder / "version").write_text("table_name(string) table_version(int)\nsubscriber:7\n")
        (folder / "subscriber").write_text(f"username(string) domain(string) password(string)\n{rows}")
        tls = ""
        if certificates is not None:
            shown, key, authority = certificates.certificate, certificates.key, certificates.authority
            tls = TLS.format(port=port + 1, certificate=shown, key=key, authority=authority)
        values = {"modules": MODULES, "realm": REALM, "algorithm": algorithm, "granted_s": granted_s}
        (folder / "kamailio.cfg").write_text(
            CONFIG.format(port=port, nonce_s=nonce_s, folder=folder, tls=tls, **values)
        )
        self._log = folder / "log"
        program = shutil.which("kamailio")
        assert program
        command = [
            program, "-f", str(folder / "kamailio.cfg"), "-DD", "-E", "-m", "64", "-M", "8",
            "-P", str(folder / "pid"), "-Y", str(folder),
        ]  # fmt: skip
        with self._log.open("wb") as out:
            self._process = subprocess.Popen(command, stdout=out, stderr=out)
        with kit.ended_if_it_fails(self.stop):
            # Its children say on stderr that they are there before they listen: what tells is the port.
            kit.until("kamailio to listen", lambda: self._process.poll() is not None or listens(self.port))
            assert self._process.poll() is None, self.log()[-2000:]

    def log(self) -> str:
        """Give all that it said."""
        return self._log.read_text(errors="replace")

    def stop(self) -> None:
        """End it. Idempotent."""
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


class Behind(Pjsua):
    """A pjsua2 that is called, and calls, through the registrar of its place."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        assert place.registrar is not None
        port = int(place.registrar.host.rpartition(":")[2]) - (place.transport == "tls")
        self.uri = address(place.user, place.transport, port)
        with kit.ended_if_it_fails(self.stop):
            kit.until("the phone's registration", self.registered)
