"""What must hold where the far end returns our voice: it is no caller."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from offhook import _native as native
from offhook.core.instants import MILLISECOND, SECOND, Duration, Instant
from offhook.core.media import Address
from offhook.testing.checkers.base import CALLERS, is_agent
from offhook.testing.checkers.media import PlayClock
from offhook.testing.spelled import fold
from offhook.testing.wire import Rtp

if TYPE_CHECKING:
    from offhook.testing.engine import VirtualEngine


class NotItself(PlayClock):
    """An agent is cut only where somebody else spoke or pressed a key, and no turn of the caller is made of its words.

    What a caller's phone was given to play is the caller's voice; what else it sends is what it hears. The second half
    is about words next to each other (told as `history`), for a caller may well use one of ours; half a turn of them is
    too much. Who speaks over an echo that nobody knows yet is heard with some of it.
    """

    law = "an agent neither interrupts nor answers itself"
    REACH: Final[Duration] = 1500 * MILLISECOND
    """So long before it is heard a caller may have spoken: the path, the buffers, a word that the gate has missed."""

    def __init__(self) -> None:
        super().__init__()
        self._spoke: dict[Address, Instant] = {}
        self._began: dict[Address, Instant] = {}
        self._seen: set[tuple[str, str]] = set()

    def rtp_left(self, now: Instant, source: Address, destination: Address, packet: Rtp) -> None:
        """Note when somebody speaks to an agent. Whoever is no phone speaks always."""
        queue = self._by_address.get(source)
        before = queue.queued if queue is not None else 0
        super().rtp_left(now, source, destination, packet)
        if queue is None or queue.queued < before or not source[0].startswith(CALLERS):
            self._spoke[destination] = now

    def event(self, now: Instant, engine: VirtualEngine, event: native.Event) -> None:
        """Ask of each cut who spoke."""
        if not is_agent(engine.ip):
            return
        local = self._ports[engine.ip, event.port].local
        if isinstance(event, native.SpeechBegan):
            self._began[local] = event.at
        elif isinstance(event, native.Digit):
            self._began.pop(local, None)
        elif isinstance(event, native.Cut):
            began = self._began.get(local)
            if began is None or now - began > self.REACH:
                return
            spoke = self._spoke.get(local)
            if spoke is None or spoke < began - self.REACH:
                silent = "has said nothing" if spoke is None else f"was silent for {(now - spoke) / SECOND:.1f} s"
                self.broken(now, f"{engine.ip} was cut by a voice, but the caller {silent}")
                del self._began[local]

    def told(self, now: Instant, host: str, call: str, event: str, data: Mapping[str, Any]) -> None:
        """Look for our words in what counts as the caller's."""
        if event != "history" or data["spoken"] is None:
            return
        ours = [fold(text).split() for text, _ in data["said"]]
        theirs = [fold(text).split() for text in data["spoken"]]
        for text in data["heard"]:
            words = fold(text).split()
            foreign = _pairs(ours) - _pairs(theirs)
            own = {place + one for place, pair in enumerate(pairwise(words)) if pair in foreign for one in (0, 1)}
            if 2 * len(own) >= len(words) > 0 and (call, text) not in self._seen:
                self._seen.add((call, text))
                self.broken(now, f"{host}: the turn {text!r} was heard of ourselves")


def _pairs(texts: list[list[str]]) -> set[tuple[str, str]]:
    return {pair for words in texts for pair in pairwise(words)}
