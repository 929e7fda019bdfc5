"""Real phones in both roles, over each transport, through every feature: the cells of `matrix.toml`, one test each.

The cells of one peer in one role over one transport are one sitting, a call or a few; a few sittings go on at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from interop import certificates, kit
from interop.matrix import PAGE, ROLES, Cell, cells, page, table
from interop.peers.baresip import MODULES, Baresip
from interop.peers.linphone import Linphone
from interop.peers.peer import Peer, Place
from interop.peers.pjsua import Pjsua
from interop.peers.sipp import Sipp
from interop.program import Program
from interop.sitting import Office, Sitting, password

PEERS: dict[str, Callable[[Place], Peer]] = {"pjsua2": Pjsua, "baresip": Baresip, "linphone": Linphone, "sipp": Sipp}

TIMERS = {"linphone": 90}
"""Who refreshes a session only when its timer says so, and the shortest that RFC 4028 section 4 allows."""

PROGRAMS = {
    "baresip": ("baresip", "baresip-core"),
    "linphone": ("linphonec", "linphone-cli"),
    "sipp": ("sipp", "sip-tester"),
}

REGISTERED = [
    (cell.peer, cell.role, cell.transport)
    for cell in cells()
    if (cell.feature == "register" and cell.role == "caller" and not cell.reason)
    # It takes no TLS connections: it is called over the one that it registered on.
    or (cell.peer, cell.role, cell.transport) == ("linphone", "callee", "tls")
]
"""Which peers have an account with the desk."""

USERS = list(dict.fromkeys("-".join(key) for key in REGISTERED))

AT_A_TIME = 3
"""Sittings at a time: a call costs little, what takes its time are the features that wait for sound."""

GREEN = [cell for cell in cells() if not cell.reason]


@pytest.fixture(scope="session")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """One desk and one witness for all."""
    folder = tmp_path_factory.mktemp("office")
    made = certificates.make(folder / "certificates")
    port, rtp, said = kit.free_port(), kit.free_port(), kit.endless(99, folder / "desk.wav")
    (folder / "desk.toml").write_text(
        "[sip]\n"
        f'listen = ["udp://127.0.0.1:{port}", "tcp://127.0.0.1:{port}", "tls://127.0.0.1:{port + 1}"]\n'
        f"rtp_ports = [{rtp}, {rtp + 600}]\n"
        f'tls = {{ certificate = "{made.certificate}", key = "{made.key}", ca = "{made.authority}" }}\n'
        '[dial]\nallow = ["sip:*@127.0.0.1"]\n'
        '[routes]\n"*" = "interop.desk:talk"\n'
        "[users]\n" + "".join(f'{user} = "{password(user)}"\n' for user in USERS)
    )
    arguments = (folder / "desk.toml", folder / "desk.wav", folder)
    desk = Program("desk.py", *arguments, log=folder / "desk.log")
    yield Office(desk, port, said, folder, made)
    desk.stop()


@pytest.fixture(scope="session")
def sittings(
    request: pytest.FixtureRequest,
    office: Office,
    peer: Callable[[str, str], str],
    peer_file: Callable[[str, str], Path],
) -> Iterator[dict[tuple[str, str, str], Future[dict[str, Any]]]]:
    """Begin the sittings of all cells that were asked for; a cell's test waits for its own."""
    wanted: dict[tuple[str, str, str], set[str]] = {}
    for item in request.session.items:
        cell = getattr(getattr(item, "callspec", None), "params", {}).get("cell")
        if isinstance(cell, Cell):
            wanted.setdefault((cell.peer, cell.role, cell.transport), set()).add(cell.feature)
    pool = ThreadPoolExecutor(AT_A_TIME)

    def sit(name: str, role: str, transport: str, features: set[str]) -> dict[str, Any]:
        sitting = Sitting(office, PEERS[name], name, role, transport, frozenset(features), TIMERS.get(name, 0))
        sitting.registers = (name, role, transport) in REGISTERED
        sitting.run()
        return sitting.results

    yield {key: pool.submit(sit, *key, features) for key, features in wanted.items()}
    pool.shutdown(cancel_futures=True)


@pytest.mark.interop
@pytest.mark.timeout(600)
@pytest.mark.parametrize("cell", GREEN, ids=str)
def test_a_peer(
    sittings: dict[tuple[str, str, str], Future[dict[str, Any]]],
    peer: Callable[[str, str], str],
    peer_file: Callable[[str, str], Path],
    cell: Cell,
) -> None:
    if cell.peer in PROGRAMS:
        peer(*PROGRAMS[cell.peer])
    if cell.peer == "baresip":
        peer_file(f"{MODULES}/sndfile.so", "baresip-core")
    error = sittings[cell.peer, cell.role, cell.transport].result(580)[cell.feature]
    if error is not None:
        raise error


def test_the_page_is_made_from_the_table() -> None:
    assert PAGE.read_text() == page(), "write it anew: python -m interop.matrix, in tests/"


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("feature", list(table()["features"]))
def test_a_feature_is_shown_by_two_peers_in_each_role_or_the_table_says_why_not(feature: str, role: str) -> None:
    fit = [cell for cell in cells() if (cell.feature, cell.role) == (feature, role)]
    shown = {cell.peer for cell in fit if not cell.reason}
    assert len(shown) >= 2 or all(cell.reason for cell in fit if cell.peer not in shown)
