"""What strangers send, for every service: texts, values, and messages of sockets."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from offhook.carriers.services.stream import Dialect, Frame, Odd

TEXTS = (
    "<&>\"'`",
    "]]>",
    "\x00\x01\x1b\x7f\r\n\t",
    "half \ud83d and \udc00 half",
    "😀 𝄞 é ‮ ﷽",
    "{{7*7}} ${x} %s %00",
    "x" * 100_000,
    "",
)
"""Texts that break what writes them without care."""

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1 << 80, 1.5, float("nan"), float("inf"), "", "\ud800", "x" * 5000),
    *([], [[[[]]]], {}, {"a": {"b": None}}, [None, 1, "a"]),
)
"""What stands where something else is expected."""

FRAMES: tuple[Frame, ...] = (
    *(
        "",
        "null",
        "[]",
        "1",
        '"x"',
        "{",
        "{}",
        '{"event":null}',
        '{"event":7}',
        '{"event":["x"]}',
        '{"event":"nonsense"}',
    ),
    *('{"type":"nonsense"}', "[" * 20_000, "1" * 5000, "x" * 1_000_000, '{"a":"' + "x" * 1_000_000 + '"}', "\ud800"),
    *(b"", b"\0", b"\xff" * 3, b"\0" * 1_000_000, b'{"event":"start"}', "MEDIA_START", "MEDIA_START :", ":", " "),
)
"""Messages that no service sends."""


def mangled(told: Mapping[str, Any], chance: Random) -> dict[str, Any]:
    """Give a message of which something, at any depth, is missing, or is something else."""
    copy = json.loads(json.dumps(told))
    node = copy
    while True:
        if not node:
            return copy
        name = chance.choice(sorted(node))
        if isinstance(node[name], dict) and node[name] and chance.random() < 0.7:
            node = node[name]
            continue
        if chance.random() < 0.3:
            del node[name]
        else:
            node[name] = chance.choice(VALUES)
        return copy


def endure(make: Callable[[], Dialect], good: Sequence[Frame], seed: int) -> int:
    """Let a dialect hear `good` in another order, doubled, mangled, and nonsense between; give how much was odd.

    It fails by what `hear` raises.
    """
    chance = Random(seed)
    dialect, odd = make(), 0
    for _ in range(200):
        frame: Frame = chance.choice(good if chance.random() < 0.6 else FRAMES)
        draw = chance.random()
        if draw < 0.3 and isinstance(frame, str):
            try:
                told = json.loads(frame)
            except (ValueError, RecursionError):
                told = None
            if isinstance(told, dict):
                frame = json.dumps(mangled(told, chance))
        elif draw < 0.4:
            frame = frame[: chance.randrange(len(frame) + 1)]
        elif draw < 0.5 and isinstance(frame, str):
            frame = frame.encode("utf-8", "surrogatepass")
        elif draw < 0.6 and isinstance(frame, bytes):
            frame = frame.decode("latin-1")
        odd += sum(isinstance(told, Odd) for told in dialect.hear(frame))
        if chance.random() < 0.1:
            dialect.mark(str(chance.randrange(9)))
            dialect.sound(bytes(2 * chance.randrange(1000)))
            dialect.press("1")
        if chance.random() < 0.05:
            dialect.clear()
    dialect.close()
    return odd


def one_byte_changes(data: bytes) -> Sequence[bytes]:
    """Give the data with each byte changed, dropped and doubled, in turn."""
    changed = [data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :] for at in range(len(data)) for bit in (1, 32, 128)]
    dropped = [data[:at] + data[at + 1 :] for at in range(len(data))]
    added = [data[:at] + b"0" + data[at:] for at in range(len(data) + 1)]
    return [*changed, *dropped, *added]
