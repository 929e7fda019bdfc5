"""Pairs for `testing.legs.check_leg`: a leg of a media socket, and who calls by it, without a call or an agent.

async with stream_pair(world, dialect, tongue) as pair: …
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from offhook.call.leg import CallInfo
from offhook.carriers.services.stream import Dialect, Frame, Reply, Started
from offhook.carriers.stream import StreamLeg
from offhook.core.errors import TransferFailed
from offhook.core.ids import CallId
from offhook.testing.callers import CallerPhone
from offhook.testing.carriers.farend import FarEnd, Tongue
from offhook.testing.legs import Pair
from offhook.testing.world import World


class FakeControls:
    """What a fake service does with one call: it hangs up."""

    transfers = False

    def __init__(self) -> None:
        self.far: FarEnd | None = None

    async def hang_up(self) -> None:
        """End the call there."""
        if self.far is not None:
            self.far.finish()

    async def transfer(self, target: str) -> None:
        """Refuse."""
        raise TransferFailed(501, refused=True)


class _Wire:
    def __init__(self, far: FarEnd) -> None:
        self._far = far

    def send(self, frame: Frame) -> None:
        self._far.take(frame)

    def close(self) -> None:
        self._far.lost()


@asynccontextmanager
async def stream_pair(
    world: World, dialect: Dialect, tongue: Tongue, *, ip: str = "10.1.0.9", rtt_s: float = 0.08
) -> AsyncGenerator[Pair]:
    """Give a leg that rings, and its far end; the socket comes with the answer."""
    async with CallerPhone(world, ip, name="desk") as desk:
        controls = FakeControls()
        info = CallInfo(CallId(f"{ip}-1"), "inbound", "+15550001111", "+15552223333")
        leg = StreamLeg(desk.line, info, dialect.carriage, controls, remote_ip="203.0.113.7", gone=lambda leg: None)
        wires: list[_Wire] = []

        def heard(frame: Frame) -> None:
            for told in dialect.hear(frame):
                if isinstance(told, Started):
                    leg.attach(wires[0], dialect, told)
                elif isinstance(told, Reply):
                    wires[0].send(told.frame)
                else:
                    leg.take(told)

        far = controls.far = FarEnd(f"{ip}-far", tongue, heard, rtt_s)
        wires.append(_Wire(far))

        def hung_up() -> None:
            asyncio.get_running_loop().call_later(rtt_s / 2 + 0.001, leg.lost)  # and the socket

        far.on_hangup = hung_up
        far.begin()
        try:
            yield Pair(leg, far, rtt_s)
        finally:
            await leg.hangup()
            far.finish()
