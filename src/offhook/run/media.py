"""The media plane's events, dealt out to whom each port belongs.

    Engine ─ eventfd ─► drain ─► by port number ─► SipLeg

Works on any engine of the same verbs: the native one, or the simulator's.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from offhook import _native as native
from offhook.carriers.identity import Identity, make_identity
from offhook.carriers.plane import Engine
from offhook.core.carriage import Carriage


class EngineMedia:
    """A `MediaPlane` on the running loop."""

    def __init__(self, engine: Engine, rng: random.Random) -> None:
        self.engine = engine
        self._rng = rng
        self._identity: Identity | None = None
        self._takers: dict[int, Callable[[native.Event], None]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def identity(self) -> Identity:
        """Who we are in a DTLS handshake, made when it is first asked for."""
        if self._identity is None:
            self._identity = make_identity()
        return self._identity

    def start(self) -> None:
        """Listen for the engine's events on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self.engine.fileno(), self.drain)

    def open(self, take: Callable[[native.Event], None], beside: int | None = None) -> tuple[int, int]:
        """Open a port, where the one `beside` it is; give its number and its RTP port. OSError where none is free."""
        rng = self._rng
        # RFC 3550 section 5.1: all three random, so that a known text helps nobody who listens. The number begins in
        # its lower half, so that no early loss hides a wrap, which SRTP counts (RFC 3711 section 3.3.1).
        number, rtp_port = self.engine.open(
            ssrc=rng.getrandbits(32),
            sequence=rng.getrandbits(15),
            timestamp=rng.getrandbits(32),
            cname=f"{rng.getrandbits(64):016x}",
            beside=beside,
        )
        self._takers[number] = take
        return number, rtp_port

    def carry(self, take: Callable[[native.Event], None], carriage: Carriage, beside: int | None = None) -> int:
        """Open a port without sockets, whose far end a carrier brings; give its number."""
        number = self.engine.carry(
            lead_ms=carriage.lead_ms,
            least_ms=carriage.least_ms,
            most_ms=carriage.most_ms,
            fences=carriage.marks != "none",
            clears=carriage.clear != "none",
            beside=beside,
        )
        self._takers[number] = take
        return number

    def close(self, number: int) -> dict[str, int]:
        """Close a port; none of its events is dealt out any more."""
        self._takers.pop(number, None)
        return self.engine.close(number)

    def drain(self) -> None:
        """Deal out what waits, oldest first. What belongs to a port that was closed is dropped."""
        takers = self._takers
        for event in self.engine.drain():
            take = takers.get(event.port)
            if take is not None:
                take(event)

    @property
    def ports(self) -> int:
        """How many ports are open."""
        return len(self._takers)

    def stop(self) -> None:
        """Stop listening and shut the engine down."""
        if self._loop is not None:
            self._loop.remove_reader(self.engine.fileno())
            self._loop = None
        for number in list(self._takers):
            self.close(number)
        self.engine.shutdown()
