"""Kamailio is our registrar, and asks for the password of each call; baresip registers at us as a softphone."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.interop

MODULES = "/usr/lib/x86_64-linux-gnu/kamailio/modules"
BARESIP_MODULES = "/usr/lib/baresip/modules"
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
loadmodule "xlog.so"
loadmodule "textops.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
modparam("auth", "algorithm", "{algorithm}")
modparam("auth", "qop", "auth")
modparam("auth", "nonce_expire", {nonce_s})
modparam("auth", "nonce_count", 1)
modparam("registrar", "max_expires", {granted_s})
modparam("registrar", "min_expires", 1)
request_route {{
    if (is_method("REGISTER")) {{
        if (!pv_www_authenticate("{realm}", "zanzibar", "0")) {{
            xlog("L_WARN", "ASKED $rm\\n");
            www_challenge("{realm}", "1");
            exit;
        }}
        xlog("L_WARN", "SAVED $rm expires=$hdr(Expires) contact=$ct\\n");
        save("location");
        exit;
    }}
    if (is_method("INVITE")) {{
        if (!pv_proxy_authenticate("{realm}", "zanzibar", "0")) {{
            xlog("L_WARN", "ASKED $rm\\n");
            proxy_challenge("{realm}", "1");
            exit;
        }}
        xlog("L_WARN", "PROVED $rm from=$fu to=$ru\\n");
        sl_send_reply("486", "Busy Here");
        exit;
    }}
}}
"""


@pytest.fixture
def kamailio(
    kit: Any, peer: Callable[[str, str], str], peer_file: Callable[[str, str], Path], tmp_path: Path
) -> Iterator[Callable[..., tuple[int, Path, subprocess.Popen[bytes]]]]:
    """`kamailio(algorithm)` starts one; gives its port, its log and its process. It is ended with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(
        algorithm: str = "MD5", *, granted_s: int = 60, nonce_s: int = 300, port: int = 0
    ) -> tuple[int, Path, subprocess.Popen[bytes]]:
        program = peer("kamailio", "kamailio")
        peer_file(f"{MODULES}/auth.so", "kamailio")
        folder = tmp_path / f"kamailio{len(started)}"
        folder.mkdir()
        port = port or kit.free_port()
        values = {"modules": MODULES, "realm": REALM, "algorithm": algorithm, "granted_s": granted_s}
        (folder / "kamailio.cfg").write_text(CONFIG.format(port=port, nonce_s=nonce_s, **values))
        log = folder / "log"
        command = [
            program, "-f", str(folder / "kamailio.cfg"), "-DD", "-E", "-m", "64", "-M", "8",
            "-P", str(folder / "pid"), "-Y", str(folder),
        ]  # fmt: skip
        with log.open("wb") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out)
        started.append(process)
        # Its children say on stderr that they are there before they listen: what tells is the port.
        kit.until("kamailio to listen", lambda: process.poll() is not None or listens(port))
        assert process.poll() is None, log.read_text()[-2000:]
        return port, log, process

    yield start
    for process in started:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        if process.poll() is None:
            process.kill()
            process.wait()


def listens(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def trunk(port: int, *, transport: str = "udp", more: str = "") -> str:
    return (
        f'[trunks.main]\naddress = "sip:127.0.0.1:{port};transport={transport}"\nusername = "bob"\n'
        f'password = "zanzibar"\nrealm = "{REALM}"\nexpires_s = 60\n{more}'
    )


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_we_register_and_refresh_and_take_it_back(kit, serve, kamailio, algorithm, transport):
    port, log, _ = kamailio(algorithm, granted_s=4)
    serving = serve(toml=trunk(port, transport=transport))

    def saved() -> list[str]:
        return [line for line in log.read_text(errors="replace").splitlines() if "SAVED REGISTER" in line]

    kit.until("the registration and two refreshes", lambda: len(saved()) >= 3)
    # The nonce is used again with the next count: one challenge is all.
    assert log.read_text(errors="replace").count("ASKED REGISTER") == 1
    assert serving.log.read_text().count("registered") == 1
    assert serving.stop() == 0
    kit.until("the binding to be taken back", lambda: "expires=0" in saved()[-1])


@pytest.mark.survives(18)
def test_a_stale_nonce_is_answered_anew(kit, serve, kamailio):
    port, log, _ = kamailio(granted_s=6, nonce_s=1)
    serving = serve(toml=trunk(port))
    kit.until("three registrations", lambda: log.read_text(errors="replace").count("SAVED REGISTER") >= 3)
    assert "not registered" not in serving.log.read_text()


@pytest.mark.survives(18)
def test_it_is_registered_again_when_the_registrar_is_back(kit, serve, kamailio):
    port, _, process = kamailio(granted_s=4)
    serving = serve(toml=trunk(port))
    kit.until("the registration", lambda: "registered" in serving.log.read_text())
    process.terminate()
    process.wait(10)
    kit.until("the news that it is away", lambda: "not registered" in serving.log.read_text(), 60)
    _, log, _ = kamailio(granted_s=4, port=port)
    kit.until("the registration after it", lambda: "SAVED REGISTER" in log.read_text(errors="replace"), 10)


def test_a_wrong_password_is_told(kit, serve, kamailio):
    port, *_ = kamailio()
    serving = serve(toml=trunk(port).replace("zanzibar", "wrong-one"))
    kit.until("the refusal", lambda: "or its password is not accepted" in serving.log.read_text())


@pytest.mark.survives(32)
def test_another_realm_gets_nothing_and_the_log_says_which(kit, serve, kamailio):
    port, log, _ = kamailio()
    serving = serve(toml=trunk(port).replace(f'realm = "{REALM}"\n', ""))
    kit.until("the refusal", lambda: REALM in serving.log.read_text())
    assert "SAVED" not in log.read_text(errors="replace")


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_a_call_through_it_proves_who_we_are(kit, serve, kamailio, algorithm, tmp_path):
    port, log, _ = kamailio(algorithm)
    config = tmp_path / "dial.toml"
    config.write_text(f'[dial]\nallow = ["+1"]\n{trunk(port, more="register = false")}')
    command = [kit.OFFHOOK, "call", "+15551234567", "offhook.examples:echo", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "PROVED INVITE" in log.read_text(errors="replace"), done.stderr + done.stdout
    assert log.read_text(errors="replace").count("ASKED INVITE") == 1
    assert "486" in done.stderr + done.stdout


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_baresip_registers_at_us(kit, serve, peer, peer_file, tmp_path, transport):
    program = peer("baresip", "baresip-core")
    peer_file(f"{BARESIP_MODULES}/account.so", "baresip-core")
    serving = serve(toml='[users]\nalice = "wonderland"\n')
    folder = tmp_path / "baresip"
    folder.mkdir()
    sip = kit.free_port()
    lines = [
        f"sip_listen 127.0.0.1:{sip}", "net_interface 127.0.0.1", f"module_path {BARESIP_MODULES}",
        "module g711.so", "module_tmp account.so", "module_app menu.so",
    ]  # fmt: skip
    (folder / "config").write_text("\n".join(lines) + "\n")
    account = f"<sip:alice@127.0.0.1:{serving.port};transport={transport}>;auth_user=alice;auth_pass={{}};regint=60\n"
    (folder / "accounts").write_text(account.format("wonderland"))
    (folder / "contacts").write_text("")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "-f", str(folder)], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        kit.until("the registration", lambda: "a user is registered" in serving.log.read_text())
        kit.until("baresip to know of it", lambda: "200 OK" in (folder / "log").read_text(errors="replace"))
        assert "alice" in serving.log.read_text()
    finally:
        process.terminate()
        process.wait(10)
    kit.until("baresip to unregister", lambda: "a user is gone" in serving.log.read_text())
