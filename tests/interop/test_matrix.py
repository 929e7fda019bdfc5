"""Real phones in both roles, over each transport, through every feature: the cells of `matrix.toml`, one test each.

The cells of one peer in one role over one transport are one sitting, a call or a few; a few sittings go on at a time.
Phones of others and a busy machine are what they are: what fails once sits once more, alone, and is named at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from interop import certificates
from interop.matrix import PAGE, ROLES, Cell, cells, page, table
from interop.peers import baresip, kamailio, netsip
from interop.peers.baresip import Baresip
from interop.peers.kamailio import Behind, Kamailio
from interop.peers.linphone import Linphone
from interop.peers.netsip import NetSip
from interop.peers.peer import Peer, Place
from interop.peers.pjsua import Pjsua
from interop.peers.sipp import Sipp
from interop.sitting import Office, Sitting, opened, password

PEERS: dict[str, Callable[[Place], Peer]] = {
    "pjsua2": Pjsua,
    "baresip": Baresip,
    "linphone": Linphone,
    "sipp": Sipp,
    "kamailio": Behind,
}

TRANSPORTS = table()["transports"]

TIMERS = {"linphone": 90}
"""Who refreshes a session only when its timer says so, and the shortest that RFC 4028 section 4 allows."""

PROGRAMS = {
    "baresip": ("baresip", "baresip-core"),
    "linphone": ("linphonec", "linphone-cli"),
    "sipp": ("sipp", "sip-tester"),
    "kamailio": ("kamailio", "kamailio"),
    "net-sip": ("perl", "perl"),
}

FILES = {
    "baresip": (f"{baresip.MODULES}/sndfile.so", "baresip-core"),
    "kamailio": (f"{kamailio.MODULES}/tls.so", "kamailio-tls-modules"),
    "net-sip": ("/usr/share/perl5/Net/SIP.pm", "libnet-sip-perl"),
}

REGISTERED = [
    (cell.peer, cell.role, cell.transport)
    for cell in cells()
    if (cell.feature == "register" and cell.role == "caller" and not cell.reason)
    # It takes no TLS connections: it is called over the one that it registered on.
    or (cell.peer, cell.role, cell.transport) == ("linphone", "callee", "tls")
]
"""Which peers have an account with the desk."""

AGAIN = "-again"
"""What a second sitting's user is called."""

BEFORE = {"resume": "hold", "our-resume": "our-hold"}
"""What must be done before a feature."""

USERS = [user + sitting for user in dict.fromkeys("-".join(key) for key in REGISTERED) for sitting in ("", AGAIN)]

AT_A_TIME = 3
"""Sittings at a time: a call costs little, what takes its time are the features that wait for sound."""

GREEN = [cell for cell in cells() if not cell.reason]


@pytest.fixture(scope="session")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """One desk and one witness for all that need no proxy."""
    folder = tmp_path_factory.mktemp("office")
    users = "".join(f'{user} = "{password(user)}"\n' for user in USERS)
    made = opened(folder, certificates.make(folder / "certificates"), accounts=f"[users]\n{users}")
    yield made
    made.desk.stop()


@contextmanager
def behind(office: Office, number: str, name: str, transport: str) -> Generator[Office]:
    """Open a desk whose trunk is a registrar of its own, which knows this number and those it is handed on to."""
    folder = office.folder / name
    folder.mkdir()
    make, realm = (NetSip, netsip.REALM) if name.startswith("net-sip") else (Kamailio, kamailio.REALM)
    users = ("desk", number, *(f"{number}{witness:02}" for witness in range(20)))
    accounts = {user: password(user) for user in users}
    proxy = make(folder / "registrar", accounts, certificates=office.certificates)
    with ExitStack() as ends:
        ends.callback(proxy.stop)
        carried = f"127.0.0.1:{proxy.port + (transport == 'tls')};transport={transport}"
        trunk = (
            f'[trunks.main]\naddress = "sip:{carried}"\nrealm = "{realm}"\n'
            f'username = "desk"\npassword = "{password("desk")}"\n'
        )
        made = opened(folder, office.certificates, accounts=trunk, proxy=proxy)
        ends.callback(made.desk.stop)
        yield made


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

    twice: list[str] = []

    def sit(name: str, role: str, transport: str, features: set[str], again: str = "") -> dict[str, Any]:
        features = features | {BEFORE[feature] for feature in features & set(BEFORE)}
        sitting = Sitting(
            office, PEERS.get(name, Behind), name, role, transport, frozenset(features), TIMERS.get(name, 0)
        )
        sitting.registers = (name, role, transport) in REGISTERED
        sitting.user += again
        if name not in ("kamailio", "net-sip"):
            sitting.run()
            return sitting.results
        sitting.registers, sitting.user = True, f"+1555010{ROLES.index(role)}{TRANSPORTS.index(transport)}"
        with behind(office, sitting.user, f"{name}-{role}-{transport}{again}", transport) as sitting.office:
            if name == "net-sip":
                sitting.register_only()
            else:
                sitting.run()
        return sitting.results

    def sat(name: str, role: str, transport: str, features: set[str]) -> dict[str, Any]:
        results = sit(name, role, transport, features)
        failed = {feature: error for feature, error in results.items() if error is not None}
        if failed:
            twice.extend(f"{name} {role} {transport} {feature}: {error!r:.300}" for feature, error in failed.items())
            results |= sit(name, role, transport, set(failed), AGAIN)
        return results

    yield {key: pool.submit(sat, *key, features) for key, features in wanted.items()}
    pool.shutdown(cancel_futures=True)
    told: pytest.TerminalReporter | None = request.config.pluginmanager.get_plugin("terminalreporter")
    assert told is not None, "what pytest itself tells of is not captured"
    for line in twice:
        told.write_line(f"sat twice: {line}")


@pytest.mark.interop
@pytest.mark.timeout(600)
@pytest.mark.survives(7)
@pytest.mark.parametrize("cell", GREEN, ids=str)
def test_a_peer(
    sittings: dict[tuple[str, str, str], Future[dict[str, Any]]],
    peer: Callable[[str, str], str],
    peer_file: Callable[[str, str], Path],
    cell: Cell,
) -> None:
    if cell.peer in PROGRAMS:
        peer(*PROGRAMS[cell.peer])
    if cell.peer in FILES:
        peer_file(*FILES[cell.peer])
    error = sittings[cell.peer, cell.role, cell.transport].result(580)[cell.feature]
    if error is not None:
        raise error


def test_the_page_is_made_from_the_table() -> None:
    assert PAGE.read_text() == page(), "write it anew: python -m interop.matrix, in tests/"


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("feature", list(table()["features"]))
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_feature_is_shown_by_two_peers_that_know_nothing_of_each_other(
    feature: str, role: str, transport: str
) -> None:
    fit = [cell for cell in cells() if (cell.feature, cell.role, cell.transport) == (feature, role, transport)]
    phone = {} if feature == "register" else table()["behind"]
    assert len({phone.get(cell.peer, cell.peer) for cell in fit if not cell.reason}) >= 2
