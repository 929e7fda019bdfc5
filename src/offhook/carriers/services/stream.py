"""What goes over a service's media socket, whatever it is spelled like there.

    the socket's messages ─► Dialect.hear ─► Started, Sound, Pressed, Passed, Cleared, Stopped …
    sound, mark, clear, press, close ─► Dialect ─► the socket's messages

A dialect lives as long as one socket. It is pure and total: `hear` raises nothing, whatever came; what makes no sense
is `Odd`, and is counted.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from offhook.core.carriage import Carriage

Frame = str | bytes
"""A message of a websocket: text or binary. Over plain TCP, the bytes of one message."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How audio is coded. L16 is in network order here, as in RTP; a dialect turns its service's round."""

    codec: Literal["PCMU", "PCMA", "L16"] = "PCMU"
    rate_hz: int = 8000

    @property
    def label(self) -> str:
        """The name by which the media plane knows it (`core.codecs`)."""
        return f"L16/{self.rate_hz}" if self.codec == "L16" else self.codec

    @property
    def bytes_per_ms(self) -> int:
        """How many bytes a millisecond is."""
        return self.rate_hz // 1000 * (2 if self.codec == "L16" else 1)


@dataclass(frozen=True, slots=True)
class Started:
    """Audio begins: whose call it is, how each direction is coded, and what the control document sent along."""

    stream: str
    call: str = ""
    caller: str = ""
    called: str = ""
    heard: Encoding = Encoding()
    ours: Encoding = Encoding()
    params: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Sound:
    """Audio of the far end. `number` counts its messages from the stream's beginning, where the service counts them.

    `at_ms` is where it lies in the stream, where the service says that.
    """

    payload: bytes
    number: int | None = None
    at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Pressed:
    """A key of the far end."""

    key: str
    duration_ms: int = 0


@dataclass(frozen=True, slots=True)
class Passed:
    """A mark came back. `cleared`: it was dropped, not played; None where the service does not say which."""

    mark: str
    cleared: bool | None = None


@dataclass(frozen=True, slots=True)
class Cleared:
    """The service has emptied its buffer, as it was asked to."""


@dataclass(frozen=True, slots=True)
class Flow:
    """The service's buffer is full (`on` False: send nothing more), or has room again."""

    on: bool


@dataclass(frozen=True, slots=True)
class Reply:
    """What the service is owed at once: a pong, an acknowledgement."""

    frame: Frame


@dataclass(frozen=True, slots=True)
class Stopped:
    """Audio has ended."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Odd:
    """A message that makes no sense, or that we do not know: `why` is a word to count it by."""

    why: str


def turned(payload: bytes) -> bytes:
    """Give L16 in the other byte order. A last odd byte is dropped."""
    samples = array("H", payload[: len(payload) & ~1])
    samples.byteswap()
    return samples.tobytes()


Told = Started | Sound | Pressed | Passed | Cleared | Flow | Reply | Stopped | Odd
"""What a message says."""


class Dialect(Protocol):
    """How one service speaks over a media socket."""

    @property
    def carriage(self) -> Carriage:
        """How audio is carried there."""
        ...

    def hear(self, frame: Frame) -> Sequence[Told]:
        """Read a message. Raises nothing."""
        ...

    def sound(self, payload: bytes) -> Sequence[Frame]:
        """Write audio in the encoding that `Started` gave for ours: whole frames of `carriage.frame_ms`."""
        ...

    def mark(self, name: str) -> Sequence[Frame]:
        """Ask to be told when all before it was played. Nothing where the service has no marks."""
        ...

    def clear(self) -> Sequence[Frame]:
        """Drop what is buffered there. Nothing where the service can't."""
        ...

    def press(self, keys: str) -> Sequence[Frame]:
        """Send keys to the far end. Nothing where the service can't."""
        ...

    def close(self) -> Sequence[Frame]:
        """Say goodbye before the socket is closed by us."""
        ...
