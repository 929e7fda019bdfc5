"""What must hold of the record: the history says what the wire said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from offhook.core.instants import Instant
from offhook.core.media import Address
from offhook.testing.checkers.base import Checker, is_agent
from offhook.testing.checkers.media import AUDIO_PORT
from offhook.testing.spelled import Reader, fold
from offhook.testing.wire import FIRST_DYNAMIC, Rtp, Sip


class HistoryIsHeard(Checker):
    """Every word that the history says the caller heard left the building, in that order (told as `history`).

    It holds for voices that spell (`offhook.testing.spelled`); others say nothing that can be read back. The other way
    round, a history may lack words that left: at a cut those of the last moments count as not heard.
    """

    law = "the history says what was played"
    LOST_IN_A_CUT: Final = 6
    """So many words may have left and yet not count as heard at each cut: some 600 ms of round trip and buffers."""

    def __init__(self) -> None:
        super().__init__()
        self._readers: dict[Address, Reader] = {}
        self._unread: dict[Address, list[bytes]] = {}
        self._laws: dict[Address, npt.NDArray[np.int16]] = {}
        self._media: dict[tuple[str, str], int] = {}

    def rtp_left(self, now: Instant, source: Address, destination: Address, packet: Rtp) -> None:
        """Read along."""
        if packet.payload >= FIRST_DYNAMIC or not is_agent(source[0]):
            return
        if source not in self._readers:
            self._readers[source] = Reader()
        law = _A_LAW if packet.payload == 8 else _MU_LAW
        if self._laws.get(source) is not law:
            self._text(source)  # a re-INVITE changed the codec: what left before is read by the law that it left under
            self._laws[source] = law
        self._unread.setdefault(source, []).append(packet.body)

    def told(self, now: Instant, host: str, call: str, event: str, data: Mapping[str, Any]) -> None:
        """Compare a call's history with what its port sent."""
        if event != "history":
            return
        port = self._media.get((host, data["sip_call"]))
        if port is not None:
            self._compare(now, host, data["said"], self._text((host, port)))
            return
        # A call that we placed does not know its SIP name: then one of the ports must have said all of it.
        spoken = [self._text(address) for address in self._readers if address[0] == host] or [""]
        if not any(_holds(text, data["said"]) for text in spoken):
            self._compare(now, host, data["said"], spoken[-1])

    def sip_left(self, now: Instant, source: Address, destination: Address, message: Sip, data: bytes) -> None:
        """Learn which port a call has."""
        port = AUDIO_PORT.search(data)
        if port is not None:
            self._media[source[0], message.call] = int(port[1])

    def _text(self, address: Address) -> str:
        reader = self._readers.get(address)
        if reader is None:
            return ""
        unread = self._unread.pop(address, None)
        if unread:
            reader.push(self._laws[address][np.frombuffer(b"".join(unread), dtype=np.uint8)].tobytes())
        return reader.text

    def _compare(self, now: Instant, host: str, said: list[tuple[str, bool]], left: str) -> None:
        at = 0
        cuts = 0
        count = 0
        for text, whole in said:
            words = fold(text)
            found = left.find(words, at)
            if found < 0:
                self.broken(now, f"{host}: the history has {words!r}, but after {left[:at]!r} only {left[at:]!r} left")
                return
            at = found + len(words)
            count += len(words.split())
            cuts += not whole
        unwritten = len(left.split()) - count
        if unwritten > self.LOST_IN_A_CUT * (cuts + 1):
            self.broken(now, f"{host}: {unwritten} words left that the history lacks, at {cuts} cuts: {left!r}")


def _holds(left: str, said: list[tuple[str, bool]]) -> bool:
    at = 0
    for text, _ in said:
        words = fold(text)
        found = left.find(words, at)
        if found < 0:
            return False
        at = found + len(words)
    return True


def _mu_law() -> npt.NDArray[np.int16]:
    """Make the table of ITU-T G.711's µ-law."""
    code = ~np.arange(256, dtype=np.int64) & 0xFF
    size = (((code & 0x0F) << 3) + 0x84 << (code >> 4 & 7)) - 0x84
    return np.where(code & 0x80, -size, size).astype("<i2")


def _a_law() -> npt.NDArray[np.int16]:
    """Make the table of ITU-T G.711's A-law."""
    code = np.arange(256, dtype=np.int64) ^ 0x55
    segment = code >> 4 & 7
    size = ((code & 0x0F) << 4) + 8
    size = np.where(segment > 0, size + 0x100 << np.maximum(segment - 1, 0), size)
    return np.where(code & 0x80, size, -size).astype("<i2")


_MU_LAW: Final = _mu_law()
_A_LAW: Final = _a_law()
