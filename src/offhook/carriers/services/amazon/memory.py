"""What was said in a call, packed into an attribute that a service keeps for us between two requests.

    History ─► pack ─► "1eNq…" (letters, digits, dash, underscore) ─► unpack ─► History

A function in the cloud may be another process the next time: this is enough to go on. What does not fit goes, the
oldest first. It is total: what is no memory of ours is an empty one, since anybody may write attributes.
"""

from __future__ import annotations

import json
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Any, Final, cast

from offhook.agent.history import Entry, Heard, History, Keys, Said, ToolUse
from offhook.core.ids import Turn

LIMIT: Final = 8000
"""Characters of a memory: the attributes of a session are some 20 kB in all, and others want some."""
UNPACKED_LIMIT: Final = 256 * 1024
_VERSION: Final = "1"


def pack(history: History, limit: int = LIMIT) -> str:
    """Pack as much of a history, from its end, as fits."""
    entries = [_row(entry) for entry in history]
    while entries:
        text = json.dumps(entries, separators=(",", ":"), default=str)
        packed = _VERSION + urlsafe_b64encode(zlib.compress(text.encode(), 9)).decode().rstrip("=")
        if len(packed) <= limit:
            return packed
        del entries[: max(1, len(entries) // 8)]
    return ""


def unpack(packed: object) -> History:
    """Unpack a history; an empty one where it is none. Raises nothing."""
    if not isinstance(packed, str) or not packed.startswith(_VERSION) or len(packed) > UNPACKED_LIMIT:
        return History()
    try:
        data = urlsafe_b64decode(packed[1:].encode("ascii") + b"===")
        text = zlib.decompressobj().decompress(data, UNPACKED_LIMIT)
        rows: object = json.loads(text)
    except (ValueError, zlib.error, RecursionError):
        return History()
    if not isinstance(rows, list):
        return History()
    entries = (_entry(row) for row in cast("list[object]", rows))
    return History(tuple(entry for entry in entries if entry is not None))


def _row(entry: Entry) -> Sequence[Any]:
    match entry:
        case Heard():
            return ("h", entry.turn, entry.text)
        case Said():
            return ("s", entry.turn, entry.text, entry.whole)
        case Keys():
            return ("k", entry.turn, entry.keys)
        case ToolUse():
            return ("t", entry.turn, entry.call_id, entry.name, dict(entry.arguments), entry.result, entry.failed)


def _entry(row: object) -> Entry | None:
    match row:
        case ["h", int(turn), str(text)]:
            return Heard(Turn(turn), text)
        case ["s", int(turn), str(text), bool(whole)]:
            return Said(Turn(turn), text, whole)
        case ["k", int(turn), str(keys)]:
            return Keys(Turn(turn), keys)
        case ["t", int(turn), str(call_id), str(name), dict(), str() | None, bool(failed)]:
            arguments, result = cast("tuple[dict[str, Any], str | None]", (row[4], row[5]))
            return ToolUse(Turn(turn), call_id, name, arguments, result, failed)
        case _:
            return None
