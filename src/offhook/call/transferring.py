"""Handing a caller on: blind, attended, or by a bridge of our own where the carrier does not transfer.

    blind ────────────────────► REFER ─┬─► taken: the call ends, `transferred`
    attended ─► call the target ─► say ─► REFER with Replaces ─┘
    REFER refused, or not to be had ─► call the target ─► bridge the two, until one of them hangs up

Laws: whatever fails, the caller is back with the agent and hears it; a transfer is told once, with its kind and code;
the target that was called and is not wanted any more is hung up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Literal

from offhook.agent import inputs
from offhook.call.bridge import Bridge, ringback
from offhook.core.errors import CallEnded, ConfigError, DialFailed, TransferFailed, Unreachable

if TYPE_CHECKING:
    from offhook.call.session import Session

Kind = Literal["blind", "attended", "bridged"]

NO_REFER: Final = frozenset({403, 405, 420, 501, 603})
"""How a far end says that it does not transfer: then we do it ourselves."""

RING_S: Final = 60.0
"""How long the target may ring."""


class Transferring:
    """One transfer of one call."""

    def __init__(self, session: Session, target: str, announce: str) -> None:
        self._session = session
        self._target = target
        self._announce = announce
        self._kind: Kind = "blind"
        self._gone = False

    async def run(self, *, attended: bool) -> None:
        """Hand the caller on; returns when the call is over. TransferFailed if the target does not take it."""
        session, leg = self._session, self._session.leg
        if self._announce and session.models.tts is None:
            raise ConfigError("there is no voice to announce the caller with: configure one ([models] tts)")
        able = leg.capabilities
        try:
            if able.transfer and not attended:
                try:
                    await leg.transfer(self._target)
                except TransferFailed as failed:
                    if not self._falls_back(failed):
                        raise
                else:
                    self._taken()
            if not self._gone:
                self._kind = "attended" if attended and able.transfer else "bridged"
                await self._with_target()
        except TransferFailed as failed:
            session.reports.transfer(self._target, failed.code, self._kind)
            raise
        await session.over.wait()

    def _falls_back(self, failed: TransferFailed) -> bool:
        return failed.refused and failed.code in NO_REFER and self._session.leg.capabilities.bridge

    def _taken(self) -> None:
        self._gone = True
        self._session.reports.transfer(self._target, 200, self._kind)
        self._session.tell(inputs.Leave("", "transferred"))

    async def _with_target(self) -> None:
        """Call the target ourselves, with the caller out of the conversation meanwhile."""
        session = self._session
        session.tell(inputs.Hold(on=True))
        session.leg.listen("none")
        bridge: Bridge | None = None
        try:
            await self._hold(True)
            bridge = await self._called()
            await self._put_through(bridge)
        except TransferFailed:
            await self._hold(False)
            raise
        finally:
            session.bridged = None
            if bridge is not None:
                await bridge.close()
            if session.ended is None and not self._gone:
                session.tell(inputs.Hold(on=False))
                session.listen()

    async def _hold(self, on: bool) -> None:
        """Have a caller who will be handed on wait in silence; who is bridged only hears it ring."""
        if self._kind == "attended" and self._session.leg.capabilities.hold:
            await self._session.leg.hold(on)

    async def _called(self) -> Bridge:
        """Call the target and wait for its answer; the caller hears it ring where nobody will speak to it first."""
        session, leg = self._session, self._session.leg
        try:
            second = await leg.consult(self._target)
        except DialFailed as failed:
            raise TransferFailed(failed.code, str(failed)) from failed
        except (Unreachable, OSError) as failed:
            raise TransferFailed(503, str(failed)) from failed
        bridge = Bridge(leg, second)
        answered = False
        ringing = asyncio.get_running_loop().create_task(ringback(session.mouthpiece), name="ringback")
        try:
            async with asyncio.timeout(RING_S):
                await self._unless_over(second.connected())
            answered = True
        except DialFailed as failed:
            raise TransferFailed(failed.code, str(failed)) from failed
        except TimeoutError:
            raise TransferFailed(408, "nobody answered") from None
        finally:
            ringing.cancel()
            await asyncio.wait([ringing])
            if session.ended is None:
                leg.hush()
            if not answered:
                await bridge.close()
        return bridge

    async def _put_through(self, bridge: Bridge) -> None:
        session, leg = self._session, self._session.leg
        if self._announce:
            assert session.models.tts is not None
            speech = session.models.tts.speak(_once(self._announce), voice=session.voice)
            await self._unless_over(bridge.say(speech), bridge)
        if self._kind == "attended":
            try:
                await leg.transfer(self._target, bridge.second)
            except TransferFailed as failed:
                if not self._falls_back(failed):
                    raise
                await self._hold(False)
                self._kind = "bridged"
            else:
                self._taken()
                return
        session.alive()
        session.bridged = bridge
        bridge.join()
        session.reports.transfer(self._target, 200, self._kind)
        with suppress(TransferFailed, CallEnded):
            await self._unless_over(asyncio.Event().wait(), bridge)
        if session.ended is None:
            session.tell(inputs.Leave("", "transferred"))

    async def _unless_over(self, work: Coroutine[Any, Any, Any], bridge: Bridge | None = None) -> None:
        """Do something unless the caller goes away meanwhile (CallEnded), or the target does (TransferFailed)."""
        loop = asyncio.get_running_loop()
        working = loop.create_task(work)
        ends = [loop.create_task(self._session.over.wait())]
        if bridge is not None:
            ends.append(loop.create_task(bridge.over.wait()))
        try:
            await asyncio.wait([working, *ends], return_when=asyncio.FIRST_COMPLETED)
        finally:
            rest = [task for task in (working, *ends) if not task.done()]
            for task in rest:
                task.cancel()
            if rest:
                await asyncio.wait(rest)
        if working.done() and not working.cancelled():
            working.result()
        elif self._session.ended is not None:
            raise CallEnded("the call is over")
        else:
            raise TransferFailed(487, "the target hung up")


async def _once(text: str) -> AsyncIterator[str]:
    yield text
