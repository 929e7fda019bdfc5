"""A leg's port on the media plane, and the address that the far end is told for it.

    open ─► discover, from the RTP socket itself ─► Mapped ─► what a NAT makes of it
                                               └─► nothing within 300 ms ─► our own

Laws: no call waits for a STUN server longer than that, and none fails by it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Final

from offhook import _native as native
from offhook.call.leg import LegEvent
from offhook.carriers.plane import MediaPlane
from offhook.core.media import Address

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
        else:
            self.take(event)


def _nowhere(event: LegEvent) -> None:
    """Take nothing: the leg is not there yet."""
