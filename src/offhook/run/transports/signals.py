"""What the transports tell, and what they count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from offhook.run.transports.flood import Rate
from offhook.sip.outcomes import Flow


class Signals(Protocol):
    """Whom the transports tell and ask."""

    def received(self, data: bytes, flow: Flow) -> None:
        """A whole message came."""
        ...

    def flow_closed(self, flow: Flow, why: str) -> None:
        """A connection is gone, or could not be opened: `why` in words for a person."""
        ...

    def permits(self, ip: str) -> bool:
        """Whether a source may speak to us. Asked before anything that it sends is read."""
        ...

    def rate(self, ip: str) -> Rate | None:
        """How much a source may send (None: as much as it likes). Asked when it is met, and now and then again."""
        ...

    def warned(self, text: str) -> None:
        """Something is to be told to whoever runs this: one line, which holds nothing that a far end sent."""
        ...

    def flooded(self, ip: str) -> None:
        """A source sends more than its rate; what is too much is not read. Told once a minute."""
        ...

    def carries_calls(self, flow: Flow) -> bool:
        """Whether something lives on a connection, which is then kept however quiet it is."""
        ...


@dataclass(slots=True)
class Counts:
    """What the transports dropped, and why."""

    screened: int = 0
    flooded: int = 0
    unsent: int = 0
    socket_errors: int = 0
    streams_broken: int = 0
    streams_refused: int = 0
    streams_idle: int = 0
    handshakes_failed: int = 0
