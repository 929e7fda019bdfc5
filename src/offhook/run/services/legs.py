"""Which leg a service's call has, and what listens to its socket.

audio over a media socket ─► StreamLeg, Visit       words over a socket ─► RelayLeg, RelayVisit
words over a socket that we open ─► RealtimeLeg, RelayVisit
words turn by turn ─► TurnLeg: requests are its turns, and it has no socket
"""

from __future__ import annotations

from collections.abc import Callable

from offhook.call.leg import CallInfo
from offhook.carriers.brought import Brought
from offhook.carriers.line import Line as HostLine
from offhook.carriers.realtime import RealtimeLeg
from offhook.carriers.relay import RelayLeg
from offhook.carriers.services.service import Carried, Controlled, Service, Speaking
from offhook.carriers.services.stream import Frame
from offhook.carriers.stream import Controls, StreamLeg, Wire
from offhook.carriers.turns import TurnLeg
from offhook.run.services.visit import Visit


def make_leg(
    service: Service, host: HostLine, info: CallInfo, controls: Controls, gone: Callable[[Brought], None]
) -> Brought:
    """Make the leg of a call, as its service carries it."""
    if isinstance(service, Controlled):
        live = RealtimeLeg(info, controls, gone=lambda _: gone(live))
        return live
    if not isinstance(service, Speaking):
        assert isinstance(service, Carried)
        return StreamLeg(host, info, service.carriage, controls, remote_ip="", gone=gone)
    leg = (
        RelayLeg(info, controls, gone=lambda _: gone(leg))
        if service.way == "relay"
        else TurnLeg(service.name, info, gone=lambda _: gone(leg))
    )
    return leg


class RelayVisit:
    """One socket of words, from its handshake to its end."""

    def __init__(self, leg: RelayLeg | RealtimeLeg) -> None:
        self._leg = leg
        self._open = False

    def opened(self, wire: Wire) -> None:
        """Hear that the socket is open."""
        self._open = True
        self._leg.attach(wire)

    def heard(self, frame: Frame) -> None:
        """Take a message of it."""
        self._leg.hear(frame)

    def closed(self) -> None:
        """Hear that the socket is gone."""
        if self._open:
            self._open = False
            self._leg.lost()


def visit(service: Service, leg: Brought, call: str) -> Visit | RelayVisit | None:
    """Give what listens to the next socket of a leg; None where it has none."""
    if isinstance(leg, StreamLeg) and isinstance(service, Carried):
        return Visit(service, leg, call)
    return RelayVisit(leg) if isinstance(leg, RelayLeg) else None
