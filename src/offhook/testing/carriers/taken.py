"""A socket that our side has opened to a fake service, as the service sees it.

Switchboard ─► Dial ─► FakeService.dialled ─► Taken ─► tell, end ─► half a round trip ─► our Listener
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from offhook.carriers.services.stream import Frame
from offhook.run.services import Listener
from offhook.testing.carriers.farend import Pipe


class Taken:
    """One such socket; it is our side's wire, too. `read` takes what comes from there."""

    def __init__(self, listener: Listener, rtt_s: float, read: Callable[[Frame], None]) -> None:
        self._listener = listener
        self._going: Pipe[Frame | None] = Pipe(rtt_s / 2, self._arrives)
        self._coming: Pipe[Frame | None] = Pipe(rtt_s / 2, self._comes)
        self._read = read
        self._gone = asyncio.Event()
        listener.opened(self)

    # The service's side

    def tell(self, frame: Frame) -> None:
        """Send a message."""
        self._going.put(frame)

    def end(self) -> None:
        """Close it, behind what was sent."""
        self._going.put(None)

    async def lives(self) -> None:
        """Wait until it is gone; whoever waits no longer, closes it."""
        try:
            await self._gone.wait()
        finally:
            self._close()

    # Ours

    def send(self, frame: Frame) -> None:
        """Send a message."""
        self._coming.put(frame)

    def close(self) -> None:
        """Close it, behind what was sent."""
        self._coming.put(None)

    # Between them

    def _arrives(self, frame: Frame | None) -> None:
        if frame is None:
            self._close()
        elif not self._gone.is_set():
            self._listener.heard(frame)

    def _comes(self, frame: Frame | None) -> None:
        if frame is None:
            self._close()
        elif not self._gone.is_set():
            self._read(frame)

    def _close(self) -> None:
        if not self._gone.is_set():
            self._gone.set()
            self._listener.closed()
