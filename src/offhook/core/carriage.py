"""How a far end takes our audio: what a carrier does and lacks, as data.

A leg's media, its tests and its documentation read this table; nothing asks which carrier it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Carriage:
    """How audio goes to a far end.

    `frame_ms` is what audio is measured in there. A message holds `least_ms` to `most_ms` of it, in whole frames. What
    is shorter, at the end of an utterance, is filled up with silence. `paced_by` says who keeps time: "us" means that
    nothing is buffered there and each frame is sent when it is to sound; "carrier" means that it buffers up to
    `buffer_ms`, and we are at most `lead_ms` ahead of its play-out. `marks`: "told" says of each mark whether it was
    played or dropped, "echoed" gives marks back in both cases alike. `clear` drops what is buffered: "acknowledged"
    says when that was done. `keys`: whether keys can be sent to the far end. `hang_up`: what ends the call: the end of
    the socket, a request to the API, or signalling. `parts`: our goodbye is answered, and the socket left to be closed
    by the far end.
    """

    frame_ms: int = 20
    least_ms: int = 20
    most_ms: int = 20
    paced_by: Literal["us", "carrier"] = "us"
    buffer_ms: int = 0
    lead_ms: int = 0
    marks: Literal["none", "echoed", "told"] = "none"
    clear: Literal["none", "silent", "acknowledged"] = "none"
    keys: bool = False
    hang_up: Literal["signal", "socket", "api"] = "api"
    parts: bool = False


RTP = Carriage(keys=True, hang_up="signal")
"""Over RTP we keep time, and BYE ends the call."""
