"""Calls that come by a media socket and by nothing else: no webhook was before it, and no API is beside it.

    opened ─► heard ─► Started ─► Host.bring ─┬─► the agent takes it ─► StreamLeg.attach
                                             └─► it refuses ─► the socket is closed

Law: until the agent has taken the call nothing of it is heard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from offhook.call.leg import CallInfo
from offhook.carriers.services.service import Direct
from offhook.carriers.services.stream import Frame, Reply, Started, Stopped
from offhook.carriers.stream import StreamLeg, Wire
from offhook.core.errors import DialFailed, ProtocolError, TransferFailed
from offhook.core.ids import CallId
from offhook.run.host import Host
from offhook.run.services.visit import START_S


class SocketAlone:
    """What can be done with such a call: its end is the socket's."""

    transfers = False

    async def hang_up(self) -> None:
        """Do nothing: the socket is closed."""

    async def transfer(self, target: str) -> None:
        """Refuse: there is nobody to ask."""
        raise TransferFailed(501, "this service hands nobody on", refused=True)


class DirectVisit:
    """One such socket, from its opening to its end."""

    def __init__(self, service: Direct, host: Host, peer: str) -> None:
        self._service = service
        self._host = host
        self._peer = peer
        self._dialect = service.dialect()
        self._wire: Wire | None = None
        self._leg: StreamLeg | None = None
        self._taken = False
        self._timer: asyncio.TimerHandle | None = None
        self._taking: asyncio.Task[None] | None = None

    def opened(self, wire: Wire) -> None:
        """Hear that the socket is open."""
        self._wire = wire
        self._timer = asyncio.get_running_loop().call_later(START_S, self._late)

    def heard(self, frame: Frame) -> None:
        """Take a message of it."""
        for told in self._dialect.hear(frame):
            if isinstance(told, Reply):
                if self._wire is not None:
                    self._wire.send(told.frame)
            elif self._leg is not None and self._taken and not self._leg.over:
                self._leg.take(told)
            elif isinstance(told, Started) and self._leg is None:
                self._began(told)
            elif isinstance(told, Stopped):
                self._close()

    def closed(self) -> None:
        """Hear that the socket is gone."""
        self._stop()
        wire, self._wire = self._wire, None
        if self._leg is not None:
            if self._taken and wire is not None:
                self._leg.lost_wire(wire)
            else:
                self._leg.left(487, "remote_hangup")

    def _began(self, started: Started) -> None:
        self._stop()
        info = CallInfo(CallId(""), "inbound", started.caller, started.called, started.params, trunk=self._service.name)
        try:
            leg = self._host.bring(self._make, info, None)
        except ProtocolError:
            self._close()
            return
        assert isinstance(leg, StreamLeg)
        self._taking = asyncio.get_running_loop().create_task(self._take(leg, started), name=f"{info.trunk} call")

    def _make(self, info: CallInfo) -> StreamLeg:
        gone: Callable[[StreamLeg], None] = self._host.ended
        self._leg = StreamLeg(
            self._host.line, info, self._service.carriage, SocketAlone(), remote_ip=self._peer, gone=gone
        )
        return self._leg

    async def _take(self, leg: StreamLeg, started: Started) -> None:
        with suppress(DialFailed):
            await leg.decided()
            if self._wire is not None:
                self._taken = True
                leg.attach(self._wire, self._dialect, started)
                return
        self._close()

    def _late(self) -> None:
        if self._leg is None:
            self._close()

    def _close(self) -> None:
        if self._wire is not None:
            self._wire.close()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
