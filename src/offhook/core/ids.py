"""Names of things, and numbers that print redacted."""

from __future__ import annotations

import re
from typing import NewType

CallId = NewType("CallId", str)
"""offhook's own name of a call, unique in a process and safe in file names and logs."""

Turn = NewType("Turn", int)
"""Which turn of a conversation an input or an order belongs to; what carries an older one is stale."""

Utterance = NewType("Utterance", int)
"""One stretch of the agent's speech on a leg, numbered from 1 in the order it was begun."""

_DIGITS = re.compile(r"\d{7,}")


def redacted(text: str) -> str:
    """Hide the middle of every telephone number in `text`: `+15551234567` gives `+1555•••4567`.

    Fewer than seven digits in a row are left alone; they identify nobody.
    """
    return _DIGITS.sub(lambda run: f"{run[0][: max(1, len(run[0]) - 7)]}•••{run[0][-4:]}", text)
