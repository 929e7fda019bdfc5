"""Recordings that a service makes of its calls, those too whose sound never comes here: what its API is asked for them.

    record(start) ─► begun: its name ─► record(pause, resume, stop) ─► Recorded, to the hook ─► look_up, erase

A recording is asked for by its name at the API that is configured; the address that a webhook gives is only told on.
"""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

from offhook.carriers.services.http import ApiCall, ApiReply

Step = Literal["start", "pause", "resume", "stop"]
"""What can be done with the recording of a call that goes on."""


@runtime_checkable
class Recording(Protocol):
    """A service that records when it is told to, besides what it is as a `Service`."""

    def record(self, call: str, step: Step, recording: str, news: str) -> ApiCall | None:
        """Do a step with the recording of a call; None where the service can't.

        `recording` is how it is called, "" where that was not said; our hook `news` hears when it can be had.
        """
        ...

    def begun(self, reply: ApiReply) -> str:
        """Read how a recording that was begun is called; "" where it is not said."""
        ...

    def look_up(self, recording: str) -> ApiCall:
        """Ask what is known of a recording."""
        ...

    def erase(self, recording: str) -> ApiCall:
        """Have a recording deleted; that it is not there is as good."""
        ...
