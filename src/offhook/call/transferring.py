"""Handing a caller on: blind, attended, or by a bridge of our own where the carrier does not transfer.

    blind ────────────────────► REFER ─┬─► taken: the call ends, `transferred`
    attended ─► call the target ─► say ─► REFER with Replaces ─┘
    REFER refused, or not to be had ─► call the target ─► bridge the two, until one of them hangs up

Laws: whatever fails, the caller is back with the agent and hears it; a transfer is told once, with its kind and code;
the target that was called and is not wanted any more is hung up.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, Literal

from offhook.agent import inputs
from offhook.call.room import Place
from offhook.call.second import Second, announcement, called, press, unless_over
from offhook.core.errors import CallEnded, ConfigError, DialFailed, TransferFailed, Unreachable

if TYPE_CHECKING:
    from offhook.call.session import Session

Kind = Literal["blind", "attended", "bridged"]

NO_REFER: Final = frozenset({403, 405, 420, 501, 603})
"""How a far end says that it does not transfer: then we do it ourselves."""


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
        session.hold("transfer", on=True)
        session.leg.listen("none")
        target: Second | None = None
        try:
            await self._hold(True)
            target = await self._called()
            await self._put_through(target)
        except TransferFailed:
            await self._hold(False)
            raise
        finally:
            session.bridged = None
            if target is not None:
                await target.close()
            if session.ended is None and not self._gone:
                session.hold("transfer", on=False)
                session.listen()

    async def _hold(self, on: bool) -> None:
        """Have a caller who will be handed on wait in silence; who is bridged only hears it ring."""
        if self._kind == "attended" and self._session.leg.capabilities.hold:
            await self._session.leg.hold(on)

    async def _called(self) -> Second:
        """Call the target and wait for its answer; the caller hears it ring where nobody will speak to it first."""
        try:
            return await called(self._session, self._target)
        except DialFailed as failed:
            raise TransferFailed(failed.code, str(failed)) from failed
        except (Unreachable, OSError) as failed:
            raise TransferFailed(503, str(failed)) from failed

    async def _put_through(self, target: Second) -> None:
        session, leg = self._session, self._session.leg
        if self._announce and not await unless_over(session, target.say(announcement(session, self._announce)), target):
            raise TransferFailed(487, "the target hung up")
        if self._kind == "attended":
            try:
                await leg.transfer(self._target, target.leg)
            except TransferFailed as failed:
                if not self._falls_back(failed):
                    raise
                await self._hold(False)
                self._kind = "bridged"
            else:
                self._taken()
                return
        session.alive()
        await self._bridge(target)

    async def _bridge(self, target: Second) -> None:
        """Let the two hear each other until one of them hangs up; keys of each go to the other."""
        session, leg = self._session, self._session.leg
        place = Place(target.leg)
        session.bridged = target
        target.pressed = partial(press, leg)
        leg.arm(None)
        target.leg.listen("none")
        session.room.enter(place)
        try:
            session.reports.transfer(self._target, 200, self._kind)
            with suppress(CallEnded):
                await unless_over(session, asyncio.Event().wait(), target)
        finally:
            session.room.leave(place)
        if session.ended is None:
            session.tell(inputs.Leave("", "transferred"))
