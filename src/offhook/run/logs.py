"""The log for people, on stderr: every entry is one line, whatever a far end wrote into it, and a trace is set in."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, cast

import structlog
from structlog.typing import EventDict, WrappedLogger

from offhook.run.security import escaped


def one_line(logger: WrappedLogger, method: str, entry: EventDict) -> EventDict:
    """Escape what would end a line or move a cursor, in every text of an entry (a processor of structlog)."""
    return {escaped(key): _trace(value) if key == "exception" else _told(value) for key, value in entry.items()}


def _trace(text: Any) -> str:
    # The message of an exception may be a far end's: none of its lines looks like one of the log.
    return "\n".join([f"  {escaped(line)}" for line in str(text).splitlines()])


def _told(value: Any) -> Any:
    if isinstance(value, str):
        return escaped(value)
    if isinstance(value, Mapping):
        return {key: _told(one) for key, one in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_told(one) for one in cast("list[Any]", value)]
    return value


def log_to_stderr() -> None:
    """Write the log for people, to stderr."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            structlog.processors.format_exc_info,
            one_line,
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
