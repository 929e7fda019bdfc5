"""Perl's Net::SIP as a registrar over UDP, TCP and, on the port above, TLS: it asks who one is, and carries no call."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from interop import kit
from interop.peers.kamailio import listens
from interop.peers.peer import Certificates

SCRIPT = Path(__file__).with_suffix(".pl")
REALM = "registrar.example"


class NetSip:
    """One Net::SIP with accounts, a password each."""

    def __init__(self, folder: Path, accounts: Mapping[str, str], *, certificates: Certificates) -> None:
        folder.mkdir(parents=True)
        self.port = kit.free_port()
        known = [text for account in accounts.items() for text in account]
        shown = (str(certificates.certificate), str(certificates.key))
        log = folder / "log"
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                ["perl", str(SCRIPT), str(self.port), REALM, *shown, *known], stdout=out, stderr=out
            )
        with kit.ended_if_it_fails(self.stop):
            kit.until("Net::SIP to listen", lambda: self._process.poll() is not None or listens(self.port + 1))
            assert self._process.poll() is None, log.read_text()[-2000:]

    def stop(self) -> None:
        """End it. Idempotent."""
        self._process.kill()
        self._process.wait()
