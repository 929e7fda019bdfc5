"""One media socket of a managed service, from its handshake to its end.

    opened ─► heard ─► Dialect ─► Started ─► StreamLeg.attach ─► heard ─► StreamLeg.take … ─► closed

Law: a socket that does not say in time whose call it brings, or says another's, is closed.
"""

from __future__ import annotations

import asyncio
from typing import Final

from offhook.carriers.services.service import Carried
from offhook.carriers.services.stream import Frame, Odd, Reply, Started, Stopped
from offhook.carriers.stream import StreamLeg, Wire

START_S: Final = 10.0
"""How long a media socket may be open before it says whose call it brings."""


class Visit:
    """One media socket, from its handshake to its end."""

    def __init__(self, service: Carried, leg: StreamLeg, call: str) -> None:
        self._dialect = service.dialect()
        self._leg = leg
        self._call = call
        self._wire: Wire | None = None
        self._started = False
        self._timer: asyncio.TimerHandle | None = None

    def opened(self, wire: Wire) -> None:
        """Hear that the socket is open."""
        self._wire = wire
        self._timer = asyncio.get_running_loop().call_later(START_S, self._late)

    def heard(self, frame: Frame) -> None:
        """Take a message of it."""
        leg, wire = self._leg, self._wire
        for told in self._dialect.hear(frame):
            if self._started:
                leg.take(told)
            elif isinstance(told, Started) and wire is not None:
                if told.call and self._call and told.call != self._call:
                    wire.close()
                    return
                self._started = True
                self._stop()
                leg.attach(wire, self._dialect, told)
            elif isinstance(told, Reply) and wire is not None:
                wire.send(told.frame)
            elif isinstance(told, Stopped):
                self.closed()
            elif isinstance(told, Odd):
                leg.odd[told.why] = leg.odd.get(told.why, 0) + 1

    def closed(self) -> None:
        """Hear that the socket is gone."""
        self._stop()
        wire, self._wire = self._wire, None
        if wire is not None and self._started:
            self._leg.lost_wire(wire)

    def _late(self) -> None:
        if self._wire is not None and not self._started:
            self._wire.close()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
