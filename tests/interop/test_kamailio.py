"""Kamailio is our registrar, and asks for the password of each call; baresip registers at us as a softphone."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from interop import certificates
from interop.peers import baresip
from interop.peers.baresip import Baresip
from interop.peers.kamailio import MODULES, REALM, Kamailio
from interop.peers.peer import Place, Registrar

pytestmark = pytest.mark.interop

ACCOUNTS = {"bob": "zanzibar"}


@pytest.fixture
def kamailio(
    peer: Callable[[str, str], str], peer_file: Callable[[str, str], Path], tmp_path: Path
) -> Iterator[Callable[..., Kamailio]]:
    """`kamailio(algorithm)` starts one that knows bob; it is ended with the test."""
    started: list[Kamailio] = []

    def start(algorithm: str = "MD5", **details: Any) -> Kamailio:
        peer("kamailio", "kamailio")
        peer_file(f"{MODULES}/auth_db.so", "kamailio")
        started.append(Kamailio(tmp_path / f"kamailio{len(started)}", ACCOUNTS, algorithm=algorithm, **details))
        return started[-1]

    yield start
    for one in started:
        one.stop()


def trunk(port: int, *, transport: str = "udp", more: str = "") -> str:
    return (
        f'[trunks.main]\naddress = "sip:127.0.0.1:{port};transport={transport}"\nusername = "bob"\n'
        f'password = "zanzibar"\nrealm = "{REALM}"\nexpires_s = 60\n{more}'
    )


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_we_register_and_refresh_and_take_it_back(kit, serve, kamailio, algorithm, transport):
    registrar = kamailio(algorithm, granted_s=4)
    serving = serve(toml=trunk(registrar.port, transport=transport))

    def saved() -> list[str]:
        return [line for line in registrar.log().splitlines() if "SAVED REGISTER" in line]

    kit.until("the registration and two refreshes", lambda: len(saved()) >= 3)
    # The nonce is used again with the next count: one challenge is all.
    assert registrar.log().count("ASKED REGISTER") == 1
    assert serving.log.read_text().count("registered") == 1
    assert serving.stop() == 0
    kit.until("the binding to be taken back", lambda: "expires=0" in saved()[-1])


@pytest.mark.survives(18)
def test_a_stale_nonce_is_answered_anew(kit, serve, kamailio):
    registrar = kamailio(granted_s=6, nonce_s=1)
    serving = serve(toml=trunk(registrar.port))
    kit.until("three registrations", lambda: registrar.log().count("SAVED REGISTER") >= 3)
    assert "not registered" not in serving.log.read_text()


@pytest.mark.survives(18)
def test_it_is_registered_again_when_the_registrar_is_back(kit, serve, kamailio):
    registrar = kamailio(granted_s=4)
    serving = serve(toml=trunk(registrar.port))
    kit.until("the registration", lambda: "registered" in serving.log.read_text())
    registrar.stop()
    kit.until("the news that it is away", lambda: "not registered" in serving.log.read_text(), 60)
    registrar = kamailio(granted_s=4, port=registrar.port)
    kit.until("the registration after it", lambda: "SAVED REGISTER" in registrar.log(), 10)


def test_a_wrong_password_is_told(kit, serve, kamailio):
    serving = serve(toml=trunk(kamailio().port).replace("zanzibar", "wrong-one"))
    kit.until("the refusal", lambda: "or its password is not accepted" in serving.log.read_text())


@pytest.mark.survives(32)
def test_another_realm_gets_nothing_and_the_log_says_which(kit, serve, kamailio):
    registrar = kamailio()
    serving = serve(toml=trunk(registrar.port).replace(f'realm = "{REALM}"\n', ""))
    kit.until("the refusal", lambda: REALM in serving.log.read_text())
    assert "SAVED" not in registrar.log()


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_a_call_through_it_proves_who_we_are(kit, serve, kamailio, algorithm, tmp_path):
    registrar = kamailio(algorithm)
    config = tmp_path / "dial.toml"
    config.write_text(f'[dial]\nallow = ["+1"]\n{trunk(registrar.port, more="register = false")}')
    command = [kit.OFFHOOK, "call", "+15551234567", "offhook.examples:echo", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "PROVED INVITE" in registrar.log(), done.stderr + done.stdout
    assert registrar.log().count("ASKED INVITE") == 1
    assert "486" in done.stderr + done.stdout


def test_baresip_registers_at_us_and_takes_it_back_when_it_goes(kit, serve, peer, peer_file, tmp_path):
    peer("baresip", "baresip-core")
    peer_file(f"{baresip.MODULES}/account.so", "baresip-core")
    serving = serve(toml='[users]\nalice = "wonderland"\n')
    registrar = Registrar(f"127.0.0.1:{serving.port}", "wonderland")
    phone = Baresip(Place(tmp_path / "phone", "alice", "udp", certificates.make(tmp_path / "made"), registrar))
    try:
        kit.until("baresip to know of its registration", phone.registered)
        assert "a user is registered" in serving.log.read_text()
    finally:
        phone.stop()
    kit.until("baresip to unregister", lambda: "a user is gone" in serving.log.read_text())
