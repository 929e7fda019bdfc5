"""The frames that pass between this process and a model worker, over its standard input and output.

    ┌────────────┬────────────┬──────────────┬───────────┐
    │ head bytes │ body bytes │ head (JSON)  │ body      │      both lengths 32 bits, network order
    └────────────┴────────────┴──────────────┴───────────┘

The head is a JSON object, the body is raw: PCM, floats. Requests carry `id`; every frame that answers one carries the
same `id`, and the last of them `end` or `error`. A worker speaks first: `{"ready": …}`, once its model is loaded.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Any

LENGTHS = struct.Struct("!II")
LONGEST = 64 * 1024 * 1024
"""The longest head or body, in bytes: an hour of 8 kHz audio. A longer one is a broken pipe, not a request."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame: a JSON object and raw bytes."""

    head: dict[str, Any]
    body: bytes = b""

    def __bytes__(self) -> bytes:
        head = json.dumps(self.head, separators=(",", ":")).encode()
        return LENGTHS.pack(len(head), len(self.body)) + head + self.body


def lengths(prefix: bytes) -> tuple[int, int]:
    """Read the eight bytes that begin a frame; ValueError where they can't be lengths of ours."""
    head, body = LENGTHS.unpack(prefix)
    if head > LONGEST or body > LONGEST:
        raise ValueError(f"a frame of {head} + {body} bytes")
    return head, body


def parse_frame(head: bytes, body: bytes) -> Frame:
    """Make a frame of its two parts; ValueError where the head is no JSON object."""
    value: Any = json.loads(head)
    if not isinstance(value, dict):
        raise ValueError("the head of a frame is not an object")
    return Frame(value, body)  # pyright: ignore[reportUnknownArgumentType]
