"""A leg's port on the media plane, and the address that the far end is told for it.

    open ─► discover, from the RTP socket itself ─► Mapped ─► what a NAT makes of it
                                               └─► nothing within 300 ms ─► our own

Laws: no call waits for a STUN server longer than that, and none fails by it.
"""

from __future__ import annotations

import asyncio
import random
import string
from collections.abc import Callable
from typing import Final

from offhook import _native as native
from offhook.call.leg import LegEvent
from offhook.carriers.plane import MediaPlane
from offhook.core.media import Address, Tunnel
from offhook.sip.tunnels import Here

NAMES_LIMIT: Final = 8
"""Names of ICE that one port has had: each is for one begun anew, and the last ones are all that is asked for."""

ICE_CHARS: Final = string.ascii_letters + string.digits + "+/"
"""RFC 8839 section 5.4. One says 6 bits: 24 of them 144, where a password must say 128."""

WAIT_S: Final = 0.3
"""How long a call may wait for a STUN server: three requests, of which the first is nearly always answered."""


class Door:
    """An open port. `address` is what the far end is told; events go to `take`. OSError where no port is free."""

    def __init__(
        self, media: MediaPlane, ip: str, stun: Address | None, rng: random.Random, *, beside: int | None = None
    ) -> None:
        self.number, port = media.open(self._heard, beside)
        self.address: Address = (ip, port)
        self.take: Callable[[LegEvent], None] = _nowhere
        self._open = media
        self._rng = rng
        self._names: dict[tuple[str, str], tuple[str, str]] = {}
        self._known: asyncio.Event | None = None
        if stun is not None:
            self._known = asyncio.Event()
            media.engine.discover(self.number, stun, rng.getrandbits(96).to_bytes(12, "big"))

    async def known(self) -> bool:
        """Wait until the address is known as well as it will be; give whether it is another than at first."""
        if self._known is None:
            return False
        try:
            async with asyncio.timeout(WAIT_S):
                await self._known.wait()
        except TimeoutError:
            self._known = None  # what comes now comes too late: the far end is told our own
            return False
        return True

    def seen(self, ip: str | None) -> Address:
        """Give the address for a far end that sees our own as `ip` (None: as the first one does)."""
        mapped = self._known is not None and self._known.is_set()
        return self.address if ip is None or mapped else (ip, self.address[1])

    def here(self, theirs: tuple[str, str] | None, *, ip: str | None = None, lite: bool = True) -> Here:
        """Give what a browser with that ICE name and password is told of this port; None: whom we offer it to.

        Our own name and password are one pair a far end: new ones of its are new ones of ours (RFC 8839 section 4.4.3).
        """
        key = theirs or ("", "")
        if key not in self._names:
            while len(self._names) >= NAMES_LIMIT:
                del self._names[next(iter(self._names))]
            self._names[key] = _word(self._rng, 8), _word(self._rng, 24)
        ufrag, pwd = self._names[key]
        return Here(ufrag, pwd, (self.seen(ip),), self._open.identity.fingerprint, lite)

    def tunnel(self, agreed: Tunnel) -> None:
        """Have all media of this port go as was agreed."""
        identity = self._open.identity
        self._open.engine.tunnel(
            self.number,
            ours=agreed.ours,
            theirs=agreed.theirs,
            candidates=agreed.candidates,
            fingerprints=agreed.fingerprints,
            identity=(identity.certificate, identity.key),
            lite=agreed.lite,
            controlling=agreed.controlling,
            active=agreed.active,
            seed=self._rng.getrandbits(64),
        )

    def give(self, take: Callable[[LegEvent], None]) -> Door:
        """Let events go to `take` from here on."""
        self.take = take
        return self

    def close(self) -> dict[str, int]:
        """Close the port, and let go of whom its events went to; its counters."""
        self.take = _nowhere
        return self._open.close(self.number)

    def _heard(self, event: native.Event) -> None:
        if isinstance(event, native.Mapped):
            if self._known is not None and not self._known.is_set():
                self.address = event.address
                self._known.set()
        elif not isinstance(event, native.Leaving | native.Fence | native.Emptied):  # a port with sockets tells none
            self.take(event)


def _word(rng: random.Random, length: int) -> str:
    return "".join(rng.choices(ICE_CHARS, k=length))


def _nowhere(event: LegEvent) -> None:
    """Take nothing: the leg is not there yet."""
