"""A real phone as the matrix drives it: one class a program, all with these verbs.

    start ─► register? ─► dial / is called (it answers by itself) ─► hold resume press refresh blind attended ─► hangup

A verb returns once the program has taken the order; what came of it is on the wire, in what is heard and in `up`. What
a program can't do is not here but in the table, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from interop import kit

LOCAL = "127.0.0.1"


@dataclass(frozen=True)
class Certificates:
    """Paths: whom to trust, and what we show, as chain and key and as one file with both."""

    authority: Path
    certificate: Path
    key: Path
    both: Path


@dataclass(frozen=True)
class Registrar:
    """Where a phone registers: the host and port of a SIP URI, and the account's password."""

    host: str
    password: str


@dataclass(frozen=True)
class Place:
    """What a phone is given: its folder, its user name, what carries it, and where it registers."""

    folder: Path
    user: str
    transport: str
    certificates: Certificates
    registrar: Registrar | None = None
    expires_s: int = 0
    """Ask for a session timer of so many seconds (RFC 4028); 0: as the program likes."""
    host: str = LOCAL
    """Where it listens; on an address of its own it is called without a port, at the usual one."""

    def port(self) -> int:
        """Give a port for a phone to listen on."""
        return kit.free_port() if self.host == LOCAL else 5060

    def uri(self, port: int) -> str:
        """Give the URI at which a phone on this port is called; TLS is on the next one."""
        if self.host != LOCAL:
            return f"sip:{self.user}@{self.host}"
        return address(self.user, self.transport, port)

    def said(self) -> kit.Search:
        """Write what the phone says, and no other does, to `said.wav` in its folder; give it to be looked for."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return kit.endless(sum(self.user.encode()), self.folder / "said.wav")


def address(user: str, transport: str, port: int) -> str:
    """Give a SIP URI on this machine; TLS is one port above UDP and TCP."""
    if transport == "udp":
        return f"sip:{user}@127.0.0.1:{port}"
    return f"sip:{user}@127.0.0.1:{port + (transport == 'tls')};transport={transport}"


class Peer(Protocol):
    """A phone that runs."""

    said: kit.Search
    uri: str

    @property
    def records(self) -> bool:
        """Whether `heard` still grows; where it does not, what is heard can be sent back (`echo`)."""
        ...

    @property
    def echoes(self) -> bool:
        """Whether what is heard is sent back in this call."""
        ...

    def registered(self) -> bool:
        """Whether its registrar took it."""
        ...

    def dial(self, to: str) -> None:
        """Call someone; returns once media may flow."""
        ...

    def up(self) -> bool:
        """Whether it is in a call, or in one more than is being transferred."""
        ...

    def heard(self) -> np.ndarray:
        """Give all that it heard so far, in all its calls."""
        ...

    def keys(self) -> str:
        """Give the keys that were pressed to it."""
        ...

    def hold(self) -> None:
        """Put its call on hold."""
        ...

    def resume(self) -> None:
        """Take its call off hold."""
        ...

    def echo(self) -> None:
        """Send back what is heard, instead of the file, until the end of the call."""
        ...

    def press(self, key: str) -> None:
        """Press a key."""
        ...

    def refresh(self) -> None:
        """Have the session refreshed: by an order, or by letting its timer come."""
        ...

    def blind(self, to: str) -> None:
        """Transfer its call to someone (REFER, RFC 3515)."""
        ...

    def attended(self) -> None:
        """Transfer its first call to the far end of its second (REFER with Replaces, RFC 3891)."""
        ...

    def expect(self, what: str) -> None:
        """Hear what offhook is about to do: a phone need not know, a script must."""
        ...

    def follow(self) -> None:
        """Call whom offhook refers it to and tell it so: a phone does by itself."""
        ...

    def hangup(self) -> None:
        """End its call."""
        ...

    def fresh(self) -> None:
        """Be ready for a new call."""
        ...

    def stop(self) -> None:
        """End the program."""
        ...
