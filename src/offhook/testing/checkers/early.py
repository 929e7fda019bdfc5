"""What must hold before a call is answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from offhook import _native as native
from offhook.core.instants import Instant
from offhook.core.media import Address
from offhook.testing.checkers.base import Checker, is_phone
from offhook.testing.wire import Sip

if TYPE_CHECKING:
    from offhook.testing.engine import VirtualEngine


class NobodyHeardEarly(Checker):
    """No sample of a far end is heard or taped before its call was answered: before a 2xx left, or came.

    Only a call whose signalling goes in datagrams is judged; what streams carry, checkers do not see.
    """

    law = "nobody is heard before the answer"

    def __init__(self) -> None:
        super().__init__()
        self._ports: dict[str, dict[Address, None]] = {}
        self._answered: dict[Address, None] = {}
        self._early: dict[Address, str] = {}  # heard before an answer, and before a description named the port

    def sip_left(self, now: Instant, source: Address, destination: Address, message: Sip, data: bytes) -> None:
        """Note which port a call has, and our answer."""
        number = data.partition(b"m=audio ")[2].split(b" ", 1)[0]
        if is_phone(source[0]) and number.isdigit():
            port = source[0], int(number)
            self._ports.setdefault(message.call, {})[port] = None
            if (early := self._early.pop(port, None)) is not None:
                self.broken(now, early)
        self._answers(source, message)

    def sip_arrived(self, now: Instant, source: Address, destination: Address, message: Sip, data: bytes) -> None:
        """Note their answer."""
        self._answers(destination, message)

    def _answers(self, ours: Address, message: Sip) -> None:
        if message.method == "INVITE" and 200 <= message.code < 300:
            for port in self._ports.get(message.call, ()):
                if port[0] == ours[0]:
                    self._answered[port] = None

    def verb(self, now: Instant, engine: VirtualEngine, port: int, name: str, arguments: tuple[Any, ...]) -> None:
        """Begin anew where a port is given out again."""
        if name == "open":
            self._answered.pop(engine.local(port), None)
            self._early.pop(engine.local(port), None)

    def event(self, now: Instant, engine: VirtualEngine, event: native.Event) -> None:
        """Look whose audio it is."""
        if not isinstance(event, native.Heard | native.Taped):
            return
        local = engine.local(event.port)
        if local in self._answered or local in self._early:
            return
        text = f"{engine.ip} port {event.port}: {type(event).__name__} before the answer"
        if any(local in ports for ports in self._ports.values()):
            self.broken(now, text)
        self._early[local] = text
