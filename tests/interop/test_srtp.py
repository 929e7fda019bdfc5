"""Real phones that speak SRTP by SDES over TLS, as callers and callees: heard both ways, and nothing in clear."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from interop import certificates, kit
from interop.peers import baresip
from interop.peers.baresip import Baresip
from interop.peers.linphone import Linphone
from interop.peers.peer import Peer, Place, address
from interop.peers.pjsua import Pjsua
from interop.program import Program
from interop.sitting import Office, Sitting, password

PHONES: dict[str, Callable[[Place], Peer]] = {
    "baresip-srtp": lambda place: Baresip(place, encryption="srtp"),
    "baresip-srtp-mand": lambda place: Baresip(place, encryption="srtp-mand"),
    "baresip-srtp-mandf": lambda place: Baresip(place, encryption="srtp-mandf"),
    "linphone-srtp": lambda place: Linphone(place, encryption="srtp"),
    "pjsua2-optional": lambda place: Pjsua(place, srtp="optional"),
    "pjsua2-mandatory": lambda place: Pjsua(place, srtp="mandatory"),
}

CELLS = [
    (name, role)
    for name in PHONES
    for role in ("caller", "callee")
    # With this it takes no other profile than RTP/SAVPF, and we offer RTP/SAVP.
    if (name, role) != ("baresip-srtp-mandf", "callee")
]

REGISTERED = "linphone-srtp-callee-tls"
"""Takes no TLS connections: it is called over the one that it registered on."""

FEATURES = frozenset({"call", "hold", "resume", "our-hold", "our-resume", "hangup"})


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """A desk that speaks nothing but SRTP."""
    folder = tmp_path_factory.mktemp("secure")
    made = certificates.make(folder / "certificates")
    port, rtp, said = kit.free_port(), kit.free_port(), kit.endless(98, folder / "desk.wav")
    (folder / "desk.toml").write_text(
        "[sip]\n"
        f'listen = ["udp://127.0.0.1:{port}", "tls://127.0.0.1:{port + 1}"]\n'
        'srtp = "required"\n'
        f"rtp_ports = [{rtp}, {rtp + 200}]\n"
        f'tls = {{ certificate = "{made.certificate}", key = "{made.key}", ca = "{made.authority}" }}\n'
        '[dial]\nallow = ["sip:*@127.*"]\n[routes]\n"*" = "interop.desk:talk"\n'
        f'[users]\n{REGISTERED} = "{password(REGISTERED)}"\n'
    )
    desk = Program("desk.py", folder / "desk.toml", folder / "desk.wav", folder, log=folder / "desk.log")
    yield Office(desk, port, said, folder, made)
    desk.stop()


@pytest.mark.interop
@pytest.mark.timeout(180)
@pytest.mark.survives(7)
@pytest.mark.parametrize(("name", "role"), CELLS)
def test_a_phone_with_srtp_over_tls_is_heard_and_hears(
    office: Office, peer: Callable[[str, str], str], peer_file: Callable[[str, str], Path], name: str, role: str
) -> None:
    if name.startswith("baresip"):
        peer("baresip", "baresip-core")
        peer_file(f"{baresip.MODULES}/srtp.so", "baresip-core")
    if name.startswith("linphone"):
        peer("linphonec", "linphone-cli")
    sitting = Sitting(office, PHONES[name], name, role, "tls", FEATURES)
    sitting.registers = sitting.user == REGISTERED
    sitting.run()
    assert {feature: error for feature, error in sitting.results.items() if error is not None} == {}
    described = [text for way in ("in", "out") for text in sitting.wire(way) if "m=audio" in text]
    assert described
    assert all("a=crypto:" in text for text in described)


@pytest.mark.interop
@pytest.mark.timeout(120)
def test_baresip_with_srtp_over_tls_talks_to_the_echo(
    serve: Any, tmp_path: Path, peer: Callable[[str, str], str], peer_file: Callable[[str, str], Path]
) -> None:
    peer("baresip", "baresip-core")
    peer_file(f"{baresip.MODULES}/srtp.so", "baresip-core")
    made, port = certificates.make(tmp_path / "certificates"), kit.free_port()
    # Nothing is said of SRTP: over TLS it is taken where it is offered.
    tls = f'listen = ["tls://127.0.0.1:{port + 1}"]\ntls = {{ certificate = "{made.certificate}", key = "{made.key}" }}'
    serving = serve(toml=f"[sip]\n{tls}\n")
    phone = Baresip(Place(tmp_path / "phone", "phone", "tls", made), encryption="srtp-mand")
    try:
        phone.dial(address("echo", "tls", port))
        kit.until("its own words", kit.through(phone.heard, phone.said), 20.0)
        log = (tmp_path / "phone" / "log").read_text(errors="replace")
        assert "RTP/SAVP" in log
        assert "a=crypto:" in log
    finally:
        phone.stop()
    assert serving.stop() == 0
