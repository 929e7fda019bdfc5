"""What came of a task that others wrote, in words: for the log, and for the model that reads a tool's result."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

from offhook.core.errors import OffhookError
from offhook.core.ids import redacted

_log = logging.getLogger("offhook.call")


def failure(task: asyncio.Task[Any], stage: str) -> BaseException | None:
    """Give the error that ended a task, once it is in the log; None if it ended well or was cancelled."""
    if task.cancelled():
        return None
    error = task.exception()
    if isinstance(error, OffhookError):
        _log.warning("%s failed: %s", stage, redacted(str(error)))
    elif error is not None:
        _log.error("%s broke", stage, exc_info=error)
    return error


def as_text(value: object) -> str:
    """Give a tool's result, or its error, as a model reads it."""
    if isinstance(value, BaseException):
        told = getattr(value, "message", None)  # errors that are made to be read by a model
        if isinstance(told, str) and told:
            return told
        text = str(value) or type(value).__name__
        return text if isinstance(value, OffhookError) else f"{type(value).__name__}: {text}"
    if value is None:
        return "Done."
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
