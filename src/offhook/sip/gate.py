"""Who is let in, and how a request that is not is refused.

The gate is asked once for each new request outside a dialog, before anything of it is acted on. What it knows
(networks, accounts, bans) is its own; the user agent only carries out its verdict.
"""

from __future__ import annotations

from typing import Protocol

from offhook.core.instants import Instant
from offhook.sip.grammar import Fields
from offhook.sip.message import Request
from offhook.sip.outcomes import Flow


class Refusal(Exception):
    """A request that is well formed and answered with `code`."""

    def __init__(self, code: int, headers: Fields = ()) -> None:
        super().__init__(code)
        self.code = code
        self.headers = headers


class Gate(Protocol):
    """Decides on requests outside a dialog."""

    def admit(self, now: Instant, request: Request, flow: Flow) -> None:
        """Let a request in, or raise the `Refusal` that answers it (a challenge is one)."""
        ...
