"""One call at a managed service: what a leg can have done with it there, and which paths are its own.

leg ─► hang_up, transfer, record ─► the service's API          links ─► what the service is told to come back to
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from offhook.carriers.brought import Brought
from offhook.carriers.services.http import Response
from offhook.carriers.services.service import Answer, Asked, Flowing, Links, Offered, Service
from offhook.carriers.stream import StreamLeg
from offhook.core.errors import CallEnded, NotAllowed, TransferFailed, Unreachable
from offhook.policy.screening import allows

if TYPE_CHECKING:
    from offhook.run.services.board import Switchboard

log: Final = structlog.get_logger("offhook.services")

TRANSFER_S: Final = 90.0
"""How long a transfer may ring at its target."""


FLOW_S: Final = 15.0
"""How long a service's flow may take to ask us whom to call, once our socket has ended."""

RECORDINGS_LIMIT: Final = 100
"""Recordings of one call that are told of."""


class Line:
    """One call at a service: what the leg can have done with it there (`carriers.stream.Controls`)."""

    def __init__(self, board: Switchboard, service: Service, call: str, offered: Offered) -> None:
        self.service = service
        self.call = call
        self.offered = offered
        self.key = board.token()
        """What its hooks have in their path."""
        self.media = board.token()
        """What its next media socket has in its path; "" once it was used."""
        self.leg: Brought | None = None
        self.answer: asyncio.Task[Answer] | None = None
        self.orders = True
        """Whether what the answer asks of the API is still to be asked: a webhook that is sent again asks nothing."""
        self.handing: asyncio.Future[int] | None = None
        self.wanted = ""
        """Whom the service's flow is to call, where it asks us for that."""
        self.recording = ""
        """What the service calls its recording of the call that was begun last, where it says so."""
        self.over = False
        self._order = -1
        self._recordings: set[str] = set()
        self._board = board

    @property
    def links(self) -> Links:
        """Our URLs of this call, with a new token for its media where the last one was used."""
        board = self._board
        if not self.media:
            self.media = board.token()
        board.expect(self)
        return Links(f"{board.sockets}/services/{self.service.name}/media/{self.media}", self.hook)

    @property
    def hook(self) -> str:
        """Our URL that the kinds of news of this call are behind."""
        return f"{self._board.public}/services/{self.service.name}/{self.key}"

    @property
    def transfers(self) -> bool:
        """Whether the service hands calls on."""
        return self._flows("+10000000000") or bool(
            self.service.transfer(self.call or "-", "+10000000000", "", Links("", ""))
        )

    def _flows(self, target: str) -> bool:
        return isinstance(self.service, Flowing) and self.offered.direction == "inbound" and self.service.flows(target)

    def asked(self) -> Response:
        """Tell the service's flow whom to call: whom the agent wanted, or nobody."""
        wanted, self.wanted = self.wanted, ""
        if self.handing is not None and not self.handing.done():
            self.handing.set_result(200)
        return self.service.heed(Asked(self.call, wanted, self.offered.called if wanted else "", self.hook))

    @property
    def handed(self) -> bool:
        """Whether a transfer has just come about, and is yet to say so to the leg."""
        handing = self.handing
        return handing is not None and handing.done() and not handing.cancelled() and handing.result() == 200

    def moves(self, order: int | None) -> bool:
        """Take note of a step of the call, by its number where it has one; give whether it is a new one."""
        if self.over or (order is not None and order <= self._order):
            return False
        self._order = self._order if order is None else order
        return True

    def records(self, recording: str) -> bool:
        """Take note of a recording; give whether it is a new one."""
        if recording in self._recordings or len(self._recordings) >= RECORDINGS_LIMIT:
            return False
        self._recordings.add(recording)
        return True

    async def hang_up(self) -> None:
        """End the call at the service, whatever becomes of who waits for it: a call may outlive its socket there."""
        if self.over or not self.call:
            return
        self.over = True
        await asyncio.shield(self._board.do(self._end()))

    async def _end(self) -> None:
        for order in self.service.hang_up(self.call):
            try:
                reply = await self._board.ask(self.service, order)
            except Unreachable as error:
                log.warning("a call may go on at its service", service=self.service.name, error=str(error))
                return
            if not reply.ok and reply.status not in order.gone:
                log.warning("a call was not ended", service=self.service.name, status=reply.status)

    async def transfer(self, target: str) -> None:
        """Hand the far end to `target`. NotAllowed outside `dial.allow`, TransferFailed if it is not taken.

        CallEnded where the service's flow was to do it, and did not: the far end is gone with our socket.
        """
        if not allows(self._board.host.rules.dial, target):
            raise NotAllowed(f"{target} is not among what dial.allow lists")
        orders = self.service.transfer(self.call, target, self.offered.called, self.links)
        flows = not orders and self._flows(target)
        if not (orders or flows):
            raise TransferFailed(501, f"{self.service.name} does not hand calls on to {target}", refused=True)
        handing = self.handing = asyncio.get_running_loop().create_future()
        try:
            if flows and isinstance(self.leg, StreamLeg):
                self.wanted = target
                self.leg.lost()  # the flow goes on behind our socket
            for order in orders:
                try:
                    reply = await self._board.ask(self.service, order)
                except Unreachable as error:
                    raise TransferFailed(503, str(error)) from None
                if not reply.ok:
                    raise TransferFailed(481 if reply.status in order.gone else 500, f"the service said {reply.status}")
            try:
                async with asyncio.timeout(FLOW_S if flows else TRANSFER_S):
                    code = await handing
            except TimeoutError:
                if flows and self.leg is not None:
                    self.leg.left(408, "stalled")
                    raise CallEnded("the service's flow has not asked whom to call") from None
                raise TransferFailed(408, "nothing was heard of the transfer") from None
            if code != 200:
                raise TransferFailed(code)
        finally:
            self.handing, self.wanted = None, ""
